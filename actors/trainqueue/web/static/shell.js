// Command lines to copy that make such a job again. Pure.
import { SPEC } from "/static/spec.js";
import { command, quote } from "/static/words.js";

/** What of a spec differs from what everybody gets, as options of `trainq-cli submit`. */
const OPTIONS = [
  ["name", "--name", (value) => value],
  ["gpus", "--gpus", (value) => (value === 1 ? null : String(value))],
  ["gpu_memory", "--gpu-memory", (value) => (typeof value === "number" ? bytes(value) : value)],
  ["gpu_from", "--gpu-any", (list) => (list.length ? list.join(",") : null)],
  ["gpu_name", "--gpu-name", (value) => value],
  ["gpu_min_memory", "--gpu-min-memory", (value) => bytes(value)],
  ["priority", "--priority", (value) => (["normal", 0].includes(value) ? null : String(value))],
  ["time_limit", "--time-limit", (value) => `${value}s`],
  ["grace", "--grace", (value) => `${value}s`],
  ["warn", "--warn", (value) => `${value}s`],
  ["memory_limit", "--memory", (value) => bytes(value)],
  ["stall_timeout", "--stall-timeout", (value) => `${value}s`],
  ["stall_action", "--stall-action", (value) => value],
  ["retry_delay", "--retry-delay", (value) => `${value}s`],
  ["group", "--group", (value) => value],
  ["lane", "--lane", (value) => value],
  ["max_running", "--max-running", (value) => String(value)],
];

function bytes(value) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (value % size === 0) return `${value / size}${unit}`;
  }
  return String(value);
}

/** `cd FOLDER && trainq-cli submit ... -- COMMAND`, which makes such a job again. */
export function submitLine(job) {
  const words = ["trainq-cli", "submit"];
  for (const [field, option, form] of OPTIONS) {
    const value = job[field] === null || job[field] === undefined ? null : form(job[field]);
    if (value !== null) words.push(option, value);
  }
  for (const [key, value] of Object.entries(job.tags ?? {})) words.push("--tag", `${key}=${value}`);
  const retries = Object.entries(job.retries ?? {}).map(([cause, times]) => `${cause}=${times}`);
  if (retries.length) words.push("--retries", retries.join(","));
  if (job.hold) words.push("--hold");
  return `cd ${quote(job.cwd)} && ${command([...words, "--", ...job.command])}`;
}

/** Of its own time and its own neighbours; another one has others. */
const PASSING = new Set(["umask", "after", "after_any", "after_failed", "after_group", "keep", "not_before", "snapshot"]);
const USUAL = { gpus: [1], priority: ["normal", 0], retry_backoff: [1], retry_place: ["front"] };

/** The same over HTTP. */
export function curlLine(job, origin) {
  const spec = { command: job.command, cwd: job.cwd };
  for (const field of SPEC) {
    const value = job[field] ?? null;
    const isEmpty = [null, false, ""].includes(value) || (typeof value === "object" && !Object.keys(value).length);
    if (!isEmpty && !PASSING.has(field) && !USUAL[field]?.includes(value)) spec[field] = value;
  }
  return command(["curl", "-H", "Content-Type: application/json", "-d", JSON.stringify(spec), `${origin}/api/training/execute`]);
}
