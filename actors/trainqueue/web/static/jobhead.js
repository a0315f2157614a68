// The head of a job's page: its state in words, why it waits, its bar, and what can be done with it.
import { actionsOf, held } from "/static/actions.js";
import { el, keyed, setAttr, setText, show } from "/static/dom.js";
import { openMenu } from "/static/menu.js";
import { ENDED } from "/static/store.js";
import { ago, badge, clean, figure, hundredths, left, percent, ran, rate, starts, title, took } from "/static/words.js";

/** What is at hand without the menu, in this order. */
const BUTTONS = ["retry", "retryEdited", "release", "hold", "front", "continue", "suspend", "cancel"];

/** The state as `data-state` of a badge: what the colours go by. */
export function tone(job) {
  if (job.state === "queued" && held(job)) return "held";
  if (job.stopping || job.preempting) return "stopping";
  if (job.state === "running" && job.suspended) return "suspended";
  return job.state;
}

/** When it starts, how long it has left, or how it went, for people. */
export function timing(job, now) {
  if (job.state === "queued") return job.position ? starts(job, now) : "";
  if (job.state === "running") return [`runs for ${took(elapsed(job, now))}`, left(job, now)].filter(Boolean).join(", ");
  if (!ENDED.has(job.state)) return "";
  return `${ran(job)}, ended ${ago(job.ended_at, now)}`;
}

function elapsed(job, now) {
  return job.suspended ? job.run_time : Math.max(0, now - (job.started_at ?? now));
}

export function jobHead(context) {
  const { store, doer } = context;
  const number = el("span", { class: "job-number muted" });
  const name = el("bdi");
  const state = el("span", { class: "badge" });
  const time = el("span", { class: "job-time" });
  const why = el("p", { class: "job-why muted" });
  const bar = el("div", { class: "bar job-bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": "Progress" }, el("i"));
  const done = el("strong", { class: "number" });
  const detail = el("span", { class: "number muted" });
  const message = el("bdi", { class: "muted" });
  const progress = el("div", { class: "job-progress" }, bar, el("p", {}, done, detail, message));
  const actions = el("div", { class: "job-actions", role: "toolbar", "aria-label": "Actions" });
  const top = el("div", { class: "job-top" }, el("h1", {}, number, name), actions);
  const node = el("header", { class: "job-head" }, top, el("p", { class: "job-state" }, state, time), why, progress);

  function update(job) {
    setText(number, `#${job.id}`);
    setText(name, title(job));
    const leaving = doer.leaving(job.id);
    setText(state, leaving ? "Cancelling …" : badge(job));
    setAttr(state, "data-state", leaving ? "stopping" : tone(job));
    setText(time, timing(job, store.now()));
    const words = job.state === "queued" ? job.why : job.quiet ? `Stalled: ${job.quiet}` : job.message;
    setText(why, clean(words ?? ""));
    show(why, Boolean(words) && job.state !== "failed" && job.state !== "lost");
    drawProgress(job);
    drawActions(job, leaving);
  }

  function drawProgress(job) {
    const known = job.progress;
    const fraction = known?.fraction ?? null;
    show(progress, Boolean(known) && job.state !== "queued");
    if (!known) return;
    show(bar, fraction !== null);
    setAttr(bar, "aria-valuenow", fraction === null ? null : hundredths(fraction));
    setAttr(bar, "data-state", tone(job));
    bar.firstChild.style.transform = `scaleX(${fraction ?? 0})`;
    setText(done, percent(fraction));
    const steps = known.total ? `${figure(known.step ?? 0)} of ${figure(known.total)}` : known.step ? `step ${figure(known.step)}` : "";
    const metrics = Object.entries(known.metrics ?? {}).slice(0, 4).map(([key, value]) => `${clean(key, 30)} ${figure(value)}`);
    const speed = ENDED.has(job.state) ? "" : rate(known.rate);
    setText(detail, [steps, speed, ...metrics].filter(Boolean).join(" · "));
    setText(message, clean(known.message ?? ""));
  }

  function drawActions(job, leaving) {
    const fitting = actionsOf([job]);
    const chosen = BUTTONS.map((one) => fitting.find((action) => action.name === one)).filter(Boolean);
    const make = (one) => el("button", { type: "button", class: one.danger ? "danger" : "", text: one.label, on: { click: () => doer.run(one.name, [job.id]) } });
    keyed(actions, [...chosen, { name: "more" }], (one) => one.name, (one) => (one.name === "more" ? menu(job.id) : make(one)), (node, one) => {
      node.disabled = one.name === "cancel" && Boolean(leaving);
    });
  }

  function menu(id) {
    const button = el("button", { type: "button", "aria-haspopup": "dialog", text: "More …", on: { click: () => openMenu(button, [id], context) } });
    return button;
  }

  return { node, update };
}
