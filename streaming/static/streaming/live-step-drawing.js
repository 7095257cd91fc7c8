// @ts-check
/**
 * Lines of numbers: which points are kept, where they lie, and their drawing as SVG. It imports
 * nothing, since it stands in every saved page, too.
 */

/** @typedef {{name: string, steps: number[], values: (number | null)[]}} Line null is a gap */
/** @typedef {{names: string[], points: (number | null)[][]}} Series as the server tells it: rows of a step and its values */

/** Of a line in the browser; what is older is thinned, and keeps its extremes. */
export const MOST_POINTS = 8_000;
const SVG = "http://www.w3.org/2000/svg";
/** In a file and where no style sheet says otherwise: each has a contrast of 4.5 to white. */
export const COLOURS = ["#1d4ed8", "#b45309", "#15803d", "#be123c", "#7c3aed", "#0e7490", "#475569", "#a21caf"];
/** For those that come after the colours are used up. */
const DASHES = ["", "7 4", "2 4", "8 3 2 3"];
const [TOP, RIGHT, BOTTOM] = [8, 12, 22];
const LETTER = 6.6;

/** The lines of a session, as far as the page was told of them. */
export class Lines {
  /** @type {Line[]} */
  all = [];

  /** @param {Series} series points of a step that is known already are left out */
  take({ names, points }) {
    names.forEach((name, column) => {
      let line = this.all.find((known) => known.name === name);
      if (!line) this.all.push((line = { name, steps: [], values: [] }));
      for (const row of points) {
        const step = /** @type {number} */ (row[0]);
        if (step <= (line.steps.at(-1) ?? -Infinity)) continue;
        line.steps.push(step);
        line.values.push(row[column + 1]);
      }
      if (line.steps.length > MOST_POINTS) Object.assign(line, thinned(line, MOST_POINTS / 2));
    });
  }

  /** The lines as a server would tell them. @returns {Series[]} */
  get series() {
    return this.all.map(({ name, steps, values }) => ({ names: [name], points: steps.map((step, index) => [step, values[index]]) }));
  }

  /** A table with a row for each step, as text. */
  get csv() {
    /** @type {Map<number, (number | null)[]>} */
    const rows = new Map();
    this.all.forEach(({ steps, values }, column) => {
      steps.forEach((step, index) => {
        if (!rows.has(step)) rows.set(step, this.all.map(() => null));
        /** @type {(number | null)[]} */ (rows.get(step))[column] = values[index];
      });
    });
    const lines = [...rows].sort(([one], [other]) => one - other).map(([step, row]) => [step, ...row.map((value) => value ?? "")].join(","));
    return [["step", ...this.all.map(({ name }) => quoted(name))].join(","), ...lines, ""].join("\n");
  }
}

