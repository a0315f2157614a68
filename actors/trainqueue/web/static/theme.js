// Before the first paint, so that a dark page never flashes white. No module: those run too late.
(() => {
  try {
    const kept = localStorage.getItem("trainq.theme");
    if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  } catch {
    // Storage may be forbidden; the system's theme it is then.
  }
})();
