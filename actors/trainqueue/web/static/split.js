// A command line as words, as a shell splits it (quotes, backslashes; no variables, no globs), and the other way round
// for fields that people type: durations, sizes, ids, pairs. Pure; each throws an Error with words that help.

export function split(text) {
  const words = [];
  let word = null;
  let quote = null;
  for (let at = 0; at < text.length; at += 1) {
    const one = text[at];
    if (quote === "'") {
      if (one === "'") quote = null;
      else word += one;
    } else if (quote === '"') {
      if (one === '"') quote = null;
      else if (one === "\\" && '"\\$`\n'.includes(text[at + 1] ?? "")) word += text[(at += 1)];
      else word += one;
    } else if (one === "'" || one === '"') {
      quote = one;
      word ??= "";
    } else if (one === "\\") {
      at += 1;
      if (at >= text.length) throw new Error("It ends with a backslash; nothing follows that it could quote");
      if (text[at] !== "\n") word = (word ?? "") + text[at];
    } else if (/\s/.test(one)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? "") + one;
  }
  if (quote) throw new Error(`A ${quote} is opened and not closed`);
  if (word !== null) words.push(word);
  return words;
}

/** What a shell would have done with these words, and a job without one does not. */
export function shellish(words) {
  const found = words.find((word) => ["&&", "||", "|", ">", ">>", "<", ";", "&"].includes(word));
  return found ? `“${found}” is handed to the program as a word: there is no shell. For one: bash -c '…'` : null;
}

const UNITS = { s: 1, m: 60, min: 60, h: 3600, d: 86400, w: 604800 };

/** "4h", "1h 30m" -> seconds. A bare "4" is refused: it is minutes to some and hours to others. */
export function seconds(text) {
  const parts = [...text.trim().matchAll(/(\d+(?:\.\d+)?)\s*(min|[smhdw])?\s*/gy)];
  if (!parts.length || parts.map((part) => part[0]).join("") !== text.trim() || parts.some(([, count, unit]) => !unit && Number(count))) throw new Error("A duration needs its unit: 90s, 30m, 4h or 1h 30m");
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit ?? "s"], 0);
}

/** "8GiB", "8 GB", "500M" -> bytes (powers of 1024, as on the command line); "auto" stays. */
export function bytes(text) {
  if (text.trim() === "auto") return "auto";
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (!match) throw new Error("A size looks like 8GiB or 500MiB, or auto");
  return Math.round(Number(match[1]) * 1024 ** " kmgt".indexOf(match[2].toLowerCase() || " "));
}

/** "3, 5-7" -> [3, 5, 6, 7]. */
export function ids(text) {
  return text.split(/[\s,]+/).filter(Boolean).flatMap((part) => {
    const match = /^#?(\d+)(?:-(\d+))?$/.exec(part);
    if (!match) throw new Error(`“${part}” is no job: they look like 3, 5-7`);
    const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (to < from || to - from > 10_000) throw new Error(`“${part}” is no range of jobs`);
    return Array.from({ length: to - from + 1 }, (_, at) => from + at);
  });
}

/** "set=a, lr=0.1" -> {set: "a", lr: "0.1"}; a comma belongs to the value unless a key and its = follow. */
export function pairs(text) {
  const parts = text.split(/,\s*(?=[^,=\s][^,=]*=)/).map((part) => part.trim()).filter(Boolean);
  return Object.fromEntries(parts.map((part) => {
    const at = part.indexOf("=");
    if (at < 1) throw new Error(`“${part}” is not key=value`);
    return [part.slice(0, at), part.slice(at + 1)];
  }));
}

/** "exit=2, lost=1" -> {exit: 2, lost: 1}. */
export function counts(text) {
  return Object.fromEntries(Object.entries(pairs(text)).map(([key, value]) => {
    if (!/^\d+$/.test(value)) throw new Error(`“${key}=${value}”: how often? As in exit=2`);
    return [key, Number(value)];
  }));
}

/** "high", "5" -> "high", 5. */
export function priority(text) {
  if (["low", "normal", "high"].includes(text.trim())) return text.trim();
  if (!/^[+-]?\d+$/.test(text.trim())) throw new Error("low, normal, high or a whole number");
  return Number(text);
}

/** Seconds as `seconds` reads them. */
export function showSeconds(value) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["m", 60]]) if (value && value % size === 0) return `${value / size}${unit}`;
  return `${value}s`;
}

export function showBytes(value) {
  if (value === "auto") return value;
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) if (value % size === 0) return `${value / size}${unit}`;
  return String(value);
}