/** @param {string} name */
function quoted(name) {
  return /[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}

/**
 * Leave points out: of equal parts of the way, the lowest and the highest stay, and a gap if there is one.
 * @param {Line} line
 * @param {number} most
 * @returns {Line}
 */
export function thinned({ name, steps, values }, most) {
  if (steps.length <= most) return { name, steps, values };
  const parts = Math.max(1, Math.floor((most - 2) / (values.includes(null) ? 3 : 2)));
  const [first, last] = [steps[0], steps[steps.length - 1]];
  const width = (last - first) / parts || 1;
  const chosen = new Set([0, steps.length - 1]);
  for (let start = 0, part = 0; start < steps.length && part < parts; part += 1) {
    let [low, high, gap] = [-1, -1, -1];
    const end = part + 1 === parts ? Infinity : first + (part + 1) * width;
    for (; start < steps.length && steps[start] < end; start += 1) {
      const value = values[start];
      if (value === null) gap = gap < 0 ? start : gap;
      else {
        if (low < 0 || value < /** @type {number} */ (values[low])) low = start;
        if (high < 0 || value > /** @type {number} */ (values[high])) high = start;
      }
    }
    for (const index of [low, high, gap]) if (index >= 0) chosen.add(index);
  }
  const kept = [...chosen].sort((one, other) => one - other);
  return { name, steps: kept.map((index) => steps[index]), values: kept.map((index) => values[index]) };
}

/**
 * Return round numbers between two: 1, 2 or 5 times a power of ten apart.
 * @param {number} low
 * @param {number} high
 * @param {number} most how many
 * @param {number} [least] how far apart they are at least
 */
export function ticks(low, high, most, least = 0) {
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  const apart = Math.max(least, power * (/** @type {number} */ ([1, 2, 5, 10].find((step) => (high - low) / (step * power) <= most))));
  const first = Math.ceil(low / apart - 1e-9);
  const count = Math.floor(high / apart + 1e-9) - first + 1;
  // Not by adding up, which would give 0.30000000000000004.
  return Array.from({ length: Math.max(0, count) }, (_, index) => Number(((first + index) * apart).toPrecision(12)));
}

/**
 * Return the ticks of a logarithmic axis: powers of ten, and 2 and 5 times them where there are few.
 * @param {number} low
 * @param {number} high
 * @param {number} most
 */
export function logTicks(low, high, most) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const powers = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  const every = Math.ceil(powers.length / most);
  const factors = every === 1 && powers.length * 3 <= most + 4 ? [1, 2, 5] : [1];
  return powers
    .filter((power) => power % every === 0)
    .flatMap((power) => factors.map((factor) => Number((factor * 10 ** power).toPrecision(12))))
    .filter((value) => value >= low * 0.999999 && value <= high * 1.000001);
}

/**
 * Return where the lines lie.
 * @param {Line[]} lines
 * @param {{width: number, height: number, isLog: boolean}} size in pixels
 */
