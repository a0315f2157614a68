// One job: where it stands, its log, its metrics, its attempts, and what it was asked for.
import { el, replace, setText, show } from "/static/dom.js";
import { jobHead } from "/static/jobhead.js";
import { attemptRows, copyLines, environment, facts } from "/static/jobfacts.js";
import { createLogView } from "/static/logview.js";
import { LogText, textOf } from "/static/logtext.js";
import { metricCharts } from "/static/jobmetrics.js";
import { ENDED } from "/static/store.js";
import { badge, cause, clean, title } from "/static/words.js";

const LAST_LINES = 20;
const LONGEST = 300; // characters of such a line
const BAD = new Set(["failed", "lost"]);

export function mount(root, context) {
  const { store, stream, api, params } = context;
  const wanted = params.get("job");
  const id = /^[1-9]\d{0,15}$/.test(wanted) ? Number(wanted) : null;
  const at = { job: null, row: null, whole: null, attempts: [], shown: null, newest: true, read: 0, gone: false, failure: null };
  const parts = build();
  root.append(parts.node);
  if (id === null) missing(`“${clean(wanted, 40)}” is no number of a job.`);
  else {
    take(store.job(id));
    load();
  }

  // -- what is known of it

  /** The whole of it from the daemon: attempts, and jobs that ended long ago. */
  async function load() {
    const round = ++at.read;
    try {
      const found = await api.get(`/status/${id}`);
      if (round !== at.read || at.gone) return;
      at.attempts = found.attempts ?? [];
      at.whole = found;
      store.host(found); // it may have ended long ago
      take(store.job(id));
      drawAttempts();
    } catch (error) {
      if (round !== at.read || at.gone) return;
      if (error.status === 404) missing(`There is no job ${id}. It may have been removed from the history, or the number is wrong.`);
      else if (!at.job) note(`${error.message} The page tries again when the connection is back.`);
    }
  }

  /** A row has only the beginning of what is very long. */
  function completed(row) {
    if (!row.cut || !at.whole) return row;
    return { ...row, ...Object.fromEntries(row.cut.map((name) => [name, at.whole[name]])) };
  }

  function take(row) {
    if (!row) return;
    const before = at.job;
    const job = (at.job = completed(row));
    if (row.cut && row.state === "queued" && at.row !== row && before) load(); // an edit may be of what the row does not have
    at.row = row;
    show(parts.body, true);
    parts.note.remove();
    document.title = `${badge(job)} · ${job.id} ${title(job)}`;
    drawHead();
    if (!before || changed(before, job)) drawRest();
    if (before && (before.state !== job.state || before.attempt !== job.attempt)) load();
    choose();
    parts.metrics.live(job);
  }

  const SHOWN = ["state", "attempt", "name", "priority", "tags", "started_at", "ended_at", "pid", "peak_memory", "hold", "command", "time_limit", "gpu_ids", "group", "lane", "gpus", "run_time"];
  const changed = (before, job) => SHOWN.some((name) => before[name] !== job[name] && JSON.stringify(before[name]) !== JSON.stringify(job[name]));

  /** Which attempt's log is shown: the newest that has begun, or the one that was chosen. */
  function choose(attempt = null) {
    const { job } = at;
    const begun = job.state === "queued" || (ENDED.has(job.state) && job.started_at === null) ? Math.max(1, job.attempt - 1) : job.attempt;
    if (attempt !== null) at.newest = attempt === begun;
    const next = attempt ?? (at.newest ? begun : at.shown);
    parts.log.empty(logWords(job));
    if (next === at.shown) return;
    at.shown = next;
    stream.follow(id, next);
    const isNew = job.state === "queued" && job.attempt === 1;
    parts.log.open(id, next, !isNew);
    parts.metrics.open(id, next, !isNew);
    drawAttempts();
  }

  function logWords(job) {
    if (job.log_removed_at) return "This log was removed to make room.";
    if (job.state === "queued" && job.attempt === 1) return "It has not started yet. Its output appears here.";
    return ENDED.has(job.state) ? "It wrote nothing." : "No output yet.";
  }

  function missing(words) {
    const list = el("a", { class: "button", href: "/?view=history", "data-nav": true, text: "Look into the history" });
    const queue = el("a", { class: "button", href: "/", "data-nav": true, text: "To the queue" });
    replace(root, el("div", { class: "card missing" }, el("h1", { text: "No such job" }), el("p", { class: "muted", text: words }), el("p", {}, queue, " ", list)));
    at.gone = true;
    stream.follow(null);
  }

  function note(words) {
    setText(parts.words, words);
  }

  // -- what is shown

  function drawHead() {
    parts.head.update(at.job);
  }

  function drawRest() {
    replace(parts.facts, facts(at.job, store));
    replace(parts.copies, copyLines(at.job, location.origin, context.toast));
    drawAttempts();
    failure();
  }

  function drawAttempts() {
    const list = at.attempts.length ? at.attempts : at.job.started_at ? [{ ...at.job }] : [];
    show(parts.attemptsCard, list.length > 0);
    replace(parts.attempts, attemptRows(list, at.job, at.shown, store, choose));
    const numbers = [...new Set([...list.map((one) => one.attempt), at.shown])].filter(Boolean).sort((a, b) => b - a);
    show(parts.which, numbers.length > 1);
    replace(parts.select, numbers.map((one) => el("option", { value: String(one), selected: one === at.shown, text: `Attempt ${one}` })));
    parts.select.value = String(at.shown);
  }

  /** What went wrong comes first: the cause, and the last lines that it wrote. */
  async function failure() {
    const { job } = at;
    show(parts.failure, BAD.has(job.state));
    if (!BAD.has(job.state)) return void (at.failure = null);
    const key = `${job.attempt} ${job.ended_at}`;
    setText(parts.cause, job.state === "lost" ? "Nobody knows how it ended" : `It failed: ${cause(job)}`);
    const more = job.message && job.message !== cause(job);
    setText(parts.message, more ? clean(job.message) : "");
    show(parts.message, Boolean(more));
    if (at.failure === key) return;
    at.failure = key;
    setText(parts.tail, "");
    show(parts.tail, false);
    try {
      const answer = await api.log(id, { attempt: job.attempt }, "bytes=-16384");
      const text = new LogText(1000);
      text.write(answer.text);
      const lines = text.lines.map((line) => clean(textOf(line), LONGEST));
      while (lines.length && !lines[lines.length - 1].trim()) lines.pop();
      setText(parts.tail, lines.slice(-LAST_LINES).join("\n"));
      show(parts.tail, lines.length > 0);
      parts.tail.scrollTop = parts.tail.scrollHeight;
    } catch {
      // No log at all: the cause has to do.
    }
  }

  // -- its elements

  function build() {
    const head = jobHead(context);
    const log = createLogView({ api });
    const metrics = metricCharts({ api, store });
    const cause = el("h2");
    const message = el("p", { class: "failure-message" });
    const tail = el("pre", { class: "failure-tail", tabindex: "0", "aria-label": "The last lines of its log" });
    const failure = el("section", { class: "failure", hidden: true }, cause, message, tail);
    const select = el("select", { "aria-label": "Attempt whose log is shown", on: { change: (event) => choose(Number(event.target.value)) } });
    log.tools.prepend(select);
    const attempts = el("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "Attempts" });
    const attemptsCard = el("section", { class: "card part" }, el("h2", { text: "Attempts" }), attempts);
    const factsNode = el("div");
    const copies = el("div", { class: "copies" });
    const main = el("div", { class: "job-main" }, el("section", { class: "card part", "aria-label": "Log" }, log.node), metrics.node, attemptsCard);
    const aside = el("div", { class: "job-aside" }, el("section", { class: "card part" }, el("h2", { text: "Details" }), factsNode), el("section", { class: "card part" }, el("h2", { text: "Copy" }), copies), environment(id, api));
    const body = el("div", { hidden: true }, head.node, failure, el("div", { class: "job-grid" }, main, aside));
    const words = el("p", { class: "empty", role: "status", text: "Looking for the job …" });
    const note = el("div", {}, el("h1", { text: `Job ${id ?? ""}` }), words);
    const node = el("div", { class: "job-page" }, note, body);
    return { node, body, note, words, head, log, metrics, failure, cause, message, tail, which: select, select, attempts, attemptsCard, facts: factsNode, copies };
  }

  return {
    update(changes) {
      if (at.gone || id === null) return;
      if (changes.whole || (changes.connection && store.connection.state === "stale")) load(); // a log of no job gets no stream
      if (changes.whole || changes.jobs.has(id)) take(store.job(id) ?? at.job);
      else if (at.job && (changes.tick || changes.line)) drawHead();
      for (const piece of changes.log) parts.log.feed(piece);
    },
    keys(event) {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return false;
      parts.log.focusSearch();
      return true;
    },
    unmount() {
      at.gone = true;
      stream.follow(null);
    },
  };
}
