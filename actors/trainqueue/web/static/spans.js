// What the timeline draws, from jobs and GPUs. Pure: times in, rows out; no DOM and no clock.

import { ENDED } from "/static/store.js";

export const ZOOMS = { "15m": 900, "1h": 3600, "6h": 6 * 3600, "24h": 86400, "3d": 3 * 86400 };
/** What is shown where nobody says else, and read to find out whether less will do. */
export const LONG = "24h";
const MOST = 1500; // bars in one picture
const NONE = "none"; // the lane of jobs without a GPU
const STEPS = [60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** From when to when it shows: the past that was asked for, and half as much to come. */
export function frame(zoom, now) {
  return { from: now - ZOOMS[zoom], to: now + ZOOMS[zoom] / 2 };
}

/** The shortest time that holds what there is: all runs, and the beginning of all plans; a day where none does. */
export function fitting(jobs, now) {
  const bars = jobs.map((job) => span(job, now)).filter(Boolean);
  const holds = ({ from, to }) => bars.every((bar) => bar.from >= from && (bar.kind === "planned" ? bar.from : bar.to) <= to);
  return ["15m", "1h", "6h"].find((zoom) => holds(frame(zoom, now))) ?? LONG;
}

/**
 * Lanes in the order of the GPUs: [{id, label, rows, bars: [{job, kind, from, to, row, range, open}]}], and how many
 * waiting jobs have no known start (`unknown`), and how many bars did not fit into the picture (`left`).
 */
export function lanes(jobs, gpus, { from, to }, now) {
  const found = new Map(gpus.map((gpu) => [gpu.id, lane(gpu.id, label(gpu), gpu.name)]));
  const later = [];
  let [unknown, drawn, left] = [0, 0, 0];
  for (const job of jobs) {
    const bar = span(job, now);
    if (!bar) unknown += job.state === "queued" ? 1 : 0;
    else if (bar.to < from || bar.from > to) later.push(bar);
    else if (drawn >= MOST) left += 1;
    else {
      drawn += 1;
      for (const id of places(job)) laneOf(found, id).bars.push({ ...bar });
    }
  }
  const list = [...found.values()];
  for (const one of list) stack(one);
  return { lanes: list, unknown, left, beyond: later.filter((bar) => bar.kind === "planned").length };
}

const lane = (id, text, detail) => ({ id, label: text, detail, bars: [], rows: 1 });
const label = (gpu) => (gpu.id.startsWith("cpu:") ? gpu.id : gpu.index === null ? `GPU ${gpu.id}` : `GPU ${gpu.index}`);

function laneOf(found, id) {
  if (!found.has(id)) found.set(id, lane(id, id === NONE ? "No GPU" : id, id === NONE ? "jobs that need none" : "not there now"));
  return found.get(id);
}

function places(job) {
  const ids = job.state === "queued" ? job.expected_gpu_ids : job.gpu_ids;
  return ids?.length ? ids : [NONE];
}

/** One job's bar; null where nobody knows when. */
export function span(job, now) {
  if (ENDED.has(job.state)) {
    if (job.started_at === null || job.ended_at === null) return null;
    return { job, kind: job.state, from: job.started_at, to: Math.max(job.started_at, job.ended_at), range: null, open: false };
  }
  if (job.state === "queued") {
    const begin = job.expected_start_at;
    if (begin === null || begin === undefined || !(job.expected_gpu_ids?.length || job.gpus === 0)) return null;
    const known = job.expected_end_at !== null && job.expected_end_at !== undefined;
    const start = Math.max(begin, now);
    const end = known ? Math.max(job.expected_end_at, start) : start + 600;
    return { job, kind: "planned", from: start, to: end, range: job.expected_start_range ?? null, open: !known };
  }
  const begin = job.started_at ?? now;
  const known = job.expected_end_at !== null && job.expected_end_at !== undefined;
  const end = known ? Math.max(job.expected_end_at, now) : now;
  return { job, kind: "running", from: Math.min(begin, now), to: end, range: job.expected_end_range ?? null, open: !known };
}

/** Bars that overlap (of a shared GPU) get rows of their own; a plan that overlaps a little is drawn from where there is room. */
function stack(one) {
  one.bars.sort((a, b) => a.from - b.from || a.job.id - b.job.id);
  const ends = [];
  for (const bar of one.bars) {
    const leeway = bar.kind === "planned" ? (bar.to - bar.from) / 4 : 1;
    let row = ends.findIndex((end) => end <= bar.from + leeway);
    if (row < 0) row = ends.length < 8 ? ends.length : 7;
    bar.left = bar.kind === "planned" ? Math.min(Math.max(bar.from, ends[row] ?? bar.from), bar.to) : bar.from;
    ends[row] = bar.to;
    bar.row = row;
  }
  one.rows = Math.max(1, ends.length);
}

/** Where to write times: [at, ...], at most about one in `pixels`/90. */
export function marks({ from, to }, pixels, offset = 0) {
  const least = ((to - from) / pixels) * 90;
  const step = STEPS.find((size) => size >= least) ?? 86400 * Math.ceil(least / 86400);
  const found = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to; at += step) found.push(at);
  return found;
}
