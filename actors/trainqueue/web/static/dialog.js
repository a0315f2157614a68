// Questions, and texts to copy where the browser keeps us from the clipboard.
import { el } from "/static/dom.js";

/** A question with two answers; true where it was said yes to. */
export function ask({ title, lines = [], yes, no = "Leave it" }) {
  return open(title, [...lines.map((text) => el("p", { text }))], [
    el("button", { value: "no", text: no }),
    el("button", { value: "yes", class: "danger", text: yes }),
  ]).then((answer) => answer === "yes");
}

/** One of several answers, or null. `choices`: [{value, label}]; `free`: a field for another one. */
export function choose({ title, choices, free }) {
  const field = free && el("input", { "aria-label": free, placeholder: free, inputmode: "numeric" });
  const buttons = choices.map(({ value, label }) => el("button", { value, text: label }));
  const other = free && el("div", { class: "inline" }, field, el("button", { value: "\0free", text: "Set" }));
  return open(title, [el("div", { class: "choices" }, ...buttons), other], [el("button", { value: "", text: "Leave it" })]).then((answer) =>
    answer === "\0free" ? field.value.trim() || null : answer || null,
  );
}

/** Copy a line; where the clipboard is out of reach, show it to be copied by hand. */
export async function copyText(text, toast) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`Copied: ${text}`);
  } catch {
    const field = el("textarea", { readonly: true, rows: 4, "aria-label": "The line to copy" });
    field.value = text;
    open("Copy this line", [field], [el("button", { value: "", text: "Close" })]);
    field.select();
  }
}

function open(title, body, buttons) {
  const heading = el("h2", { text: title });
  heading.id = `dialog-${Math.random().toString(36).slice(2)}`;
  const form = el("form", { method: "dialog" }, ...body, el("div", { class: "answers" }, ...buttons));
  const dialog = el("dialog", { class: "question", "aria-labelledby": heading.id }, heading, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}
