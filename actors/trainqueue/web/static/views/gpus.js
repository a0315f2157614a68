// A card for each GPU: its memory, a minute of history, the jobs on it, and other people's processes.
import { el, keyed, replace, setAttr, setText, show } from "/static/dom.js";
import { sparkline } from "/static/charts.js";
import { badge, clean, hundredths, left, number, percent, size, title } from "/static/words.js";

const MINUTE = 60;
/** What `use` means, for people. */
const USES = {
  held: "in use",
  free: "free",
  foreign: "used by others",
  memory: "waits for memory",
  disabled: "disabled",
  unhealthy: "needs attention",
  reserved: "kept for a job",
};

/** Whose memory it is, in bytes: {ours, others, rest, free, total}; null where the driver tells none. */
export function shares(gpu) {
  const total = gpu.memory_total;
  const used = gpu.memory_used;
  if (!total || used === null || used === undefined) return null;
  const sum = (list) => (list ?? []).reduce((all, one) => all + (one.memory ?? 0), 0);
  let ours = Math.min(used, sum(gpu.processes));
  let others = Math.min(used - ours, sum(gpu.foreign) + sum(gpu.ignored));
  let rest = used - ours - others;
  const silent = (list) => (list ?? []).some((one) => one.memory === null);
  if (gpu.jobs.length && !ours && (silent(gpu.processes) || !gpu.processes?.length) && !gpu.foreign.length) [ours, rest] = [ours + rest, 0];
  else if (silent(gpu.foreign)) [others, rest] = [others + rest, 0];
  return { ours, others, rest, free: total - used, total };
}

