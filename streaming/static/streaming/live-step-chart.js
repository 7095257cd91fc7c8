// @ts-check
/** Small moving lines: how a figure went over the last minute, with the axis that it is read by. */

import { formatRate } from "./live-step-client.js";
import { make, setText } from "./live-step-dom.js";

export const SECONDS = 60;
const WIDTH = 240;
const HEIGHT = 40;
const SVG = "http://www.w3.org/2000/svg";

/**
 * Return the number at the top of an axis: 1, 2 or 5 times a power of ten, at least as large as the values.
 * @param {number[]} values
 */
export function top(values) {
  const largest = Math.max(...values, 0);
  if (!largest) return 1;
  const power = 10 ** Math.floor(Math.log10(largest));
  return power * (/** @type {number} */ ([1, 2, 5, 10].find((step) => step * power >= largest)));
}

/**
 * Return the points of a polyline, the newest value at the right edge.
 * @param {number[]} values the newest last
 * @returns {string}
 */
export function points(values) {
  const most = top(values);
  return values
    .map((value, index) => {
      const x = WIDTH - ((values.length - 1 - index) * WIDTH) / (SECONDS - 1);
      const y = HEIGHT - 1 - (value / most) * (HEIGHT - 2);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}

export class Chart {
  /** @type {number[]} one for each second */
  #values = [];
  #axis = make("span", { class: "axis" });

  /** @param {string} kind names the line for the style sheet */
  constructor(kind) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("class", `chart ${kind}`);
    this.line = svg.appendChild(document.createElementNS(SVG, "polyline"));
    // The figure beside it says the same.
    this.element = make("div", { class: "spark", "aria-hidden": "true" }, svg, this.#axis);
  }

  /** @param {number} value */
  add(value) {
    this.#values = [...this.#values, value].slice(-SECONDS);
    this.line.setAttribute("points", points(this.#values));
    setText(this.#axis, formatRate(top(this.#values)));
  }

  clear() {
    this.#values = [];
    this.line.removeAttribute("points");
    setText(this.#axis, "");
  }
}
