// @ts-check
/** How a session is, in one look: the words, sign and tone of the pill, of the tab's title and its icon. */

import { describe, hasEnded } from "./live-step-client.js";
import { gettext, put } from "./live-step-words.js";

/** A first step that takes longer is counted in seconds. */
const FIRST_STEP_MS = 1_000;

/** @type {Record<string, [sign: string, tone: string]>} */
const LOOKS = {
  ready: ["ready", "idle"],
  queued: ["busy", "busy"],
  starting: ["busy", "busy"],
  running: ["running", "going"],
  paused: ["paused", "held"],
  stopping: ["busy", "busy"],
  stopped: ["stopped", "idle"],
  finished: ["finished", "going"],
  failed: ["failed", "bad"],
  stuck: ["failed", "bad"],
  lost: ["failed", "bad"],
};

/**
 * @typedef {{sign: string, tone: string, words: string}} Look `sign` names an icon; `tone` is one of
 *   idle, busy, going, held, bad, unknown
 */

/**
 * Return how a session is.
 * @param {any} session the newest `session` message, or null
 * @param {{pending: "" | "start" | "stop", isHeard: boolean, isCutOff: boolean, isUntold?: boolean}} how `pending`
 *   is what was asked for and has no answer yet; `isHeard` if the server speaks to us; `isCutOff` if nobody hears
 *   the process that runs it; `isUntold` if there is one, of which nothing was told yet
 * @returns {Look}
 */
export function lookOf(session, { pending, isHeard, isCutOff, isUntold = false }) {
  if (pending === "start") return { sign: "busy", tone: "busy", words: gettext("Starting…") };
  if (pending === "stop") return { sign: "busy", tone: "busy", words: gettext("Stopping…") };
  if (isUntold) return { sign: "busy", tone: "busy", words: gettext("Connecting…") };
  const [sign, tone] = LOOKS[session?.state ?? "ready"];
  const words = isCutOff ? gettext("Reconnecting") : wordsOf(session);
  if (session && !hasEnded(session.state) && (!isHeard || isCutOff)) {
    return { sign: "unknown", tone: "unknown", words: isHeard ? words : put(gettext("%(state)s when last heard of"), { state: words }) };
  }
  return { sign, tone, words };
}

/** @param {any} session */
function wordsOf(session) {
  if (!session) return gettext("Ready");
  const { state, step, elapsed_ms } = session;
  const isFirst = state === "running" && !step && !session.frames?.produced;
  if (isFirst && elapsed_ms >= FIRST_STEP_MS) return put(gettext("First step, %(seconds)s s"), { seconds: Math.floor(elapsed_ms / 1000) });
  if (state === "failed") return step ? put(gettext("Failed after step %(step)s"), { step }) : gettext("Failed in its first step");
  if (state === "stuck") return put(gettext("Stuck in step %(step)s"), { step: step + 1 });
  return describe(session);
}

/**
 * Return how long it has run, as a clock shows it.
 * @param {number} ms
 */
export function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, index) => String(part).padStart(index ? 2 : 1, "0")).join(":");
}
