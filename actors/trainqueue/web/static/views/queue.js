// The queue: what runs, what waits in start order, what has ended lately. Rows are windowed; filter and order stand in
// the URL, so that a link shows what its sender saw.
import { actionsOf, isOutside, noStep, placeAt } from "/static/actions.js";
import { el, isTyping, setAttr, setText, show } from "/static/dom.js";
import { SORTS, chosen } from "/static/filter.js";
import { openMenu } from "/static/menu.js";
import { createRows, paintAll, setAll } from "/static/rows.js";
import { bindDrag } from "/static/views/drag.js";
import { fillRow, makeRow } from "/static/views/queuerow.js";
import { grouped, guess, number } from "/static/words.js";

const SECTIONS = [
  { name: "running", title: "Running", empty: "Nothing runs." },
  { name: "line", title: "Waiting", empty: "Nothing waits." },
  { name: "recent", title: "Ended lately", empty: "Nothing has ended yet." },
];
const HEADS = ["Select", "State", "Job", "Progress", "GPUs", "Actions"];
const KEYS = { c: "cancel", h: "hold", u: "release", r: "retry" };
const ALT = { ArrowUp: "up", ArrowDown: "down", Home: "front", End: "back" };
const BULK = ["cancel", "hold", "release", "front", "back", "priority", "retry"];

