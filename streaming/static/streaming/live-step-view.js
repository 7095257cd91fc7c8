// @ts-check
/** What <live-step> shows, in its shadow tree: made once, then told what is new. */

import { Chart } from "./live-step-chart.js";
import {
  describe,
  describeRemaining,
  formatDuration,
  formatRate,
  hasEnded,
} from "./live-step-client.js";
import { shownRatio } from "./live-step-shape.js";
import { formatNumber, gettext, put } from "./live-step-words.js";

const STYLE_SHEET = new URL("live-step.css", import.meta.url).href;
const NO_PICTURE = new URL("ready.svg", import.meta.url).href;
/** A screen reader is told what is new this often at the most. */
const SPEAK_EVERY_MS = 5_000;
const STEP_RATES = [1, 2, 5, 10, 20, 50, 100];
const NO_FIGURE = "–";

/** @typedef {import("./live-step-history.js").Frame} Frame */

export class View {
  #stepChart = new Chart("steps");
  #frameChart = new Chart("frames");
  #spokenAt = -Infinity;
  #speakTimer = 0;

  /**
   * @param {ShadowRoot} root
   * @param {string} controls "none", "bar" or "full"
   * @param {string} poster address of what is shown until there is a picture; "" for nothing special
   * @param {number | null} ratio of the first picture, as far as it can be known
   */
  constructor(root, controls, poster, ratio) {
    this.root = root;
    this.poster = poster;
    const sheet = make("link", { rel: "stylesheet", href: STYLE_SHEET });
    const player = make("div", { class: "player", hidden: true }, this.#stage(controls), ...this.#panel(controls));
    sheet.onload = sheet.onerror = () => (player.hidden = false);
    root.replaceChildren(sheet, player);
    this.player = player;
    if (ratio) this.shape(ratio);
    else this.#shapeAsPoster();
  }

  close() {
    clearTimeout(this.#speakTimer);
  }

  #shapeAsPoster() {
    const poster = /** @type {HTMLImageElement} */ (this.holder.querySelector(".poster"));
    // Unless a picture has come first.
    poster.onload = () => this.figure.style.length || this.shape(poster.naturalWidth / poster.naturalHeight);
  }

  /** @param {string} controls */
  #stage(controls) {
    const keys = gettext("Space: start, pause, resume. S: stop. ← →: back in time, one step. + − 0: zoom. R: record. F: full screen.");
    return make(
      "div",
      { class: "stage" },
      make(
        "figure",
        { class: "picture", part: "picture", tabindex: "0", role: "group", "aria-label": gettext("Player"), title: keys },
        make(
          "div",
          { class: "view", part: "image", role: "img", "aria-label": gettext("No picture yet"), "data-field": "picture" },
          make("img", { class: "poster", src: this.poster || NO_PICTURE, alt: "" }),
        ),
        make("div", { class: "touch", "data-field": "touch" }),
        ...(controls === "full" ? [this.#lens()] : []),
        make("pre", { class: "cover", part: "cover", hidden: true, "data-field": "cover" }),
      ),
      ...(controls === "full" ? [this.#scrubber()] : []),
    );
  }

  /** Buttons for which part of the picture is seen. */
  #lens() {
    return make(
      "div",
      { class: "lens", part: "lens", role: "group", "aria-label": gettext("Zoom") },
      button("hand", gettext("Move"), { hidden: true, "aria-pressed": "false", title: gettext("Move the picture instead of drawing on it") }),
      button("zoom-in", "+", { "aria-label": gettext("Zoom in") }),
      button("zoom-out", "−", { "aria-label": gettext("Zoom out"), disabled: true }),
      button("fit", gettext("Fit"), { disabled: true }),
    );
  }

  #scrubber() {
    return make(
      "div",
      { class: "scrubber", part: "scrubber", hidden: true, "data-field": "scrubber" },
      make("input", { type: "range", min: "0", max: "0", step: "1", "aria-label": gettext("Back in time"), "data-field": "position" }),
      make("output", { class: "quiet", "data-field": "position-text" }),
      button("live", gettext("Live"), { "aria-pressed": "true" }),
    );
  }

  /** @param {string} controls */
  #panel(controls) {
    const spoken = make("p", { class: "unseen", role: "status", "data-field": "spoken" });
    const said = [
      make("p", { role: "alert", part: "error", "data-field": "alert" }),
      make("a", { hidden: true, "data-field": "login" }, gettext("Log in")),
      make("p", { class: "notice quiet", "aria-live": "polite", "data-field": "notice" }),
    ];
    if (controls === "none") return [spoken, make("div", { class: "said" }, ...said)];
    const bar = make(
      "div",
      { class: "panel bar", part: "panel" },
      make("p", { class: "state", part: "state", "data-field": "state" }, gettext("Ready")),
      make(
        "div",
        { class: "controls", part: "controls", role: "group", "aria-label": gettext("Controls"), "data-field": "controls" },
        button("start", gettext("Start"), { disabled: true, class: "primary" }),
        button("stop", gettext("Stop"), { disabled: true }),
        button("pause", gettext("Pause"), { disabled: true }),
        button("step", gettext("Step"), { disabled: true }),
      ),
      make("p", { class: "watching", hidden: true, "data-field": "watching" }, gettext("You are watching: whoever started this session controls it.")),
      ...said,
      button("again", gettext("Again with the same parameters"), { hidden: true, class: "primary" }),
    );
    if (controls === "bar") return [spoken, bar];
    bar.append(
      make(
        "div",
        { class: "progress", hidden: true, "data-field": "progress-row" },
        make("progress", { "aria-label": gettext("Progress"), "data-field": "progress" }),
        make("span", { class: "quiet", "data-field": "progress-text" }),
      ),
      this.#figures(),
      this.#tools(),
      this.#rates(),
      make(
        "details",
        { class: "output", part: "output", hidden: true, "data-field": "output" },
        make("summary", {}, gettext("Output")),
        make("pre", { tabindex: "0", "data-field": "output-text" }),
      ),
    );
    const params = make("dl", { class: "params", hidden: true, "data-field": "params" });
    return [spoken, bar, make("div", { class: "panel parameters", part: "parameters" }, params, make("slot", { name: "params" }))];
  }

  #figures() {
    return make(
      "dl",
      { class: "figures", part: "figures" },
      figure("step", gettext("Step")),
      figure("step-rate", gettext("Steps/s"), this.#stepChart.element),
      figure("frame-rate", gettext("Frames/s"), this.#frameChart.element),
      figure("viewers", gettext("Viewers")),
      figure("engine", gettext("Engine")),
      figure("received", gettext("Received")),
      figure("skipped", gettext("Skipped")),
      figure("age", gettext("Behind")),
    );
  }

  #tools() {
    return make(
      "div",
      { class: "tools", part: "tools", role: "group", "aria-label": gettext("Keep and share") },
      button("copy-link", gettext("Copy link"), { disabled: true }),
      button("full-screen", gettext("Full screen")),
      button("svg", gettext("Save SVG"), { disabled: true }),
      button("png", gettext("Save PNG"), { disabled: true }),
      button("film", gettext("Record"), { disabled: true, "aria-pressed": "false" }),
      button("kept-film", gettext("Save as film"), { disabled: true, title: gettext("A film of the frames that are kept") }),
      button("page", gettext("Save as page"), { disabled: true, title: gettext("One HTML file with the frames that are kept, and a player that needs no network") }),
      make(
        "label",
        { class: "span", hidden: true, "data-field": "span-row" },
        gettext("Page and film of"),
        make(
          "select",
          { "data-field": "span" },
          make("option", { value: "run" }, gettext("the whole run")),
          make("option", { value: "recent" }, gettext("the newest frames")),
        ),
      ),
    );
  }

  #rates() {
    const option = (/** @type {number | string} */ value, /** @type {string} */ text) => make("option", { value: String(value) }, text);
    return make(
      "div",
      { class: "rates", part: "rates", "data-field": "rates", hidden: true },
      make(
        "label",
        {},
        gettext("Speed"),
        make(
          "select",
          { "data-field": "steps-per-second" },
          option("", gettext("as fast as it goes")),
          ...STEP_RATES.map((rate) => option(rate, put(gettext("%(rate)s steps/s"), { rate }))),
        ),
      ),
      make(
        "label",
        { "data-field": "fps-row" },
        gettext("Frame rate"),
        make("input", { type: "range", min: "1", max: "60", step: "1", "data-field": "fps" }),
        make("output", { class: "quiet", "data-field": "fps-text" }),
      ),
    );
  }

