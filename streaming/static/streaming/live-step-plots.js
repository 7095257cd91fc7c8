// @ts-check
/** What a simulation plots: its lines in a chart, each with its newest value. Loaded when something plots. */

import { make, setText } from "./live-step-dom.js";
import { Lines, draw, fileOf, indexAt, look, nearestStep, scaleOf, shape } from "./live-step-drawing.js";
import { formatNumber, gettext, put } from "./live-step-words.js";

const NO_VALUE = "–";
/** Of the way, with one press of a key. */
const PAGE = 0.1;
/** The lines of another session are there by then; else there are none, and the chart is emptied. */
const CLEARED_MS = 100;
/** How long the server may take for its table. */
const TABLE_MS = 20_000;

export class Plots {
  #lines = new Lines();
  /** @type {Set<string>} the names that are hidden */
  #hidden = new Set();
  #isLog = false;
  /** @type {number | null} the step that is pointed at; null: the newest */
  #at = null;
  /** @type {import("./live-step-drawing.js").Scale | null} */
  #scale = null;
  #painting = 0;
  #clearing = 0;
  #svg = shape("svg", { "aria-hidden": "true" });
  #cursor = shape("g", { class: "cursor" });
  #legend = make("div", { class: "legend", role: "group", "aria-label": gettext("Lines: show or hide") });
  #step = make("span", { class: "step quiet" });
  #log = /** @type {HTMLButtonElement} */ (make("button", { type: "button", part: "button log", "aria-pressed": "false" }, gettext("Logarithmic")));
  #chart = make("div", { class: "plot", tabindex: "0", role: "slider", "aria-orientation": "horizontal" });
  #resized = new ResizeObserver(() => this.#paintSoon());

