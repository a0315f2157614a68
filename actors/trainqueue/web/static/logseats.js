// A log rides on its tab's own stream, and a browser opens six connections to a host for all tabs together: so at most
// three tabs in sight have such a stream. Where there are more, the others read their log again and again instead.

const SEATS = 3;
const PACE = 1000; // milliseconds between two looks
const PART = 262144;

/** `take()`: whether there is a seat; it is kept until `leave()`. Without `locks` (another machine's plain http) there is. */
export function createSeats(locks = navigator.locks) {
  let release = null;
  let looking = null; // for one; who asks meanwhile gets the same

  const sit = (seat) =>
    new Promise((resolve) => {
      const held = (lock) => {
        resolve(lock !== null);
        return lock && new Promise((leave) => (release = leave));
      };
      locks.request(`trainq.log.${seat}`, { ifAvailable: true }, held);
    });

  async function look() {
    for (let seat = 0; seat < SEATS; seat++) if (await sit(seat)) return true;
    return false;
  }

  return {
    async take() {
      if (!locks || release) return true;
      looking ??= look().finally(() => (looking = null));
      return looking;
    },
    leave() {
      release?.();
      release = null;
    },
  };
}

/** `tell(piece)` what is added to a log from now on; what ends it. */
export function pollLog(job, attempt, tell) {
  const url = `/api/training/logs/${job}?${attempt ? `attempt=${attempt}&` : ""}`;
  const decoder = new TextDecoder();
  let next = null;
  let timer = null;
  let stopped = false;

  async function look() {
    try {
      if (next === null) next = await end();
      else await more();
    } catch {
      // The next look tries again.
    }
    if (!stopped) timer = setTimeout(look, PACE);
  }

  async function end() {
    const answer = await fetch(url, { headers: { range: "bytes=-1" } });
    return Number(/\/(\d+)$/.exec(answer.headers.get("content-range") ?? "")?.[1] ?? 0);
  }

  async function more() {
    const answer = await fetch(`${url}offset=${next}&limit=${PART}`);
    if (!answer.ok) return;
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (stopped) return;
    const offset = next;
    next = Number(answer.headers.get("x-next-offset") ?? offset + bytes.length); // behind what the log's cap has cut out
    if (bytes.length) tell({ job, attempt, offset, next, size: next, data: decoder.decode(bytes, { stream: true }), eof: false });
  }

  look();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
