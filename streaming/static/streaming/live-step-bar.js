// @ts-check
/** The control bar at the picture's lower edge: what goes on, where in time, and what can be done about it. */

import { hasEnded } from "./live-step-client.js";
import { make, setText } from "./live-step-dom.js";
import { icon, redraw } from "./live-step-icons.js";
import { clock } from "./live-step-state.js";
import { gettext, put } from "./live-step-words.js";

const STEP_RATES = [1, 2, 5, 10, 20, 50, 100];
/** A picture that stands there longer than this after it was made is not live. */
const LATE_MS = 1_000;
/** Words of more letters are written smaller, so that a receipt is read whole. */
const LONG = 36;

/**
 * @typedef {{isOpen: boolean, isCutOff: boolean, isShared: boolean, canControl: boolean, pending: "" | "start" | "stop"}} How
 *   `isOpen` if there is a connection; `isCutOff` if nobody hears the process that runs it: it may stop
 *   yet, and no more; `isShared` if it is to show the session that everybody sees; `pending` is what was asked for and has no answer yet
 */

export class Bar {
  /** @param {boolean} isFull whether it has more than the buttons and the state */
  constructor(isFull) {
    this.element = make(
      "div",
      { class: "bar", part: "bar" },
      ...(isFull ? [make("input", { type: "range", class: "timeline", min: "0", max: "0", step: "1", disabled: true, "aria-label": gettext("Back in time"), "data-field": "position" })] : []),
      make(
        "div",
        { class: "controls", part: "controls", role: "group", "aria-label": gettext("Controls"), "data-field": "controls" },
        make("button", { type: "button", class: "play primary", part: "button play", "data-action": "play", disabled: true }, icon("play"), make("span", { class: "word" })),
        iconButton("stop", gettext("Stop"), "S", { disabled: true }),
        iconButton("step", gettext("Step"), "→", { disabled: true }),
      ),
      make("p", { class: "pill", part: "state", "data-tone": "idle" }, icon("ready"), make("span", { "data-field": "state" }, gettext("Ready"))),
      ...(isFull ? this.#more() : []),
    );
  }

  #more() {
    return [
      make("div", { class: "time" }, make("span", { "data-field": "elapsed" }, clock(0)), make("output", { "data-field": "position-text" })),
      make("button", { type: "button", class: "live", part: "button live", "data-action": "live", "aria-pressed": "true", disabled: true, title: gettext("Follow the newest picture (L)") }, icon("live"), gettext("Live")),
      make("select", { class: "speed", "aria-label": gettext("Speed"), title: gettext("Speed"), "data-field": "steps-per-second", disabled: true }, new Option(gettext("full speed"), ""), ...STEP_RATES.map(rateOption)),
      iconButton("full-screen", gettext("Full screen"), "F"),
      iconButton("keys", gettext("Keys"), "?"),
    ];
  }

