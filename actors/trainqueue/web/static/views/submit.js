// A new job; or one like another, with edits: `?view=submit&copy=7`, `&retry=7`, `&edit=7`. What is wrong stands beside
// its field, in the server's words.
import { copyText } from "/static/dialog.js";
import { curl } from "/static/actions.js";
import { el, setAttr, setText, show } from "/static/dom.js";
import { FIELDS, SPEC, changed, cliOf, refusalAt, specOf, texts } from "/static/spec.js";
import { shellish, split } from "/static/split.js";
import { clean } from "/static/words.js";

const FORMS = {
  new: { title: () => "New job", send: "Queue it", path: () => "/execute" },
  copy: { title: (id) => `Copy of job ${id}`, send: "Queue the copy", path: (id) => `/copy/${id}` },
  retry: { title: (id) => `Retry job ${id} with edits`, send: "Retry it", path: (id) => `/retry/${id}` },
  edit: { title: (id) => `Edit job ${id}`, send: "Save", path: (id) => `/edit/${id}` },
};
const LAST = "trainq.folder";

export function mount(root, { store, api, go, toast, params }) {
  const form = ["copy", "retry", "edit"].find((name) => params.get(name)) ?? "new";
  const id = form === "new" ? null : Number(params.get(form));
  const mode = FORMS[form];
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  let before = null;
  let sent = false;

  const inputs = {};
  const errors = {};
  const argv = el("div", { class: "argv", "aria-live": "off" });
  const top = el("p", { class: "wrong", role: "alert", hidden: true });
  const cli = el("code", { class: "one-line" });
  const send = el("button", { type: "submit", class: "primary", text: mode.send });
  const copy = (text) => el("button", { type: "button", text: text === "cli" ? "Copy for a terminal" : "Copy as curl", on: { click: () => copyText(lines()[text], toast) } });

  function field({ name, label, hint, needed }) {
    const long = name === "command" || name === "more";
    const input = el(long ? "textarea" : "input", { id: `f-${name}`, name, rows: long ? (name === "more" ? 4 : 2) : null, autocomplete: "off", spellcheck: "false", required: Boolean(needed), class: long || name === "cwd" ? "mono" : null });
    if (name === "priority") input.setAttribute("list", "priorities");
    const error = el("p", { class: "wrong", id: `e-${name}`, hidden: true });
    setAttr(input, "aria-describedby", `h-${name} e-${name}`);
    inputs[name] = input;
    errors[name] = error;
    return el("div", { class: `field f-${name}` }, el("label", { for: `f-${name}`, text: label }), input, name === "command" && argv, el("p", { class: "hint", id: `h-${name}`, text: hint ?? "" }), error);
  }

  const hold = el("input", { type: "checkbox", id: "f-hold", name: "hold" });
  inputs.hold = hold;
  const environment =
    form === "new"
      ? "It gets the plain environment of the daemon's user (HOME, PATH …), not that of your shell: name programs by their full path, or submit with trainq-cli, which takes your environment along. Single variables go into “env_extra” among the further fields."
      : "It keeps the environment of the job that it comes from.";
  const node = el(
    "form",
    { class: "card submit", novalidate: true },
    top,
    ...FIELDS.map((one) => field(one.name === "command" ? { ...one, hint: "One line, quoted as for a shell; it is run without one." } : one)),
    el("div", { class: "field f-hold" }, el("label", { class: "check" }, hold, "Hold: not started before it is released")),
    el("details", {}, el("summary", { text: "More fields, as JSON" }), field({ name: "more", label: "More fields", hint: `{"group": "sweep", "grace": 60, "warn": 300, "env_extra": {"A": "1"}}` })),
    el("p", { class: "hint environment", text: environment }),
    el("div", { class: "send" }, send, el("a", { class: "button", href: "/", "data-nav": true, text: "Leave it" })),
    el("div", { class: "same" }, cli, copy("cli"), copy("curl")),
  );
  root.append(el("div", { class: "head" }, el("h1", { text: mode.title(id) })), el("datalist", { id: "priorities" }, ...["high", "normal", "low"].map((value) => el("option", { value }))), node);

  const given = () => ({ ...Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value])), hold: hold.checked });

  function fill(found) {
    for (const [name, text] of Object.entries(found)) {
      if (name === "hold") hold.checked = text;
      else if (inputs[name]) inputs[name].value = text;
    }
    node.querySelector("details").open = Boolean(found.more);
    preview();
  }

  function say(name, words) {
    const error = errors[name] ?? (name && SPEC.has(name) ? errors.more : top);
    setText(error, error === errors.more && name !== "more" ? `${name}: ${words}` : words);
    show(error, Boolean(words));
    const input = error === top ? null : (inputs[name] ?? inputs.more);
    if (input) setAttr(input, "aria-invalid", words ? "true" : null);
    if (words && error === errors.more) node.querySelector("details").open = true;
    return input;
  }

  function quiet() {
    for (const name of Object.keys(errors)) say(name, "");
    show(top, false);
  }

  function preview() {
    let words = [];
    try {
      words = split(inputs.command.value);
    } catch {
      // said when it is sent
    }
    argv.replaceChildren(...words.slice(0, 60).map((word) => el("code", { text: clean(word, 120) || "''" })));
    setText(node.querySelector("#h-command"), shellish(words) ?? "One line, quoted as for a shell; it is run without one.");
    setText(cli, lines().cli);
  }

  function lines() {
    const { spec } = specOf(given());
    const set = before ? changed(spec, before) : {};
    const body = form === "new" ? spec : { set };
    return { cli: cliOf(spec, { form, id, set }), curl: curl(`${location.origin}/api/training${mode.path(id)}`, body) };
  }

  async function submit(event) {
    event.preventDefault();
    if (sent) return;
    quiet();
    const { spec, errors: wrong } = specOf(given());
    const first = Object.entries(wrong).map(([name, words]) => say(name, words))[0];
    if (first) return first.focus();
    sent = send.disabled = true;
    try {
      done(await post(spec), spec);
    } catch (error) {
      refused(error.message);
    }
    sent = send.disabled = false;
  }

  /** With the form's own key: when the answer was lost on its way, sending it again adds no second job. */
  function post(spec) {
    if (form === "new") return api.post(mode.path(id), spec, { headers: { "idempotency-key": key } });
    return api.post(mode.path(id), { set: changed(spec, before), ...(form === "copy" && { key }) });
  }

  function refused(message) {
    const { field: name, words } = refusalAt(message);
    const input = say(name, words);
    if (input) input.focus();
    else {
      show(top, true);
      top.scrollIntoView({ block: "nearest" });
    }
  }

  function done(answer, spec) {
    const [one] = answer.jobs ?? [answer];
    if (one.ok === false) return refused(one.error.message);
    try {
      localStorage.setItem(LAST, spec.cwd);
    } catch {
      // forbidden storage: the folder is typed again
    }
    const job = answer.job_id ?? one.id ?? answer.job?.id ?? id;
    const place = answer.queue_position ?? one.position ?? null;
    const words = form === "edit" ? `Job ${id} is changed` : `Job ${job} is queued${place ? ` (position: ${place})` : ""}`;
    toast([words, ...(answer.warnings ?? [])].join(": "), { kind: answer.warnings?.length ? "warn" : "info", action: { label: "Open", run: () => go(`/?job=${job}`) } });
    return go("/");
  }

  async function prefill() {
    if (form === "new") return fill({ gpus: "1", priority: "normal", cwd: lastFolder(store) });
    try {
      const answer = await api.get(`/status/${id}`);
      before = answer.job ?? answer;
      return fill(texts(before));
    } catch (error) {
      send.disabled = true;
      return refused(error.message);
    }
  }

  node.addEventListener("submit", submit);
  node.addEventListener("input", preview);
  prefill();
  inputs.command.focus();
  return {
    update(changes) {
      if (changes.whole && form === "new" && !inputs.cwd.value) inputs.cwd.value = lastFolder(store);
    },
    unmount() {},
  };
}

/** Of the newest job that the page knows, else where the last one was sent from here. */
function lastFolder(store) {
  const newest = [...store.state.jobs.values()].reduce((best, job) => (job.id > (best?.id ?? 0) ? job : best), null);
  if (newest) return newest.cwd;
  try {
    return localStorage.getItem(LAST) ?? "";
  } catch {
    return "";
  }
}
