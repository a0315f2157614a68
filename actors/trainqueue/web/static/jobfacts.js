// What a job was asked for and what became of each attempt: lists and tables of a job's page.
import { el, replace } from "/static/dom.js";
import { curlLine, submitLine } from "/static/shell.js";
import { badge, clean, clock, command, number, size, span, took } from "/static/words.js";

/** GPU ids as people call them. */
export function gpuNames(ids, gpus) {
  return (ids ?? []).map((id) => {
    const gpu = gpus.find((one) => one.id === id);
    return id.startsWith("cpu:") ? id : gpu && gpu.index !== null ? `GPU ${gpu.index}` : clean(id, 20);
  });
}

/** What there is to say of it; null where there is nothing. */
function rows(job, store) {
  const now = store.now();
  const gpus = gpuNames(job.gpu_ids, store.state.gpus).join(", ");
  const next = gpuNames(job.expected_gpu_ids, store.state.gpus).join(", ");
  const ids = (list) => list?.length && el("span", {}, list.slice(0, 50).map((id) => [jobLink(id), " "]));
  const limit = (value) => (value === null || value === undefined ? null : span(value));
  return [
    ["Command", el("code", { class: "command", tabindex: "0", text: clean(command(job.command), 4000) })],
    ["Folder", el("code", { text: clean(job.cwd, 1000) })],
    ["GPUs", gpus || (job.gpus === 0 ? "none needed" : `${number(job.gpus, "GPU")}${next ? `, expected: ${next}` : ""}`)],
    ["GPU memory", typeof job.gpu_memory === "number" ? size(job.gpu_memory) : job.gpu_memory],
    ["Peak GPU memory", job.peak_memory && size(job.peak_memory)],
    ["Priority", ["normal", 0].includes(job.priority) ? null : String(job.priority)],
    ["Lane", job.lane && clean(job.lane)],
    ["Group", job.group && clean(job.group)],
    ["Tags", tagList(job.tags)],
    ["After", ids([...(job.after ?? []), ...(job.after_any ?? []), ...(job.after_failed ?? [])])],
    ["After group", job.after_group?.length && job.after_group.map((name) => clean(name, 80)).join(", ")],
    ["Not before", clock(job.not_before, now, false)],
    ["Time limit", limit(job.time_limit)],
    ["Warned before", limit(job.warn)],
    ["Grace", limit(job.grace)],
    ["Stall timeout", job.stall_timeout ? limit(job.stall_timeout) : null],
    ["Memory limit", job.memory_limit && size(job.memory_limit)],
    ["Retries", job.retries && Object.entries(job.retries).map(([why, times]) => `${clean(why)} ${times}`).join(", ")],
    ["Submitted", [clock(job.submitted_at, now), job.user && `by ${clean(job.user, 60)}`].filter(Boolean).join(" ")],
    ["Started", clock(job.started_at, now)],
    ["Ended", clock(job.ended_at, now)],
    ["Run time", job.run_time === null || !job.ended_at ? null : took(job.run_time)],
    ["Exit code", job.exit_code === null ? null : String(job.exit_code)],
    ["Signal", job.signal === null ? null : String(job.signal)],
    ["Process", job.pid && String(job.pid)],
    ["Code", job.snapshot && el("code", { text: clean(job.snapshot, 1000) })],
    ["Log file", job.log && el("code", { text: clean(job.log, 1000) })],
  ].filter(([, value]) => value);
}

const jobLink = (id) => el("a", { href: `/?job=${id}`, "data-nav": true, text: `${id}` });

function tagList(tags) {
  const pairs = Object.entries(tags ?? {});
  return pairs.length ? el("span", { class: "tags" }, pairs.map(([key, value]) => el("span", { class: "tag" }, el("bdi", { text: clean(`${key}=${value}`, 120) })))) : null;
}

export function facts(job, store) {
  return el("dl", { class: "facts" }, rows(job, store).map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", {}, value))));
}

/** One row for each attempt, the newest first; `choose(n)` shows its log. */
export function attemptRows(attempts, job, shown, store, choose) {
  const now = store.now();
  const head = ["", "How it ended", "Started", "Run time", "Log"].map((text, at) => (at ? el("th", { scope: "col", text }) : el("th", { scope: "col" }, el("span", { text: "No." }))));
  const line = (one) => {
    const state = one.state ?? "lost";
    const words = one.state ? badge({ ...one, hold: false, position: null }) : "Unknown";
    const look = one.log_removed_at
      ? el("span", { class: "muted", text: "removed" })
      : el("button", { type: "button", class: "plain", "aria-pressed": String(one.attempt === shown), text: one.attempt === shown ? "Shown" : "Show", on: { click: () => choose(one.attempt) } });
    const why = one.message && one.state !== "completed" ? el("p", { class: "muted", text: clean(one.message, 300) }) : null;
    const ran = one.run_time ?? (one.state === "running" && one.started_at ? now - one.started_at : null);
    return el("tr", {}, el("th", { scope: "row", class: "number", text: String(one.attempt) }), el("td", {}, el("span", { class: "badge", "data-state": state, text: words }), why), el("td", { class: "number", text: clock(one.started_at, now) }), el("td", { class: "number", text: took(ran) }), el("td", {}, look));
  };
  const newest = [...attempts].sort((a, b) => b.attempt - a.attempt);
  return el("table", { class: "plain-table" }, el("caption", { class: "hidden-text", text: `Attempts of job ${job.id}` }), el("thead", {}, el("tr", {}, head)), el("tbody", {}, newest.map(line)));
}

/** Lines to copy: the command itself, the same job again in a shell, and over HTTP. */
export function copyLines(job, origin, toast) {
  const lines = [["Command", command(job.command)], ["Submit it again", submitLine(job)], ["The same over HTTP", curlLine(job, origin)]];
  return lines.map(([name, text]) => {
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(text);
        toast("Copied.");
      } catch {
        getSelection().selectAllChildren(code);
        toast("The browser does not let the page copy: the line is selected, copy it with the keyboard.", { kind: "error" });
      }
    };
    const code = el("code", { text: clean(text, 100_000), tabindex: "0", role: "textbox", "aria-readonly": "true", "aria-label": name });
    return el("div", { class: "copy" }, el("div", {}, el("h3", { text: name }), el("button", { type: "button", "aria-label": `Copy: ${name}`, text: "Copy", on: { click: copy } })), code);
  });
}

/** Asked for only on demand; secrets come masked. */
export function environment(id, api) {
  const place = el("div", { class: "scroll-x" });
  const look = async (event) => {
    if (!event.target.open || place.dataset.read) return;
    replace(place, el("p", { class: "muted", text: "Reading …" }));
    try {
      const { env } = await api.get(`/env/${id}`);
      const pairs = Object.entries(env ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
      place.dataset.read = "yes";
      replace(place, pairs.length ? el("dl", { class: "env mono" }, pairs.map(([key, value]) => el("div", {}, el("dt", { text: clean(key, 200) }), el("dd", { text: clean(value, 2000) })))) : el("p", { class: "muted", text: "It has the plain environment of the daemon's user." }));
    } catch (error) {
      replace(place, el("p", { class: "muted", text: error.message }));
    }
  };
  return el("details", { class: "card part environment", on: { toggle: look } }, el("summary", {}, el("h2", { text: "Environment" }), el("span", { class: "muted", text: "secrets masked" })), place);
}
