// @ts-check
/** The files that a simulation has saved, each with a link to download it. */

import { make } from "./live-step-dom.js";
import { formatNumber, gettext } from "./live-step-words.js";

/** From the largest unit that is 1 or more. @type {[number, string][]} */
const UNITS = [
  [1e6, "megabyte"],
  [1e3, "kilobyte"],
  [0, "byte"],
];

/**
 * @param {HTMLElement} place
 * @param {{name: string, size: number}[]} files as in a `session` message
 * @param {(name: string) => string} addressOf
 */
export function showFiles(place, files, addressOf) {
  const rows = files.map(({ name, size }) => {
    const link = make("a", { href: addressOf(name), download: name }, name);
    return make("li", {}, link, " ", make("span", { class: "quiet" }, formatSize(size)));
  });
  const shown = place.querySelector("ul");
  const list = make("ul", {}, ...rows);
  place.hidden = !files.length;
  // A link that has the focus keeps it while nothing is new.
  if (shown?.outerHTML !== list.outerHTML) place.replaceChildren(make("h2", {}, gettext("Saved files")), list);
}

/** @param {number} bytes */
export function formatSize(bytes) {
  const [size, unit] = UNITS.find(([least]) => bytes >= least) ?? UNITS[2];
  return formatNumber(size ? bytes / size : bytes, { style: "unit", unit, unitDisplay: size ? "short" : "long", maximumFractionDigits: 1 });
}
