// @ts-check
/** Which key does what, while the player or the picture in it has the keyboard. */

const KEYS = { s: "stop", r: "film", f: "full-screen", "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", 0: "fit", ArrowLeft: "back" };
/** On the scrubber: one frame, whatever its number is. */
const SCRUBBER_KEYS = { ArrowLeft: "back", ArrowDown: "back", ArrowRight: "forward", ArrowUp: "forward" };
/** Where a key of its own has a meaning: there no shortcut acts. */
const TEXT_FIELDS = "input, select, textarea, [contenteditable]";
const PRESSABLE = "button, summary, a[href]";

/**
 * Return the action that a key asks for, or undefined.
 * @param {KeyboardEvent} event
 * @param {{isGoing: boolean, isLive: boolean}} how whether a session goes on, and its newest frame is shown
 * @returns {string | undefined}
 */
export function actionOf(event, { isGoing, isLive }) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return undefined;
  const target = /** @type {HTMLElement} */ (event.composedPath()[0]);
  // @ts-ignore: what has no meaning there gives undefined
  if (target.dataset?.field === "position" && event.key in SCRUBBER_KEYS) return SCRUBBER_KEYS[event.key];
  if (target.matches?.(TEXT_FIELDS) || (event.key === " " && target.matches?.(PRESSABLE))) return undefined;
  if (event.key === " ") return isGoing ? "pause" : "start";
  if (event.key === "ArrowRight") return isLive ? "step" : "forward";
  // @ts-ignore: as above
  return KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
}