  // What is there to be asked for. What these controls do not have is null.

  /**
   * @param {string} name
   * @returns {HTMLElement | null}
   */
  field(name) {
    return this.root.querySelector(`[data-field=${name}]`);
  }

  /**
   * @param {string} name
   * @returns {HTMLButtonElement | null}
   */
  button(name) {
    return this.root.querySelector(`[data-action=${name}]`);
  }

  /** Where the picture is drawn. */
  get holder() {
    return /** @type {HTMLElement} */ (this.field("picture"));
  }

  /**
   * Give the picture its shape.
   * @param {number | null} ratio of its width to its height; null if it has none of its own
   */
  shape(ratio) {
    this.figure.style.setProperty("--_ratio", shownRatio(ratio).toFixed(6));
  }

  /** @param {import("./live-step-viewport.js").Viewport} viewport */
  look({ x, y, scale, isZoomed }) {
    this.holder.style.transform = isZoomed ? `translate(${x * 100}%, ${y * 100}%) scale(${scale})` : "";
    this.figure.toggleAttribute("data-zoomed", isZoomed);
    this.#enable("zoom-out", isZoomed);
    this.#enable("fit", isZoomed);
  }

  /**
   * Show what a drag on the picture does.
   * @param {boolean} mayDraw
   * @param {boolean} isHand
   */
  equip(mayDraw, isHand) {
    this.figure.toggleAttribute("data-draws", mayDraw && !isHand);
    const hand = this.button("hand");
    if (!hand) return;
    hand.hidden = !mayDraw;
    hand.setAttribute("aria-pressed", String(isHand));
  }

