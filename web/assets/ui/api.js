// How pages ask this node. Every answer that is no success is a problem (RFC 9457), which says what to do.

/** What a node says is wrong, and whether the same may be asked again. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || body?.title || `HTTP ${status}`);
    this.status = status;
    this.reason = body?.reason ?? "";
    this.field = body?.field ?? "";
    this.retry = body?.retry ?? "";
    this.effect = body?.effect ?? "";
  }
}

/** A key under which something is done once. Not `randomUUID`, which a page has over TLS and of its own machine alone. */
export const freshKey = () => `page-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

/** Whether an answer stays: it says no, and neither "perhaps" nor "ask again". */
export const isFinal = (error) => error instanceof Problem && error.retry !== "same_key" && error.effect !== "unknown" && (error.retry !== "" || error.status < 500);

async function ask(method, path, body, key) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    headers["Idempotency-Key"] = key;
  }
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: AbortSignal.timeout(12000) });
  const text = await answer.text();
  let said = null;
  try {
    said = text ? JSON.parse(text) : null;
  } catch {
    // Not ours: a proxy between, say. The status tells enough.
  }
  if (!answer.ok) throw new Problem(answer.status, said);
  return said;
}

export const get = (path) => ask("GET", path);
/** Asks for a change. What may have been done without being heard of is asked for again under the same key. */
export const post = (path, body, key = freshKey()) => ask("POST", path, body, key);

/** A path with its segments encoded: `path("v1", "items", sku)`. */
export const path = (...segments) => `/${segments.map(encodeURIComponent).join("/")}`;

/** Asks again and again until the page is left; what fails is told to `failed`, and asked again. */
export function poll(every, ask, show, failed) {
  let stopped = false;
  const loop = async () => {
    while (!stopped) {
      try {
        const said = await ask();
        if (!stopped) show(said);
      } catch (error) {
        if (!stopped) failed?.(error);
      }
      await new Promise((resume) => setTimeout(resume, document.hidden ? every * 5 : every));
    }
  };
  loop();
  return () => { stopped = true; };
}
