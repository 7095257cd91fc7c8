// @ts-check
/** Which key does what, while the player or the picture in it has the keyboard. */

const KEYS = { " ": "play", s: "stop", l: "live", r: "film", f: "full-screen", "?": "keys", "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", 0: "fit", ArrowLeft: "back" };
/** On the timeline: one frame, whatever its number is. */
const TIMELINE_KEYS = { ArrowLeft: "back", ArrowDown: "back", ArrowRight: "forward", ArrowUp: "forward" };
/** Where a key of its own has a meaning: there no shortcut acts. */
const TEXT_FIELDS = "input, select, textarea, [contenteditable]";
const PRESSABLE = "button, summary, a[href]";

/**
 * Return the action that a key asks for, or undefined.
 * @param {KeyboardEvent} event
 * @param {{isLive: boolean}} how whether the newest frame is shown
 * @returns {string | undefined}
 */
export function actionOf(event, { isLive }) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return undefined;
  const target = /** @type {HTMLElement} */ (event.composedPath()[0]);
  // What lies over the player has the keys.
  if (target.closest?.("dialog")) return undefined;
  const isTimeline = target.dataset?.field === "position";
  // @ts-ignore: what has no meaning there gives undefined
  if (isTimeline && event.key in TIMELINE_KEYS) return TIMELINE_KEYS[event.key];
  if (!isTimeline && target.matches?.(TEXT_FIELDS)) return undefined;
  if (event.key === " " && target.matches?.(PRESSABLE)) return undefined;
  if (event.key === "ArrowRight") return isLive ? "step" : "forward";
  // @ts-ignore: as above
  return KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
}
