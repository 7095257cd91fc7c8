// @ts-check
/** What <live-step> computes without a page: frames, delays, rates and words. */

export const SUBPROTOCOL = "livestep.v1";
export const FIRST_DELAY_MS = 250;
export const LONGEST_DELAY_MS = 10_000;
export const RESTART_DELAY_MS = 2_000;
export const SERVICE_RESTART = 1012;
export const LINE_FEED = 10;

/** After these, trying again would only meet the same answer. */
export const FINAL_CLOSE_CODES = new Set([4400, 4401, 4403, 4429]);

/**
 * Split a binary message into its header and its payload.
 * @param {ArrayBuffer} message
 * @returns {{header: any, payload: Uint8Array<ArrayBuffer>}}
 */
export function parseFrame(message) {
  const bytes = new Uint8Array(message);
  const end = bytes.indexOf(LINE_FEED);
  if (end < 0) throw new Error("a frame needs a line of JSON before its payload");
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  return { header, payload: bytes.subarray(end + 1) };
}

/**
 * Return the SVG of a frame as a Blob.
 * @param {{encoding: string}} header
 * @param {Uint8Array<ArrayBuffer>} payload
 * @returns {Promise<Blob>}
 */
export async function decodeFrame(header, payload) {
  const blob = new Blob([payload]);
  if (header.encoding === "identity") return new Blob([blob], { type: "image/svg+xml" });
  const inflated = blob.stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Blob([await new Response(inflated).blob()], { type: "image/svg+xml" });
}

/**
 * Return how long to wait before the next attempt: exponential, with full jitter. A server that
 * restarts is given a moment, and its clients do not come back all at once.
 * @param {number} attempt counted from 0
 * @param {() => number} random
 * @param {number} [code] with which the connection was closed
 * @returns {number} milliseconds
 */
export function reconnectDelay(attempt, random, code) {
  if (attempt === 0 && code === SERVICE_RESTART) return random() * RESTART_DELAY_MS;
  return random() * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 10));
}

/**
 * Return the WebSocket address that belongs to a page.
 * @param {string} path such as "/ws"
 * @param {string} page the page's address
 * @param {string} session a session to be watched, as a hint for routing
 */
export function socketUrl(path, page, session) {
  const url = new URL(path, page);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (session) url.searchParams.set("session", session);
  return url.href;
}

/** @param {string} state */
export function hasEnded(state) {
  return ["stopped", "finished", "failed", "stuck", "lost"].includes(state);
}

/**
 * Say in words how a session is.
 * @param {any} session a `session` message
 * @returns {string}
 */
export function describe(session) {
  const { state, step, stop, error } = session;
  switch (state) {
    case "queued":
      return session.queue_position
        ? `Waiting for a free place: number ${session.queue_position} in the queue`
        : "Waiting for a free place";
    case "stopped":
      return describeStop(stop);
    case "stopping":
      return `Stopping, during step ${stop.step.toLocaleString("en")}`;
    case "finished":
      return `Finished after ${count(step, "step")}`;
    case "failed":
    case "stuck":
      return error.message;
    case "lost":
      return "Lost: the server that ran it has ended";
    default:
      return state[0].toUpperCase() + state.slice(1);
  }
}

/** @param {any} stop the receipt in a `session` message */
function describeStop(stop) {
  const when = stop.step ? `during step ${stop.step.toLocaleString("en")}` : "before its first step";
  const how = { interrupt: ", by interrupting it", kill: ", by ending its process" }[stop.how] ?? "";
  const why =
    {
      abandoned: ", since nobody watched",
      shutdown: ", since the server restarts",
      admin: ", by an administrator",
      time_limit: ", since it had run for as long as it may",
      step_limit: ", since it had taken as many steps as it may",
    }[stop.by] ?? "";
  return `Stopped in ${stop.after_ms} ms, ${when}${how}${why}`;
}

/**
 * Say whether a notice still holds now that the session is said to be so.
 * @param {{code: string, step: number, state: string}} notice with the step and the state at which it came
 * @param {any} session a `session` message
 */
export function stillHolds(notice, session) {
  if (hasEnded(session.state)) return !["pausing", "slow_step"].includes(notice.code);
  if (notice.code === "pausing") return session.state === notice.state;
  if (notice.code === "slow_step") return session.step === notice.step;
  return true;
}

/**
 * @param {number} number
 * @param {string} noun
 */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/**
 * @param {number} perSecond
 * @returns {string}
 */
export function formatRate(perSecond) {
  return perSecond.toLocaleString("en", { maximumFractionDigits: perSecond < 10 ? 1 : 0 });
}

/** Measures how often something happens, between two readings of a counter. */
export class Rate {
  /** @type {{count: number, ms: number} | null} */
  #last = null;

  /**
   * @param {number} count
   * @param {number} ms
   * @returns {string} events per second, or "–" while that is unknown
   */
  read(count, ms) {
    const last = this.#last;
    if (last && ms <= last.ms) return "–";
    this.#last = { count, ms };
    if (!last || count < last.count) return "–";
    return formatRate(((count - last.count) * 1000) / (ms - last.ms));
  }
}
