// @ts-check
/** What <live-step> shows, in its shadow tree: made once, then told what is new. */

import { Bar } from "./live-step-bar.js";
import { describeRemaining, formatDuration, hasEnded } from "./live-step-client.js";
import { make, setText } from "./live-step-dom.js";
import { Fault } from "./live-step-fault.js";
import { Performance } from "./live-step-performance.js";
import { shownRatio } from "./live-step-shape.js";
import { tools } from "./live-step-tools.js";
import { gettext, put } from "./live-step-words.js";

/** The last one says what holds of all of them: the room that there is, full screen, paper. */
const STYLE_SHEETS = ["live-step.css", "live-step-picture.css", "live-step-bar.css", "live-step-panel.css", "live-step-room.css"];
const NO_PICTURE = new URL("ready.svg", import.meta.url).href;
/** A screen reader is told what is new this often at the most, */
const SPEAK_EVERY_MS = 5_000;
/** and not what holds for a moment only, as each state of a start does. */
const SETTLED_MS = 300;

/** @typedef {import("./live-step-history.js").Frame} Frame */

export class View {
  /** @type {Bar | null} */
  bar = null;
  /** @type {Fault | null} */
  fault = null;
  /** @type {Performance | null} */
  performance = null;
  #spokenAt = -Infinity;
  #speakTimer = 0;

  /**
   * @param {ShadowRoot} root
   * @param {string} controls "none", "bar" or "full"
   * @param {string} poster address of what is shown until there is a picture; "" for nothing special
   * @param {number | null} ratio of the first picture, as far as it can be known
   * @param {boolean} plots whether lines are to come, for which room is kept
   */
  constructor(root, controls, poster, ratio, plots) {
    this.root = root;
    this.poster = poster;
    const isFull = controls === "full";
    if (controls !== "none") {
      this.bar = new Bar(isFull);
      this.fault = new Fault();
    }
    if (isFull) this.performance = new Performance();
    const sheets = STYLE_SHEETS.map((name) => make("link", { rel: "stylesheet", href: new URL(name, import.meta.url).href }));
    const files = make("section", { class: "files", part: "files", hidden: true, "data-field": "files" });
    const below = controls === "none" ? [] : [files];
    const stage = this.#stage(isFull);
    const parts = isFull ? [make("div", { class: "left" }, stage, plotsRoom(plots), ...below), this.#panel()] : [stage, ...below];
    this.player = make("div", { class: "player" }, ...parts);
    // Not `hidden`: the first sheet to come would show it before the others have put it in order.
    this.player.style.display = "none";
    // Meanwhile the page's own poster stays in sight: the first slot of its name has it.
    const meanwhile = make("slot", { name: "poster" });
    const loaded = sheets.map((sheet) => new Promise((resolve) => (sheet.onload = sheet.onerror = resolve)));
    Promise.all(loaded).then(() => {
      meanwhile.remove();
      this.player.style.removeProperty("display");
    });
    root.replaceChildren(...sheets, meanwhile, this.player);
    if (ratio) this.shape(ratio);
    this.#showPoster();
  }

  close() {
    clearTimeout(this.#speakTimer);
  }

  #showPoster() {
    const own = this.root.host.querySelector("img[slot=poster]");
    const poster = /** @type {HTMLImageElement} */ (own ?? this.holder.querySelector(".poster"));
    this.figure.toggleAttribute("data-adapts", poster.hasAttribute("data-adapts"));
    // A page may say the shape of its own before it is loaded: nothing moves then when it is.
    const stated = Number(own?.getAttribute("width")) / Number(own?.getAttribute("height"));
    if (stated > 0) this.shape(stated);
    // Unless a picture has come first.
    const shape = () => this.figure.style.length || this.shape(poster.naturalWidth / poster.naturalHeight);
    // The page's own may have been there long before.
    if (poster.complete && poster.naturalWidth) shape();
    else poster.addEventListener("load", shape, { once: true });
  }

  /** @param {boolean} isFull */
  #stage(isFull) {
    const screen = make(
      "div",
      { class: "screen", part: "screen" },
      make(
        "figure",
        { class: "picture", part: "picture", tabindex: "0", role: "group", "aria-label": gettext("Player") },
        make(
          "div",
          { class: "view", part: "image", role: "img", "aria-label": gettext("No picture yet"), "data-field": "picture" },
          make("slot", { name: "poster" }, make("img", { class: "poster", src: this.poster || NO_PICTURE, alt: "" })),
        ),
        make("div", { class: "touch", "data-field": "touch" }),
        ...(isFull ? [lens()] : []),
        make("pre", { class: "cover", part: "cover", hidden: true, "data-field": "cover" }),
      ),
      ...(this.fault ? [this.fault.element] : []),
    );
    return make("div", { class: "stage", part: "stage" }, make("div", { class: "frame", part: "frame" }, screen, ...(this.bar ? [this.bar.element] : [])), this.#said());
  }

  #said() {
    return make(
      "div",
      { class: "said", part: "said" },
      make("p", { class: "unseen", role: "status", "data-field": "spoken" }),
      make("p", { role: "alert", part: "error", "data-field": "alert" }),
      make("a", { hidden: true, "data-field": "login" }, gettext("Log in")),
      make("p", { class: "notice quiet", "aria-live": "polite", "data-field": "notice" }),
      make(
        "div",
        { class: "progress", hidden: true, "data-field": "progress-row" },
        make("progress", { "aria-label": gettext("Progress"), "data-field": "progress" }),
        make("span", { class: "quiet", "data-field": "progress-text" }),
      ),
    );
  }

