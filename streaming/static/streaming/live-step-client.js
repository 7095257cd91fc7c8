// @ts-check
/** What <live-step> computes without a page: frames, delays, rates and words. */

import { formatNumber, gettext, ngettext, put } from "./live-step-words.js";

export const SUBPROTOCOL = "livestep.v1";
export const FIRST_DELAY_MS = 250;
export const LONGEST_DELAY_MS = 10_000;
export const RESTART_DELAY_MS = 2_000;
export const SERVICE_RESTART = 1012;
export const LINE_FEED = 10;

export const LOGIN_REQUIRED = 4401;
export const FORBIDDEN = 4403;

/** After these, trying again would only meet the same answer. */
const FINAL_CLOSE_CODES = new Set([4400, LOGIN_REQUIRED, FORBIDDEN, 4429]);
/** But these come late when a login, or a right, has ended: without it the page may still be welcome. */
const REVOKING_CLOSE_CODES = new Set([LOGIN_REQUIRED, FORBIDDEN]);

/**
 * Say whether a connection took something away that the next one will not have.
 * @param {number} code with which it was closed
 * @param {boolean} hasSettled whether it had lasted
 */
export function isRevoked(code, hasSettled) {
  return hasSettled && REVOKING_CLOSE_CODES.has(code);
}

/**
 * Say whether it is of no use to come back.
 * @param {number} code with which the connection was closed
 * @param {boolean} hasSettled whether it had lasted
 */
export function isFinal(code, hasSettled) {
  return FINAL_CLOSE_CODES.has(code) && !isRevoked(code, hasSettled);
}

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
 * Return the SVG of a frame.
 * @param {{encoding: string, size: number}} header
 * @param {Uint8Array<ArrayBuffer>} payload
 * @returns {Promise<string>} rejected when it is damaged, or longer than its header says
 */
export async function decodeFrame(header, payload) {
  if (header.encoding === "identity") return new TextDecoder().decode(payload);
  const { readable, writable } = new DecompressionStream("deflate-raw");
  const writer = writable.getWriter();
  // Not through a Blob, which the browser would copy to another process and back. What is damaged
  // is an error of the side that is read.
  writer.write(payload).catch(() => {});
  writer.close().catch(() => {});
  const reader = readable.getReader();
  const svg = new Uint8Array(header.size);
  let filled = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    // A kilobyte may stand for a gigabyte: what is longer than it should be does not fit.
    svg.set(part.value, filled);
    filled += part.value.length;
  }
  return new TextDecoder().decode(svg.subarray(0, filled));
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
        ? put(gettext("Waiting for a free place: number %(position)s in the queue"), {
            position: session.queue_position,
          })
        : gettext("Waiting for a free place");
    case "starting":
      return gettext("Starting…");
    case "running":
      return gettext("Running");
    case "paused":
      return gettext("Paused");
    case "stopping":
      return put(gettext("Stopping, during step %(step)s"), { step: stop.step });
    case "stopped":
      return describeStop(stop);
    case "finished":
      return put(ngettext("Finished after %(steps)s step", "Finished after %(steps)s steps", step), { steps: step });
    case "lost":
      return gettext("Lost: the server that ran it has ended");
    default:
      return error.message;
  }
}

/** @param {any} stop the receipt in a `session` message */
function describeStop(stop) {
  const when = stop.step
    ? put(gettext("Stopped in %(ms)s ms, during step %(step)s"), { ms: stop.after_ms, step: stop.step })
    : put(gettext("Stopped in %(ms)s ms, before its first step"), { ms: stop.after_ms });
  const how = { interrupt: gettext("by interrupting it"), kill: gettext("by ending its process") };
  const why = {
    abandoned: gettext("since nobody watched"),
    busy: gettext("since others need the server"),
    shutdown: gettext("since the server restarts"),
    admin: gettext("by an administrator"),
    command: gettext("by a command"),
    time_limit: gettext("since it had run for as long as it may"),
    step_limit: gettext("since it had taken as many steps as it may"),
    reload: gettext("since its file was saved"),
  };
  // @ts-ignore: what has no words adds none
  return [when, how[stop.how], why[stop.by]].filter(Boolean).join(", ");
}

/**
 * Say how long a session still needs, or nothing while that is unknown.
 * @param {any} session a `session` message
 * @returns {string}
 */
export function describeRemaining(session) {
  const { done, total } = session.progress ?? {};
  if (!total || !(done > 0) || done >= total || session.elapsed_ms < 1000 || hasEnded(session.state)) return "";
  const seconds = (session.elapsed_ms / 1000) * (total / done - 1);
  if (seconds < 1) return "";
  return put(gettext("%(duration)s left"), { duration: formatDuration(seconds) });
}

/**
 * @param {number} seconds
 * @returns {string}
 */
export function formatDuration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return put(gettext("%(seconds)s s"), { seconds: whole });
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return put(gettext("%(minutes)s min"), { minutes });
  return put(gettext("%(hours)s h %(minutes)s min"), { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

/**
 * Put a recording into the page that plays it.
 * @param {string} template the text of recording.html
 * @param {any} recording its title, parameters and frames
 * @returns {string}
 */
export function recordingPage(template, recording) {
  const empty = '<script type="application/json" id="recording">null</script>';
  if (!template.includes(empty)) throw new Error("recording.html has no place for a recording");
  // A "<" would let an SVG's own tags end the script.
  const json = JSON.stringify(recording).replace(/[<\u2028\u2029]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return template.replace(empty, () => empty.replace("null", () => json));
}

/**
 * Say whether a notice still holds now that the session is said to be so.
 * @param {{code: string, step: number, state: string}} notice with the step and the state at which it came
 * @param {any} session a `session` message
 */
export function stillHolds(notice, session) {
  // Whatever is said of it comes from its process, which is there again, or from who knows its end.
  if (notice.code === "reconnecting") return false;
  if (hasEnded(session.state)) return !["pausing", "slow_step", "server_stopping", "calm", "waiting"].includes(notice.code);
  // Why it waits.
  if (notice.code === "waiting") return session.state === "queued";
  if (notice.code === "pausing") return session.state === notice.state;
  if (notice.code === "slow_step") return session.step === notice.step;
  return true;
}

/**
 * @param {number} perSecond
 * @returns {string}
 */
export function formatRate(perSecond) {
  return formatNumber(perSecond, { maximumFractionDigits: perSecond < 10 ? 1 : 0 });
}

/** Measures how often something happens, between two readings of a counter. */
/** Over a shorter time a rate is chance. */
const LEAST_RATE_MS = 500;

export class Rate {
  /** @type {{count: number, ms: number} | null} */
  #last = null;

  /**
   * @param {number} count
   * @param {number} ms
   * @returns {number | null} events per second, or null while that is unknown
   */
  read(count, ms) {
    const last = this.#last;
    if (last && ms - last.ms < LEAST_RATE_MS) return null;
    this.#last = { count, ms };
    if (!last || count < last.count) return null;
    return ((count - last.count) * 1000) / (ms - last.ms);
  }
}

export const FILM_TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];

/** @type {boolean | undefined} asked once, since the browser takes a while to say */
let films;

/** Whether this browser can film. */
export function canFilm() {
  films ??= FILM_TYPES.some((type) => globalThis.MediaRecorder?.isTypeSupported(type));
  return films;
}
