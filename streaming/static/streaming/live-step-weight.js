// @ts-check
/**
 * How much a browser has to draw for a picture. A kilobyte of `<use>` in `<use>` can stand for a
 * billion shapes, for which the page, and every button on it, would stand still.
 */

/** Beyond so many shapes a picture is not shown. A plain one of 900 KB has a tenth of them. */
export const MOST_SHAPES = 200_000;
/** A part of a filter is worked out for each pixel. */
const FILTER_PART = 200;
/** What can be drawn more than once, and the attributes that say where. */
const REPEATED = "filter, mask, pattern, marker, clipPath";
const REPEATING = /<(?:[\w-]+:)?(?:use|filter|mask|pattern|marker|clipPath)\b/;
/** Styles as the page's parser sees them, which would drop them, and complain, under their own name. */
const STYLES = "data-style";
const REFERRING = ["fill", "stroke", "filter", "mask", "clip-path", "marker-start", "marker-mid", "marker-end", "style", STYLES];
const REFERENCES = /url\(\s*["']?#([^"')\s]+)/g;
/** So deep may one refer to another; those that refer to each other would be counted for ever. */
const MOST_LEVELS = 40;
const XLINK = "http://www.w3.org/1999/xlink";

export class TooManyShapes extends Error {}

/**
 * Say whether a picture has too many shapes that is shown without having been parsed.
 * @param {string} svg
 */
export function isTooHeavy(svg) {
  // One in which nothing is drawn twice is no heavier than it is long.
  if (!REPEATING.test(svg)) return false;
  const text = svg.replace(/(\s)style(\s*=)/g, `$1${STYLES}$2`);
  return countShapes(new DOMParser().parseFromString(text, "image/svg+xml").documentElement) > MOST_SHAPES;
}

/**
 * Return how many shapes are to be drawn, each as often as it is; no more is counted than `most`.
 * @param {Element} root
 * @param {number} most
 */
export function countShapes(root, most = MOST_SHAPES) {
  const inner = root.getElementsByTagName("*");
  const hasUse = root.getElementsByTagName("use").length > 0;
  const hasRepeated = root.querySelector(REPEATED) !== null;
  // Most pictures are told by their length alone: each element that is touched costs an object.
  if (inner.length >= most || !(hasUse || hasRepeated)) return inner.length + 1;
  const elements = [root, ...inner];
  const places = new Map(elements.map((element, place) => [element, place]));
  const named = new Map(elements.map((element, place) => [element.id, place]));
  const parents = elements.map((element) => places.get(/** @type {Element} */ (element.parentNode)) ?? 0);
  const references = elements.map((element) => referencesOf(element, hasRepeated).map((id) => named.get(id)));
  let counted = 0;
  /** @type {number[]} */
  let counts = [];
  // Each time what is referred to counts one level deeper, until there is nothing new.
  for (let level = 0; level < MOST_LEVELS; level += 1) {
    const next = elements.map(own);
    for (let place = elements.length - 1; place >= 0; place -= 1) {
      for (const other of references[place]) next[place] += other === undefined ? 0 : (counts[other] ?? 0);
      if (place > 0) next[parents[place]] += next[place];
    }
    if (next[0] === counted || next[0] > most) return next[0];
    counted = next[0];
    counts = next;
  }
  return counted;
}

/** @param {Element} element */
function own(element) {
  if (!element.localName.startsWith("fe")) return 1;
  return FILTER_PART * Math.max(1, Number(element.getAttribute("numOctaves")) || 1);
}

/**
 * @param {Element} element
 * @param {boolean} hasRepeated whether it may refer to more than a `<use>` does
 */
function referencesOf(element, hasRepeated) {
  const found = [];
  if (element.localName === "use") {
    const address = element.getAttribute("href") ?? element.getAttributeNS(XLINK, "href") ?? "";
    if (address.startsWith("#")) found.push(address.slice(1));
  }
  if (!hasRepeated) return found;
  for (const name of REFERRING) {
    for (const [, id] of element.getAttribute(name)?.matchAll(REFERENCES) ?? []) found.push(id);
  }
  return found;
}
