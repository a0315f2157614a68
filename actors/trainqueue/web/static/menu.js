// All that can be done to a job or a selection, each with its line for a terminal and for curl.
import { actionsOf, cliLine, curlLine } from "/static/actions.js";
import { copyText } from "/static/dialog.js";
import { el } from "/static/dom.js";
import { number, title } from "/static/words.js";

export function openMenu(anchor, ids, { store, doer, toast }) {
  const jobs = ids.map((id) => store.job(id)).filter(Boolean);
  if (!jobs.length) return;
  const words = jobs.length === 1 ? `Job ${jobs[0].id}: ${title(jobs[0]).slice(0, 60)}` : number(jobs.length, "job");
  const rows = actionsOf(jobs).map((one) => row(one, jobs, () => dialog.close()));
  const dialog = el("dialog", { class: "menu", "aria-label": `Actions of ${words}` }, el("h2", { class: "one-line", text: words }), el("ul", {}, ...rows));

  function row(one, all, close) {
    const fitting = all.filter((job) => one.fits(job)).map((job) => job.id);
    const pick = () => {
      close();
      doer.run(one.name, fitting);
    };
    const copy = (text) => () => {
      close();
      copyText(text, toast);
    };
    const { line, ready } = store.state;
    const hint = one.keys ?? one.key;
    return el(
      "li",
      {},
      el("button", { type: "button", class: `act${one.danger ? " danger" : ""}`, on: { click: pick } }, el("span", { text: one.label }), hint && el("kbd", { text: hint })),
      el("button", { type: "button", class: "line", "aria-label": `${one.label}: copy the command line`, title: cliLine(one, fitting, line, ready), text: "CLI", on: { click: copy(cliLine(one, fitting, line, ready)) } }),
      !one.form && el("button", { type: "button", class: "line", "aria-label": `${one.label}: copy as curl`, title: "copy as curl", text: "curl", on: { click: copy(curlLine(one, fitting, location.origin, line, ready)) } }),
    );
  }

  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", arrows);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (anchor.isConnected && !document.querySelector("dialog[open]")) anchor.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  stand(dialog, anchor);
}

function arrows(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...event.currentTarget.querySelectorAll(".act")];
  const at = buttons.indexOf(document.activeElement.closest("li")?.querySelector(".act"));
  buttons[(at + step + buttons.length) % buttons.length].focus();
}

/** Beside what opened it, and inside the window; on a phone the style sheet puts it at the bottom. */
function stand(dialog, anchor) {
  if (matchMedia("(max-width: 720px)").matches) return;
  const from = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = dialog;
  const top = Math.max(8, Math.min(from.bottom + 4, innerHeight - height - 8));
  dialog.style.margin = "0";
  dialog.style.left = `${Math.max(8, Math.min(from.right - width, innerWidth - width - 8))}px`;
  dialog.style.top = `${top}px`;
}