  /** @param {string} name */
  #button(name) {
    return /** @type {HTMLButtonElement | null} */ (this.element.querySelector(`[data-action=${name}]`));
  }

  /**
   * @template {HTMLElement} [T=HTMLElement]
   * @param {string} name
   * @returns {T | null}
   */
  #field(name) {
    return this.element.querySelector(`[data-field=${name}]`);
  }

  /**
   * Show what can be done now.
   * @param {any} session the newest `session` message, or null
   * @param {How} how
   */
  update(session, { isOpen, isCutOff, isShared, canControl, pending }) {
    const isGoing = session !== null && !hasEnded(session.state);
    const controls = isOpen && isGoing && canControl;
    const mayPress = controls && session.state !== "stopping" && !pending;
    this.#play(session, isGoing, isOpen && (isGoing ? mayPress && !isCutOff : !pending), pending);
    enable(this.#button("stop"), mayPress);
    enable(this.#button("step"), controls && session.state === "paused" && !isCutOff && !pending);
    // It may be set before the start, when a quick simulation is soon over.
    enable(this.#field("steps-per-second"), isOpen && (!isGoing || canControl));
    const group = this.#field("controls");
    // Nobody starts or stops what everybody sees, also before it is there: the page has no room for a moment's buttons.
    if (group) group.hidden = isGoing ? isShared || !canControl : isShared && !session;
    setText(this.#field("elapsed"), clock(session?.elapsed_ms ?? 0));
  }

  /**
   * One button: what it does is what can be done.
   * @param {any} session
   * @param {boolean} isGoing
   * @param {boolean} isEnabled
   * @param {string} pending
   */
  #play(session, isGoing, isEnabled, pending) {
    const button = this.#button("play");
    if (!button) return;
    const isPause = isGoing && session.state !== "paused";
    const name = isPause ? gettext("Pause") : isGoing ? gettext("Resume") : gettext("Start");
    setText(button.querySelector(".word"), name);
    redraw(button.querySelector("svg"), isPause ? "pause" : "play");
    button.title = put(gettext("%(name)s (%(key)s)"), { name, key: gettext("Space") });
    // It is locked, but keeps the keyboard: what it does next is for the same finger.
    button.disabled = !isEnabled && !pending;
    button.ariaDisabled = String(!isEnabled);
    button.classList.toggle("primary", !isGoing && !["failed", "stuck", "lost"].includes(session?.state));
  }

  /** @param {import("./live-step-state.js").Look} look */
  show({ sign, tone, words }) {
    const pill = /** @type {HTMLElement} */ (this.element.querySelector(".pill"));
    pill.dataset.tone = tone;
    pill.title = words;
    pill.toggleAttribute("data-long", words.length > LONG);
    redraw(pill.querySelector("svg"), sign);
    setText(this.#field("state"), words);
  }

  /** @param {number | null} stepsPerSecond */
  showSpeed(stepsPerSecond) {
    const select = /** @type {HTMLSelectElement | null} */ (this.#field("steps-per-second"));
    if (!select || select.matches(":focus")) return;
    const value = String(stepsPerSecond ?? "");
    if (![...select.options].some((option) => option.value === value)) select.add(rateOption(stepsPerSecond ?? 0));
    select.value = value;
  }

  /** @param {number | null} behindMs how long after it was made the picture stood there */
  showLateness(behindMs) {
    this.#button("live")?.toggleAttribute("data-late", (behindMs ?? 0) > LATE_MS);
  }

  /**
   * Show where in the run the frame is that is to be seen.
   * @param {{last: number, position: number, isLive: boolean, frames: {length: number}}} timeline
   */
  scrub({ last, position, isLive, frames }) {
    const slider = /** @type {HTMLInputElement | null} */ (this.#field("position"));
    if (!slider) return;
    slider.disabled = frames.length < 2;
    slider.max = String(Math.max(last, 0));
    slider.value = String(position);
    slider.style.setProperty("--_played", `${last > 0 ? (position / last) * 100 : 0}%`);
    const live = this.#button("live");
    live?.setAttribute("aria-pressed", String(isLive));
    enable(live, frames.length > 0);
  }

  /** @param {string} text which frame it is that stands there */
  caption(text) {
    setText(this.#field("position-text"), text);
    this.#field("position")?.setAttribute("aria-valuetext", text);
  }
}

/**
 * @param {string} action
 * @param {string} name
 * @param {string} key
 * @param {Record<string, string | boolean>} [attributes]
 */
function iconButton(action, name, key, attributes = {}) {
  const title = put(gettext("%(name)s (%(key)s)"), { name, key });
  return make("button", { type: "button", class: action, part: `button ${action}`, "data-action": action, "aria-label": name, title, ...attributes }, icon(action));
}

/** @param {number} rate */
function rateOption(rate) {
  return new Option(put(gettext("%(rate)s steps/s"), { rate }), String(rate));
}

/**
 * @param {any} element
 * @param {boolean} isEnabled
 */
function enable(element, isEnabled) {
  if (element) element.disabled = !isEnabled;
}