export function scaleOf(lines, { width, height, isLog }) {
  let [first, last, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { steps, values } of lines) {
    if (!steps.length) continue;
    first = Math.min(first, steps[0]);
    last = Math.max(last, steps[steps.length - 1]);
    for (const value of values) {
      if (value === null || (isLog && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (first > last) [first, last] = [0, 1];
  if (first === last) [first, last] = [first - 1, last + 1];
  if (low > high) [low, high] = isLog ? [1, 10] : [0, 1];
  if (isLog) {
    const room = Math.max((high / low) ** 0.05, 1.05);
    [low, high] = [low / room, high * room];
  } else {
    const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
    [low, high] = [low - room, high + room];
  }
  const marks = (isLog ? logTicks : ticks)(low, high, Math.max(2, Math.floor(height / 34)));
  const left = 10 + LETTER * Math.max(3, ...marks.map((mark) => short(mark).length));
  const across = Math.max(1, width - left - RIGHT);
  const down = Math.max(1, height - TOP - BOTTOM);
  const lift = isLog ? Math.log10 : Number;
  const [bottom, top] = [lift(low), lift(high)];
  return {
    width,
    height,
    isLog,
    left,
    right: left + across,
    top: TOP,
    bottom: TOP + down,
    marks,
    stepMarks: ticks(first, last, Math.max(2, Math.floor(across / 70)), 1),
    first,
    last,
    x: (/** @type {number} */ step) => left + ((step - first) / (last - first)) * across,
    y: (/** @type {number} */ value) => TOP + down - ((lift(value) - bottom) / (top - bottom)) * down,
    stepAt: (/** @type {number} */ x) => first + ((x - left) / across) * (last - first),
  };
}

/** @typedef {ReturnType<typeof scaleOf>} Scale */

/**
 * Return a line as the data of a path. A point between two gaps is a dot.
 * @param {Line} line
 * @param {Scale} scale
 */
export function pathOf(line, { x, y, isLog, left, right }) {
  const { steps, values } = thinned(line, Math.max(100, Math.ceil(right - left) * 2));
  let path = "";
  let isDrawing = false;
  values.forEach((value, index) => {
    if (value === null || (isLog && value <= 0)) {
      isDrawing = false;
      return;
    }
    path += `${isDrawing ? "L" : "M"}${x(steps[index]).toFixed(1)} ${y(value).toFixed(1)}`;
    if (!isDrawing) path += "h0";
    isDrawing = true;
  });
  return path;
}

/**
 * Draw lines with their axes into an SVG, over what was there.
 * @param {Element} svg
 * @param {{line: Line, index: number}[]} shown each with the number of its colour
 * @param {Scale} scale
 */
export function draw(svg, shown, scale) {
  const { width, height, left, right, top, bottom, marks, stepMarks, x, y } = scale;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const text = { fill: "#526071", "font-size": "11", "font-family": "system-ui, sans-serif" };
  const grid = marks.map((mark) => `M${left} ${y(mark).toFixed(1)}H${right}`).join("");
  svg.replaceChildren(
    shape("path", { class: "grid", d: `${grid}M${left} ${bottom}H${right}`, stroke: "#d5dbe3", fill: "none" }),
    ...marks.map((mark) => shape("text", { class: "mark", x: left - 6, y: y(mark) + 4, "text-anchor": "end", ...text }, short(mark))),
    ...stepMarks.map((mark) => shape("text", { class: "mark", x: x(mark), y: bottom + 16, "text-anchor": mark === scale.last ? "end" : "middle", ...text }, short(mark))),
    ...shown.map(({ line, index }) => shape("path", { ...look(index), d: pathOf(line, scale) })),
  );
}

/**
 * Return how a line of that number is drawn.
 * @param {number} index
 */
export function look(index) {
  const dash = DASHES[Math.floor(index / COLOURS.length) % DASHES.length];
  const colour = index % COLOURS.length;
  return { class: `line c${colour}`, stroke: COLOURS[colour], "stroke-dasharray": dash, fill: "none", "stroke-width": 2, "stroke-linejoin": "round", "stroke-linecap": "round" };
}

/**
 * Return a drawing of all lines with their names, to be a file of its own.
 * @param {{line: Line, index: number}[]} shown
 * @param {boolean} isLog
 */
export function fileOf(shown, isLog) {
  const [width, height] = [960, 420];
  const rows = Math.ceil(shown.length / 4);
  const svg = shape("svg", { xmlns: SVG, viewBox: `0 0 ${width} ${height + 20 * rows}` });
  const chart = shape("svg", { width, height });
  draw(chart, shown, scaleOf(shown.map(({ line }) => line), { width, height, isLog }));
  const legend = shown.flatMap(({ line, index }, place) => {
    const [x, y] = [60 + (place % 4) * 220, height + 14 + 20 * Math.floor(place / 4)];
    const words = { x: x + 32, y, fill: "#16202e", "font-size": "13", "font-family": "system-ui, sans-serif" };
    return [shape("path", { ...look(index), d: `M${x} ${y - 4}h24` }), shape("text", words, line.name)];
  });
  svg.append(shape("rect", { width: "100%", height: "100%", fill: "#ffffff" }), chart, ...legend);
  return svg;
}

/**
 * Return the place of a line's last point that is no later than a step; -1 if there is none.
 * @param {Line} line
 * @param {number} step
 */
export function indexAt({ steps }, step) {
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * Return the step nearest to another at which any of the lines has a point.
 * @param {Line[]} lines
 * @param {number} step
 */
export function nearestStep(lines, step) {
  const known = lines.flatMap((line) => {
    const at = indexAt(line, step);
    return [line.steps[at], line.steps[at + 1]].filter((one) => one !== undefined);
  });
  return known.length ? known.reduce((best, one) => (Math.abs(one - step) < Math.abs(best - step) ? one : best)) : null;
}

/**
 * Write a number of an axis as short as may be, in every language alike.
 * @param {number} number
 */
export function short(number) {
  const size = Math.abs(number);
  if (number && (size >= 1e6 || size < 1e-3)) return number.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(number.toPrecision(6)));
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
export function shape(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== "" && name !== "xmlns") element.setAttribute(name, String(value));
  if (text) element.textContent = text;
  return element;
}
