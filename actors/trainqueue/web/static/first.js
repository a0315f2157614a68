// What cannot wait for the modules, which run last. The theme: a dark page must never flash white. The stream: the queue
// is on its way while they are being read, and stream.js takes it over with what it has said until then.
(() => {
  try {
    const kept = localStorage.getItem("trainq.theme");
    if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  } catch {
    // Storage may be forbidden; the system's theme it is then.
  }
  if (document.visibilityState === "hidden") return;
  const url = "/api/training/events";
  const source = new EventSource(url);
  const heard = [];
  const keep = (event) => heard.push(event);
  for (const kind of ["snapshot", "delta", "ping"]) source.addEventListener(kind, keep);
  source.onerror = () => source.close(); // stream.js tries again, in its own way
  window.trainqFirst = { url, source, heard, keep };
})();
