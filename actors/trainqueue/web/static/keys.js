// Keyboard: what holds everywhere, and the help. A view adds its own keys by `keys(event) -> true where it took it`.
import { el, isTyping } from "/static/dom.js";

const HELP = [
  ["j / k", "next, previous job"],
  ["Enter", "open the job"],
  ["x", "select the job; Shift+click selects a range"],
  ["Alt+↑ / Alt+↓", "move a waiting job up, down"],
  ["Alt+Home / Alt+End", "move it to the front, to the back"],
  ["c", "cancel"],
  ["h / u", "hold, release"],
  ["r", "retry an ended job"],
  ["m", "all actions of the job"],
  ["/", "filter"],
  ["Esc", "leave the filter, clear the selection"],
  ["n", "new job"],
  ["g then q, g, t, h", "Queue, GPUs, Timeline, History"],
  ["?", "this help"],
];
const PLACES = { q: "/", g: "/?view=gpus", t: "/?view=timeline", h: "/?view=history" };

export function bindKeys({ go, view, help }) {
  const dialog = el(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    el("h2", { id: "help-title", text: "Keyboard" }),
    el("dl", {}, ...HELP.map(([keys, text]) => el("div", {}, el("dt", {}, el("kbd", { text: keys })), el("dd", { text })))),
    el("form", { method: "dialog" }, el("button", { text: "Close" })),
  );
  document.body.append(dialog);
  help.addEventListener("click", () => dialog.showModal());
  let g = 0;
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (view()?.keys?.(event)) return void event.preventDefault();
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const soon = event.timeStamp - g < 1000;
    g = 0;
    if (soon && PLACES[event.key]) go(PLACES[event.key]);
    else if (event.key === "g") g = event.timeStamp;
    else if (event.key === "?") dialog.showModal();
    else if (event.key === "n") go("/?view=submit");
    else return;
    event.preventDefault();
  });
}