export function mount(root, { store, go, toast, doer, params }) {
  const selected = new Set();
  const view = { query: params.get("q") ?? "", sort: SORTS[params.get("sort")] ? params.get("sort") : "line", current: null, last: null };
  const context = { store, doer, selected, current: null, sorted: false };

  // -- what stands there
  const summary = el("p", { class: "summary", id: "summary" });
  const filter = el("input", { type: "search", id: "filter", placeholder: "Filter by name, tag, user, #id", "aria-label": "Filter jobs", "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false" });
  const sort = el("select", { id: "sort", "aria-label": "Order of the waiting jobs" }, ...Object.entries(SORTS).map(([value, { label }]) => el("option", { value, text: label })));
  const pause = el("button", { type: "button", id: "pause", text: "Pause", on: { click: () => doer.queue(stopped() ? "resume" : "pause") } });
  const drain = el("button", { type: "button", id: "drain", text: "Drain", title: "Start nothing new; the daemon leaves when the last running job has ended", on: { click: () => doer.queue("drain") } });
  const bulk = el("div", { class: "bulk card", role: "region", "aria-label": "Selected jobs", hidden: true });
  const sections = SECTIONS.map(section);
  root.append(
    el("div", { class: "head" }, el("h1", { text: "Queue" }), summary, el("div", { class: "tools" }, filter, sort, pause, drain)),
    ...sections.map((one) => one.node),
    bulk,
  );
  filter.value = view.query;
  sort.value = view.sort;

  function section({ name, title, empty }) {
    const id = `section-${name}`;
    const body = el("div", { class: "rows", role: "rowgroup" });
    const count = el("span", { class: "count number" });
    const nothing = el("p", { class: "empty", text: empty });
    const head = el("div", { class: "row heads", role: "row", "aria-rowindex": 1 }, ...HEADS.map((text) => el("div", { class: "cell", role: "columnheader", text })));
    const table = el("div", { class: "table", role: "table", "aria-labelledby": id }, el("div", { role: "rowgroup" }, head), body);
    const node = el("section", { class: `card jobs ${name}` }, el("h2", { id }, title, count), table, nothing);
    return { name, node, body, table, count, nothing, empty, rows: createRows(body, { make: makeRow, fill: (row, job) => fillRow(row, job, context) }) };
  }

  const stopped = () => store.state.paused || store.state.draining;
  const everything = () => sections.flatMap((one) => one.rows.items);
  const rowsOf = (id) => sections.find((one) => one.rows.items.includes(id))?.rows;

  // -- drawing
  function lists() {
    const { jobs } = store.state;
    context.sorted = view.sort !== "line";
    for (const one of sections) {
      const ids = chosen(store.state[one.name], jobs, view.query, one.name === "line" ? view.sort : "line");
      setText(one.count, view.query ? `${ids.length} of ${store.state[one.name].length}` : String(ids.length));
      setAttr(one.table, "aria-rowcount", ids.length + 1);
      show(one.table, ids.length > 0);
      show(one.nothing, ids.length === 0);
      setText(one.nothing, view.query && store.state[one.name].length ? "Nothing here fits the filter." : store.state.known ? one.empty : "Waiting for the daemon's word …");
      show(one.node, one.name !== "recent" || store.state[one.name].length > 0);
      one.ids = ids;
    }
    const all = new Set(sections.flatMap((one) => one.ids));
    for (const id of selected) if (!all.has(id)) selected.delete(id);
    if (!all.has(view.current)) view.current = sections.flatMap((one) => one.ids)[0] ?? null;
    context.current = view.current;
    setAll(sections.map((one) => [one.rows, one.ids]));
    drawBulk();
  }

  function drawSummary() {
    const { gpus, running, line, ready, known } = store.state;
    if (!known) return setText(summary, "");
    const cards = gpus.filter((gpu) => !gpu.id.startsWith("cpu:"));
    const free = cards.filter((gpu) => gpu.use === "free").length;
    const last = Math.max(0, ...line.slice(0, ready).map((id) => store.job(id)?.expected_end_at ?? 0));
    const parts = [`${number(running.length, "job")} running`, `${grouped(line.length)} waiting`];
    if (cards.length) parts.push(`${free} of ${number(cards.length, "GPU")} free`);
    if (last > store.now()) parts.push(`all done in about ${guess(last - store.now())}`);
    setText(summary, parts.join(" · "));
    setText(pause, stopped() ? "Resume" : "Pause");
    show(drain, !store.state.draining);
    return undefined;
  }

  function drawBulk() {
    const ids = [...selected];
    show(bulk, ids.length > 0);
    if (!ids.length) return;
    const known = actionsOf(ids.map((id) => store.job(id)).filter(Boolean)).map((one) => one.name);
    const fresh = `${ids.join(" ")} ${known.join(" ")}`;
    if (bulk.dataset.for === fresh) return;
    bulk.dataset.for = fresh;
    const button = (text, click, name = "") => el("button", { type: "button", class: name, text, on: { click } });
    const labels = { front: "To the front", back: "To the back", priority: "Priority …", cancel: "Cancel", hold: "Hold", release: "Release", retry: "Retry" };
    const more = button("More …", () => openMenu(more, ids, { store, doer, toast }));
    bulk.replaceChildren(
      el("strong", { text: `${number(ids.length, "job")} selected` }),
      ...BULK.filter((name) => known.includes(name)).map((name) => button(labels[name], () => doer.run(name, inOrder(ids)), name === "cancel" ? "danger" : "")),
      more,
      button("Clear", clear, "plain"),
    );
  }

  /** As they stand on the screen. */
  const inOrder = (ids) => everything().filter((id) => ids.includes(id));

  function clear() {
    selected.clear();
    drawBulk();
    for (const one of sections) one.rows.refillAll();
  }

  // -- what is done
  function keep() {
    const query = new URLSearchParams();
    if (view.query) query.set("q", view.query);
    if (view.sort !== "line") query.set("sort", view.sort);
    history.replaceState(history.state, "", query.size ? `/?${query}` : "/");
  }

  function look() {
    view.query = filter.value.trim();
    view.sort = sort.value;
    keep();
    lists();
  }
  filter.addEventListener("input", look);
  sort.addEventListener("change", look);

  function pick(id, range) {
    const all = everything();
    const [from, to] = [all.indexOf(view.last), all.indexOf(id)].sort((one, other) => one - other);
    const on = !selected.has(id);
    for (const one of range && from >= 0 ? all.slice(from, to + 1) : [id]) selected[on ? "add" : "delete"](one);
    view.last = id;
    drawBulk();
    for (const one of sections) one.rows.refillAll();
  }

  root.addEventListener("click", (event) => {
    const row = event.target.closest(".row[data-id]");
    if (!row) return;
    const id = Number(row.dataset.id);
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (event.target.type === "checkbox") pick(id, event.shiftKey);
    else if (act === "more") openMenu(event.target.closest("button"), [id], { store, doer, toast });
    else if (act) doer.run(act, [id]);
    stand(id);
  });
  root.addEventListener("focusin", (event) => {
    const row = event.target.closest(".row[data-id]");
    if (row) stand(Number(row.dataset.id));
  });

  /** The current row: the one that Tab comes to. */
  function stand(id) {
    if (view.current === id) return;
    view.current = id;
    context.current = id;
    for (const one of sections) one.rows.refillAll();
  }

  function walk(by) {
    const all = everything();
    if (!all.length) return;
    const inside = document.activeElement?.closest?.(".row[data-id]");
    const at = all.indexOf(view.current);
    const id = all[inside ? Math.max(0, Math.min(all.length - 1, at + by)) : Math.max(0, at)];
    stand(id);
    rowsOf(id)?.reveal(id)?.focus({ preventScroll: true });
  }

  function altKey(event, id) {
    const name = ALT[event.key];
    if (!name || store.job(id)?.state !== "queued") return false;
    if (name === "up" || name === "down") doer.step(id, name);
    else doer.run(name, [id]);
    requestAnimationFrame(() => rowsOf(id)?.reveal(id));
    return true;
  }

  function keys(event) {
    if (event.key === "Escape") return leaveOrClear();
    const row = event.target.closest?.(".row[data-id]");
    if (event.altKey && row) return altKey(event, Number(row.dataset.id));
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "/") return (filter.focus(), filter.select(), true);
    if (event.key === "j" || event.key === "k") return (walk(event.key === "j" ? 1 : -1), true);
    if (!row) return false;
    return rowKey(event, row);
  }

  function rowKey(event, row) {
    const id = Number(row.dataset.id);
    if (event.key === "Enter" && event.target === row) go(`/?job=${id}`);
    else if (event.key === "x" || event.key === "X") pick(id, event.shiftKey);
    else if (event.key === "m") openMenu(row, [id], { store, doer, toast });
    else if (KEYS[event.key]) doer.run(KEYS[event.key], selected.size ? inOrder([...selected]) : [id]);
    else return false;
    return true;
  }

  function leaveOrClear() {
    if (document.activeElement === filter) {
      filter.value = "";
      look();
      filter.blur();
      return true;
    }
    if (!selected.size) return false;
    clear();
    return true;
  }

  const waiting = sections.find((one) => one.name === "line");
  const undrag = bindDrag(waiting.body, waiting.rows, (id, before) => {
    const { line, ready } = store.state;
    const ids = selected.has(id) ? inOrder([...selected]).filter((one) => store.job(one).state === "queued") : [id];
    const outside = ids.every((one) => isOutside(store.job(one)));
    if (outside) toast(noStep(store.state, store.job(id)), { seconds: 3, key: "move" });
    else doer.move(ids, placeAt(line.indexOf(before), line, ready));
  });

  let frame = 0;
  const scrolled = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      paintAll(sections.map((one) => one.rows));
    });
  };
  const resized = () => sections.forEach((one) => one.rows.resize());
  addEventListener("scroll", scrolled, { passive: true });
  addEventListener("resize", resized);

  lists();
  drawSummary();

  return {
    keys,
    update(changes) {
      const order = changes.whole || changes.line || changes.running || changes.recent;
      if (order || (view.query && changes.jobs.size)) lists();
      else if (changes.tick || changes.gpus) paintAll(sections.map((one) => one.rows)); // what stands above may have grown
      else if (changes.jobs.size) for (const one of sections) one.rows.refill(changes.jobs);
      if (changes.jobs.size) drawBulk();
      if (order || changes.head || changes.gpus || changes.tick) drawSummary();
    },
    navigate(next) {
      filter.value = next.get("q") ?? "";
      sort.value = SORTS[next.get("sort")] ? next.get("sort") : "line";
      view.query = filter.value;
      view.sort = sort.value;
      lists();
    },
    unmount() {
      undrag();
      removeEventListener("scroll", scrolled);
      removeEventListener("resize", resized);
    },
  };
}
