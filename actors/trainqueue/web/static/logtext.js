// Log text as a terminal would show it: frames after a carriage return lie over the ones before, colours become
// class names, and nothing that a program may print can do harm. Pure: no DOM, so that it runs anywhere.

export const MOST_LINES = 2000; // so many are kept while the end is followed; twice as many where somebody reads
const SLACK = 200; // dropped at once, so that not every line drops one
const LINE_KEPT = 262144; // characters of one line; more is counted only
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
// eslint-disable-next-line no-control-regex
const TOKEN = /\x1b\[[0-9;:?<=>]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\r\n\b\x1b]/g;
// eslint-disable-next-line no-control-regex
const HALF = /\x1b(?:\[[0-9;:?<=>]*[ -/]*|\][^\x07\x1b]{0,1000})?$/; // an escape that the next part may complete
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const PLAIN = { fg: "", bg: "", bold: false, dim: false, italic: false, under: false, inverse: false };

/** Bytes of a text in UTF-8. */
export function utf8Length(text) {
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code >= 0xd800 && code < 0xe000 ? 2 : 3;
  }
  return bytes;
}

/** The text without its first `skip` bytes; whole where bytes that are no UTF-8 have spoilt the count of `all`. */
function behind(text, skip, all) {
  const bytes = new TextEncoder().encode(text);
  return bytes.length === all ? new TextDecoder().decode(bytes.slice(skip)) : text;
}

/** Visible stand-ins for what has no shape of its own. */
function shown(text) {
  return text.replace(CONTROL, (char) => {
    const code = char.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd";
  });
}

function newLine() {
  return { spans: [], length: 0, cut: 0, bytes: 0, node: null, dirty: true, wide: false };
}

export function textOf(line) {
  return line.spans.map((span) => span.text).join("");
}

/** The spans between two columns. */
function slice(spans, from, to) {
  const found = [];
  let at = 0;
  for (const span of spans) {
    const [begin, end] = [Math.max(from, at), Math.min(to, at + span.text.length)];
    if (begin < end) found.push({ text: span.text.slice(begin - at, end - at), style: span.style });
    at += span.text.length;
  }
  return found;
}

function push(spans, text, style) {
  const last = spans[spans.length - 1];
  if (last && last.style === style) last.text += text;
  else spans.push({ text, style });
}

/** One of the 16 colours for any other. */
function nearest(red, green, blue) {
  const most = Math.max(red, green, blue);
  const bit = (value) => (value > most / 2 && value > 50 ? 1 : 0);
  return NAMES[bit(red) + 2 * bit(green) + 4 * bit(blue)];
}

function indexed(at) {
  if (at < 16) return (at > 7 ? "bright-" : "") + NAMES[at % 8];
  if (at > 231) return nearest(at < 244 ? 0 : 255, at < 244 ? 0 : 255, at < 244 ? 0 : 255);
  const level = (value) => (value % 6) * 51;
  return nearest(level(Math.floor((at - 16) / 36)), level(Math.floor((at - 16) / 6)), level(at - 16));
}

/** The style after an SGR sequence such as `1;31`. */
function styled(style, codes) {
  const now = { ...style };
  const list = codes.split(/[;:]/).map(Number);
  for (let at = 0; at < list.length; at++) {
    const code = list[at];
    const [tens, unit] = [Math.floor(code / 10), code % 10];
    if (code === 0) Object.assign(now, PLAIN);
    else if (code === 1) now.bold = true;
    else if (code === 2) now.dim = true;
    else if (code === 3) now.italic = true;
    else if (code === 4) now.under = true;
    else if (code === 7) now.inverse = true;
    else if (code === 22) now.bold = now.dim = false;
    else if (code === 23) now.italic = false;
    else if (code === 24) now.under = false;
    else if (code === 27) now.inverse = false;
    else if (code === 38 || code === 48) {
      const five = list[at + 1] === 5;
      const colour = five ? indexed(list[at + 2] || 0) : nearest(...[2, 3, 4].map((more) => list[at + more] || 0));
      now[code === 38 ? "fg" : "bg"] = colour;
      at += five ? 2 : 4;
    } else if (tens === 3 && unit < 8) now.fg = NAMES[unit];
    else if (tens === 4 && unit < 8) now.bg = NAMES[unit];
    else if (tens === 9 && unit < 8) now.fg = `bright-${NAMES[unit]}`;
    else if (tens === 10 && unit < 8) now.bg = `bright-${NAMES[unit]}`;
    else if (code === 39) now.fg = "";
    else if (code === 49) now.bg = "";
  }
  return now;
}

function classes(style) {
  const names = [];
  if (style.fg) names.push(`ansi-${style.fg}`);
  if (style.bg) names.push(`ansi-on-${style.bg}`);
  for (const name of ["bold", "dim", "italic", "under", "inverse"]) if (style[name]) names.push(`ansi-${name}`);
  return names.join(" ");
}

/** Lines of a log, written to as a terminal is. `start` and `end` are offsets in the file, in bytes. */
export class LogText {
  constructor(most = MOST_LINES) {
    this.most = most;
    this.reset(0);
  }

  /** Empty, at this offset. */
  reset(offset) {
    this.lines = [newLine()];
    this.row = this.column = 0;
    this.style = PLAIN;
    this.mark = "";
    this.rest = "";
    this.dropped = [];
    this.start = this.end = offset;
  }

  get isEmpty() {
    return this.lines.length === 1 && !this.lines[0].length;
  }

