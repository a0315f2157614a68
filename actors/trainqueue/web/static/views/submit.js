// A new job, or one that is like another with edits.
import { el } from "/static/dom.js";

export function mount(root) {
  root.append(el("h1", { text: "New job" }));
  return { update() {}, unmount() {} };
}
