// Requests to the gateway. A refusal is an ApiError with the server's words and its code; no answer is one, too.

const BASE = "/api/training";

export class ApiError extends Error {
  constructor(code, message, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

async function call(method, path, body, options = {}) {
  const request = { method, headers: {}, ...options };
  if (method !== "GET") {
    request.headers["content-type"] = "application/json";
    request.body = JSON.stringify(body ?? {});
  }
  let response;
  try {
    response = await fetch(path.startsWith("/") ? BASE + path : path, request);
  } catch {
    throw new ApiError("unreachable", "The page's server does not answer. Nothing was changed as far as this page knows.", 0);
  }
  const text = await response.text();
  let answer;
  try {
    answer = text ? JSON.parse(text) : {};
  } catch {
    answer = null;
  }
  if (response.ok && answer !== null) return answer;
  const error = answer?.error ?? { code: "internal", message: `The server answered ${response.status} ${response.statusText}` };
  throw new ApiError(error.code, error.message, response.status);
}

export const api = {
  /** `get("/status/7")`, `get("/history", {states: "failed", limit: 50})`; null and "" are left out. */
  get(path, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const text = new URLSearchParams(given).toString();
    return call("GET", text ? `${path}?${text}` : path);
  },
  post: (path, body, options) => call("POST", path, body, options),
  /** Text of a log: `{text, status, size}`; `range` "bytes=0-99" or null. */
  async log(job, query = {}, range = null) {
    const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
    const response = await fetch(`${BASE}/logs/${job}?${new URLSearchParams(given)}`, range ? { headers: { range } } : {});
    if (!response.ok) throw new ApiError("internal", `The log cannot be read: ${response.status}`, response.status);
    return { text: await response.text(), status: response.status, headers: response.headers };
  },
};

/**
 * Several at once: how many went well, and the first refusal in words.
 * `answer`: {jobs: [{id, ok, changed, error}]}.
 */
export function outcome(answer) {
  const jobs = answer.jobs ?? [];
  const refused = jobs.filter((job) => !job.ok);
  return { done: jobs.filter((job) => job.ok), refused, words: refused[0]?.error?.message ?? null };
}
