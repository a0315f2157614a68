// The queue: what runs, what waits, what has ended lately.
import { el, keyed, setText } from "/static/dom.js";
import { badge, title } from "/static/words.js";

export function mount(root, { store }) {
  const list = el("ul");
  root.append(el("h1", { text: "Queue" }), list);
  const draw = () => {
    const jobs = [...store.state.running, ...store.state.line].slice(0, 50).map((id) => store.job(id)).filter(Boolean);
    keyed(list, jobs, (job) => job.id, () => el("li"), (node, job) => setText(node, `${job.id} ${badge(job)} ${title(job)}`));
  };
  draw();
  return { update: draw, unmount() {} };
}
