// The one stream of a tab. Closed while the tab is hidden: a browser opens six connections to a host, and six open
// streams would leave none for a click. "live" is said at the first event, not when the connection opens.

const SILENCE = 12_000; // the server says something every 5 s
const RETRY = [500, 1000, 2000, 5000];

/** `{store, source: url => EventSource, doc: document}`: the last two for tests. */
export function createStream({ store, source = (url) => new EventSource(url), doc = document }) {
  let events = null;
  let watch = null;
  let again = null;
  let tries = 0;
  let log = null; // {job, attempt}

  function url() {
    const query = new URLSearchParams();
    if (log) query.set("log", String(log.job));
    if (log?.attempt) query.set("attempt", String(log.attempt));
    return `/api/training/events${query.size ? `?${query}` : ""}`;
  }

  function open() {
    close();
    events = source(url());
    const mine = events;
    const heard = (kind) => (event) => {
      if (mine !== events) return;
      let data;
      try {
        data = JSON.parse(event.data);
      } catch {
        return; // a broken event changes nothing; the next snapshot mends it
      }
      tries = 0;
      store[kind](data);
      alive();
    };
    events.addEventListener("snapshot", heard("snapshot"));
    events.addEventListener("delta", heard("delta"));
    events.addEventListener("ping", () => mine === events && alive());
    events.onerror = () => mine === events && failed();
    silence();
  }

  function alive() {
    if (store.connection.state !== "live") store.connect({ state: "live", lost_at: null });
    silence();
  }

  function silence() {
    clearTimeout(watch);
    watch = setTimeout(failed, SILENCE);
  }

  /** Closed or silent: what is shown is old from now on. Our own retry, since EventSource gives up on an HTTP error. */
  function failed() {
    close();
    if (store.connection.state !== "stale") store.connect({ state: "stale", lost_at: store.now() });
    again = setTimeout(open, RETRY[Math.min(tries, RETRY.length - 1)]);
    tries += 1;
  }

  function close() {
    clearTimeout(watch);
    clearTimeout(again);
    events?.close();
    events = null;
  }

  const visible = () => (doc.visibilityState === "hidden" ? close() : open());
  doc.addEventListener("visibilitychange", visible);
  if (doc.visibilityState !== "hidden") open();

  return {
    /** Follow this job's log on the same stream (pieces come in `changes.log`); null ends it. */
    follow(job, attempt = null) {
      const same = log?.job === job && log?.attempt === attempt;
      log = job === null ? null : { job, attempt };
      if (!same && doc.visibilityState !== "hidden") open();
    },
    /** Try again now. */
    retry: () => open(),
    close() {
      doc.removeEventListener("visibilitychange", visible);
      close();
    },
  };
}
