// What the server says, as it says it. A browser opens six connections to a host, and six open streams would leave none
// for a click; so a tab that is hidden has none, and of those in sight one leads: it has the stream, and hands on all
// that it hears to the others, which have each had a snapshot of their own first. A tab that follows a log has its own
// (three tabs at most, see logseats.js).
// "live" is said at the first event, not when the connection opens.

import { createSeats, pollLog } from "/static/logseats.js";

const SILENCE = 12_000; // the server says something every 5 s
const RETRY = [500, 1000, 2000, 5000];
const EARLY = 100;
const LOCK = "trainq.stream";

/** For tests other ones: `source(url)`, `doc`, `peers()` -> {lock(), tell(message), hear(listener), close()}. */
export function createStream({ store, source = createSource, doc = document, peers = createPeers }) {
  let events = null;
  let watch = null;
  let again = null;
  let tries = 0;
  let log = null; // {job, attempt} that the stream brings
  let wanted = null; // the same, whether it brings it or not
  let unpoll = null;
  const seats = createSeats();
  let others = null;
  let early = []; // said by the tab that leads while this one still has a stream
  let leads = true; // until it is known that another tab does

  function url() {
    const query = new URLSearchParams();
    if (log) query.set("log", String(log.job));
    if (log?.attempt) query.set("attempt", String(log.attempt));
    return `/api/training/events${query.size ? `?${query}` : ""}`;
  }

  function open() {
    disconnect();
    early = [];
    const mine = source(url());
    events = mine;
    for (const kind of ["snapshot", "delta", "ping"]) {
      mine.addEventListener(kind, (event) => {
        if (mine !== events) return;
        take(kind, event.data);
        if (leads) others?.tell({ kind, data: event.data });
        else if (!log && kind !== "snapshot") follow(); // the snapshot's line came right behind it
      });
    }
    mine.onerror = () => mine === events && failed();
    silence();
  }

  function take(kind, text) {
    if (kind !== "ping") {
      let data;
      try {
        data = JSON.parse(text);
      } catch {
        return; // a broken event changes nothing; the next snapshot mends it
      }
      store[kind](data);
    }
    tries = 0;
    if (store.connection.state !== "live") store.connect({ state: "live", lost_at: null });
    silence();
  }

  /** Hear it from the tab that leads from now on, and what it has said since the snapshot of one's own. */
  function follow() {
    const since = store.state.at ?? 0;
    events.close();
    events = null;
    for (const { kind, data } of early) if (JSON.parse(data).at >= since) take(kind, data);
    early = [];
  }

  function heard(message) {
    if (leads || log || doc.visibilityState === "hidden") return;
    if (events) early = [...early.slice(1 - EARLY), message];
    else if (message.kind === "lost") failed();
    else take(message.kind, message.data); // before a snapshot, too: this tab may have come while no daemon lived
  }

  function silence() {
    clearTimeout(watch);
    watch = setTimeout(failed, SILENCE);
  }

  /** Closed or silent: what is shown is old from now on. Our own retry, since EventSource gives up on an HTTP error. */
  function failed() {
    disconnect();
    if (leads) others?.tell({ kind: "lost", data: "{}" });
    if (store.connection.state !== "stale") store.connect({ state: "stale", lost_at: store.now() });
    again = setTimeout(open, RETRY[Math.min(tries, RETRY.length - 1)]);
    tries += 1;
  }

  function disconnect() {
    clearTimeout(watch);
    clearTimeout(again);
    events?.close();
    events = null;
  }

  /** In sight: a stream at once, and the question who leads beside it. */
  function appear() {
    open();
    if (wanted) attach();
    others = peers(heard, {
      onLead(first) {
        leads = true;
        if (!first) open(); // the tab that led is gone: what it had not handed on is in the snapshot
      },
      onFollow: () => void (leads = false),
    });
  }

  /** The log comes on the stream where there is a seat for it, else it is read beside it. */
  async function attach() {
    const mine = wanted;
    unpoll?.();
    unpoll = null;
    const seated = mine !== null && (await seats.take());
    if (mine !== wanted || doc.visibilityState === "hidden") {
      if (wanted === null || doc.visibilityState === "hidden") seats.leave();
      return;
    }
    if (!seated) seats.leave();
    const before = log;
    log = seated ? mine : null;
    if (mine && !seated) unpoll = pollLog(mine.job, mine.attempt, (piece) => store.delta({ log: piece }));
    if (before !== log) open();
  }

  function vanish() {
    firstSource()?.source.close();
    disconnect();
    unpoll?.();
    unpoll = null;
    log = null;
    seats.leave();
    others?.close();
    others = null;
    leads = true;
  }

  const visible = () => (doc.visibilityState === "hidden" ? vanish() : others === null && appear());
  doc.addEventListener("visibilitychange", visible);
  visible();

  return {
    /** Follow this job's log on the same stream (pieces come in `changes.log`); null ends it. */
    follow(job, attempt = null) {
      const same = (wanted?.job ?? null) === job && (job === null || wanted.attempt === attempt);
      if (!same) wanted = job === null ? null : { job, attempt };
      if (!same && doc.visibilityState !== "hidden") attach();
    },
    /** Try again now. */
    retry: () => open(),
    close() {
      doc.removeEventListener("visibilitychange", visible);
      vanish();
    },
  };
}

/** What first.js has left, once. */
function firstSource() {
  const first = globalThis.trainqFirst ?? null;
  globalThis.trainqFirst = null;
  return first;
}

/** The stream that first.js has opened, where there is one that still flows; whoever gets it hears all of it. */
function createSource(url) {
  const first = firstSource();
  if (!first) return new EventSource(url);
  const { source, heard, keep } = first;
  if (first.url !== url || source.readyState === EventSource.CLOSED) {
    source.close();
    return new EventSource(url);
  }
  queueMicrotask(() => {
    for (const kind of ["snapshot", "delta", "ping"]) source.removeEventListener(kind, keep);
    for (const { type, data } of heard) source.dispatchEvent(new MessageEvent(type, { data }));
  });
  return source;
}

/** The other tabs of this browser, where it lets them know of each other (not on a plain address of another machine). */
function createPeers(heard, { onLead, onFollow }) {
  if (!navigator.locks || typeof BroadcastChannel === "undefined") return { tell() {}, close() {} };
  const channel = new BroadcastChannel(LOCK);
  channel.onmessage = (event) => heard(event.data);
  const leave = new AbortController();
  const held = (first) => {
    if (leave.signal.aborted) return undefined;
    onLead(first);
    return new Promise((release) => leave.signal.addEventListener("abort", release)); // for as long as it is in sight
  };
  const lead = (lock) => {
    if (lock) return held(true);
    if (leave.signal.aborted) return undefined;
    onFollow();
    navigator.locks.request(LOCK, { signal: leave.signal }, () => held(false)).catch(() => {}); // left before its turn
    return undefined;
  };
  navigator.locks.request(LOCK, { ifAvailable: true }, lead);
  return {
    tell: (message) => channel.postMessage(message),
    close() {
      leave.abort();
      channel.close();
    },
  };
}
