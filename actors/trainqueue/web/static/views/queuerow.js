// One row of the queue: made once, filled again and again for whatever job comes into sight.
import { held, noStep } from "/static/actions.js";
import { el, setAttr, setText, show } from "/static/dom.js";
import { icon } from "/static/icons.js";
import { ENDED } from "/static/store.js";
import * as words from "/static/words.js";

export function makeRow() {
  const cell = (name, ...children) => el("div", { class: `cell ${name}`, role: "cell" }, ...children);
  const button = (act, label, sign, name = "icon") => el("button", { type: "button", class: name, data: { act }, title: label, "aria-label": label }, sign ? icon(sign) : label);
  const parts = {
    tick: el("input", { type: "checkbox" }),
    grip: el("span", { class: "grip", "aria-hidden": "true", title: "Drag to another place" }, icon("grip")),
    badge: el("span", { class: "badge" }),
    since: el("div", { class: "sub" }),
    id: el("span", { class: "id number" }),
    link: el("a", { "data-nav": true, class: "name one-line" }),
    name: el("bdi"),
    detail: el("div", { class: "sub one-line", dir: "auto" }),
    bar: el("div", { class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, el("i")),
    main: el("div", { class: "figure one-line number" }),
    side: el("div", { class: "sub one-line number" }),
    gpus: el("span", { class: "one-line" }),
    priority: el("div", { class: "sub one-line" }),
    up: button("up", "Move up", "up"),
    down: button("down", "Move down", "down"),
    cancel: button("cancel", "Cancel", null, "small"),
    retry: button("retry", "Retry", null, "small"),
    more: button("more", "More actions", "more"),
  };
  parts.link.append(parts.name);
  const row = el(
    "div",
    { class: "row", role: "row", tabindex: "-1" },
    cell("pick", parts.grip, parts.tick),
    cell("state", parts.badge, parts.since),
    cell("job", el("div", { class: "title" }, parts.id, parts.link), parts.detail),
    cell("progress", parts.bar, parts.main, parts.side),
    cell("gpu", parts.gpus, parts.priority),
    cell("acts", parts.up, parts.down, parts.cancel, parts.retry, parts.more),
  );
  row.parts = parts;
  return row;
}

/** `context`: {store, doer, selected: Set, current: id, sorted: bool}. */
export function fillRow(row, id, { store, doer, selected, current, sorted }) {
  const job = store.job(id);
  if (!job) return;
  const { parts } = row;
  const now = store.now();
  const [waits, over] = [job.state === "queued", ENDED.has(job.state)];
  if (row.dataset.id !== String(id)) {
    row.dataset.id = id;
    setText(parts.id, `#${id}`);
    setAttr(parts.link, "href", `/?job=${id}`);
    setAttr(parts.tick, "aria-label", `Select job ${id}`);
    for (const act of ["up", "down", "cancel", "retry", "more"]) setAttr(parts[act], "aria-label", `${parts[act].title}: job ${id}`);
  }
  setAttr(row, "data-kind", waits ? "waiting" : over ? "ended" : "running");
  setAttr(row, "data-selected", selected.has(id));
  setAttr(row, "tabindex", id === current ? "0" : "-1");
  parts.tick.checked = selected.has(id);
  setText(parts.name, words.title(job));
  badgeOf(parts, job, doer.leaving(id), now);
  detailOf(parts, job);
  progressOf(parts, job, now);
  setText(parts.gpus, gpusOf(job, store.state.gpus));
  setText(parts.priority, priorityOf(job));
  show(parts.grip, waits && !sorted);
  for (const act of ["up", "down"]) show(parts[act], waits);
  setAttr(parts.up, "aria-disabled", waits && noStep(store.state, job, "up") ? "true" : null);
  setAttr(parts.down, "aria-disabled", waits && noStep(store.state, job, "down") ? "true" : null);
  show(parts.cancel, !over);
  parts.cancel.disabled = Boolean(job.stopping || doer.leaving(id));
  show(parts.retry, over);
}

function badgeOf(parts, job, leaving, now) {
  const state = job.state === "queued" && held(job) ? "held" : job.stopping || job.preempting ? "stopping" : job.suspended ? "suspended" : job.state;
  setAttr(parts.badge, "data-state", leaving ? "stopping" : state);
  const text = leaving ? "Cancelling …" : words.badge(job);
  setText(parts.badge, text);
  setAttr(parts.badge, "title", text);
  setText(parts.since, sinceOf(job, now));
}

function sinceOf(job, now) {
  if (job.state === "queued") return `waits ${words.guess(Math.max(0, now - job.submitted_at))}`;
  if (ENDED.has(job.state)) return words.ago(job.ended_at, now);
  return job.started_at ? `for ${words.took(now - job.started_at)}` : "";
}

function detailOf(parts, job) {
  const text = detail(job);
  setText(parts.detail, text);
  setAttr(parts.detail, "title", text);
  setAttr(parts.detail, "data-kind", job.stalled_since ? "warn" : ["failed", "lost"].includes(job.state) ? "bad" : null);
}

/** What one wants to know next: why it waits, what it reports, why it failed. */
function detail(job) {
  if (ENDED.has(job.state)) return words.clean(job.message ?? "") || (job.name ? words.clean(words.command(job.command ?? [])) : "");
  if (job.state !== "queued") return job.stalled_since ? words.clean(job.quiet ?? "It has done nothing for long") : reported(job);
  const tells = job.why && !["position", null].includes(job.why_code);
  return words.clean(tells ? job.why : Object.entries(job.tags ?? {}).map(([key, value]) => `${key}=${value}`).join(", ") || words.command(job.command ?? []));
}

function reported(job) {
  const { metrics, message } = job.progress ?? {};
  const figures = Object.entries(metrics ?? {}).slice(0, 4).map(([name, value]) => `${words.clean(name, 40)} ${words.figure(value)}`);
  const parts = [...figures, message ? words.clean(message, 120) : ""].filter(Boolean);
  return parts.join(" · ") || words.clean(words.command(job.command ?? []));
}

function progressOf(parts, job, now) {
  const { fraction = null, step, total, rate } = job.progress ?? {};
  const runs = job.state === "running" || job.state === "pending";
  const known = runs && fraction !== null;
  show(parts.bar, known);
  if (known) {
    const share = Math.max(0, Math.min(1, fraction));
    parts.bar.firstChild.style.transform = `scaleX(${share.toFixed(4)})`;
    setAttr(parts.bar, "aria-valuenow", words.hundredths(share));
    setAttr(parts.bar, "aria-label", `Progress of job ${job.id}`);
  }
  const steps = step !== null && step !== undefined && total ? `${counted(step)} / ${counted(total)}` : "";
  let [main, side] = ["", ""];
  if (runs) [main, side] = [join(words.percent(fraction), words.left(job, now)), join(steps, words.rate(rate))];
  else if (job.state === "queued") [main, side] = [held(job) ? "not before it is released" : words.starts(job, now), after(job)];
  else [main, side] = [words.ran(job), words.clock(job.ended_at, now, false)];
  setText(parts.main, main);
  setText(parts.side, side);
}

/** Steps may have parts: of two folds and an epoch of three, say. */
const counted = (value) => (Number.isInteger(value) ? words.grouped(value) : words.figure(value));

const join = (...texts) => texts.filter(Boolean).join(" · ");

function after(job) {
  const ids = job.waits_for ?? [];
  return ids.length ? `after ${ids.slice(0, 4).map((id) => `#${id}`).join(", ")}${ids.length > 4 ? " …" : ""}` : "";
}

function gpusOf(job, gpus) {
  const ids = job.gpu_ids ?? [];
  if (job.state !== "queued" && ids.length) {
    const names = ids.map((id) => gpus.find((gpu) => gpu.id === id)?.index ?? null);
    if (names.some((name) => name === null)) return words.number(ids.length, "GPU");
    return `GPU ${names.slice(0, 4).join(", ")}${names.length > 4 ? " …" : ""}`;
  }
  if (!job.gpus) return "no GPU";
  const shares = typeof job.gpu_memory === "number" ? `, ${words.size(job.gpu_memory)}` : job.gpu_memory ? ", shared" : "";
  return words.number(job.gpus, "GPU") + shares;
}

function priorityOf(job) {
  const priority = job.priority ?? "normal";
  const text = priority === "normal" || priority === 0 ? "" : typeof priority === "number" ? `priority ${priority}` : `${priority} priority`;
  return join(text, job.lane ? words.clean(job.lane, 30) : "");
}