  /**
   * @param {() => string} name of the files that are saved
   * @param {{css?: boolean, table?: () => string}} [how] whether it brings its style sheet, as it has to in a
   *   shadow tree; it shows itself when that is there. And where the server has all of it as a table, if it has
   */
  constructor(name, { css = true, table = () => "" } = {}) {
    this.name = name;
    this.table = table;
    const csv = make("button", { type: "button", part: "button csv", title: gettext("Save the numbers as a table") }, "CSV");
    const svg = make("button", { type: "button", part: "button chart-svg", title: gettext("Save the lines as a picture") }, "SVG");
    const sheet = make("link", { rel: "stylesheet", href: new URL("live-step-plots.css", import.meta.url).href });
    this.element = make(
      "section",
      { class: "plots", part: "plots", "aria-label": gettext("Lines"), hidden: css },
      make("div", { class: "plots-head" }, this.#legend, make("div", { class: "plots-tools" }, this.#step, this.#log, csv, svg)),
      this.#chart,
    );
    if (css) this.element.append(sheet);
    sheet.onload = sheet.onerror = () => (this.element.hidden = false);
    this.#chart.append(this.#svg);
    this.#log.onclick = () => this.#setLog(!this.#isLog);
    csv.onclick = async () => this.#save((await this.#wholeTable()) ?? new Blob([this.#lines.csv], { type: "text/csv" }), "csv");
    svg.onclick = () => this.#save(new Blob([new XMLSerializer().serializeToString(fileOf(this.#shown, this.#isLog))], { type: "image/svg+xml" }), "svg");
    this.#chart.onpointermove = (event) => this.#pointAt(event);
    this.#chart.onpointerdown = (event) => this.#pointAt(event);
    this.#chart.onpointerleave = (event) => event.pointerType === "mouse" && this.#goTo(null);
    this.#chart.onblur = () => this.#goTo(null);
    this.#chart.onkeydown = (event) => this.#pressed(event);
    this.#resized.observe(this.#chart);
    this.#describe(0, []);
  }

  /** @param {import("./live-step-drawing.js").Series} series */
  take(series) {
    this.#lines.take(series);
    clearTimeout(this.#clearing);
    this.#paintSoon();
  }

  /** Begin anew: the lines of another session come. */
  clear() {
    this.#lines = new Lines();
    this.#at = null;
    clearTimeout(this.#clearing);
    this.#clearing = window.setTimeout(() => this.#paintSoon(), CLEARED_MS);
  }

  close() {
    clearTimeout(this.#clearing);
    cancelAnimationFrame(this.#painting);
    this.#resized.disconnect();
  }

  /** The lines as a server would tell them. */
  get series() {
    return this.#lines.series;
  }

  get #shown() {
    return this.#lines.all.map((line, index) => ({ line, index })).filter(({ line }) => !this.#hidden.has(line.name));
  }

  // Painting, once for all that comes until the browser paints.

  #paintSoon() {
    this.#painting ||= requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    this.#painting = 0;
    const { clientWidth: width, clientHeight: height } = this.#chart;
    const shown = this.#shown;
    this.#list();
    this.#log.disabled = !this.#isLog && !shown.some(({ line }) => line.values.some((value) => value !== null && value > 0));
    if (!width || !height) return;
    this.#scale = scaleOf(shown.map(({ line }) => line), { width, height, isLog: this.#isLog });
    draw(this.#svg, shown, this.#scale);
    this.#svg.append(this.#cursor);
    this.#showPoint();
  }

  /** Have a button for each line. */
  #list() {
    const names = this.#lines.all.map(({ name }) => name);
    const listed = [...this.#legend.children].map((button) => /** @type {HTMLElement} */ (button).dataset.name);
    if (names.join("\n") === listed.join("\n")) return;
    this.#legend.replaceChildren(
      ...names.map((name, index) => {
        const sign = shape("svg", { viewBox: "0 0 20 10", class: "swatch", "aria-hidden": "true" });
        sign.append(shape("path", { ...look(index), d: "M1 5h18" }));
        const button = make("button", { type: "button", "aria-pressed": String(!this.#hidden.has(name)), "data-name": name }, sign, make("span", { class: "name" }, name), make("span", { class: "value" }));
        button.onclick = () => this.#toggle(name, button);
        return button;
      }),
    );
  }

  /**
   * @param {string} name
   * @param {HTMLElement} button
   */
  #toggle(name, button) {
    if (!this.#hidden.delete(name)) this.#hidden.add(name);
    button.setAttribute("aria-pressed", String(!this.#hidden.has(name)));
    this.#paintSoon();
  }

  /** @param {boolean} isLog */
  #setLog(isLog) {
    this.#isLog = isLog;
    this.#log.setAttribute("aria-pressed", String(isLog));
    this.#paintSoon();
  }

  // The step that is pointed at, or the newest.

  /** @param {PointerEvent} event */
  #pointAt(event) {
    if (!this.#scale) return;
    const x = event.clientX - this.#chart.getBoundingClientRect().left;
    this.#goTo(nearestStep(this.#shown.map(({ line }) => line), this.#scale.stepAt(x)));
  }

  /** @param {number | null} step */
  #goTo(step) {
    if (step === this.#at) return;
    this.#at = step;
    this.#showPoint();
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { first, last } = this.#scale ?? { first: 0, last: 0 };
    const lines = this.#shown.map(({ line }) => line);
    const at = this.#at ?? last;
    const page = Math.max(1, Math.round((last - first) * PAGE));
    const steps = lines.flatMap((line) => {
      const here = indexAt(line, at);
      return [line.steps[here] === at ? line.steps[here - 1] : line.steps[here], line.steps[here + 1]];
    });
    /** @type {Record<string, () => number | null>} */
    const ways = {
      ArrowLeft: () => Math.max(first, ...steps.filter((step) => step < at)),
      ArrowRight: () => Math.min(last, ...steps.filter((step) => step > at)),
      PageUp: () => nearestStep(lines, at + page),
      PageDown: () => nearestStep(lines, at - page),
      Home: () => nearestStep(lines, first),
      End: () => nearestStep(lines, last),
      Escape: () => null,
    };
    if (!(event.key in ways) || (event.key === "Escape" && this.#at === null)) return;
    event.preventDefault();
    // They are the player's, too.
    event.stopPropagation();
    this.#goTo(ways[event.key]());
  }

  /** Say what the lines are at that step, and mark it. */
  #showPoint() {
    const scale = this.#scale;
    if (!scale) return;
    const at = this.#at;
    const step = at ?? Math.max(0, ...this.#lines.all.map(({ steps }) => steps.at(-1) ?? 0));
    /** @type {string[]} */
    const said = [];
    /** @type {Element[]} */
    const dots = [];
    this.#lines.all.forEach((line, index) => {
      const value = line.values[indexAt(line, step)] ?? null;
      const text = value === null ? NO_VALUE : precise(value);
      setText(/** @type {HTMLElement | null} */ (this.#legend.children[index]?.querySelector(".value") ?? null), text);
      if (this.#hidden.has(line.name)) return;
      said.push(`${line.name} ${text}`);
      if (at === null || value === null || (scale.isLog && value <= 0)) return;
      dots.push(shape("circle", { class: `dot c${index % 8}`, cx: scale.x(at), cy: scale.y(value), r: 4 }));
    });
    const rule = at === null ? [] : [shape("path", { class: "rule", d: `M${scale.x(at).toFixed(1)} ${scale.top}V${scale.bottom}` })];
    this.#cursor.replaceChildren(...rule, ...dots);
    setText(this.#step, put(gettext("Step %(step)s"), { step }));
    this.#describe(step, said);
  }

  /**
   * @param {number} step
   * @param {string[]} said
   */
  #describe(step, said) {
    // What moves by itself is not read out to whoever stands on it.
    if (this.#at === null && this.#chart.matches(":focus")) return;
    const { first = 0, last = 0 } = this.#scale ?? {};
    this.#chart.ariaLabel = gettext("Lines by step");
    this.#chart.ariaValueMin = String(first);
    this.#chart.ariaValueMax = String(last);
    this.#chart.ariaValueNow = String(step);
    this.#chart.ariaValueText = [put(gettext("Step %(step)s"), { step }), said.join(", ")].filter(Boolean).join(": ");
  }

  /** The server keeps more of a long run than it tells a page. Null where it is out of reach. */
  async #wholeTable() {
    const address = this.table();
    if (!address) return null;
    try {
      const answer = await fetch(address, { signal: AbortSignal.timeout(TABLE_MS) });
      // It may be a page that asks for a login.
      return answer.ok && answer.headers.get("content-type")?.startsWith("text/csv") ? await answer.blob() : null;
    } catch {
      return null;
    }
  }

  /**
   * @param {Blob} content
   * @param {string} kind
   */
  async #save(content, kind) {
    const { download } = await import("./live-step-recorder.js");
    download(content, `${this.name()}-series.${kind}`);
  }
}

/**
 * Write a value with as many digits as tell something.
 * @param {number} value
 */
function precise(value) {
  const size = Math.abs(value);
  const isFar = value !== 0 && (size >= 1e7 || size < 1e-4);
  return formatNumber(value, isFar ? { notation: "scientific", maximumFractionDigits: 3 } : { maximumSignificantDigits: 5 });
}
