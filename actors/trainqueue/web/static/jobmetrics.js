// The metrics of an attempt as small charts: what the daemon has kept of them, then each new value as it comes.
import { el, keyed, show } from "/static/dom.js";
import { lineChart } from "/static/charts.js";
import { clean, percent } from "/static/words.js";

const MOST = 400; // points of a curve; then half of them go
const CHARTS = 20;
const PROGRESS = "fraction";

/** Of each four neighbours the lowest and the highest, in their order, so that spikes stay; and both ends. Pure. */
export function thinned(points) {
  const kept = [points[0]];
  for (let at = 1; at < points.length - 1; at += 4) {
    const some = points.slice(at, Math.min(at + 4, points.length - 1)).sort((one, other) => one[2] - other[2]);
    kept.push(...new Set([some[0], some.at(-1)].sort((one, other) => one[0] - other[0])));
  }
  return [...kept, points.at(-1)];
}

export function metricCharts({ api }) {
  const at = { job: null, attempt: null, round: 0, series: new Map(), updated: 0 };
  const grid = el("div", { class: "metrics" });
  const node = el("section", { class: "card part", hidden: true }, el("h2", { text: "Metrics" }), grid);

  async function open(job, attempt, begun = true) {
    const round = ++at.round;
    Object.assign(at, { job, attempt, series: new Map(), updated: 0 });
    draw();
    if (!begun) return;
    try {
      const answer = await api.get(`/series/${job}`, { attempt });
      if (round !== at.round) return;
      const later = at.series;
      at.series = new Map(Object.entries(answer.series ?? {}).map(([name, points]) => [name, [...points]]));
      for (const [name, points] of later) for (const point of points) add(name, point);
    } catch {
      // None are kept, or the daemon is away: live values make the curves then.
    }
    draw();
  }

  /** What this job reports now. */
  function live(job) {
    const progress = job.progress;
    if (!progress?.updated_at || job.attempt !== at.attempt || progress.updated_at <= at.updated) return;
    at.updated = progress.updated_at;
    const step = progress.step ?? null;
    for (const [name, value] of Object.entries(progress.metrics ?? {})) add(name, [progress.updated_at, step, value]);
    if (progress.fraction !== null && progress.fraction !== undefined) add(PROGRESS, [progress.updated_at, step, progress.fraction]);
    draw();
  }

  function add(name, point) {
    if (!at.series.has(name) && at.series.size >= CHARTS) return;
    const points = at.series.get(name) ?? [];
    const last = points[points.length - 1];
    if (last && last[0] >= point[0]) return;
    points.push(point);
    at.series.set(name, points.length > MOST ? thinned(points) : points);
  }

  function draw() {
    const names = [...at.series.keys()].filter((name) => at.series.get(name).length > 1);
    names.sort((a, b) => (a === PROGRESS) - (b === PROGRESS));
    show(node, names.length > 0);
    const make = (name) => {
      const chart = name === PROGRESS ? lineChart("progress", percent) : lineChart(clean(name, 60));
      chart.node.chart = chart;
      return chart.node;
    };
    keyed(grid, names, (name) => name, make, (one, name) => one.chart.set(at.series.get(name)));
  }

  return { node, open, live };
}