  /** A part of the file. What is known already is left out, a gap is said; the oldest lines go when there are too many. */
  append({ offset, next, text }, most = this.most) {
    if (next <= this.end) return;
    if (offset > this.end) this.skip(offset);
    this.write(offset < this.end ? behind(text, this.end - offset, next - offset) : text);
    this.end = next;
    if (this.lines.length > most) this.trim(most);
  }

  /** What lies before this offset was never seen here. */
  skip(offset) {
    const bytes = offset - this.end;
    this.end = offset;
    if (this.lines[this.row].length) this.feed();
    this.lines[this.row].gap = bytes;
    this.lines[this.row].bytes += bytes;
    this.feed();
  }

  write(more) {
    const text = this.rest + more;
    const half = HALF.exec(text.slice(-1100));
    const whole = half ? text.slice(0, text.length - half[0].length) : text;
    this.rest = text.slice(whole.length);
    let at = 0;
    for (const token of whole.matchAll(TOKEN)) {
      if (token.index > at) this.print(whole.slice(at, token.index));
      at = token.index + token[0].length;
      this.lines[this.row].bytes += token[0] === "\n" ? 0 : token[0].length;
      this.obey(token[0]);
    }
    if (at < whole.length) this.print(whole.slice(at));
  }

  obey(token) {
    if (token === "\n") {
      this.lines[this.row].bytes += 1;
      this.feed();
    } else if (token === "\r") this.column = 0;
    else if (token === "\b") this.column = Math.max(0, this.column - 1);
    else if (token.startsWith("\x1b[")) this.command(token.slice(2, -1), token[token.length - 1]);
  }

  /** Control sequences: colours, erasing in the line, and the few lines up that nested bars use. */
  command(codes, letter) {
    const line = this.lines[this.row];
    if (letter === "m") {
      this.style = styled(this.style, codes);
      this.mark = classes(this.style);
    } else if (letter === "K") {
      const kept = codes === "1" ? this.column : 0;
      const spans = codes === "1" ? slice(line.spans, this.column, line.length) : codes === "2" ? [] : null;
      line.spans = spans ? (kept ? [{ text: " ".repeat(kept), style: "" }, ...spans] : spans) : slice(line.spans, 0, this.column);
      line.length = textOf(line).length;
      line.dirty = true;
    } else if (letter === "A") this.row = Math.max(0, this.row - Math.min(50, Number(codes) || 1));
    else if (letter === "B") this.row = Math.min(this.lines.length - 1, this.row + (Number(codes) || 1));
    else if (letter === "G") this.column = Math.min(line.length, Math.max(0, (Number(codes) || 1) - 1));
  }

  feed() {
    this.row += 1;
    this.column = 0;
    if (this.row === this.lines.length) this.lines.push(newLine());
  }

  print(raw) {
    const line = this.lines[this.row];
    line.bytes += utf8Length(raw);
    const part = shown(raw.slice(0, Math.max(0, LINE_KEPT - this.column)));
    line.cut += raw.length - part.length;
    line.dirty = true;
    if (this.column >= line.length) push(line.spans, part, this.mark);
    else {
      const behind = slice(line.spans, this.column + part.length, line.length);
      line.spans = slice(line.spans, 0, this.column);
      push(line.spans, part, this.mark);
      line.spans.push(...behind);
    }
    this.column += part.length;
    line.length = Math.max(line.length, this.column);
  }

  /** The oldest lines go; they can be read again from the file. */
  trim(most) {
    const gone = this.lines.splice(0, this.lines.length - most + SLACK);
    this.start += gone.reduce((sum, line) => sum + line.bytes, 0);
    this.row = Math.max(0, this.row - gone.length);
    this.dropped.push(...gone);
  }

  /** An older part of the file, which ends where this begins; how many lines it brought. */
  prepend({ offset, text }) {
    const older = new LogText(Infinity);
    older.write(text);
    const joint = older.lines[older.lines.length - 1];
    const first = this.lines[0];
    if (joint.length + first.length > LINE_KEPT) {
      first.cut += joint.length + joint.cut;
      first.bytes += joint.bytes;
      first.dirty = true;
    } else if (joint.length || joint.bytes) {
      first.spans = [...joint.spans, ...first.spans];
      first.length += joint.length;
      first.bytes += joint.bytes;
      first.cut += joint.cut;
      first.dirty = true;
      if (this.row === 0) this.column += joint.length;
    }
    const brought = older.lines.slice(0, -1);
    this.lines = [...brought, ...this.lines];
    this.row += brought.length;
    this.start = offset;
    return brought.length;
  }

  /** Keep the first `most` lines only; what is appended next follows on them. */
  cutEnd(most) {
    const gone = this.lines.splice(most);
    this.end -= gone.reduce((sum, line) => sum + line.bytes, 0);
    this.dropped.push(...gone);
    this.row = this.lines.push(newLine()) - 1;
    this.column = 0;
    this.rest = "";
  }
}

/** Where a text stands in the lines: [{line, at}], without regard to case; at most `most`. */
export function find(lines, wanted, most = 10000) {
  const found = [];
  if (!wanted) return found;
  const pattern = new RegExp(wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "giu");
  for (const line of lines) {
    for (const match of textOf(line).matchAll(pattern)) {
      found.push({ line, at: match.index, length: match[0].length });
      if (found.length >= most) return found;
    }
  }
  return found;
}
