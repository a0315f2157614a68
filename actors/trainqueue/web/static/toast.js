// What became of an action, said on screen and to a screen reader; with an undo where there is one.
import { el } from "/static/dom.js";

const SECONDS = { info: 5, warn: 12, error: 12 };

/** `toast(text, {kind: "info" | "warn" | "error", action: {label, run}, seconds, key})` -> {close()}; one of a key at a time. */
export function createToaster(root, said) {
  const keyed = new Map();
  return (text, { kind = "info", action = null, seconds = SECONDS[kind], key = null } = {}) => {
    if (key) keyed.get(key)?.close();
    const close = () => {
      clearTimeout(timer);
      node.remove();
    };
    const press = () => {
      close();
      action.run();
    };
    const node = el(
      "div",
      { class: "toast", data: { kind } },
      el("span", { text }),
      action && el("button", { type: "button", class: "plain", text: action.label, on: { click: press } }),
      el("button", { type: "button", class: "icon", "aria-label": "Dismiss", text: "×", on: { click: close } }),
    );
    root.append(node);
    while (root.children.length > 4) root.firstChild.remove();
    said.textContent = ""; // the same words twice are said twice
    said.textContent = text;
    const timer = setTimeout(close, seconds * 1000);
    if (key) keyed.set(key, { close });
    return { close };
  };
}