  #panel() {
    const params = make("dl", { class: "params", hidden: true, "data-field": "params" });
    const watching = make("p", { class: "watching quiet", hidden: true, "data-field": "watching" }, gettext("You are watching: whoever started this session controls it."));
    return make(
      "div",
      { class: "panel", part: "panel" },
      make("div", { class: "parameters", part: "parameters" }, watching, params, make("slot", { name: "params" })),
      /** @type {Performance} */ (this.performance).element,
      tools(),
      // Last, so that nothing moves when it comes.
      make(
        "details",
        { class: "output", part: "output", hidden: true, "data-field": "output" },
        make("summary", {}, gettext("Output")),
        make("pre", { tabindex: "0", "data-field": "output-text" }),
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

  /**
   * @param {string} action
   * @param {boolean} isThere whether there is such a button on this page
   */
  offer(action, isThere) {
    const button = this.button(action);
    if (button) button.hidden = !isThere;
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
    }, Math.max(SETTLED_MS, wait));
  }

  // What is shown of a session.

  /**
   * @param {any} session the `session` message
   * @param {{steps: number | null, frames: number | null}} rates a second
   */
  tell(session, rates) {
    this.performance?.tell(session, rates);
    this.bar?.showSpeed(session.rate.steps_per_second);
    this.#showProgress(session);
  }

  /** Begin with a session of which nothing is known yet. */
  begin() {
    this.performance?.begin();
    this.cover("");
  }

  /** @param {any} session */
  #showProgress(session) {
    const row = this.field("progress-row");
    const bar = /** @type {HTMLProgressElement | null} */ (this.field("progress"));
    if (!row || !bar) return;
    const { progress } = session;
    // What has ended is no longer busy.
    row.hidden = !progress || (hasEnded(session.state) && !progress.total);
    setText(this.field("progress-text"), [progress?.text, describeRemaining(session)].filter(Boolean).join(" · "));
    if (progress?.total) {
      bar.max = progress.total;
      bar.value = progress.done;
    } else {
      bar.removeAttribute("value");
    }
  }

  /** @param {{received: number, notSent: number, notDrawn: number, behindMs: number | null}} line */
  showLine(line) {
    this.performance?.showLine(line);
    this.bar?.showLateness(line.behindMs);
  }

  /**
   * @param {any} session the newest `session` message, or null
   * @param {import("./live-step-bar.js").How & {hasFrame: boolean, canFilm: boolean, isGoing: boolean, look: import("./live-step-state.js").Look}} how
   */
  update(session, how) {
    const { isOpen, isGoing, canControl, pending, hasFrame, canFilm } = how;
    const focused = /** @type {HTMLButtonElement | null} */ (this.root.activeElement);
    this.bar?.show(how.look);
    this.bar?.update(session, how);
    this.fault?.update(session, isOpen && !pending);
    this.player.toggleAttribute("data-fault", Boolean(this.fault) && !this.fault?.element.hidden);
    this.performance?.enable(isOpen && isGoing && canControl);
    const watching = this.field("watching");
    if (watching) watching.hidden = !this.performance || !isGoing || canControl;
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
   * Show what the simulation printed last.
   * @param {string[]} lines
   */
  output(lines) {
    const text = this.field("output-text");
    if (!text) return;
    const isAtEnd = text.scrollTop + text.clientHeight > text.scrollHeight - 20;
    text.textContent = lines.join("\n");
    if (isAtEnd) text.scrollTop = text.scrollHeight;
  }

  /**
   * Show where in the run the frame is that is to be seen.
   * @param {{last: number, position: number, isLive: boolean, frames: Frame[], recent: Frame[]}} timeline
   */
  scrub(timeline) {
    this.bar?.scrub(timeline);
    const row = this.field("span-row");
    if (row) row.hidden = timeline.frames.length <= timeline.recent.length;
  }

  /**
   * Say which frame it is that stands there.
   * @param {Frame} frame
   * @param {Frame | null} newest the one that it is behind; null if it is not held
   */
  caption(frame, newest) {
    const step = put(gettext("Step %(step)s"), { step: frame.header.step });
    const back = newest && put(gettext("%(duration)s back"), { duration: formatDuration((newest.receivedAt - frame.receivedAt) / 1000) });
    this.bar?.caption([step, back].filter(Boolean).join(" · "));
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
    const button = this.button(name);
    button?.setAttribute("aria-pressed", String(isPressed));
    setText(/** @type {HTMLElement | null} */ (button?.querySelector(".word") ?? null), words);
  }

  /**
   * @param {string} name
   * @param {boolean} isEnabled
   */
  #enable(name, isEnabled) {
    const element = this.button(name);
    if (element) element.disabled = !isEnabled;
  }
}

/**
 * Where the lines stand that the simulation plots.
 * @param {boolean} isKept whether the room is there before them
 */
function plotsRoom(isKept) {
  const words = make("p", { class: "quiet" }, gettext("What the simulation plots stands here."));
  return make("div", { class: "plots-room", hidden: !isKept, "data-kept": isKept, "data-field": "plots" }, ...(isKept ? [words] : []));
}

/** Buttons for which part of the picture is seen. */
function lens() {
  const button = (/** @type {string} */ action, /** @type {string} */ text, /** @type {Record<string, string | boolean>} */ attributes) =>
    make("button", { type: "button", part: `button ${action}`, "data-action": action, ...attributes }, text);
  return make(
    "div",
    { class: "lens", part: "lens", role: "group", "aria-label": gettext("Zoom") },
    button("hand", gettext("Move"), { hidden: true, "aria-pressed": "false", title: gettext("Move the picture instead of drawing on it") }),
    button("zoom-in", "+", { "aria-label": gettext("Zoom in") }),
    button("zoom-out", "−", { "aria-label": gettext("Zoom out"), disabled: true }),
    button("fit", gettext("Fit"), { disabled: true }),
  );
}
