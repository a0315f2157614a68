// Windowed rows: thousands of jobs, some twenty nodes. The list is as high as all rows together; only those in sight
// (and some around) exist, each at its place. A row that has the focus stays, so that a keyboard never falls out.

const AROUND = 6;

/**
 * `root`: the element; `make()` -> node; `fill(node, id, index)`; rows are as high as `--row` of the style sheet says.
 * `setAll` and `paintAll` draw; `refill(ids)` fills those of them that are in sight.
 */
export function createRows(root, { make, fill }) {
  let items = [];
  let height = 0;
  const shown = new Map(); // id: node
  const spare = [];
  const measure = () => {
    height = parseFloat(getComputedStyle(root).getPropertyValue("--row")) || 56;
  };

  /** Which rows are in sight, or nearly so; none where all of it lies above or below the window. */
  function range() {
    if (!items.length) return [0, 0];
    const { top } = root.getBoundingClientRect();
    const within = (at) => Math.max(0, Math.min(items.length, at));
    return [within(Math.floor(-top / height) - AROUND), within(Math.ceil((innerHeight - top) / height) + AROUND)];
  }

  function paint([first, last] = range()) {
    const focus = document.activeElement;
    const kept = root.contains(focus) ? focus : null;
    const wanted = items.slice(first, last).map((id, at) => [id, first + at]);
    const inside = new Set(wanted.map(([id]) => id));
    for (const [id, node] of shown) {
      if (inside.has(id)) continue;
      const at = kept && node.contains(kept) ? items.indexOf(id) : -1;
      if (at >= 0) wanted[at < first ? "unshift" : "push"]([id, at]);
      else {
        shown.delete(id);
        node.remove();
        spare.push(node);
      }
    }
    let next = root.firstChild;
    for (const [id, at] of wanted) {
      let node = shown.get(id);
      const known = node !== undefined;
      if (!known) {
        node = spare.pop() ?? make();
        shown.set(id, node);
      }
      if (node === next) next = next.nextSibling;
      else root.insertBefore(node, next);
      place(node, at);
      fill(node, id, at);
    }
    if (kept && document.activeElement !== kept && kept.isConnected) kept.focus({ preventScroll: true });
  }

  function place(node, at) {
    if (node.at === at && node.high === height) return;
    node.at = at;
    node.high = height;
    node.style.transform = `translateY(${at * height}px)`;
    node.setAttribute("aria-rowindex", at + 2);
  }

  function take(ids) {
    items = ids;
    if (items.length && !height) measure();
  }

  const stretch = () => void (root.style.height = `${items.length * height}px`);

  return {
    take,
    stretch,
    range,
    paint,
    resize() {
      measure();
      stretch();
      paint();
    },
    refill(ids) {
      for (const [id, node] of shown) if (ids.has(id)) fill(node, id, node.at);
    },
    refillAll() {
      for (const [id, node] of shown) fill(node, id, node.at);
    },
    node: (id) => shown.get(id) ?? null,
    /** Bring it into sight, below the header, and paint. */
    reveal(id) {
      const at = items.indexOf(id);
      if (at < 0) return null;
      const top = root.getBoundingClientRect().top + at * height;
      const [upper, lower] = [110, innerHeight - 70];
      if (top < upper) scrollBy(0, top - upper);
      else if (top + height > lower) scrollBy(0, top + height - lower);
      paint();
      return shown.get(id) ?? null;
    },
    /** The index of the row at this height of the window, from 0 to their number. */
    indexAt: (y) => Math.max(0, Math.min(items.length, Math.round((y - root.getBoundingClientRect().top) / height))),
    get height() {
      return height;
    },
    get items() {
      return items;
    },
  };
}

/** Lists that stand on one page get these ids, [[rows, ids], ...]: all are measured before any is written to, else the
 * browser would lay the page out for each of them. */
export function setAll(pairs) {
  for (const [rows, ids] of pairs) rows.take(ids);
  for (const [rows] of pairs) rows.stretch();
  paintAll(pairs.map(([rows]) => rows));
}

export function paintAll(lists) {
  const seen = lists.map((rows) => rows.range());
  lists.forEach((rows, at) => rows.paint(seen[at]));
}
