// Ended jobs, the newest first. The filters stand in the URL, so that a view of the past can be kept and sent.
import { el, keyed, setAttr, setText, show } from "/static/dom.js";
import { gpuNames } from "/static/jobfacts.js";
import { ENDED } from "/static/store.js";
import { ago, badge, clean, clock, command, number, title, took } from "/static/words.js";

const PAGE = 50;
const MOST = 1000;
const SCAN = 500; // looked through at once for a part of a name
const SCANS = 20;
const STATES = ["completed", "failed", "cancelled", "lost"];
const FIELDS = ["name", "tag", "group"];
const LABELS = { name: ["Name", "lr-*"], tag: ["Tag", "set=a"], group: ["Group", "sweep1"] };
const SOON = 700; // milliseconds between looks at what has ended
const TYPED = 250; // and after the last key

export function mount(root, { store, api, go, toast, params }) {
  const at = { filters: filtersOf(params), jobs: [], more: false, last: null, round: 0, reading: false, error: null, timer: null, typed: null, gone: false };
  const parts = build();
  root.append(parts.node);
  showFilters();
  read();

  // -- reading

  function query(before, limit) {
    const { states, tag, group } = at.filters;
    return { states: states.join(","), tag, group, limit, before };
  }

  /** At least `want` of them where there are so many: {jobs, more, last: the id to go on before}. The daemon knows names
   * as a whole only, so parts of names are looked for here. */
  async function find(before, want) {
    const { name } = at.filters;
    const fits = matcher(name);
    const jobs = [];
    let last = before;
    for (let scan = 1; ; scan++) {
      const answer = await api.get("/history", query(last, name ? SCAN : want));
      jobs.push(...answer.jobs.filter(fits));
      last = answer.jobs[answer.jobs.length - 1]?.id ?? last;
      if (!name || !answer.more || jobs.length >= want || scan === SCANS) return { jobs, more: answer.more, last };
    }
  }

  /** The first page anew. */
  function read() {
    Object.assign(at, { jobs: [], more: false, reading: true });
    draw();
    return page(null);
  }

  function more() {
    return page(at.last);
  }

  async function page(before) {
    const round = ++at.round;
    try {
      const found = await find(before, PAGE);
      if (round !== at.round || at.gone) return;
      Object.assign(at, found, { jobs: before === null ? found.jobs : [...at.jobs, ...found.jobs], error: null });
    } catch (error) {
      if (round !== at.round || at.gone) return;
      at.error = error.message;
    }
    at.reading = false;
    draw();
  }

  /** Some have ended: as many again as are shown, since the daemon knows best what matches and in which order. */
  function refresh() {
    if (at.timer || at.gone) return;
    at.timer = setTimeout(async () => {
      at.timer = null;
      const round = at.round;
      try {
        const found = await find(null, Math.min(at.more ? Math.max(PAGE, at.jobs.length) : at.jobs.length + PAGE, MOST));
        if (round !== at.round || at.gone) return;
        Object.assign(at, found, { error: null });
        draw();
      } catch {
        // The next one that ends asks again.
      }
    }, SOON);
  }

  // -- what is shown

  function draw() {
    const filtered = at.filters.states.length || FIELDS.some((name) => at.filters[name]);
    keyed(parts.rows, at.jobs, (job) => job.id, row, fill);
    show(parts.table, at.jobs.length > 0);
    show(parts.more, at.more && !at.reading);
    show(parts.empty, !at.jobs.length);
    setText(parts.empty, at.error ?? (at.reading ? "Reading …" : filtered ? `No ended job matches these filters${at.more ? " so far; there are older ones" : ""}.` : "No job has ended yet. Those that do are kept here."));
    setText(parts.count, at.jobs.length ? `${number(at.jobs.length, "job")}${at.more ? ", and older ones" : ""}` : "");
    show(parts.clear, Boolean(filtered));
  }

  function row(job) {
    const name = el("bdi");
    const link = el("a", { href: `/?job=${job.id}`, "data-nav": true, class: "history-name one-line" }, name);
    const state = el("span", { class: "badge" });
    const why = el("span", { class: "muted history-why one-line" });
    const cells = {
      id: el("td", { class: "number muted", text: String(job.id) }),
      name: el("td", { class: "cell-name" }, link, el("div", { class: "tags" })),
      state: el("td", { class: "cell-state" }, state, why),
      gpu: el("td", { class: "cell-gpu" }),
      ran: el("td", { class: "number cell-ran" }),
      ended: el("td", { class: "number cell-ended" }),
      acts: el("td", { class: "cell-acts" }),
    };
    const retry = el("button", { type: "button", "aria-label": `Retry job ${job.id}`, text: "Retry", on: { click: () => again(job.id, retry) } });
    const copy = el("a", { class: "button", "data-nav": true, href: `/?view=submit&copy=${job.id}`, "aria-label": `Copy job ${job.id} with edits`, text: "Copy with edits" });
    cells.acts.append(retry, copy);
    const node = el("tr", {}, Object.values(cells));
    node.parts = { ...cells, tags: cells.name.lastChild, label: name, badge: state, why };
    return node;
  }

  function fill(node, job) {
    const now = store.now();
    const cells = node.parts;
    setText(cells.label, title(job));
    setText(cells.badge, badge(job));
    setAttr(cells.badge, "data-state", job.state);
    setText(cells.why, job.state === "completed" ? "" : clean(job.message ?? "", 200));
    setAttr(cells.why, "title", job.message ? clean(job.message) : null);
    setText(cells.gpu, gpuNames(job.gpu_ids, store.state.gpus).join(", ") || (job.gpus === 0 ? "none" : "–"));
    setText(cells.ran, job.run_time === null || job.run_time === undefined ? "–" : took(job.run_time));
    setText(cells.ended, ago(job.ended_at, now));
    setAttr(cells.ended, "title", clock(job.ended_at, now));
    const tags = cells.tags;
    const pairs = [...Object.entries(job.tags ?? {}).map(([key, value]) => ["tag", `${key}=${value}`]), ...(job.group ? [["group", job.group]] : [])];
    keyed(tags, pairs.slice(0, 6), ([kind, text]) => `${kind} ${text}`, ([kind, text]) =>
      el("button", { type: "button", class: "tag", title: `Show only this ${kind}`, on: { click: () => choose({ [kind]: text }) } }, el("bdi", { text: clean(text, 60) })));
  }

  async function again(id, button) {
    button.disabled = true;
    try {
      await api.post(`/retry/${id}`);
      toast(`Job ${id} waits again.`, { action: { label: "Show", run: () => go(`/?job=${id}`) } });
    } catch (error) {
      toast(error.message, { kind: "error" });
    }
    button.disabled = false;
  }

  // -- filters

  function choose(set) {
    clearTimeout(at.typed); // what was typed before would come after this
    at.filters = { ...at.filters, ...set };
    history.replaceState(null, "", urlOf(at.filters));
    showFilters();
    read();
  }

  function showFilters() {
    for (const button of parts.states.children) setAttr(button, "aria-pressed", String(at.filters.states.includes(button.dataset.state)));
    for (const field of FIELDS) if (parts.fields[field].value !== at.filters[field]) parts.fields[field].value = at.filters[field];
  }

  function toggle(state) {
    const { states } = at.filters;
    choose({ states: states.includes(state) ? states.filter((one) => one !== state) : STATES.filter((one) => one === state || states.includes(one)) });
  }

  function typed() {
    clearTimeout(at.typed);
    const set = Object.fromEntries(FIELDS.map((field) => [field, parts.fields[field].value.trim()]));
    at.typed = setTimeout(() => choose(set), TYPED);
  }

  // -- its elements

  function build() {
    const states = el("div", { class: "segments", role: "group", "aria-label": "How they ended" }, STATES.map((state) =>
      el("button", { type: "button", "aria-pressed": "false", data: { state }, text: state, on: { click: () => toggle(state) } })));
    const fields = Object.fromEntries(FIELDS.map((field) => [field, el("input", { type: "search", placeholder: LABELS[field][1], on: { input: typed } })]));
    const labels = FIELDS.map((field) => el("label", { class: "filter" }, el("span", { text: LABELS[field][0] }), fields[field]));
    const clear = el("button", { type: "button", class: "plain", text: "Clear filters", on: { click: () => choose({ states: [], name: "", tag: "", group: "" }) } });
    const bar = el("form", { class: "filters", role: "search", "aria-label": "Filter the history", on: { submit: (event) => event.preventDefault() } }, states, labels, clear);
    const count = el("p", { class: "muted", role: "status" });
    const head = el("tr", {}, ["Job", "Name", "Result", "GPU", "Run time", "Ended", "Actions"].map((text) => el("th", { scope: "col", text })));
    const rows = el("tbody");
    const table = el("table", { class: "history-table" }, el("caption", { class: "hidden-text", text: "Ended jobs, the newest first" }), el("thead", {}, head), rows);
    const moreButton = el("button", { type: "button", class: "history-more", text: "Show older ones", on: { click: more } });
    const empty = el("p", { class: "empty" });
    const node = el("section", { class: "history" }, el("div", { class: "view-head" }, el("h1", { text: "History" }), count), bar, el("div", { class: "card" }, table, empty), moreButton);
    return { node, states, fields, clear, count, rows, table, more: moreButton, empty };
  }

  return {
    update({ whole, jobs, recent, gpus, tick }) {
      const back = at.jobs.filter((job) => jobs.has(job.id) && store.job(job.id) && !ENDED.has(store.job(job.id).state));
      if (back.length) at.jobs = at.jobs.filter((job) => !back.includes(job));
      if (whole || recent) refresh();
      if (back.length || gpus && !at.drawnGpus || tick && Math.floor(store.now()) % 10 === 0) draw();
      at.drawnGpus ||= gpus;
    },
    /** Back and forward in the browser's history. */
    navigate(next) {
      at.filters = filtersOf(next);
      showFilters();
      read();
    },
    keys(event) {
      if (event.key !== "/" || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return false;
      parts.fields.name.focus();
      return true;
    },
    unmount() {
      at.gone = true;
      clearTimeout(at.timer);
      clearTimeout(at.typed);
    },
  };
}

/** Whether a job's name (without one its command) has this in it, or is all of it where there are stars. */
export function matcher(wanted) {
  const parts = wanted.toLowerCase().split("*");
  return (job) => !wanted || fits(parts, (job.name ?? command(job.command ?? [])).toLowerCase());
}

/** Part after part, each as early as may be: no pattern that takes for ever. */
function fits(parts, text) {
  if (parts.length === 1) return text.includes(parts[0]);
  const last = parts[parts.length - 1];
  if (!text.startsWith(parts[0]) || !text.endsWith(last)) return false;
  let at = parts[0].length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at + last.length <= text.length;
}

/** Filters as the URL says them; what it may not say is left out. */
export function filtersOf(params) {
  const states = (params.get("states") ?? "").split(",").filter((state) => STATES.includes(state));
  return { states, ...Object.fromEntries(FIELDS.map((field) => [field, params.get(field) ?? ""])) };
}

export function urlOf(filters) {
  const query = new URLSearchParams({ view: "history" });
  if (filters.states.length) query.set("states", filters.states.join(","));
  for (const field of FIELDS) if (filters[field]) query.set(field, filters[field]);
  return `/?${query}`;
}
