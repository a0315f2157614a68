// What one must not miss, above every view: paused, draining, no daemon, a stale page, a daemon that came back.
import { el, keyed, setText } from "/static/dom.js";
import { clean, clock, number } from "/static/words.js";

/** The notices of this state, the gravest first: [{key, kind, text, action}]. Pure. */
export function notices(state, connection, now, restarted) {
  const found = [];
  if (connection.state === "stale") {
    const text = `Showing the state of ${clock(state.at ?? connection.lost_at, now)}; trying again.`;
    found.push({ key: "stale", kind: "bad", text, action: "retry" });
  } else if (state.daemon && !state.daemon.connected) {
    const text = `No daemon answers: showing the state of ${clock(state.at, now)}. Running jobs run on without it; start it with: trainq-cli daemon start`;
    found.push({ key: "daemon", kind: "bad", text });
  }
  if (state.draining) {
    const text = `Draining${since(state, now)}: nothing new is started, and the daemon leaves when the last running job has ended.`;
    found.push({ key: "draining", kind: "warn", text: text + reason(state), action: "resume" });
  } else if (state.paused) {
    found.push({ key: "paused", kind: "warn", text: `Paused${since(state, now)}: nothing is started; what runs, runs on.${reason(state)}`, action: "resume" });
  }
  if (restarted) found.push({ key: "restarted", kind: "info", text: restarted, action: "dismiss" });
  return found;
}

const since = (state, now) => (state.paused_since ? ` since ${clock(state.paused_since, now, false)}` : "");
const reason = (state) => (state.pause_reason ? ` ${clean(state.pause_reason)}.` : "");

/** Words of a new epoch: "Daemon restarted 14:02, 2 jobs kept." */
export function restartWords(before, state, now) {
  if (!before || !state.epoch || before === state.epoch) return null;
  return `Daemon restarted ${clock(state.daemon?.started_at ?? now, now, false)}, ${number(state.running.length + state.line.length, "job")} kept.`;
}

const LABELS = { resume: "Resume", retry: "Try now", dismiss: "Dismiss" };

export function bindBanners(root, { store, stream, doer }) {
  let epoch = null;
  let restarted = null;
  const act = {
    resume: () => doer.queue("resume"),
    retry: () => stream.retry(),
    dismiss() {
      restarted = null;
      draw();
    },
  };
  function make(notice) {
    const button = notice.action && el("button", { type: "button", text: LABELS[notice.action], on: { click: () => act[notice.action]() } });
    return el("div", { class: "banner", data: { kind: notice.kind } }, el("p"), button);
  }
  function draw() {
    const found = notices(store.state, store.connection, store.now(), restarted);
    keyed(root, found, (notice) => notice.key, make, (node, notice) => setText(node.firstChild, notice.text));
  }
  store.subscribe((changes) => {
    if (changes.whole) {
      restarted = restartWords(epoch, store.state, store.now()) ?? restarted;
      epoch = store.state.epoch ?? epoch;
    }
    if (changes.whole || changes.head || changes.daemon || changes.connection) draw();
  });
}
