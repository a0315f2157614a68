// What the page knows, from `snapshot` and `delta`. Pure: no DOM, no clock, no network. The server's word is the only
// truth; moves that it has not confirmed yet are laid over it and taken off again when it has spoken.

export const ENDED = new Set(["completed", "failed", "cancelled", "lost"]);
const RECENT = 50;
/** Fields that stand in the state as they come. */
const PLAIN = ["paused", "draining", "pause_reason", "paused_since", "counts", "lanes", "gpus", "daemon"];
const COLUMNS = ["expected_start_at", "expected_start_range", "expected_end_at", "expected_end_range", "expected_gpu_ids"];
const MINUTE = 60;

export function emptyState() {
  return {
    known: false, // false until the first snapshot
    seq: 0,
    epoch: null,
    at: null,
    daemon: null,
    paused: false,
    draining: false,
    pause_reason: null,
    paused_since: null,
    counts: {},
    lanes: [],
    gpus: [],
    gpuHistory: {}, // gpu id: [[at, utilization, memory_used], ...]
    blank: {}, // a Job of nulls: what is null in one does not travel
    jobs: new Map(), // id: Job, all that the page has heard of
    running: [], // ids, the longest running first
    line: [], // ids in start order as shown: the server's, with unconfirmed moves
    ready: 0, // so many of them have a position
    recent: [], // ids of ended ones, the newest end first
    guest: null, // the id of a job that is known and stands in none of these
    serverLine: [],
    moves: [], // unconfirmed: {ids, to | before | position, settled}
  };
}

/** What has changed, for the views; `whole`: everything. */
export function noChanges() {
  return {
    whole: false,
    jobs: new Set(), // ids whose Job changed
    line: false, // order or membership of the waiting ones
    running: false, // membership of the running ones
    recent: false,
    gpus: false,
    counts: false,
    lanes: false,
    head: false, // paused, draining and why
    daemon: false,
    connection: false, // live, stale, waiting
    tick: false, // a second has passed: ages and times left
    log: [], // pieces: {job, attempt, offset, next, size, data, eof}
  };
}

export function hasChanges(changes) {
  const { jobs, log, ...flags } = changes;
  return jobs.size > 0 || log.length > 0 || Object.values(flags).some(Boolean);
}

/** Begin anew from what `snapshot` says. Unconfirmed moves are kept: their answers are still to come. */
export function applySnapshot(state, data, changes) {
  const moves = state.moves;
  Object.assign(state, emptyState(), { known: true, moves });
  for (const name of ["seq", "epoch", "at", ...PLAIN]) if (data[name] !== undefined) state[name] = data[name];
  state.gpuHistory = { ...(data.gpu_history ?? {}) };
  state.blank = Object.fromEntries((data.fields ?? []).map((name) => [name, null]));
  for (const list of ["running", "queued", "recent"]) {
    for (const job of data[list] ?? []) state.jobs.set(job.id, { ...state.blank, ...job });
  }
  state.running = ids(data.running);
  state.serverLine = ids(data.queued);
  state.ready = (data.queued ?? []).filter((job) => job.position !== null && job.position !== undefined).length;
  state.recent = ids(data.recent);
  layLine(state);
  changes.whole = true;
}

const ids = (jobs) => (jobs ?? []).map((job) => job.id);

/** Lay a `delta` over the state. */
export function applyDelta(state, data, changes) {
  if (!state.known && data.daemon === undefined) return;
  for (const name of ["seq", "at"]) if (data[name] !== undefined) state[name] = data[name];
  for (const name of PLAIN) {
    if (data[name] === undefined) continue;
    state[name] = data[name];
    if (["counts", "lanes", "gpus", "daemon"].includes(name)) changes[name] = true;
    else changes.head = true;
  }
  if (data.gpus) sample(state, data);
  for (const job of data.jobs ?? []) applyJob(state, job, changes);
  for (const id of data.gone ?? []) forget(state, id, changes);
  for (const [key, progress] of Object.entries(data.progress ?? {})) {
    const job = state.jobs.get(Number(key));
    if (job) {
      job.progress = progress;
      changes.jobs.add(job.id);
    }
  }
  if (data.line) applyLine(state, data.line, changes);
  if (data.log) changes.log.push(data.log);
}

function sample(state, data) {
  const at = data.at ?? state.at;
  for (const gpu of data.gpus) {
    const history = (state.gpuHistory[gpu.id] ?? []).filter(([then]) => then >= at - MINUTE); // each start tells of the GPUs, too
    state.gpuHistory[gpu.id] = [...history, [at, gpu.utilization, gpu.memory_used]];
  }
}

const place = (job) => (job.state === "queued" ? "line" : ENDED.has(job.state) ? "recent" : "running");

function applyJob(state, job, changes) {
  const before = state.jobs.get(job.id);
  const was = before ? place(before) : null;
  const now = place(job);
  state.jobs.set(job.id, { ...state.blank, ...job });
  changes.jobs.add(job.id);
  if (was === now) {
    if (now === "line") Object.assign(state.jobs.get(job.id), columnsOf(before)); // the line says these, and is newer
    return;
  }
  if (was) leave(state, was, job.id, changes);
  changes[now] = true;
  if (now === "running") state.running = [...state.running, job.id];
  else if (now === "recent") state.recent = [job.id, ...state.recent.filter((id) => id !== job.id)];
  else if (!state.serverLine.includes(job.id)) {
    state.serverLine = [...state.serverLine, job.id]; // until the line comes
    layLine(state);
  }
  trim(state);
}

