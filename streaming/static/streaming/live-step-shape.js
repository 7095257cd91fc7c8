// @ts-check
/** The shape of pictures: what size an SVG gives itself, and which shape a simulation's last one had. */

/** CSS pixels in each unit; em and ex as at the text size that a document begins with. */
const PIXELS = { "": 1, px: 1, in: 96, cm: 96 / 2.54, mm: 96 / 25.4, q: 96 / 101.6, pt: 4 / 3, pc: 16, em: 16, rem: 16, ex: 8 };
export const USUAL_RATIO = 4 / 3;
/** Beyond these a picture would be a line: it gets some empty room instead. */
const LEAST_RATIO = 1 / 5;
const GREATEST_RATIO = 8;
const START_TAG = /^<svg(?:[^>"']|"[^"]*"|'[^']*')*>/;

/**
 * Return a length in CSS pixels, or null for one that depends on the room there is.
 * @param {string | null} length as an attribute of <svg> has it
 */
export function toPixels(length) {
  const [, number, unit] = /^\s*([+]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)\s*$/i.exec(length ?? "") ?? [];
  // @ts-ignore: what is no unit gives undefined
  const pixels = Number(number) * PIXELS[(unit ?? "").toLowerCase()];
  return pixels > 0 ? pixels : null;
}

/**
 * Return the size that a picture gives itself, as an <img> of it would have it.
 * @param {{width: string | null, height: string | null, viewBox: string | null}} attributes
 * @returns {{width: number | null, height: number | null, ratio: number | null}}
 *   lengths in CSS pixels; width divided by height
 */
export function naturalSize({ width: widthText, height: heightText, viewBox }) {
  const [width, height] = [toPixels(widthText), toPixels(heightText)];
  const box = (viewBox ?? "").trim().split(/[\s,]+/).map(Number);
  const hasBox = box.length === 4 && box[2] > 0 && box[3] > 0;
  const ratio = width && height ? width / height : hasBox ? box[2] / box[3] : null;
  return { width, height, ratio };
}

/**
 * Return what the text of an SVG says of its size, without parsing all of it.
 * @param {string} svg
 * @returns {{width: string | null, height: string | null, viewBox: string | null}}
 */
export function statedSize(svg) {
  const tag = START_TAG.exec(svg)?.[0] ?? "";
  const [width, height, viewBox] = ["width", "height", "viewBox"].map((name) => {
    const found = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`).exec(tag);
    return found ? (found[1] ?? found[2]) : null;
  });
  return { width, height, viewBox };
}

/**
 * Return a picture of another size. Only its first tag is read: the page's own parser would drop styles.
 * @param {string} svg
 * @param {number} width in CSS pixels
 * @returns {{svg: string, height: number}}
 */
export function resized(svg, width) {
  const stated = statedSize(svg);
  const own = naturalSize(stated);
  const height = Math.round(width / (own.ratio ?? USUAL_RATIO));
  const box = !stated.viewBox && own.width && own.height ? ` viewBox="0 0 ${own.width} ${own.height}"` : "";
  const text = svg.replace(START_TAG, (tag) =>
    tag
      .replace(/\s(?:width|height)\s*=\s*(?:"[^"]*"|'[^']*')/g, "")
      .replace(/\s*\/?>$/, (end) => ` width="${width}" height="${height}"${box}${end.trim()}`),
  );
  return { svg: text, height };
}

/** @param {number | null} ratio */
export function shownRatio(ratio) {
  return Math.min(Math.max(ratio || USUAL_RATIO, LEAST_RATIO), GREATEST_RATIO);
}

/**
 * Return the shape of a simulation's last picture in this browser, or null.
 * @param {string} simulation
 */
export function recallRatio(simulation) {
  try {
    return Number(localStorage.getItem(key(simulation))) || null;
  } catch {
    return null;
  }
}

/**
 * @param {string} simulation
 * @param {number} ratio
 */
export function rememberRatio(simulation, ratio) {
  try {
    localStorage.setItem(key(simulation), String(ratio));
  } catch {
    // A browser that keeps nothing shows the usual shape first.
  }
}

/** @param {string} simulation */
function key(simulation) {
  return `live-step-ratio:${simulation}`;
}
