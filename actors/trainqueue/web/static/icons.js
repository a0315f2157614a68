// Signs drawn by ourselves: a font may lack them.
import { svg } from "/static/dom.js";

const PATHS = {
  up: "M8 3.5 3.5 8l1.1 1.1L7.2 6.5V13h1.6V6.5l2.6 2.6L12.5 8z",
  down: "M8 12.5 3.5 8l1.1-1.1 2.6 2.6V3h1.6v6.5l2.6-2.6L12.5 8z",
  more: "M3 6.6a1.4 1.4 0 1 0 0 2.8 1.4 1.4 0 0 0 0-2.8m5 0a1.4 1.4 0 1 0 0 2.8 1.4 1.4 0 0 0 0-2.8m5 0a1.4 1.4 0 1 0 0 2.8 1.4 1.4 0 0 0 0-2.8",
  grip: "M5.5 3h1.8v1.8H5.5zm3.2 0h1.8v1.8H8.7zM5.5 7.1h1.8v1.8H5.5zm3.2 0h1.8v1.8H8.7zM5.5 11.2h1.8V13H5.5zm3.2 0h1.8V13H8.7z",
  close: "m4.6 3.5 3.4 3.4 3.4-3.4 1.1 1.1L9.1 8l3.4 3.4-1.1 1.1L8 9.1l-3.4 3.4-1.1-1.1L6.9 8 3.5 4.6z",
  retry: "M8 2.8a5.2 5.2 0 1 0 5.1 6.3h-1.7A3.6 3.6 0 1 1 8 4.4c1 0 1.9.4 2.5 1L8.4 7.5h5V2.6l-1.7 1.6A5.2 5.2 0 0 0 8 2.8",
};

export function icon(name) {
  return svg("svg", { viewBox: "0 0 16 16", class: "sign", "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));
}
