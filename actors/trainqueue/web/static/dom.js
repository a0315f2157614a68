// Elements without a framework. Text goes in as textContent alone: names and log lines are hostile.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Props: `class`, `text`, `on` {event: handler}, `data` {name: value}, `style` {property: value};
 * any other is an attribute (true: empty, false and null: left out). Children: nodes, texts, lists, null.
 */
export function el(tag, props = {}, ...children) {
  return dressed(document.createElement(tag), props, children);
}

/** The same for SVG: svg("rect", {x: 1, y: 2}). */
export function svg(tag, props = {}, ...children) {
  return dressed(document.createElementNS(SVG, tag), props, children);
}

function dressed(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(2)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

/** Set a text only where it has changed: untouched nodes cost the browser nothing. Nobody else sets it, so what it said
 * last is known without asking the browser, which puts a text together anew each time. */
export function setText(node, text) {
  const value = String(text ?? "");
  if (node.said === value) return;
  node.said = value;
  if (node.textContent !== value) node.textContent = value;
}

/** Set an attribute only where it has changed; null takes it off. */
export function setAttr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  }
}

/** Show or hide. */
export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

/**
 * Make the children of `parent` those of `items`, in order: nodes of known keys are kept (focus and all), moved only
 * where they stand wrong, filled with `fill(node, item, index)`; others are made by `make(item)` or removed.
 */
export function keyed(parent, items, key, make, fill) {
  const known = parent.keyedNodes ?? new Map();
  const next = new Map();
  let at = parent.firstChild;
  items.forEach((item, index) => {
    const id = key(item);
    const node = known.get(id) ?? make(item);
    next.set(id, node);
    known.delete(id);
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
    fill?.(node, item, index);
  });
  for (const node of known.values()) node.remove();
  parent.keyedNodes = next;
}

/** Empty it and put these in. */
export function replace(parent, ...children) {
  parent.keyedNodes = undefined;
  parent.replaceChildren(...children.flat(2).filter((child) => child !== null && child !== undefined));
}

/** Whether what is typed now belongs to a field, so that it is no shortcut. */
export function isTyping(event) {
  const node = event.target;
  return node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName) && !/^(checkbox|radio|button)$/.test(node.type));
}