export function mount(root, { store, api, toast }) {
  const grid = el("div", { class: "gpu-grid" });
  const empty = el("p", { class: "empty", hidden: true });
  const total = el("p", { class: "muted" });
  root.append(el("div", { class: "view-head" }, el("h1", { text: "GPUs" }), total), grid, empty);
  draw();

  function draw() {
    const { state } = store;
    const gpus = [...state.gpus];
    keyed(grid, gpus, (gpu) => gpu.id, (gpu) => card(gpu.id), (node, gpu) => fill(node, gpu));
    show(empty, !gpus.length);
    setText(empty, state.known ? "The daemon has not looked at the GPUs yet." : "Waiting for the daemon …");
    const real = gpus.filter((gpu) => !gpu.id.startsWith("cpu:"));
    const free = real.filter((gpu) => gpu.use === "free").length;
    setText(total, real.length ? `${number(real.length, "GPU")}, ${free} free` : "");
  }

  /** Its elements; `fill` puts the figures in. */
  function card(id) {
    const parts = {
      name: el("h2"),
      model: el("p", { class: "gpu-model muted one-line" }),
      use: el("span", { class: "badge" }),
      why: el("p", { class: "gpu-why" }),
      memory: memoryBar(),
      figures: el("dl", { class: "gpu-figures" }),
      history: el("div", { class: "gpu-history" }),
      busy: sparkline("", "busy"),
      full: sparkline("", "full"),
      jobs: el("ul", { class: "gpu-jobs" }),
      foreign: el("section", { class: "gpu-foreign", hidden: true }),
      quiet: el("details", { class: "gpu-ignored", hidden: true }),
    };
    parts.toggle = el("button", { type: "button", on: { click: () => turn(id) } });
    parts.history.append(chart("Utilisation", parts.busy), chart("Memory", parts.full));
    const head = el("header", {}, el("div", { class: "gpu-name" }, parts.name, parts.model), parts.use);
    const foot = el("footer", {}, el("span", { class: "gpu-id mono muted one-line", text: clean(id), title: clean(id) }), parts.toggle);
    const node = el("article", { class: "card gpu-card" }, head, parts.why, parts.memory.node, parts.figures, parts.history, parts.jobs, parts.foreign, parts.quiet, foot);
    node.parts = parts;
    return node;
  }

  function chart(text, spark) {
    return el("div", {}, el("span", { class: "muted", text }), spark.node);
  }

  function fill(node, gpu) {
    const { parts } = node;
    const isGpu = !gpu.id.startsWith("cpu:");
    const name = isGpu ? `GPU ${gpu.index ?? "?"}` : "No GPU";
    setText(parts.name, name);
    const known = gpu.memory_total && !shares(gpu) ? ` · ${size(gpu.memory_total)}` : "";
    setText(parts.model, isGpu ? clean(gpu.name) + known : "one slot, on the processor");
    setAttr(parts.use, "data-use", gpu.use);
    setText(parts.use, gpu.use === "reserved" && gpu.kept_for ? `kept for job ${gpu.kept_for}` : (USES[gpu.use] ?? clean(gpu.use)));
    setAttr(node, "data-use", gpu.use);
    setText(parts.why, clean(gpu.why ?? ""));
    show(parts.why, Boolean(gpu.why));
    setText(parts.toggle, gpu.enabled ? "Disable" : "Enable");
    setAttr(parts.toggle, "aria-label", `${gpu.enabled ? "Disable" : "Enable"} ${name}`);
    setAttr(parts.toggle, "title", gpu.enabled ? "Start nothing more on it; what runs there runs on" : "Let jobs start on it again");
    fillMemory(parts.memory, shares(gpu));
    fillFigures(parts.figures, gpu);
    fillHistory(parts, gpu);
    fillJobs(parts.jobs, gpu);
    fillForeign(parts.foreign, gpu.foreign, `${gpu.foreign.length} ${gpu.foreign.length === 1 ? "process" : "processes"} of others`);
    fillIgnored(parts.quiet, gpu.ignored ?? []);
  }

  // -- memory

  function memoryBar() {
    const bars = Object.fromEntries(["ours", "others", "rest"].map((kind) => [kind, el("i", { class: kind })]));
    const bar = el("div", { class: "memory-bar", role: "img" }, Object.values(bars));
    const words = el("p", { class: "memory-words" });
    return { node: el("div", { class: "gpu-memory" }, words, bar), bar, bars, words };
  }

  function fillMemory(parts, found) {
    show(parts.node, found !== null);
    if (!found) return;
    for (const kind of ["ours", "others", "rest"]) parts.bars[kind].style.width = `${(found[kind] / found.total) * 100}%`;
    const said = [["ours", "jobs"], ["others", "others"], ["rest", "system"]].filter(([kind]) => found[kind] > 0);
    const key = JSON.stringify([found.ours, found.others, found.rest, found.total]);
    if (parts.key === key) return;
    parts.key = key;
    const items = said.map(([kind, word]) => el("span", { class: `key ${kind}` }, `${size(found[kind])} ${word}`));
    replace(parts.words, ...items, el("span", { class: "key free" }, `${size(found.free)} free of ${size(found.total)}`));
    setAttr(parts.bar, "aria-label", `Memory: ${parts.words.innerText || [...parts.words.children].map((one) => one.textContent).join(", ")}`);
  }

  // -- figures and the last minute

  function fillFigures(node, gpu) {
    const rows = [
      ["Utilisation", gpu.utilization, (value) => `${Math.round(value)} %`],
      ["Temperature", gpu.temperature, (value) => `${Math.round(value)} °C`],
      ["Power", gpu.power, (value) => `${Math.round(value)} W`],
    ].filter(([, value]) => value !== null && value !== undefined);
    show(node, rows.length > 0);
    keyed(node, rows, ([name]) => name, ([name]) => el("div", {}, el("dt", { text: name }), el("dd", { class: "number" })), (row, [, value, say]) => setText(row.lastChild, say(value)));
  }

  function fillHistory(parts, gpu) {
    const points = store.state.gpuHistory[gpu.id] ?? [];
    const known = points.filter((point) => point[1] !== null);
    const now = Math.max(store.now(), points[points.length - 1]?.[0] ?? 0);
    show(parts.history, known.length > 0);
    if (!known.length) return;
    const time = [now - MINUTE, now];
    const inside = points.filter(([at]) => at >= time[0]);
    parts.busy.set(inside.map(([at, busy]) => [at, busy]), time, 100);
    parts.full.set(inside.map(([at, , used]) => [at, used]), time, gpu.memory_total ?? 1);
    const values = inside.map((point) => point[1]).filter((value) => value !== null);
    parts.busy.say(`Utilisation in the last minute: ${Math.min(...values)} to ${Math.max(...values)} %`);
    parts.full.say(`Memory in the last minute: ${size(gpu.memory_used)} now`);
  }

  // -- who is on it

  function fillJobs(node, gpu) {
    const make = () => {
      const link = el("a", { "data-nav": true, class: "one-line" });
      return el("li", {}, el("div", { class: "gpu-job" }, link, el("span", { class: "muted number" })), el("div", { class: "bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, el("i")));
    };
    keyed(node, gpu.jobs, (id) => id, make, (row, id) => {
      const job = store.job(id);
      const [head, bar] = row.children;
      setAttr(head.firstChild, "href", `/?job=${id}`);
      setText(head.firstChild, job ? `${id} ${title(job)}` : `job ${id}`);
      const fraction = job?.progress?.fraction ?? null;
      setText(head.lastChild, job ? [percent(fraction), left(job, store.now()) || badge(job).toLowerCase()].filter(Boolean).join(" · ") : "");
      show(bar, fraction !== null);
      setAttr(bar, "aria-valuenow", fraction === null ? null : hundredths(fraction));
      setAttr(bar, "aria-label", `Progress of job ${id}`);
      bar.firstChild.style.transform = `scaleX(${fraction ?? 0})`;
    });
  }

  function fillForeign(node, list, words) {
    show(node, list.length > 0);
    const key = JSON.stringify(list);
    if (node.key === key) return;
    node.key = key;
    replace(node, el("h3", { text: words }), processes(list, words));
  }

  function fillIgnored(node, list) {
    show(node, list.length > 0);
    const key = JSON.stringify(list);
    if (node.key === key) return;
    node.key = key;
    replace(node, el("summary", { text: `${list.length} ignored by the settings` }), processes(list, "Ignored processes"));
  }

  function processes(list, words) {
    const head = el("tr", {}, ["pid", "user", "command", "memory"].map((text) => el("th", { scope: "col", text })));
    const row = (one) => el("tr", {}, el("td", { class: "number", text: String(one.pid) }), el("td", { text: clean(one.user ?? "unknown", 40) }), el("td", {}, el("bdi", { class: "mono process-command", title: clean(one.command), text: clean(one.command ?? "unknown") })), el("td", { class: "number", text: one.memory === null ? "not told" : size(one.memory) }));
    return el("table", { class: "plain-table" }, el("caption", { class: "hidden-text", text: words }), el("thead", {}, head), el("tbody", {}, list.map(row)));
  }

  async function turn(id) {
    const gpu = store.state.gpus.find((one) => one.id === id);
    const verb = gpu.enabled ? "disable" : "enable";
    try {
      await api.post(`/gpus/${verb}`, { gpus: [id] });
      toast(verb === "disable" ? "Disabled: nothing more is started on it; what runs there runs on." : "Enabled: jobs may start on it.");
    } catch (error) {
      toast(error.message, { kind: "error" });
    }
  }

  return {
    update({ whole, gpus, jobs, running, tick }) {
      if (whole || gpus || running || jobs.size || tick) draw();
    },
    unmount() {},
  };
}
