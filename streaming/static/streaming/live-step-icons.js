// @ts-check
/** The icons of the control bar and the signs of the states: shapes of our own, in a square of 24. */

const SVG = "http://www.w3.org/2000/svg";

/** What is filled; the others are drawn as lines. */
const FILLED = new Set(["play", "pause", "stop", "step", "live", "running", "paused", "stopped"]);

/** @type {Record<string, string>} */
const SHAPES = {
  play: "M8 5.2v13.6a.8.8 0 0 0 1.2.7l10.6-6.8a.8.8 0 0 0 0-1.4L9.2 4.5A.8.8 0 0 0 8 5.2z",
  pause: "M6.5 5h3.5v14H6.5zM14 5h3.5v14H14z",
  stop: "M7.5 6h9A1.5 1.5 0 0 1 18 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 6 16.5v-9A1.5 1.5 0 0 1 7.5 6z",
  step: "M5 5.5v13l9-6.5zM16 5.5h3v13h-3z",
  "full-screen": "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  keys: "M9 9.2a3 3 0 1 1 4.4 2.7c-1 .5-1.4 1.1-1.4 2.3M12 18v.2",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7L12 7M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7L12 17",
  share: "M7 12a2 2 0 1 0-.1 0M17 6a2 2 0 1 0-.1 0M17 18a2 2 0 1 0-.1 0M8.8 11l6.4-4M8.8 13l6.4 4",
  save: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  live: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10z",
  film: "M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM12 10a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  reset: "M5 12a7 7 0 1 0 2.3-5.2M5 4v4h4",
  // The signs, one for each kind of state.
  ready: "M12 6a6 6 0 1 0 0 12 6 6 0 0 0 0-12z",
  busy: "M12 5a7 7 0 0 1 7 7M19 16.5A7 7 0 0 1 5.5 14.5M5.3 10A7 7 0 0 1 8 6.2",
  running: "M12 6a6 6 0 1 0 0 12 6 6 0 0 0 0-12z",
  paused: "M7 6h3.5v12H7zM13.5 6H17v12h-3.5z",
  stopped: "M7 7h10v10H7z",
  finished: "M5 12.5l4.5 4.5L19 7.5",
  failed: "M7 7l10 10M17 7L7 17",
  unknown: "M6 12h.1M12 12h.1M18 12h.1",
};

/**
 * Draw an icon.
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  // Its button, or the words beside it, say the same.
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "path"));
  redraw(svg, name);
  return svg;
}

/**
 * Make another icon of it.
 * @param {Element | null | undefined} svg
 * @param {string} name
 */
export function redraw(svg, name) {
  if (!svg || svg.getAttribute("data-icon") === name) return;
  svg.setAttribute("data-icon", name);
  svg.setAttribute("class", FILLED.has(name) ? "icon" : "icon lines");
  svg.firstElementChild?.setAttribute("d", SHAPES[name]);
}

/**
 * Return the sign of a state as an image file, for a browser's tab.
 * @param {string} name
 * @param {string} colour
 */
export function iconFile(name, colour) {
  const paint = FILLED.has(name) ? `fill="${colour}"` : `fill="none" stroke="${colour}" stroke-width="3" stroke-linecap="round"`;
  const text = `<svg xmlns="${SVG}" viewBox="3 3 18 18"><path ${paint} d="${SHAPES[name]}"/></svg>`;
  return new Blob([text], { type: "image/svg+xml" });
}
