// The log of one attempt: follows its end until somebody scrolls up, reads older parts of the file when they scroll to the
// top, finds text. Pieces come over the page's one stream (`feed`); the rest is read with ranges.

import { el, setText, show } from "/static/dom.js";
import { LogText, MOST_LINES, find, utf8Length } from "/static/logtext.js";
import { number, size } from "/static/words.js";

const PART = 65536; // bytes read at once
const SHOWN = 2000; // characters of a line before "show more"
const STEP = 1000; // lines that come at once while somebody reads, so that what they read stays
const NEAR = 24; // pixels from an edge that count as there

/** `api`: its `log` reads a part of the file. */
export function createLogView({ api }) {
  const log = new LogText();
  const at = { job: null, attempt: null, size: 0, following: true, loading: false, due: false, round: 0, later: [] };
  const search = { wanted: "", found: [], now: -1, marks: new Map() };
  const parts = build();
  const { box, list } = parts;

  // -- what comes in

  /** Show this attempt from its end; one that has not `begun` has nothing to read yet. */
  async function open(job, attempt, begun = true) {
    at.round += 1;
    Object.assign(at, { job, attempt, size: 0, following: true, later: [], loading: false });
    parts.download.href = `/api/training/logs/${job}?attempt=${attempt}&download=1`;
    parts.box.setAttribute("aria-label", `Log of job ${job}, attempt ${attempt}`);
    forget(0);
    if (begun) await toEnd();
    else plan();
  }

  function forget(offset) {
    log.reset(offset);
    list.replaceChildren();
    search.marks.clear();
  }

  /** Read the last part of the file anew; what comes meanwhile is kept and laid on. */
  async function toEnd() {
    const round = at.round;
    at.loading = true;
    try {
      const part = await read(`bytes=-${PART}`);
      if (round !== at.round) return;
      forget(part.offset);
      if (part.offset > 0 && part.text.includes("\n")) {
        const whole = part.text.slice(part.text.indexOf("\n") + 1);
        log.start = log.end = part.next - utf8Length(whole);
        log.append({ offset: log.end, next: part.next, text: whole });
      } else log.append(part);
      at.size = Math.max(at.size, part.size);
      say(null);
    } catch (error) {
      if (round === at.round) say(error.message);
    } finally {
      if (round === at.round) settle();
    }
  }

  function settle() {
    at.loading = false;
    const later = at.later;
    at.later = [];
    for (const piece of later) feed(piece);
    plan();
  }

  /** {text, offset, next, size} of a part of the file; one that is empty, not there yet or removed has none. */
  async function read(range) {
    try {
      const answer = await api.log(at.job, { attempt: at.attempt }, range);
      const [, from, to, all] = /bytes (\d+)-(\d+)\/(\d+)/.exec(answer.headers.get("content-range") ?? "") ?? [];
      const next = to === undefined ? utf8Length(answer.text) : Number(to) + 1;
      const size = Number(all ?? next);
      const end = Math.min(size, Number(/=\d+-(\d+)$/.exec(range)?.[1] ?? Infinity) + 1);
      const rest = next < end ? await read(`bytes=${next}-${end - 1}`) : null; // behind what the cap has cut out
      return { text: answer.text + (rest?.text ?? ""), offset: Number(from ?? 0), next: rest ? rest.next || end : next, size };
    } catch (error) {
      if (error.status === 416 || error.status === 404) return { text: "", offset: 0, next: 0, size: 0 };
      throw error;
    }
  }

  /** A piece from the stream: {job, attempt, offset, next, size, data, eof}. */
  function feed(piece) {
    if (piece.job !== at.job || piece.attempt !== at.attempt) return;
    at.size = Math.max(at.size, piece.size ?? piece.next);
    if (at.loading) at.later.push(piece);
    else if (at.following || log.lines.length < MOST_LINES - 1) take(piece);
    plan();
  }

  function take(piece) {
    if (piece.size < log.end) forget(0); // the job has emptied it
    if (piece.offset > log.end && !log.isEmpty && piece.offset - log.end <= 4 * PART) {
      at.later.push(piece);
      bridge();
    } else if (piece.offset > log.end && log.isEmpty) {
      forget(piece.offset);
      log.append({ offset: piece.offset, next: piece.next, text: piece.data });
    } else log.append({ offset: piece.offset, next: piece.next, text: piece.data });
  }

  /** What went by while nobody looked. */
  async function bridge() {
    const round = at.round;
    at.loading = true;
    try {
      const part = await read(`bytes=${log.end}-${at.later[0].offset - 1}`);
      if (round === at.round) log.append(part);
    } catch {
      // The gap is said by `append` then.
      if (round === at.round) log.skip(at.later[0].offset);
    } finally {
      if (round === at.round) settle();
    }
  }

  async function older() {
    if (at.loading || log.start <= 0) return;
    const round = at.round;
    at.loading = true;
    say("Reading older lines …");
    try {
      const from = Math.max(0, log.start - PART);
      const part = await read(`bytes=${from}-${log.start - 1}`);
      if (round !== at.round) return;
      lay(part);
      say(null);
    } catch (error) {
      if (round === at.round) say(error.message);
    } finally {
      if (round === at.round) settle();
    }
  }

  function lay(part) {
    const cut = Math.max(part.offset > 0 ? part.text.indexOf("\n") + 1 : 0, lastLines(part.text, STEP));
    const text = part.text.slice(cut);
    at.following = false;
    steady(() => {
      log.prepend({ offset: cut ? log.start - utf8Length(text) : part.offset, text });
      if (log.lines.length > 2 * MOST_LINES) log.cutEnd(2 * MOST_LINES);
    });
  }

  /** Draw what `act` has changed, and leave what is read where it is. */
  function steady(act) {
    const top = box.scrollTop;
    const held = log.lines.find((line) => line.node && line.node.offsetTop + line.node.offsetHeight > top);
    const before = held?.node.offsetTop ?? 0;
    act();
    draw();
    if (held?.node.isConnected && !at.following) box.scrollTop = top + held.node.offsetTop - before;
  }

  /** After a look far up, or while much was written: on from where the lines end. */
  async function newer() {
    const round = at.round;
    at.loading = true;
    try {
      const part = await read(`bytes=${log.end}-${log.end + PART - 1}`);
      if (round !== at.round) return;
      const text = part.text.slice(0, firstLines(part.text, STEP));
      const next = text.length < part.text.length ? part.offset + utf8Length(text) : part.next;
      steady(() => log.append({ offset: part.offset, next, text }, 2 * MOST_LINES));
    } catch (error) {
      if (round === at.round) say(error.message);
    } finally {
      if (round === at.round) settle();
    }
  }

  function jump() {
    at.following = true;
    if (log.end < at.size) toEnd();
    else plan();
  }

  // -- what is shown

  function plan() {
    if (at.due) return;
    at.due = true;
    requestAnimationFrame(() => {
      at.due = false;
      draw();
    });
  }

  function draw() {
    for (const line of log.dropped.splice(0)) line.node?.remove();
    if (search.wanted) mark();
    let next = list.firstChild;
    for (const line of log.lines) {
      if (!line.node) list.insertBefore((line.node = el("div", { class: "log-line" })), next);
      else if (line.node === next) next = next.nextSibling;
      if (line.dirty) paint(line);
    }
    state();
    if (at.following) box.scrollTop = box.scrollHeight;
  }

  function state() {
    show(parts.end, !at.following);
    show(parts.empty, log.isEmpty && !at.loading);
    show(parts.top, log.start > 0);
    const left = log.start > 0 ? ` · ${size(log.start)} above` : "";
    setText(parts.size, `${size(at.size)}${left}`);
    const many = search.found.length;
    setText(parts.count, !search.wanted ? "" : many ? `${search.now + 1} of ${many}` : "nothing found");
    parts.previous.disabled = parts.following.disabled = !many;
  }

  function paint(line) {
    line.dirty = false;
    const marks = search.marks.get(line) ?? [];
    const limit = line.wide ? Infinity : SHOWN;
    const pieces = line.gap ? [gapNode(line.gap)] : segments(line.spans, limit, marks).map(piece);
    const hidden = line.length - limit;
    if (hidden > 0) pieces.push(more(line, hidden));
    else if (line.cut) pieces.push(el("span", { class: "log-note", text: ` … ${number(line.cut, "more character")}: download the log for all of it` }));
    line.node.replaceChildren(...pieces);
  }

  const gapNode = (bytes) => el("span", { class: "log-note", text: `… ${size(bytes)} not shown; download the log for all of it` });
  function more(line, hidden) {
    const widen = () => {
      line.wide = line.dirty = true;
      at.following = false;
      plan();
    };
    const text = `show ${number(hidden + line.cut, "more character")} of this line`;
    return el("button", { type: "button", class: "log-more", text, on: { click: widen } });
  }

  function piece([text, style, mark]) {
    if (mark) return el("mark", { class: mark === search.found[search.now] ? "now" : "", text });
    return style ? el("span", { class: style, text }) : document.createTextNode(text);
  }

  function say(words) {
    setText(parts.note, words ?? "");
    show(parts.note, Boolean(words));
  }

  // -- search

  function mark() {
    const before = new Set(search.marks.keys());
    const now = search.found[search.now];
    search.found = find(log.lines, search.wanted);
    search.marks = new Map();
    for (const match of search.found) {
      if (!search.marks.has(match.line)) search.marks.set(match.line, []);
      search.marks.get(match.line).push(match);
    }
    const same = now ? search.found.findIndex((match) => match.line === now.line && match.at === now.at) : -1;
    search.now = same >= 0 ? same : Math.min(search.now, search.found.length - 1);
    for (const line of new Set([...before, ...search.marks.keys()])) line.dirty = true;
  }

  function look(wanted) {
    const before = [...search.marks.keys()];
    Object.assign(search, { wanted, now: -1, found: [] });
    search.marks = new Map();
    for (const line of before) line.dirty = true;
    if (wanted) mark();
    if (search.found.length) step(-1, search.found.length);
    else plan();
  }

  /** To the next (1) or the one before (-1), from `from`. */
  function step(by, from = search.now) {
    const many = search.found.length;
    if (!many) return;
    const left = search.found[search.now];
    if (left) left.line.dirty = true;
    search.now = (from + by + many) % many;
    const { line } = search.found[search.now];
    at.following = false;
    line.wide ||= search.found[search.now].at > SHOWN - 200;
    line.dirty = true;
    draw();
    line.node.querySelector("mark.now")?.scrollIntoView({ block: "center", inline: "nearest" });
  }

  // -- its elements

  function build() {
    const button = (text, label, act, name = "icon") =>
      el("button", { type: "button", class: name, "aria-label": label, title: label, text, on: { click: act } });
    const keys = (event) => {
      if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape" && event.target.value) look((event.target.value = ""));
      else return;
      event.preventDefault();
      event.stopPropagation();
    };
    const field = el("input", { type: "search", placeholder: "Search this log", "aria-label": "Search this log", on: { input: (event) => look(event.target.value), keydown: keys } });
    const wrap = el("button", { type: "button", "aria-pressed": "true", text: "Wrap", on: { click: () => turn() } });
    const turn = () => {
      const on = wrap.getAttribute("aria-pressed") !== "true";
      wrap.setAttribute("aria-pressed", String(on));
      lines.classList.toggle("no-wrap", !on);
    };
    const lines = el("div", { class: "log-lines" });
    const top = el("button", { type: "button", class: "log-older", text: "Read older lines", hidden: true, on: { click: () => older() } });
    const empty = el("p", { class: "log-empty", text: "No output yet." });
    const scroller = el("div", { class: "log-box", role: "log", "aria-live": "off", tabindex: "0", on: { scroll: scrolled, keydown: jumps } }, top, empty, lines);
    const end = button("Jump to end ↓", "Jump to the end of the log", () => jump(), "log-end");
    const previous = button("↑", "The match before", () => step(-1));
    const following = button("↓", "The next match", () => step(1));
    const total = el("output", { class: "log-count", "aria-live": "polite" });
    const file = el("a", { class: "button", download: true, text: "Download" });
    const bytes = el("span", { class: "log-size" });
    const note = el("p", { class: "log-say", role: "status", hidden: true });
    const tools = el("div", { class: "log-tools" }, el("div", { class: "log-search" }, field, previous, following, total), bytes, wrap, file);
    const node = el("div", { class: "log" }, tools, note, el("div", { class: "log-frame" }, scroller, end));
    return { node, tools, field, box: scroller, list: lines, top, empty, end, previous, following, count: total, download: file, size: bytes, note };
  }

  function scrolled() {
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
    at.following = atEnd && log.end >= at.size;
    show(parts.end, !at.following);
    if (at.loading || box.scrollHeight <= box.clientHeight) return;
    if (atEnd && log.end < at.size) newer();
    else if (box.scrollTop < NEAR) older();
  }

  function jumps(event) {
    if (event.key !== "End" || event.ctrlKey) return;
    event.preventDefault();
    jump();
  }

  return { node: parts.node, tools: parts.tools, open, feed, focusSearch: () => parts.field.focus(), empty: (words) => setText(parts.empty, words) };
}

/** Where the last `many` lines of a text begin. */
function lastLines(text, many) {
  let at = text.length;
  for (let seen = 0; seen <= many && at > 0; seen++) at = text.lastIndexOf("\n", at - 1);
  return at + 1;
}

/** Where its first `many` lines end. */
function firstLines(text, many) {
  let at = -1;
  for (let seen = 0; seen < many; seen++) {
    at = text.indexOf("\n", at + 1);
    if (at < 0) return text.length;
  }
  return at + 1;
}

/** [text, style, mark or null] of the first `limit` characters; `marks` stand in their order. */
export function segments(spans, limit, marks) {
  const found = [];
  let column = 0;
  let next = 0;
  for (const span of spans) {
    const end = Math.min(column + span.text.length, limit);
    for (let from = column; from < end; ) {
      while (next < marks.length && marks[next].at + marks[next].length <= from) next += 1;
      const mark = next < marks.length && marks[next].at <= from ? marks[next] : null;
      const stop = mark ? mark.at + mark.length : (marks[next]?.at ?? Infinity);
      const to = Math.min(end, stop);
      found.push([span.text.slice(from - column, to - column), span.style, mark]);
      from = to;
    }
    column += span.text.length;
    if (column >= limit) break;
  }
  return found;
}
