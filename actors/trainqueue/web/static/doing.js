// Does what the buttons say, and says what became of it. One for the page: what is under way survives a change of view.
//
// Cancelling can be undone for some seconds without a lie: a waiting job is held at once (so it cannot start meanwhile)
// and cancelled when the time is up, and an undo releases it where it stood; cancelling at once and retrying later would
// lose its place and cancel what waits for it. Who leaves the page within that time has meant it: the request goes out.
// A job that runs is asked about first, since nobody can undo that.
import { action, held, noStep, request } from "/static/actions.js";
import { ask, choose } from "/static/dialog.js";
import { outcome } from "/static/api.js";
import { number, span, title } from "/static/words.js";

const GRACE = 6_000;
const SETTLE = 400; // the server's own line comes within 100 ms of its answer

const PAST = {
  cancel: "Cancelled",
  kill: "Killed",
  hold: "Held",
  release: "Released",
  suspend: "Suspended",
  continue: "Continued",
  preempt: "Going back into the line:",
  retry: "Queued again:",
  front: "Moved to the front:",
  back: "Moved to the back:",
  priority: "Priority set:",
};

export function createDoer({ store, api, toast, go, grace = GRACE }) {
  const leaving = new Map(); // id: when its cancel goes out, milliseconds
  const batches = new Set(); // {ids, timer}
  let moves = Promise.resolve(); // one after the other: each is said relative to the line that the one before left

  const jobsOf = (ids) => ids.map((id) => store.job(id)).filter(Boolean);
  const names = (ids) => (ids.length === 1 ? `job ${ids[0]}` : number(ids.length, "job"));
  const refusal = (words) => toast(words, { kind: "error" });

  async function post(name, ids) {
    const { path, body } = request(action(name), ids, store.state.line, store.state.ready);
    const answer = await api.post(path, body);
    return answer.jobs ? outcome(answer) : { done: [answer.job], refused: [], words: null };
  }

  /** Send it and say what became of it; `lost` says that nobody has answered. */
  async function verb(name, ids, words = PAST[name], lost = refusal) {
    try {
      const { done, refused, words: why } = await post(name, ids);
      if (done.length) toast(`${words} ${names(done.map((job) => job.id))}`);
      if (refused.length) refusal(done.length ? `${number(refused.length, "job")} refused: ${why}` : why);
    } catch (error) {
      lost(error.message);
    }
  }

  async function cancel(ids) {
    const jobs = jobsOf(ids).filter((job) => action("cancel").fits(job) && !leaving.has(job.id));
    const waiting = jobs.filter((job) => job.state === "queued");
    const active = jobs.filter((job) => job.state !== "queued");
    if (active.length && (await ask(question(active)))) await verb("cancel", active.map((job) => job.id), "Asked to stop:");
    if (waiting.length) await leave(waiting);
  }

  function question(jobs) {
    const [first] = jobs;
    const one = jobs.length === 1;
    const ran = one && first.started_at ? ` It has run for ${span(store.now() - first.started_at)}.` : "";
    const grace = one ? `${first.grace ?? 10} s` : "their grace (10 s where nothing else is set)";
    return {
      title: one ? `Cancel job ${first.id}, “${title(first).slice(0, 60)}”?` : `Cancel ${jobs.length} running jobs?`,
      lines: [
        `${one ? "It runs" : "They run"}.${ran} ${one ? "It is" : "They are"} asked to stop (SIGTERM), and ended by force after ${grace}.`,
        "What was not saved by then is lost. This cannot be undone; a retry begins a new attempt.",
      ],
      yes: one ? "Cancel the job" : "Cancel them",
      no: one ? "Let it run" : "Let them run",
    };
  }

  /** Held now, cancelled soon. */
  async function leave(jobs) {
    const ids = jobs.map((job) => job.id);
    const free = jobs.filter((job) => !held(job)).map((job) => job.id);
    const until = Date.now() + grace;
    const batch = { ids, timer: 0 };
    for (const id of ids) leaving.set(id, until);
    batches.add(batch); // already now: who leaves before the hold is answered has meant it as well
    touch(ids);
    if (free.length) {
      try {
        const { refused, words } = await post("hold", free);
        for (const { id } of refused) leaving.delete(id);
        if (refused.length) refusal(`${names(refused.map((job) => job.id))} not cancelled: ${words}`);
      } catch (error) {
        batches.delete(batch);
        for (const id of ids) leaving.delete(id);
        touch(ids);
        return refusal(`Not cancelled: ${error.message}`);
      }
    }
    batch.ids = ids.filter((id) => leaving.has(id));
    touch(ids);
    if (!batch.ids.length) {
      batches.delete(batch);
      return undefined;
    }
    const notice = toast(`Cancelling ${names(batch.ids)} …`, { seconds: grace / 1000, action: { label: "Undo", run: () => undo(batch, free) } });
    batch.timer = setTimeout(() => finish(batch, notice), Math.max(0, until - Date.now()));
    return undefined;
  }

  async function finish(batch, notice) {
    batches.delete(batch);
    notice.close();
    const again = { label: "Cancel again", run: () => run("cancel", batch.ids) };
    const lost = (why) => toast(`Held and not cancelled: ${names(batch.ids)}. ${why}`, { kind: "error", action: again });
    await verb("cancel", batch.ids, PAST.cancel, lost);
    for (const id of batch.ids) leaving.delete(id);
    touch(batch.ids);
  }

  async function undo(batch, free) {
    clearTimeout(batch.timer);
    batches.delete(batch);
    for (const id of batch.ids) leaving.delete(id);
    touch(batch.ids);
    const back = batch.ids.filter((id) => free.includes(id));
    if (back.length) await verb("release", back, "Not cancelled:");
    else toast(`Not cancelled: ${names(batch.ids)}`);
  }

  const touch = (ids) => store.touch(ids);

  addEventListener("pagehide", () => {
    for (const batch of batches) {
      clearTimeout(batch.timer);
      batches.delete(batch);
      const { path, body } = request(action("cancel"), batch.ids);
      api.post(path, body, { keepalive: true }).catch(() => {});
    }
  });

  /** `where`: {to} or {before}, of the line as shown. The new place is shown at once, and corrected by the server. */
  function move(ids, where) {
    const shown = { ids, ...where };
    store.layMove(shown);
    moves = moves.then(async () => {
      try {
        const path = ids.length === 1 ? `/move/${ids[0]}` : "/move";
        const answer = await api.post(path, ids.length === 1 ? where : { jobs: ids, ...where, order: "line" });
        shown.settled = true;
        setTimeout(() => store.liftMove(shown), SETTLE);
        const place = answer.job?.position;
        const words = outcome(answer).words;
        if (words) refusal(words);
        else toast(place ? `Job ${ids[0]} is at position ${place} now` : `Moved ${names(ids)}`, { seconds: 3, key: "move" });
      } catch (error) {
        store.liftMove(shown);
        refusal(`Not moved: ${error.message}`);
      }
    });
    return moves;
  }

  /** One place up or down, or to an end. */
  function step(id, name) {
    const { line, ready } = store.state;
    if (!line.includes(id)) return undefined;
    const nowhere = noStep(store.state, store.job(id), name);
    if (nowhere) return toast(nowhere, { seconds: 3, key: "move" });
    return move([id], request(action(name), [id], line, ready).body);
  }

  async function priority(ids) {
    const choices = ["high", "normal", "low"].map((value) => ({ value, label: value }));
    const answer = await choose({ title: `Priority of ${names(ids)}`, choices, free: "or a number" });
    if (answer === null) return;
    const set = { priority: /^[+-]?\d+$/.test(answer) ? Number(answer) : answer };
    try {
      const several = ids.length > 1;
      const result = await api.post(several ? "/edit" : `/edit/${ids[0]}`, several ? { jobs: ids, set } : { set });
      const { words } = outcome(result);
      if (words) refusal(words);
      else toast(`Priority ${answer}: ${names(ids)}`);
    } catch (error) {
      refusal(error.message);
    }
  }

  async function risky(name, ids) {
    const what = names(ids);
    const kill = name === "kill";
    const lines = kill
      ? ["Its processes are ended at once (SIGKILL), without time to save. This cannot be undone."]
      : ["It gets SIGUSR1, then SIGTERM, and waits in the line again as a new attempt: it begins from what it has saved."];
    if (await ask({ title: kill ? `Kill ${what}?` : `Put ${what} back into the line?`, lines, yes: kill ? "Kill" : "Put back" })) await verb(name, ids);
  }

  /** By the name of the action; ids that it does not fit are left out. */
  function run(name, ids) {
    const one = action(name);
    const fitting = jobsOf(ids).filter((job) => one.fits(job)).map((job) => job.id);
    if (!fitting.length) return undefined;
    if (one.form) return go(`/?view=submit&${one.form}=${fitting[0]}`);
    if (name === "cancel") return cancel(fitting);
    if (name === "kill" || name === "preempt") return risky(name, fitting);
    if (name === "priority") return priority(fitting);
    if (name === "up" || name === "down") return step(fitting[0], name);
    if (one.path === "move") return move(fitting, one.body);
    return verb(name, fitting);
  }

  /** pause, resume, drain. */
  async function queue(name) {
    const words = { pause: "Paused: nothing is started.", resume: "Resumed: jobs are started again.", drain: "Draining: the daemon leaves when nothing runs any more." };
    const lines = ["Nothing more is started, and when the last running job has ended the daemon leaves. What waits stays on disk, until somebody starts a daemon again (trainq-cli daemon start). Resume ends it."];
    if (name === "drain" && !(await ask({ title: "Drain the queue?", lines, yes: "Drain", no: "Leave it running" }))) return;
    try {
      await api.post(`/${name}`);
      toast(words[name]);
    } catch (error) {
      refusal(error.message);
    }
  }

  return { run, move, step, queue, leaving: (id) => leaving.get(id) ?? null };
}
