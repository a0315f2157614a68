// What ran on each GPU, what runs, and what is planned. Drawn anew only when something has changed, or when the time that
// has passed would show.

import { el, replace, setText, show, svg } from "/static/dom.js";
import { LONG, ZOOMS, fitting, frame, lanes, marks } from "/static/spans.js";
import { clock, number, title } from "/static/words.js";

const HIGH = 30; // of a bar's row
const HEAD = 24; // above a lane's rows: its name
const FOOT = 10;
const AXIS = 26;
const LISTED = 200;

export function mount(root, { store, api, go }) {
  const asked = zoomOf(location.search);
  const at = { zoom: asked ?? LONG, chosen: asked !== null, looked: false, past: new Map(), read: null, drawn: 0, second: 60, wide: 0, picture: null, focus: null };
  const parts = build();
  root.append(parts.node);
  const watcher = new ResizeObserver(() => parts.inner.clientWidth !== at.wide && draw());
  watcher.observe(parts.inner);
  read();
  draw();

  /** Ended runs of the time that is shown; the daemon has more of them than the page. */
  async function read() {
    const zoom = at.zoom;
    let before = null;
    const since = store.now() - ZOOMS[zoom];
    say("Reading past runs …");
    try {
      for (let page = 0; page < 5; page++) {
        const answer = await api.get("/history", { limit: 300, before });
        if (parts.closed || zoom !== at.zoom) return;
        for (const job of answer.jobs) at.past.set(job.id, job);
        const last = answer.jobs[answer.jobs.length - 1];
        if (!answer.more || answer.jobs.every((job) => (job.ended_at ?? since) < since)) break;
        before = last.id;
      }
      at.read = zoom;
      say(null);
    } catch (error) {
      say(`Past runs cannot be read: ${error.message}`);
    }
    at.looked = true;
    draw();
  }

  /** What has left the picture on the left; a longer time is read anew. */
  function prune() {
    const since = frame(at.zoom, store.now()).from;
    for (const [id, job] of at.past) if ((job.ended_at ?? 0) < since) at.past.delete(id);
  }

  function say(words) {
    setText(parts.note, words ?? "");
    show(parts.note, Boolean(words));
  }

  /** Past runs, and over them what the page knows of each job now. */
  function jobs() {
    const { state } = store;
    const live = [...state.recent, ...state.running, ...state.line].map((id) => state.jobs.get(id)).filter(Boolean);
    const known = new Set(live.map((job) => job.id));
    return [...live, ...[...at.past.values()].filter((job) => !known.has(job.id))];
  }

  /** Where nobody has chosen a time: once it is known what there is. */
  function settle() {
    if (at.chosen || !at.looked || !store.state.known) return;
    at.chosen = true;
    press(fitting(jobs(), store.now()));
  }

  function draw() {
    const wide = parts.inner.clientWidth;
    settle();
    if (!wide || parts.closed || !at.chosen) return;
    const now = store.now();
    const time = frame(at.zoom, now);
    const second = (time.to - time.from) / wide;
    const found = lanes(jobs(), store.state.gpus, time, now);
    setText(parts.words, words(found));
    const picture = looks(found, second, wide);
    if (picture === at.picture && now - at.drawn < second) return;
    Object.assign(at, { wide, second, picture, drawn: now });
    paint(found, time, now, wide);
  }

  /** All that is seen of it, in pixels: most of what a job reports changes nothing here. */
  function looks(found, second, wide) {
    const seen = (bar) => [bar.job.id, bar.kind, bar.row, title(bar.job), ...[bar.left, bar.to, ...(bar.range ?? [])].map((when) => Math.round(when / second))];
    return JSON.stringify([wide, parts.list.open, found.lanes.map((lane) => [lane.id, lane.label, lane.detail, lane.bars.map(seen)])]);
  }

  function paint(found, time, now, wide) {
    const x = (when) => ((when - time.from) / (time.to - time.from)) * wide;
    const tall = found.lanes.reduce((sum, lane) => sum + HEAD + lane.rows * HIGH + FOOT, AXIS);
    const drawing = svg("svg", { width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}`, role: "group", "aria-label": "Runs on each GPU over time" });
    drawing.append(...axis(time, x, wide, tall));
    let y = AXIS;
    for (const lane of found.lanes) {
      drawing.append(laneNode(lane, x, y, wide));
      y += HEAD + lane.rows * HIGH + FOOT;
    }
    drawing.append(nowLine(x(now), tall));
    keepFocus(drawing);
    list(found.lanes);
  }

  function keepFocus(drawing) {
    const held = parts.picture.contains(document.activeElement);
    replace(parts.inner, drawing);
    const links = [...drawing.querySelectorAll("a")];
    const one = links.find((link) => link.dataset.key === at.focus) ?? links[0];
    one?.setAttribute("tabindex", "0");
    if (held) one?.focus({ preventScroll: true });
  }

  function axis(time, x, wide, tall) {
    const zone = new Date(time.from * 1000).getTimezoneOffset() * 60; // marks stand at whole hours of this place
    return marks(time, wide, zone).flatMap((when) => [
      svg("line", { class: "tl-grid", x1: x(when), x2: x(when), y1: AXIS - 6, y2: tall }),
      x(when) > 20 && x(when) < wide - 20 ? svg("text", { class: "tl-time", x: x(when), y: 14, "text-anchor": "middle" }, timeWords(when)) : "",
    ]);
  }

  function timeWords(when) {
    const date = new Date(when * 1000);
    const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
    return isMidnight ? date.toLocaleDateString("en-GB", { weekday: "short", day: "numeric" }) : clock(when, when, false);
  }

  function laneNode(lane, x, y, wide) {
    const group = svg("g", { role: "group", "aria-label": lane.label });
    const ground = svg("rect", { class: "tl-ground", x: 0, y: y + HEAD - 2, width: wide, height: lane.rows * HIGH + 2, rx: 6 });
    const name = svg("text", { class: "tl-lane", x: 2, y: y + 15 }, lane.label, svg("tspan", { class: "tl-detail", dx: 8 }, lane.detail ?? ""));
    group.append(ground, name, ...lane.bars.map((bar) => barNode(lane, bar, x, y + HEAD + bar.row * HIGH, wide)));
    return group;
  }

  function barNode(lane, bar, x, y, wide) {
    const left = Math.max(x(bar.left), -4);
    const right = Math.min(x(bar.to), wide + 4);
    const width = Math.max(right - left, 3);
    const key = `${lane.id}/${bar.job.id}`;
    const link = svg("a", { href: `/?job=${bar.job.id}`, class: `tl-bar ${bar.kind}`, "aria-label": spoken(bar), tabindex: "-1", "data-key": key });
    link.append(svg("title", {}, spoken(bar)), svg("rect", { x: left, y: y + 2, width, height: HIGH - 6, rx: Math.min(5, width / 2) }));
    if (bar.kind === "running") link.append(...ahead(bar, x, y, right));
    if (bar.kind === "planned" && bar.range) link.append(...whisker(bar.range, x, y, bar.from));
    if (bar.kind === "running" && bar.range) link.append(...whisker(bar.range, x, y, bar.to));
    if (width > 34) link.append(inside(bar, Math.max(left, 0), y, width));
    return link;
  }

  /** What is still to come of a running one is paler. */
  function ahead(bar, x, y, right) {
    const now = x(at.drawn);
    return right - now > 1 ? [svg("rect", { class: "tl-ahead", x: now, y: y + 2, width: right - now, height: HIGH - 6, rx: 5 })] : [];
  }

  function whisker([early, late], x, y, middle) {
    const [from, to] = [x(early ?? middle), x(late ?? middle)];
    if (to - from < 2) return [];
    const level = y + HIGH - 2;
    return [svg("path", { class: "tl-whisker", d: `M${from} ${level - 3}v6M${from} ${level}H${to}M${to} ${level - 3}v6` })];
  }

  function inside(bar, left, y, width) {
    const box = svg("svg", { x: left, y, width: Math.max(width - 6, 1), height: HIGH, overflow: "hidden" });
    box.append(svg("text", { x: 7, y: HIGH / 2 + 3.5 }, `${bar.job.id} ${title(bar.job)}`));
    return box;
  }

  function nowLine(x, tall) {
    return svg("g", { class: "tl-now", "aria-hidden": "true" }, svg("line", { x1: x, x2: x, y1: AXIS - 8, y2: tall }), svg("circle", { cx: x, cy: AXIS - 8, r: 3.5 }));
  }

  function spoken(bar) {
    const until = bar.open ? "its end is unknown" : `${bar.kind === "running" || bar.kind === "planned" ? "expected until" : "until"} ${clock(bar.to, store.now(), false)}`;
    const begin = bar.kind === "planned" ? "planned from" : "from";
    return `Job ${bar.job.id} ${title(bar.job)}, ${bar.kind}, ${begin} ${clock(bar.from, store.now(), false)}, ${until}`;
  }

  function words({ unknown, beyond, left }) {
    const said = [];
    if (unknown) said.push(`${unknown} waiting ${unknown === 1 ? "job has" : "jobs have"} no known start`);
    if (beyond) said.push(`${beyond} planned ${beyond === 1 ? "start lies" : "starts lie"} beyond the right edge`);
    if (left) said.push(`${left} more runs are not drawn: choose a shorter time`);
    return said.join(" · ");
  }

  function list(found) {
    if (!parts.list.open) return;
    const rows = found.flatMap((lane) => lane.bars.map((bar) => [lane, bar])).slice(-LISTED);
    const cells = ([lane, bar]) => [lane.label, el("a", { href: `/?job=${bar.job.id}`, "data-nav": true, text: `${bar.job.id} ${title(bar.job)}` }), bar.kind, clock(bar.from, store.now(), false), bar.open ? "unknown" : clock(bar.to, store.now(), false)];
    const line = (row) => el("tr", {}, cells(row).map((cell) => el("td", {}, el("bdi", {}, cell))));
    const head = el("tr", {}, ["GPU", "Job", "What", "From", "Until"].map((text) => el("th", { scope: "col", text })));
    replace(parts.rows, el("thead", {}, head), el("tbody", {}, rows.map(line)));
  }

  // -- its elements

  function build() {
    const zooms = el("div", { class: "segments", role: "group", "aria-label": "Time shown" }, Object.keys(ZOOMS).map((name) =>
      el("button", { type: "button", "aria-pressed": String(name === at.zoom), data: { zoom: name }, text: name.replace("h", " h").replace("d", " d").replace("m", " min"), on: { click: () => choose(name) } })));
    const kinds = ["completed", "failed", "cancelled", "lost", "running", "planned"];
    const legend = el("ul", { class: "tl-legend", "aria-label": "Colours" }, kinds.map((kind) => el("li", {}, el("i", { class: kind, "aria-hidden": "true" }), kind)));
    const inner = el("div");
    const picture = el("div", { class: "card tl-picture", on: { click: open, keydown: keys, focusin: (event) => void (at.focus = event.target.dataset.key ?? at.focus) } }, inner);
    const words = el("p", { class: "tl-words" });
    const note = el("p", { class: "tl-note", role: "status" });
    const rows = el("table", { class: "plain" });
    const details = el("details", { class: "tl-list", on: { toggle: () => draw() } }, el("summary", { text: "The same as a list" }), el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Runs as a list" }, rows));
    const head = el("div", { class: "view-head" }, el("h1", { text: "Timeline" }), zooms);
    const node = el("section", { class: "timeline" }, head, legend, note, picture, words, details);
    return { node, zooms, picture, inner, words, note, list: details, rows, closed: false };
  }

  function press(name) {
    at.zoom = name;
    for (const button of parts.zooms.children) button.setAttribute("aria-pressed", String(button.dataset.zoom === name));
  }

  function choose(name) {
    at.chosen = true;
    press(name);
    const query = new URLSearchParams(location.search);
    query.set("zoom", name);
    history.replaceState(history.state, "", `?${query}`);
    draw();
    read();
  }

  function open(event) {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  }

  /** One stop for the Tab key; the arrows go along a lane and from lane to lane. */
  function keys(event) {
    const link = event.target.closest?.("a");
    if (!link) return;
    const found = [...parts.picture.querySelectorAll("g[role=group]")].map((group) => [...group.querySelectorAll("a")]).filter((links) => links.length);
    const row = found.findIndex((links) => links.includes(link));
    const place = found[row].indexOf(link);
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const links = found[Math.max(0, Math.min(found.length - 1, row + step[0]))];
    const next = links[Math.max(0, Math.min(links.length - 1, place + step[1]))];
    link.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  }

  return {
    update(changes) {
      const { whole, jobs: changed, line, running, recent, gpus, tick } = changes;
      for (const id of changed) if (store.job(id)) at.past.delete(id);
      const ended = [...changed].map((id) => store.job(id)).filter((job) => job && !["queued", "pending", "running"].includes(job.state));
      for (const job of ended) at.past.set(job.id, job);
      if (ended.length) prune();
      if (whole) read();
      if (whole || changed.size || line || running || recent) draw();
      else if ((tick || gpus) && store.now() - at.drawn >= at.second) draw();
    },
    unmount() {
      parts.closed = true;
      watcher.disconnect();
      parts.node.remove();
    },
  };
}

function zoomOf(query) {
  const wanted = new URLSearchParams(query).get("zoom");
  return wanted in ZOOMS ? wanted : null;
}
