// Dragging a waiting job by its grip, with mouse, pen or finger: a line shows where it will stand.
import { el } from "/static/dom.js";

const EDGE = 70; // pixels from the window's edge at which it scrolls

/** `rows`: those of createRows in `root`; `drop(id, before)`: before this id, or null for the back. Returns what ends it. */
export function bindDrag(root, rows, drop) {
  let drag = null;

  root.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest(".grip");
    if (!grip || event.button !== 0) return;
    event.preventDefault();
    const row = grip.closest(".row");
    drag = { id: Number(row.dataset.id), row, y: event.clientY, mark: el("div", { class: "drop-mark", "aria-hidden": "true" }), frame: 0 };
    root.append(drag.mark);
    root.classList.add("dragging");
    row.classList.add("dragged");
    root.setPointerCapture(event.pointerId);
    addEventListener("keydown", escape);
    draw();
  });
  root.addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.y = event.clientY;
    draw();
    if (!drag.frame) drag.frame = requestAnimationFrame(scroll);
  });
  root.addEventListener("pointerup", (event) => {
    if (drag) drag.y = event.clientY; // a busy browser may leave out the last move
    end(true);
  });
  root.addEventListener("pointercancel", () => end(false));

  function escape(event) {
    if (event.key === "Escape") end(false);
  }

  function draw() {
    drag.mark.style.transform = `translateY(${rows.indexAt(drag.y) * rows.height - 1}px)`;
  }

  function scroll() {
    if (!drag) return;
    const by = drag.y < EDGE + 60 ? -12 : drag.y > innerHeight - EDGE ? 12 : 0;
    drag.frame = by ? requestAnimationFrame(scroll) : 0;
    if (by) {
      scrollBy(0, by);
      draw();
    }
  }

  function end(wanted) {
    if (!drag) return;
    const { id, row, mark, y } = drag;
    drag = null;
    removeEventListener("keydown", escape);
    mark.remove();
    row.classList.remove("dragged");
    root.classList.remove("dragging");
    const from = rows.items.indexOf(id);
    const at = rows.indexAt(y);
    if (!wanted || from < 0 || at === from || at === from + 1) return;
    drop(id, rows.items[at] ?? null);
  }

  return () => end(false);
}
