// The form's fields and the JobSpec that they make. Pure.
import { quote } from "/static/words.js";
import { bytes, counts, ids, pairs, priority, seconds, showBytes, showSeconds, split } from "/static/split.js";

const whole = (least) => (text) => {
  if (!/^\d+$/.test(text.trim()) || Number(text) < least) throw new Error(`A whole number from ${least}`);
  return Number(text);
};
const joined = (object) => Object.entries(object ?? {}).map(([key, value]) => `${key}=${value}`).join(", ");

/** `read(text)` -> value; `write(value)` -> text; `usual`: what the server takes where nothing is said. */
export const FIELDS = [
  { name: "command", label: "Command", needed: true, read: split, write: (words) => words.map(quote).join(" ") },
  { name: "name", label: "Name", read: String, write: String, hint: "for people" },
  { name: "cwd", label: "Folder", needed: true, read: (text) => text.trim(), write: String, hint: "absolute path" },
  { name: "gpus", label: "GPUs", read: whole(0), write: String, usual: 1, option: "--gpus" },
  { name: "gpu_memory", label: "GPU memory", read: bytes, write: showBytes, hint: "to share a GPU: 8GiB, auto; empty: GPUs of its own" },
  { name: "priority", label: "Priority", read: priority, write: String, usual: "normal", hint: "low, normal, high or a number" },
  { name: "time_limit", label: "Time limit", read: seconds, write: showSeconds, hint: "4h, 90m; empty: none" },
  { name: "after", label: "After jobs", read: ids, write: (list) => list.join(", "), usual: [], hint: "starts when these have completed: 3, 5-7" },
  { name: "tags", label: "Tags", read: pairs, write: joined, usual: {}, hint: "set=a, lr=0.1" },
  { name: "retries", label: "Retries", read: counts, write: joined, usual: {}, hint: "how often after which cause: exit=2, reboot=1" },
];
export const SPEC = new Set([
  ...["command", "cwd", "name", "umask", "gpus", "gpu_memory", "gpu_from", "gpu_name", "gpu_min_memory", "priority", "after"],
  ...["after_any", "after_failed", "after_group", "keep", "not_before", "hold", "time_limit", "grace", "warn", "retries"],
  ...["retry_delay", "retry_backoff", "retry_place", "resume_args", "stall_timeout", "stall_action", "memory_limit", "tags"],
  ...["group", "max_running", "lane", "snapshot"],
]);

/** The texts of a form for this job: {field: text}, `hold`, and what has no field of its own as JSON. */
export function texts(job, { all = true } = {}) {
  const found = { hold: Boolean(job.hold), more: "" };
  const plain = (value) => value === null || value === undefined || (typeof value === "object" && !Object.keys(value).length);
  for (const field of FIELDS) found[field.name] = plain(job[field.name]) ? "" : field.write(job[field.name]);
  if (all) {
    const known = new Set([...FIELDS.map((field) => field.name), "hold"]);
    const rest = [...SPEC].filter((name) => !known.has(name) && !plain(job[name]) && !dull(name, job[name]));
    if (rest.length) found.more = JSON.stringify(Object.fromEntries(rest.map((name) => [name, job[name]])), null, 2);
  }
  return found;
}

const dull = (name, value) => value === false || (name === "retry_backoff" && value === 1) || (name === "retry_place" && value === "front");

/** {spec, errors: {field: words}}; fields that say nothing are left out. */
export function specOf(given) {
  const [spec, errors] = [{}, {}];
  for (const field of FIELDS) {
    const text = given[field.name] ?? "";
    if (!text.trim()) {
      if (field.needed) errors[field.name] = field.name === "command" ? "What shall run?" : "In which folder?";
      continue;
    }
    try {
      spec[field.name] = field.read(text);
    } catch (error) {
      errors[field.name] = error.message;
    }
  }
  if (spec.command && !spec.command.length) errors.command = "What shall run?";
  if (spec.cwd && !spec.cwd.startsWith("/")) errors.cwd = "An absolute path: it begins with /";
  if (given.hold) spec.hold = true;
  try {
    Object.assign(spec, more(given.more));
  } catch (error) {
    errors.more = error.message;
  }
  return { spec, errors };
}

function more(text) {
  if (!text?.trim()) return {};
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`No JSON: ${error.message}`, { cause: error });
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error('An object: {"grace": 60}');
  return value;
}

/** What differs from the job as it was: fields that were emptied go back to what is usual. */
export function changed(spec, before) {
  const was = specOf(texts(before)).spec;
  const set = {};
  for (const name of new Set([...Object.keys(spec), ...Object.keys(was)])) {
    if (JSON.stringify(spec[name]) === JSON.stringify(was[name])) continue;
    set[name] = spec[name] ?? usual(name);
  }
  return set;
}

const usual = (name) => (name === "hold" || name === "keep" ? false : (FIELDS.find((field) => field.name === name)?.usual ?? null));

/** Which field a refusal is about, and its words: "$.gpus: …", "… - at `$.jobs[0].command[0]`". */
export function refusalAt(message) {
  const path = /\$(?:\.jobs\[\d+\])?(?:\.set)?\.([a-z_]+)/.exec(message)?.[1] ?? null;
  const words = message.replace(/\s*-?\s*at `\$[^`]*`/, "").replace(/^\$[^:\s]*:\s*/, "");
  return { field: path, words: words ? words[0].toUpperCase() + words.slice(1) : message };
}

/** The same with the command line. */
export function cliOf(spec, { form = "new", id = null, set = {} } = {}) {
  if (form !== "new") {
    const verb = { copy: ["retry", id, "--copy"], retry: ["retry", id], edit: ["edit", id] }[form];
    return ["trainq-cli", ...verb, ...Object.entries(set).flatMap(([name, value]) => ["--set", quote(`${name}=${value === null ? "" : setting(name, value)}`)])].join(" ");
  }
  const options = FIELDS.filter((field) => field.name !== "command" && spec[field.name] !== undefined && JSON.stringify(spec[field.name]) !== JSON.stringify(field.usual)).flatMap(
    (field) => (field.name === "tags" ? Object.entries(spec.tags).flatMap(([key, value]) => ["--tag", quote(`${key}=${value}`)]) : [`--${field.name.replaceAll("_", "-")}`, quote(field.write(spec[field.name]).replaceAll(", ", ","))]),
  );
  return ["trainq-cli submit", ...options, ...(spec.hold ? ["--hold"] : []), "--", ...(spec.command ?? []).map(quote)].join(" ");
}

function setting(name, value) {
  const field = FIELDS.find((one) => one.name === name);
  if (field && name !== "command") return field.write(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}
