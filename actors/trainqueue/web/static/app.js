// Boots the page: the store, its one stream, the router over the URL's query, and what stands around the views.
import { api } from "/static/api.js";
import { show, setText, setAttr, replace, el } from "/static/dom.js";
import { createStore } from "/static/store.js";
import { createStream } from "/static/stream.js";
import { createDoer } from "/static/doing.js";
import { createToaster } from "/static/toast.js";
import { bindBanners } from "/static/banners.js";
import { bindTheme } from "/static/switch.js";
import { bindKeys } from "/static/keys.js";
import { clock } from "/static/words.js";

const VIEWS = {
  queue: () => import("/static/views/queue.js"),
  submit: () => import("/static/views/submit.js"),
  job: () => import("/static/views/job.js"),
  gpus: () => import("/static/views/gpus.js"),
  timeline: () => import("/static/views/timeline.js"),
  history: () => import("/static/views/history.js"),
};
const TITLES = { queue: "Queue", submit: "New job", job: "Job", gpus: "GPUs", timeline: "Timeline", history: "History" };

const store = createStore({ schedule: requestAnimationFrame, clock: Date.now });
const stream = createStream({ store });
const toast = createToaster(document.getElementById("toasts"), document.getElementById("said"));
const doer = createDoer({ store, api, toast, go: (url) => go(url) });
const root = document.getElementById("main");
let shown = { name: null, key: null, view: null };
let wanted = 0;

/** `?job=7` is a page of its own; else `view` says which. */
export function route(search) {
  const params = new URLSearchParams(search);
  if (params.has("job")) return { name: "job", key: `job ${params.get("job")}`, params };
  const name = params.get("view") ?? "queue";
  return VIEWS[name] ? { name, key: name, params } : { name: "queue", key: "queue", params };
}

/** Go to "/?view=gpus"; `{replace: true}`: without an entry in the browser's history. */
function go(url, { replace: instead = false } = {}) {
  const next = new URL(url, location.href);
  if (next.href !== location.href) history[instead ? "replaceState" : "pushState"](null, "", next);
  return render();
}

/** A view: `mount(root, context) -> {update(changes), unmount(), navigate?(params)}`; `navigate` where only its query changed. */
async function render() {
  const { name, key, params } = route(location.search);
  mark(name);
  if (shown.key === key && shown.view) {
    shown.view.navigate?.(params);
    return;
  }
  const ticket = ++wanted;
  let module;
  try {
    module = await VIEWS[name]();
  } catch {
    module = { mount: missing };
  }
  if (ticket !== wanted) return; // somebody went elsewhere meanwhile
  shown.view?.unmount?.();
  const place = el("div", { class: `view view-${name}` }); // a new one each time: listeners go with it
  root.replaceChildren(place);
  const first = shown.name === null;
  shown = { name, key, view: module.mount(place, { store, stream, api, go, toast, doer, params }) };
  if (!first) root.focus({ preventScroll: false });
  if (!first) scrollTo(0, 0);
}

function missing(where) {
  const again = el("button", { type: "button", text: "Load the page again", on: { click: () => location.reload() } });
  replace(where, el("p", { class: "empty", text: "This part of the page could not be loaded. Jobs are not touched by that. " }), again);
  return { update() {}, unmount() {} };
}

function mark(name) {
  for (const link of document.querySelectorAll("nav [data-view]")) {
    setAttr(link, "aria-current", link.dataset.view === name ? "page" : null);
  }
}

function badge() {
  const node = document.getElementById("live");
  const { state: connection, lost_at: lost } = store.connection;
  const state = connection === "live" && store.state.daemon?.connected === false ? "gone" : connection;
  setAttr(node, "data-state", state);
  const words = { live: "live", gone: "no daemon", stale: `stale since ${clock(lost, store.now())}`, waiting: "connecting" };
  setText(node.lastElementChild, words[state]);
}

function headline() {
  const { state } = store;
  const name = TITLES[shown.name] ?? "trainq";
  const where = state.daemon?.host ? ` · ${state.daemon.host}` : "";
  document.title = state.known ? `${state.running.length} running, ${state.line.length} waiting · ${name}${where}` : `${name} · trainq`;
}

store.subscribe((changes) => {
  if (changes.connection || changes.whole || changes.daemon) badge();
  if (changes.whole || changes.line || changes.running) headline();
  shown.view?.update(changes);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-nav]");
  const plain = !event.defaultPrevented && event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain) return;
  event.preventDefault();
  go(link.href);
});
addEventListener("popstate", () => render());
setInterval(() => document.visibilityState === "visible" && store.tick(), 1000);

bindTheme(document.getElementById("theme"));
bindBanners(document.getElementById("banners"), { store, stream, doer });
bindKeys({ go, view: () => shown.view, help: document.getElementById("help") });
show(document.querySelector("noscript"), false);
badge();
render();
