// Filter and order of the jobs on screen. Pure.
import { badge, command } from "/static/words.js";

const texts = new WeakMap(); // Job: what it is searched in; a changed job is another object

function textOf(job) {
  let text = texts.get(job);
  if (text === undefined) {
    const tags = Object.entries(job.tags ?? {}).map(([key, value]) => `${key}=${value}`);
    text = [`#${job.id}`, job.name ?? "", command(job.command ?? []), ...tags, job.group ?? "", job.lane ?? "", job.user ?? ""].join(" ").toLowerCase();
    texts.set(job, text);
  }
  return text;
}

/** Whether all words of the filter stand somewhere in the job: "lr=0.1 ann", "held", "#7". */
export function matcher(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  return (job) => words.every((word) => textOf(job).includes(word) || badge(job).toLowerCase().includes(word));
}

export const SORTS = {
  line: { label: "Start order" },
  submitted: { label: "Newest first", by: (job) => -job.submitted_at },
  name: { label: "Name", by: (job) => (job.name ?? command(job.command ?? [])).toLowerCase() },
  priority: { label: "Priority", by: (job) => -number(job.priority) },
  user: { label: "User", by: (job) => job.user ?? "" },
};

const number = (priority) => ({ low: -100, normal: 0, high: 100 })[priority] ?? priority ?? 0;

/** Ids of those that match, in this order. */
export function chosen(ids, jobs, query, sort) {
  const fits = matcher(query);
  let found = ids;
  if (fits) found = found.filter((id) => jobs.has(id) && fits(jobs.get(id)));
  const by = SORTS[sort]?.by;
  if (!by) return found;
  const keys = new Map(found.map((id) => [id, by(jobs.get(id))]));
  return [...found].sort((one, other) => {
    const [left, right] = [keys.get(one), keys.get(other)];
    return left < right ? -1 : left > right ? 1 : one - other;
  });
}