  /** @param {string} words */
  label(words) {
    if (this.holder.ariaLabel !== words) this.holder.ariaLabel = words;
  }

  get figure() {
    return /** @type {HTMLElement} */ (this.root.querySelector(".picture"));
  }

  // What is said.

  /** @param {string} message */
  complain(message) {
    setText(this.field("alert"), message);
  }

  /** @param {string} address of the page where a visitor logs in; "" takes the offer back */
  offerLogin(address) {
    const link = /** @type {HTMLAnchorElement | null} */ (this.field("login"));
    if (!link) return;
    link.hidden = !address;
    if (address) link.href = address;
  }

  /** @param {string} message */
  note(message) {
    setText(this.field("notice"), message);
  }

  /**
   * Note something of little weight, where no other notice stands.
   * @param {string} message
   */
  hint(message) {
    if (!this.field("notice")?.textContent) this.note(message);
  }

  /**
   * Lay a message over the picture; none takes it away.
   * @param {string} message
   */
  cover(message) {
    const cover = this.field("cover");
    setText(cover, message);
    if (cover) cover.hidden = !message;
  }

  /**
   * Have a screen reader say how it is, politely: the newest words, every five seconds at the most.
   * @param {string} words
   */
  speak(words) {
    clearTimeout(this.#speakTimer);
    const wait = this.#spokenAt + SPEAK_EVERY_MS - performance.now();
    this.#speakTimer = window.setTimeout(() => {
      this.#spokenAt = performance.now();
      setText(this.field("spoken"), words);
    }, Math.max(0, wait));
  }

  // What is shown of a session.

  /**
   * @param {any} session the `session` message
   * @param {{steps: number | null, frames: number | null}} rates a second
   */
  tell(session, rates) {
    this.#figure("step", formatNumber(session.step));
    this.#figure("viewers", formatNumber(session.viewers));
    this.#figure("engine", session.engine);
    if (rates.steps !== null) this.#figure("step-rate", formatRate(rates.steps));
    this.#figure("frame-rate", rates.frames === null || hasEnded(session.state) ? NO_FIGURE : formatRate(rates.frames));
    if (rates.steps !== null && !hasEnded(session.state)) {
      this.#stepChart.add(rates.steps);
      this.#frameChart.add(rates.frames ?? 0);
    }
    this.#showProgress(session);
    this.#showRate(session.rate);
  }

  /** Begin with a session of which nothing is known yet. */
  begin() {
    this.#stepChart.clear();
    this.#frameChart.clear();
    this.#figure("step-rate", NO_FIGURE);
    this.cover("");
  }

  /** @param {any} session */
  #showProgress(session) {
    const row = this.field("progress-row");
    const bar = /** @type {HTMLProgressElement | null} */ (this.field("progress"));
    if (!row || !bar) return;
    const { progress } = session;
    row.hidden = !progress;
    setText(this.field("progress-text"), [progress?.text, describeRemaining(session)].filter(Boolean).join(" · "));
    if (progress?.total) {
      bar.max = progress.total;
      bar.value = progress.done;
    } else {
      bar.removeAttribute("value");
    }
  }

  /** @param {{fps: number, steps_per_second: number | null}} rate */
  #showRate({ fps, steps_per_second }) {
    this.showSpeed(steps_per_second);
    const range = /** @type {HTMLInputElement | null} */ (this.field("fps"));
    if (!range || this.root.activeElement === range) return;
    range.value = String(fps || range.max);
    this.showFrameRate(fps);
  }

  /** @param {number | null} speed in steps a second, null for no limit */
  showSpeed(speed) {
    const select = /** @type {HTMLSelectElement | null} */ (this.field("steps-per-second"));
    if (!select || this.root.activeElement === select) return;
    const value = String(speed ?? "");
    if (![...select.options].some((option) => option.value === value)) {
      select.add(new Option(put(gettext("%(rate)s steps/s"), { rate: speed ?? 0 }), value));
    }
    select.value = value;
  }

  /** @param {number} fps */
  showFrameRate(fps) {
    const text = fps ? put(gettext("%(fps)s frames/s at most"), { fps }) : gettext("no clock");
    setText(this.field("fps-text"), text);
  }

  /** @param {{received: number, notSent: number, notDrawn: number, behindMs: number | null}} line */
  showLine({ received, notSent, notDrawn, behindMs }) {
    this.#figure("received", formatNumber(received));
    this.#figure("skipped", formatNumber(notSent + notDrawn));
    const skipped = this.field("skipped");
    if (skipped) skipped.title = put(gettext("%(notSent)s by the server, since the line was full; %(notDrawn)s by this browser"), { notSent, notDrawn });
    this.#figure("age", behindMs === null ? NO_FIGURE : put(gettext("%(ms)s ms"), { ms: Math.round(behindMs) }));
  }

  /**
   * @param {any} session the newest `session` message, or null
   * @param {{isLive: boolean, isHeard: boolean, isCutOff: boolean, canControl: boolean, hasFrame: boolean, canFilm: boolean}} how
   *   `isHeard` if the server speaks to us; `isCutOff` if nobody hears the process that runs it: it may stop yet, and no more
   */
  update(session, { isLive, isHeard, isCutOff, canControl, hasFrame, canFilm }) {
    const focused = /** @type {HTMLButtonElement | null} */ (this.root.activeElement);
    const isGoing = session !== null && !hasEnded(session.state);
    const controls = isLive && isGoing && canControl;
    const isWatching = isGoing && !canControl;
    const mayPress = controls && session.state !== "stopping";
    const state = isCutOff ? gettext("Reconnecting") : session ? describe(session) : gettext("Ready");
    setText(this.field("state"), isGoing && !isHeard ? put(gettext("%(state)s when last heard of"), { state }) : state);
    this.#enable("start", isLive && !isGoing);
    this.#enable("stop", mayPress);
    this.#enable("pause", mayPress && !isCutOff);
    this.#enable("step", controls && session.state === "paused" && !isCutOff);
    setText(this.button("pause"), session?.state === "paused" ? gettext("Resume") : gettext("Pause"));
    this.#show("controls", !isWatching);
    this.#show("watching", isWatching);
    // The speed may be set before the start, when a quick simulation is soon over.
    this.#show("rates", controls || (isLive && !isGoing));
    this.#show("fps-row", controls);
    const again = this.button("again");
    if (again) again.hidden = !isLive || !["failed", "stuck", "lost"].includes(session?.state);
    this.#enable("copy-link", session !== null);
    for (const name of ["svg", "png", "page"]) this.#enable(name, hasFrame);
    for (const name of ["film", "kept-film"]) this.#enable(name, hasFrame && canFilm);
    // Who has just pressed a button that cannot be pressed any more keeps the keyboard.
    if (focused?.disabled) this.figure.focus({ preventScroll: true });
  }

  /**
   * List the parameters for those who cannot change them.
   * @param {any} session
   * @param {boolean} isShown
   * @param {Record<string, string | undefined>} labels by the parameters' names
   */
  listParams(session, isShown, labels) {
    const list = this.field("params");
    if (!list) return;
    list.hidden = !isShown;
    if (!isShown) return;
    const rows = Object.entries(session.params).map(([name, value]) => {
      const text = typeof value === "object" ? JSON.stringify(value) : String(value);
      const lines = text.split("\n").length;
      const shown = lines > 1 ? put(gettext("%(lines)s lines"), { lines }) : text;
      return make("div", {}, make("dt", {}, labels[name] ?? name), make("dd", {}, shown));
    });
    if (list.textContent !== rows.map((row) => row.textContent).join("")) list.replaceChildren(...rows);
  }

  /**
   * Show what the simulation printed last, and where it failed.
   * @param {string[]} lines
   * @param {{file: string, line: number, code: string} | null} place
   */
  output(lines, place) {
    const text = this.field("output-text");
    if (!text) return;
    const isAtEnd = text.scrollTop + text.clientHeight > text.scrollHeight - 20;
    const failed = place && put(gettext("It failed in %(file)s, line %(line)s:"), place);
    text.textContent = [...lines, ...(place ? [failed, `    ${place.code}`] : [])].join("\n");
    if (isAtEnd) text.scrollTop = text.scrollHeight;
  }

  /**
   * Show where in the run the frame is that is to be seen.
   * @param {{last: number, position: number, isLive: boolean, frames: Frame[], recent: Frame[]}} timeline
   */
  scrub({ last, position, isLive, frames, recent }) {
    const scrubber = this.field("scrubber");
    const slider = /** @type {HTMLInputElement | null} */ (this.field("position"));
    if (!scrubber || !slider) return;
    scrubber.hidden = frames.length < 2;
    slider.max = String(Math.max(last, 0));
    slider.value = String(position);
    this.button("live")?.setAttribute("aria-pressed", String(isLive));
    this.#show("span-row", frames.length > recent.length);
  }

  /**
   * Say which frame it is that stands there.
   * @param {Frame} frame
   * @param {Frame | null} newest the one that it is behind; null if it is not held
   */
  caption(frame, newest) {
    const step = put(gettext("Step %(step)s"), { step: frame.header.step });
    const back = newest && put(gettext("%(duration)s back"), { duration: formatDuration((newest.receivedAt - frame.receivedAt) / 1000) });
    const text = [step, back].filter(Boolean).join(" · ");
    setText(this.field("position-text"), text);
    this.field("position")?.setAttribute("aria-valuetext", text);
  }

  /** Which frames are to be saved. @returns {"recent" | "run"} */
  get span() {
    return /** @type {any} */ (this.field("span"))?.value === "recent" ? "recent" : "run";
  }

  /**
   * Show whether a button that stays pressed is so now.
   * @param {string} name
   * @param {boolean} isPressed
   * @param {string} words
   */
  press(name, isPressed, words) {
    this.button(name)?.setAttribute("aria-pressed", String(isPressed));
    setText(this.button(name), words);
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  #figure(name, text) {
    setText(this.field(name), text);
  }

  /**
   * @param {string} name
   * @param {boolean} isEnabled
   */
  #enable(name, isEnabled) {
    const element = this.button(name);
    if (element) element.disabled = !isEnabled;
  }

  /**
   * @param {string} name
   * @param {boolean} isShown
   */
  #show(name, isShown) {
    const element = this.field(name);
    if (element) element.hidden = !isShown;
  }
}

/**
 * Change a text only when it is new: a live region speaks each time that it changes.
 * @param {HTMLElement | null} element
 * @param {string} text
 */
function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, string | boolean>} [attributes]
 * @param {(Node | string)[]} children
 */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/**
 * @param {string} action
 * @param {string} text
 * @param {Record<string, string | boolean>} [attributes]
 */
function button(action, text, attributes = {}) {
  return make("button", { type: "button", part: `button ${action}`, "data-action": action, ...attributes }, text);
}

/**
 * @param {string} name
 * @param {string} label
 * @param {Node[]} more
 */
function figure(name, label, ...more) {
  return make("div", {}, make("dt", {}, label), make("dd", { "data-field": name }, NO_FIGURE), ...(more.length ? [make("dd", { class: "line" }, ...more)] : []));
}
