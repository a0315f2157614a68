// How figures and moments are said. Pure, and the same words as on the command line (core/words.py, core/forewords.py).

/** What a screen would obey, and direction characters, become visible: as the command line's `clean`. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const SHOWN = 400;

/** Text of unknown origin for one line: without control and direction characters, not longer than can be shown. */
export function clean(text, longest = SHOWN) {
  const value = String(text ?? "");
  const cut = value.length > longest ? `${value.slice(0, longest - 1).replace(/[\ud800-\udbff]$/, "")}…` : value;
  return cut.replace(UNSEEN, "\ufffd");
}

/** 512 MiB, 6.1 GiB, 48 GiB. */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  if (bytes < 2 ** 10) return `${Math.round(bytes)} B`;
  if (bytes < 2 ** 20) return `${(bytes / 2 ** 10).toFixed(0)} KiB`;
  if (bytes < 2 ** 30) return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`.replace(".0 GiB", " GiB");
}

/** As exact as a guess can be: 45 s, 12 min, 1 h 10, 3 d 4 h. The twin of core/forewords.py's `duration`. */
export function guess(seconds) {
  if (seconds < 90) return `${Math.max(1, seconds < 20 ? even(seconds) : 5 * even(seconds / 5))} s`;
  let minutes = even(seconds / 60);
  if (minutes >= 120) minutes = 5 * even(minutes / 5);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60}` : `${hours} h`;
  const all = even(seconds / 3600);
  return all % 24 ? `${Math.floor(all / 24)} d ${all % 24} h` : `${Math.floor(all / 24)} d`;
}

/** Half goes to the even side, as Python rounds: the same guess must read the same everywhere. */
function even(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 ? low + 1 : low;
}

/** So long, of what was measured: "45 s", "1 min 30 s", "40 min", "1 h 10", "2 d 3 h". */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole / 60} min`;
  const minutes = Math.round(whole / 60);
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60}` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** As on a clock that counts: "0:42", "12:05", "3:02:01". */
export function took(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const whole = Math.max(0, Math.floor(seconds));
  const two = (count) => String(count).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** "5 min ago", "just now". */
export function ago(at, now) {
  if (at === null || at === undefined) return "";
  return now - at < 5 ? "just now" : `${guess(now - at)} ago`;
}

/** Of one that has ended: "took 1 min 30 s", "never ran"; of one that was cancelled before its next attempt ran, that. */
export function ran(job) {
  if (job.run_time !== null && job.run_time !== undefined) return `took ${span(job.run_time)}`;
  return job.attempt > 1 ? `attempt ${job.attempt} never ran` : "never ran";
}

/** "14:02:11", and with the day where that is another: "24 Nov 14:02:11". */
export function clock(at, now, seconds = true) {
  if (at === null || at === undefined) return "";
  const date = new Date(at * 1000);
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined });
  const today = new Date(now * 1000).toDateString() === date.toDateString();
  return today ? time : `${date.toLocaleDateString("en-GB", { day: "2-digit", month: "short" })} ${time}`;
}

/** When a waiting job starts: "starts in about 40 min", "starts in 40 min to 1 h 10", "start unknown". */
export function starts(job, now) {
  if (job.state !== "queued") return "";
  const text = expected(job.expected_start_at, job.expected_start_range, now);
  return text === null ? "start unknown" : `starts ${text || "now"}`;
}

/** What a running job has left: "about 2 h 5 left", "1 h to 2 h left", "at most 1 h left", "end unknown". */
export function left(job, now) {
  if (job.state !== "running" && job.state !== "pending") return "";
  const text = expected(job.expected_end_at, job.expected_end_range, now);
  if (!text) return text === null ? "end unknown" : "about to end";
  return `${text.replace(/^in /, "").replace("within", "at most")} left`;
}

const [AT_ONCE, MATTERS, LEAST] = [1, 0.25, 10];

/** "in about 40 min", "in 40 min to 1 h 10", "within 40 min"; "" for now, null where nobody knows. */
function expected(at, between, now) {
  if (at === null || at === undefined) return null;
  const seconds = Math.max(0, at - now);
  const [first, last] = between ?? [at, at];
  const early = Math.max(0, (first ?? at) - now);
  const late = Math.max(seconds, (last ?? at) - now);
  if (late - early > 2 * Math.max(LEAST, MATTERS * seconds) && guess(early) !== guess(late)) {
    return early <= AT_ONCE ? `within ${guess(late)}` : `in ${guess(early)} to ${guess(late)}`;
  }
  return seconds > AT_ONCE ? `in about ${guess(seconds)}` : "";
}

/** "Queued (position: 2)", "Running", "Failed (exit code 1)". */
export function badge(job) {
  if (job.state === "queued") {
    if (job.hold || job.why_code === "held") return "Held";
    return job.position ? `Queued (position: ${job.position})` : "Queued";
  }
  if (job.state === "pending") return "Starting";
  if (job.state === "running") {
    if (job.stopping) return "Stopping";
    if (job.preempting) return "Preempting";
    return job.suspended ? "Suspended" : "Running";
  }
  const word = job.state[0].toUpperCase() + job.state.slice(1);
  return job.state === "failed" ? `${word} (${cause(job)})` : word;
}

/** Why it ended badly, short: "exit code 1", "signal 9", "out of memory". */
export function cause(job) {
  if (job.cause === "exit" || job.cause === null) return `exit code ${job.exit_code ?? "?"}`;
  if (job.cause === "signal") return `signal ${job.signal}`;
  return String(job.cause).replaceAll("-", " ");
}

/** "0.0213", "3.2e-05", "1,240": a metric, short and steady in width. */
export function figure(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return String(value ?? "");
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e7)) return value.toExponential(1);
  if (size >= 1000) return grouped(Math.round(value));
  return Number.isInteger(value) ? String(value) : value.toPrecision(size < 1 ? 3 : 4);
}

/** 12,345. Not toLocaleString, which looks its locale up each time: thousands of figures a second come through here. */
export function grouped(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** "3.2 steps/s", "4.1 s/step". */
export function rate(perSecond) {
  if (!perSecond || !Number.isFinite(perSecond)) return "";
  const short = (value) => (value >= 100 ? figure(Math.round(value)) : String(Number(value.toPrecision(3))));
  return perSecond >= 1 ? `${short(perSecond)} steps/s` : `${short(1 / perSecond)} s/step`;
}

/** 62 of 0.629; 29 of 29/100, of which a hundred times are a little less in binary. */
export function hundredths(fraction) {
  return Math.floor(fraction * 100 + 1e-9);
}

/** "62 %"; never 100 before it is done. */
export function percent(fraction) {
  if (fraction === null || fraction === undefined) return "";
  return `${hundredths(fraction)} %`;
}

/** Its name, or the beginning of its command. */
export function title(job) {
  return clean(job.name || command(job.command ?? []), 300) || "(no name)";
}

/** As it may be pasted into a shell. */
export function command(words) {
  return words.map(quote).join(" ");
}

export function quote(word) {
  if (word !== "" && /^[\w@%+=:,./-]+$/.test(word)) return word;
  if (/[\u0000-\u001f\u007f]/.test(word)) {
    const escaped = word.replace(/[\\']/g, "\\$&").replace(/[\u0000-\u001f\u007f]/g, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, "0")}`);
    return `$'${escaped}'`;
  }
  return `'${word.replaceAll("'", "'\"'\"'")}'`;
}

/** "1 GPU", "2 GPUs". */
export function number(count, noun) {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}
