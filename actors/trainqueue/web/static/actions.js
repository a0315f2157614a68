// What can be done to a job, in which state, and the same as a line for a terminal. Pure; `doing.js` does it.
import { ENDED } from "/static/store.js";
import { quote } from "/static/words.js";

const waits = (job) => job.state === "queued";
const runs = (job) => job.state === "running";
const alive = (job) => !ENDED.has(job.state);
const ended = (job) => ENDED.has(job.state);

/**
 * In the order of the menu. `fits(job)`; `path` and `body` of the request; `cli` with the ids to follow;
 * `one`: of a single job only; `form`: opens the form instead; `danger`: is asked about.
 */
export const ACTIONS = [
  { name: "cancel", label: "Cancel", key: "c", path: "cancel", cli: "cancel", danger: true, fits: (job) => alive(job) && !job.stopping },
  { name: "kill", label: "Kill now", path: "cancel", body: { force: true }, cli: "cancel --force", danger: true, fits: (job) => runs(job) || job.state === "pending" },
  { name: "hold", label: "Hold", key: "h", path: "hold", cli: "hold", fits: (job) => waits(job) && !job.hold },
  { name: "release", label: "Release", key: "u", path: "release", cli: "release", fits: (job) => waits(job) && held(job) },
  { name: "front", label: "Move to the front", keys: "Alt+Home", path: "move", body: { to: "front" }, cli: "move --front", fits: waits },
  { name: "up", label: "Move up", keys: "Alt+↑", path: "move", one: true, fits: waits },
  { name: "down", label: "Move down", keys: "Alt+↓", path: "move", one: true, fits: waits },
  { name: "back", label: "Move to the back", keys: "Alt+End", path: "move", body: { to: "back" }, cli: "move --back", fits: waits },
  { name: "priority", label: "Priority …", path: "edit", body: { set: { priority: "high" } }, cli: "edit --set priority=high", fits: waits },
  { name: "edit", label: "Edit …", path: "edit", form: "edit", one: true, cli: "edit", fits: waits },
  { name: "suspend", label: "Suspend", path: "suspend", cli: "suspend", fits: (job) => runs(job) && !job.suspended && !job.stopping },
  { name: "continue", label: "Continue", path: "continue", cli: "continue", fits: (job) => runs(job) && job.suspended },
  { name: "preempt", label: "Put back into the line", path: "preempt", cli: "preempt", danger: true, fits: (job) => runs(job) && !job.stopping && !job.preempting },
  { name: "retry", label: "Retry", key: "r", path: "retry", cli: "retry", fits: (job) => ended(job) || job.why_code === "backoff" },
  { name: "retryEdited", label: "Retry with edits …", path: "retry", form: "retry", one: true, cli: "retry --edit", fits: ended },
  { name: "copy", label: "Copy as a new job …", path: "copy", form: "copy", one: true, cli: "retry --copy", fits: () => true },
];

export const held = (job) => job.hold || job.why_code === "held";
export const action = (name) => ACTIONS.find((one) => one.name === name);

/** Those that fit at least one of these jobs. */
export function actionsOf(jobs) {
  return ACTIONS.filter((one) => (jobs.length === 1 || !one.one) && jobs.some((job) => one.fits(job)));
}

/** The request of it: {path, body}; of a move by one place it depends on the line, of which so many stand in it. */
export function request(one, ids, line = [], ready = line.length) {
  const body = { ...(one.body ?? {}), ...step(one, ids[0], line, ready) };
  if (ids.length === 1) return { path: `/${one.path}/${ids[0]}`, body };
  return { path: `/${one.path}`, body: { jobs: ids, ...body } };
}

/** Before the job that is shown there; those from `ready` on are held or wait for others, and nobody stands before them. */
export const placeAt = (at, line, ready) => (at >= 0 && at < Math.min(ready, line.length) ? { before: line[at] } : { to: "back" });

/** Where one place up or down is: before which job, or the back. */
export function step(one, id, line, ready = line.length) {
  const at = line.indexOf(id);
  if (one.name === "up") return at > 0 ? placeAt(at - 1, line, ready) : { to: "front" };
  if (one.name === "down") return placeAt(at < 0 ? -1 : at + 2, line, ready);
  return {};
}

/** Whether it waits outside the line: held, or for others. It keeps its place, and nobody sees where that is. */
export const isOutside = (job) => job.position === null;

/** Why one place up or down leads nowhere, or null. */
export function noStep({ line, ready }, job, name) {
  const { id } = job;
  if (isOutside(job)) return `Job ${id} stands in no line now: it is held or waits for others. Move it to the front or the back`;
  if (name === "up" && line[0] === id) return `Job ${id} is the first of the line already`;
  return name === "down" && line[ready - 1] === id ? `Job ${id} is the last of the line already` : null;
}

/** As it is typed in a terminal. */
export function cliLine(one, ids, line = [], ready = line.length) {
  const where = step(one, ids[0], line, ready);
  if (one.path === "move" && where.before) return `trainq-cli move ${ids[0]} --before ${where.before}`;
  if (one.path === "move" && where.to) return `trainq-cli move ${ids[0]} --${where.to}`;
  const [verb, ...options] = one.cli.split(" ");
  return ["trainq-cli", verb, ranges(ids), ...options].join(" ");
}

export function curlLine(one, ids, origin, line = [], ready = line.length) {
  const { path, body } = request(one, ids, line, ready);
  return curl(`${origin}/api/training${path}`, body);
}

export function curl(url, body) {
  return `curl -X POST ${quote(url)} -H 'Content-Type: application/json' -d ${quote(JSON.stringify(body))}`;
}

/** 3-7 10: ids as the command line takes them. */
export function ranges(ids) {
  const parts = [];
  for (const id of [...ids].sort((one, other) => one - other)) {
    const last = parts.at(-1);
    if (last && last[1] === id - 1) last[1] = id;
    else parts.push([id, id]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(" ");
}
