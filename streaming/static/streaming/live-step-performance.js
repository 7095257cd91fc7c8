// @ts-check
/** How fast it goes, and what comes over the line: folded away until somebody asks. */

import { Chart } from "./live-step-chart.js";
import { formatRate, hasEnded } from "./live-step-client.js";
import { make, setText } from "./live-step-dom.js";
import { formatNumber, gettext, put } from "./live-step-words.js";

const NO_FIGURE = "–";

export class Performance {
  #stepChart = new Chart("steps");
  #frameChart = new Chart("frames");

  constructor() {
    this.element = make(
      "details",
      { class: "performance", part: "performance" },
      make("summary", {}, gettext("Performance")),
      make(
        "dl",
        { class: "figures", part: "figures" },
        line("step-rate", gettext("Steps/s"), this.#stepChart.element),
        line("frame-rate", gettext("Frames/s"), this.#frameChart.element),
        figure("step", gettext("Step")),
        figure("viewers", gettext("Viewers")),
        figure("engine", gettext("Engine")),
        figure("received", gettext("Received")),
        figure("skipped", gettext("Skipped")),
        figure("age", gettext("Behind")),
      ),
      make(
        "label",
        { class: "rates", part: "rates" },
        gettext("Frame rate"),
        make("input", { type: "range", min: "1", max: "60", step: "1", disabled: true, "data-field": "fps" }),
        make("output", { class: "quiet", "data-field": "fps-text" }),
      ),
    );
  }

  /** @param {string} name */
  #field(name) {
    return /** @type {HTMLElement | null} */ (this.element.querySelector(`[data-field=${name}]`));
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  #say(name, text) {
    setText(this.#field(name), text);
  }

  /** Begin with a session of which nothing is known yet. */
  begin() {
    this.#stepChart.clear();
    this.#frameChart.clear();
    this.#say("step-rate", NO_FIGURE);
  }

  /**
   * @param {any} session the `session` message
   * @param {{steps: number | null, frames: number | null}} rates a second
   */
  tell(session, rates) {
    this.#say("step", formatNumber(session.step));
    this.#say("viewers", formatNumber(session.viewers));
    this.#say("engine", session.engine);
    if (rates.steps !== null) this.#say("step-rate", formatRate(rates.steps));
    this.#say("frame-rate", rates.frames === null || hasEnded(session.state) ? NO_FIGURE : formatRate(rates.frames));
    if (rates.steps !== null && !hasEnded(session.state)) {
      this.#stepChart.add(rates.steps);
      this.#frameChart.add(rates.frames ?? 0);
    }
    const range = /** @type {HTMLInputElement} */ (this.#field("fps"));
    if (range.matches(":focus")) return;
    range.value = String(session.rate.fps || range.max);
    this.showFrameRate(session.rate.fps);
  }

  /** @param {number} fps */
  showFrameRate(fps) {
    this.#say("fps-text", fps ? put(gettext("%(fps)s frames/s at most"), { fps }) : gettext("no clock"));
  }

  /** @param {boolean} mayChange the frame rate */
  enable(mayChange) {
    /** @type {HTMLInputElement} */ (this.#field("fps")).disabled = !mayChange;
  }

  /** @param {{received: number, notSent: number, notDrawn: number, behindMs: number | null}} line */
  showLine({ received, notSent, notDrawn, behindMs }) {
    this.#say("received", formatNumber(received));
    this.#say("skipped", formatNumber(notSent + notDrawn));
    const skipped = this.#field("skipped");
    if (skipped) skipped.title = put(gettext("%(notSent)s by the server, since the line was full; %(notDrawn)s by this browser"), { notSent, notDrawn });
    this.#say("age", behindMs === null ? NO_FIGURE : put(gettext("%(ms)s ms"), { ms: Math.round(behindMs) }));
  }
}

/**
 * @param {string} name
 * @param {string} label
 * @param {Node[]} more
 */
function figure(name, label, ...more) {
  return make("div", {}, make("dt", {}, label), make("dd", { "data-field": name }, NO_FIGURE), ...more);
}

/**
 * @param {string} name
 * @param {string} label
 * @param {Element} chart
 */
function line(name, label, chart) {
  const row = figure(name, label, make("dd", { class: "line" }, chart));
  row.className = "wide";
  return row;
}
