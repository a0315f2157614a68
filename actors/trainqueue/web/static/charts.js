// Small charts as SVG, made by hand: a sparkline, and a line chart with words at its axes and a table for those who
// cannot see it.
import { el, svg } from "/static/dom.js";
import { clock, figure } from "/static/words.js";

/** Round values between two bounds, at most about `most` of them. */
export function ticks(low, high, most = 4) {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((size) => size >= raw) ?? raw;
  const first = Math.ceil(low / step);
  const many = Math.min(Math.floor(high / step + 1e-9) - first + 1, 2 * most); // huge values may not change by a step
  return Array.from({ length: Math.max(0, many) }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

/** Values from 0 to `max` as a filled line; null leaves a hole. `set` draws anew. */
export function sparkline(label, kind = "") {
  const area = svg("path", { class: "spark-area" });
  const stroke = svg("path", { class: "spark-line", "vector-effect": "non-scaling-stroke" });
  const box = { class: `spark ${kind}`, viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img", "aria-label": label };
  const node = svg("svg", box, area, stroke);
  /** points: [[x, y|null]] */
  const set = (points, [from, to], max) => {
    const wide = to - from || 1;
    const spots = points.filter(([, value]) => value !== null && value !== undefined);
    const place = ([at, value]) => `${((at - from) / wide) * 100} ${29 - (Math.min(value, max) / (max || 1)) * 28}`;
    const line = spots.map(place).join("L");
    stroke.setAttribute("d", spots.length > 1 ? `M${line}` : "");
    const edge = (spot) => ((spot[0] - from) / wide) * 100;
    area.setAttribute("d", spots.length > 1 ? `M${edge(spots[0])} 30L${line}L${edge(spots[spots.length - 1])} 30Z` : "");
  };
  return { node, set, say: (text) => node.setAttribute("aria-label", text) };
}

const WIDE = 320;
const HIGH = 150;
const LEFT = 46;
const BOTTOM = 22;
const TOP = 8;
const RIGHT = 10;

const goesOn = (steps) => steps.every((step, at) => step !== null && (at === 0 || step >= steps[at - 1])) && steps[steps.length - 1] > steps[0];

/** One metric over its steps, or over time where it has none that go on. */
export function lineChart(name, say = figure) {
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "chart", role: "img" });
  const table = el("table", { class: "hidden-text" });
  const latest = el("span", { class: "chart-latest number" });
  const node = el("figure", { class: "metric" }, el("figcaption", {}, el("bdi", { class: "chart-name", text: name }), latest), picture, table);
  const set = (points) => {
    if (!points.length) return;
    const last = points[points.length - 1][2];
    latest.textContent = say(last);
    picture.setAttribute("aria-label", summary(name, points, say));
    picture.replaceChildren(...drawn(points, say));
    table.replaceChildren(el("caption", { text: name }), ...rows(points, say));
  };
  return { node, set };
}

function summary(name, points, say) {
  const values = points.map((point) => point[2]);
  const bounds = `lowest ${say(Math.min(...values))}, highest ${say(Math.max(...values))}`;
  return `${name}: ${say(values[0])} at first, ${say(values[values.length - 1])} now, ${bounds}`;
}

/** At most a dozen of the points, the last among them. */
function rows(points, say) {
  const every = Math.max(1, Math.ceil(points.length / 12));
  const some = points.filter((_, at) => (points.length - 1 - at) % every === 0);
  const row = (tag, ...texts) => el("tr", {}, texts.map((text) => el(tag, { text })));
  const when = (at) => clock(at, at);
  const body = some.map(([at, step, value]) => row("td", step === null ? "" : String(step), when(at), say(value)));
  return [row("th", "step", "time", "value"), ...body];
}

function drawn(points, say) {
  const stepped = goesOn(points.map((point) => point[1])); // a count that begins anew in each epoch would go back
  const across = points.map((point) => (stepped ? point[1] : point[0]));
  const values = points.map((point) => point[2]).filter(Number.isFinite);
  const [left, right] = [Math.min(...across), Math.max(...across)];
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 2, high + Math.abs(high) / 2];
  const x = (value) => LEFT + ((value - left) / (right - left || 1)) * (WIDE - LEFT - RIGHT);
  const y = (value) => HIGH - BOTTOM - ((value - low) / (high - low)) * (HIGH - BOTTOM - TOP);
  const marks = ticks(low, high);
  const rough = new Set(marks.map(say)).size < marks.length; // the same words twice: more digits then
  const words = (value) => (rough ? String(Number(value.toPrecision(6))) : say(value));
  const parts = marks.flatMap((value) => [
    svg("line", { x1: LEFT, x2: WIDE - RIGHT, y1: y(value), y2: y(value), class: "grid" }),
    svg("text", { x: LEFT - 6, y: y(value) + 3.5, "text-anchor": "end" }, words(value)),
  ]);
  const ends = left === right ? [left] : [left, right];
  for (const [at, value] of ends.entries()) {
    const text = stepped ? `step ${value.toLocaleString("en")}` : clock(value, value);
    parts.push(svg("text", { x: x(value), y: HIGH - 6, "text-anchor": at ? "end" : "start" }, text));
  }
  const spots = points.map((point, at) => [across[at], point[2]]).filter(([, value]) => Number.isFinite(value));
  const path = spots.map(([at, value]) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
  parts.push(svg("path", { d: `M${path}`, class: "curve" }));
  const [at, value] = spots[spots.length - 1] ?? [left, low];
  parts.push(svg("circle", { cx: x(at), cy: y(value), r: 3, class: "dot" }));
  return parts;
}