const columnsOf = (job) => ({ position: job.position, ...Object.fromEntries(COLUMNS.map((name) => [name, job[name]])) });

function leave(state, from, id, changes) {
  changes[from] = true;
  const without = (list) => list.filter((one) => one !== id);
  if (from === "running") state.running = without(state.running);
  else if (from === "recent") state.recent = without(state.recent);
  else {
    const at = state.serverLine.indexOf(id);
    if (at >= 0 && at < state.ready) state.ready -= 1;
    state.serverLine = without(state.serverLine);
    layLine(state);
  }
}

function trim(state) {
  for (const id of state.recent.splice(RECENT)) state.jobs.delete(id);
}

function forget(state, id, changes) {
  const job = state.jobs.get(id);
  if (!job) return;
  leave(state, place(job), id, changes);
  state.jobs.delete(id);
  changes.jobs.add(id);
}

function applyLine(state, line, changes) {
  state.serverLine = line.jobs;
  state.ready = line.ready;
  line.jobs.forEach((id, at) => {
    const job = state.jobs.get(id);
    if (job) for (const name of COLUMNS) if (line[name]) job[name] = line[name][at] ?? null;
  });
  state.moves = state.moves.filter((move) => !move.settled);
  layLine(state);
  changes.line = true;
}

/** The line as shown, and everybody's position in it. */
function layLine(state) {
  state.line = state.moves.reduce((line, move) => moved(line, move, state.ready), state.serverLine);
  state.line.forEach((id, at) => {
    const job = state.jobs.get(id);
    if (job) job.position = at < state.ready ? at + 1 : null;
  });
}

/**
 * The line with these ids taken out and put elsewhere, in the order given. Doing it twice changes nothing. Its back is
 * before those that stand in no line: they are shown behind the first `ready` ones.
 */
export function moved(line, move, ready = line.length) {
  const taken = new Set(move.ids);
  const present = move.ids.filter((id) => line.includes(id));
  const rest = line.filter((id) => !taken.has(id));
  let at = line.slice(0, ready).filter((id) => !taken.has(id)).length;
  if (move.to === "front") at = 0;
  else if (move.before !== undefined) at = rest.indexOf(move.before) < 0 ? rest.length : rest.indexOf(move.before);
  else if (move.position !== undefined) at = Math.min(move.position - 1, rest.length);
  return [...rest.slice(0, at), ...present, ...rest.slice(at)];
}

/** A job that no list holds, which actions and the menu look for: one at a time. */
export function hostJob(state, job) {
  if (state.jobs.has(job.id)) return;
  const listed = [state.running, state.serverLine, state.recent].some((list) => list.includes(state.guest));
  if (!listed) state.jobs.delete(state.guest);
  state.guest = job.id;
  state.jobs.set(job.id, { ...job });
}

/** Show a move before the server has said so. */
export function layMove(state, move, changes) {
  state.moves = [...state.moves, move];
  layLine(state);
  changes.line = true;
}

/** It was refused, or the server's own line is here. */
export function liftMove(state, move, changes) {
  if (!state.moves.includes(move)) return;
  state.moves = state.moves.filter((one) => one !== move);
  layLine(state);
  changes.line = true;
}

/**
 * The state with its listeners; changes are gathered until `schedule` (requestAnimationFrame) lets them
 * out, but for a snapshot, which is drawn at once.
 * `clock`: milliseconds since 1970, as Date.now.
 */
export function createStore({ schedule, clock }) {
  const state = emptyState();
  const listeners = new Set();
  let pending = noChanges();
  let due = false;
  let skew = 0;
  const flush = () => {
    if (!due) return; // let out already
    const changes = pending;
    due = false;
    pending = noChanges();
    for (const listener of [...listeners]) listener(changes);
  };
  const change = (act, atOnce = false) => {
    act(pending);
    if (!due && hasChanges(pending)) {
      due = true;
      if (!atOnce) schedule(flush);
    }
    if (atOnce) flush();
  };
  return {
    state,
    connection: { state: "waiting", since: clock() / 1000, lost_at: null },
    /** The server's time, in seconds: its clock may differ from the browser's. */
    now: () => clock() / 1000 + skew,
    job: (id) => state.jobs.get(id) ?? null,
    snapshot(data) {
      if (data.at) skew = data.at - clock() / 1000;
      change((changes) => applySnapshot(state, data, changes), true); // who opens a page has waited enough
    },
    delta: (data) => change((changes) => applyDelta(state, data, changes)),
    host: (job) => hostJob(state, job),
    layMove: (move) => change((changes) => layMove(state, move, changes)),
    liftMove: (move) => change((changes) => liftMove(state, move, changes)),
    /** Draw these anew: what a person has begun with them is no state of the server's. */
    touch: (ids) => change((changes) => ids.forEach((id) => changes.jobs.add(id))),
    tick: () => change((changes) => void (changes.tick = true)),
    connect(next) {
      Object.assign(this.connection, next);
      change((changes) => void (changes.connection = true));
    },
    /** `listener(changes)`; returns what takes it off again. */
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
