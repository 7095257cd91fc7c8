// @ts-check
/** Small moving lines: how a figure went over the last minute. */

export const SECONDS = 60;
const WIDTH = 240;
const HEIGHT = 40;
const SVG = "http://www.w3.org/2000/svg";

/**
 * Return the points of a polyline, the newest value at the right edge.
 * @param {number[]} values the newest last
 * @returns {string}
 */
export function points(values) {
  const top = Math.max(...values, Number.MIN_VALUE);
  return values
    .map((value, index) => {
      const x = WIDTH - ((values.length - 1 - index) * WIDTH) / (SECONDS - 1);
      const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}

export class Chart {
  /** @type {number[]} one for each second */
  #values = [];

  /** @param {string} kind names the line for the style sheet */
  constructor(kind) {
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("class", `chart ${kind}`);
    // The figure beside it says the same.
    this.element.setAttribute("aria-hidden", "true");
    this.line = this.element.appendChild(document.createElementNS(SVG, "polyline"));
  }

  /** @param {number} value */
  add(value) {
    this.#values = [...this.#values, value].slice(-SECONDS);
    this.line.setAttribute("points", points(this.#values));
  }

  clear() {
    this.#values = [];
    this.line.removeAttribute("points");
  }
}
