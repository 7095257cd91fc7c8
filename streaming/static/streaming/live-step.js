// @ts-check
/**
 * <live-step simulation="tour" src="/ws" controls>: a player for a session that runs on the server,
 * with the shape of <video>. docs/element.md lists its attributes, properties, methods, events, parts.
 */

import { AttributesElement } from "./live-step-attributes.js";
import { LOGIN_REQUIRED, Rate, SERVICE_RESTART, canFilm, describe, hasEnded, isRevoked, parseFrame, stillHolds } from "./live-step-client.js";
import { Connection } from "./live-step-connection.js";
import { codeAt } from "./live-step-fault.js";
import { ParamsForm, tooLarge } from "./live-step-form.js";
import { Gestures } from "./live-step-gestures.js";
import { actionOf } from "./live-step-keys.js";
import { Inflater, WITHOUT_STREAM, accepted } from "./live-step-inflater.js";
import { Keeping } from "./live-step-keeping.js";
import { Line } from "./live-step-line.js";
import { Picture } from "./live-step-picture.js";
import { Plotting } from "./live-step-plotting.js";
import { Requests } from "./live-step-requests.js";
import { Screen } from "./live-step-screen.js";
import { recallRatio, rememberRatio } from "./live-step-shape.js";
import { recallSpeed, rememberSpeed } from "./live-step-speed.js";
import { lookOf } from "./live-step-state.js";
import { Tab } from "./live-step-tab.js";
import { Timeline } from "./live-step-timeline.js";
import { View } from "./live-step-view.js";
import { Viewport } from "./live-step-viewport.js";
import { MOST_SHAPES } from "./live-step-weight.js";
import { gettext, put } from "./live-step-words.js";

/** How often the time is taken that a message needs to the server and back. */
const PING_EVERY_MS = 5_000;
const ZOOM_STEP = 1.5;
/** A session that begins has a picture by then, most often: the page is laid out and painted once for both. */
const FIRST_PICTURE_MS = 100;
/** As a session's id: the one that everybody sees, whichever that is. */
const SHARED = "shared";
/** What goes on while its key is held. */
const REPEATED = ["back", "forward", "step", "zoom-in", "zoom-out"];
/** What can be done where there is no button for it. */
const WITHOUT_BUTTON = ["back", "forward", "live", "full-screen", "keys", "zoom-in", "zoom-out", "fit"];

export class LiveStepElement extends AttributesElement {
  static observedAttributes = ["session"];

  #connection = new Connection({
    address: () => this._address,
    healthAddress: () => this._healthAddress,
    isTalkative: () => this.#isGoing,
    onConnecting: () => this.setAttribute("status", "connecting"),
    onOpen: () => this.#opened(),
    onMessage: (data) => this.#received(data),
    onSilent: (isSilent) => this.#silent(isSilent),
    onFailed: (isRefused) => this.#unconnected(isRefused),
    onLost: (code, comesBack) => this.#disconnected(code, comesBack),
    onLeave: () => {
      this.#leaving();
      // What was asked for gets no answer any more; the page may come back as it is.
      this.#pending = "";
      this.#requests.rejectAll(gettext("The connection is lost."));
    },
  });
  /** @type {View | null} */
  #view = null;
  /** @type {ParamsForm | null} */
  #form = null;
  /** @type {Picture | null} */
  #picture = null;
  /** @type {Plotting | null} */
  #plotting = null;
  /** @type {Keeping | null} */
  #keeping = null;
  #viewport = new Viewport((viewport) => this.#view?.look(viewport));
  /** The server is there and has never let this page in: each further attempt says no less. */
  #isRefused = false;
  /** @type {Gestures | null} */
  #gestures = null;
  /** Whether a drag moves the picture, where it could draw. */
  #isHand = false;
  /** @type {Timeline | null} */
  #timeline = null;
  /** @type {Tab | null} where the page is about this player */
  #tab = null;
  /** @type {Screen | null} */
  #screen = null;
  /** What was asked for and has no answer yet. @type {"" | "start" | "stop"} */
  #pending = "";
  /** @type {AbortController | null} ends every listener that connectedCallback added */
  #listening = null;
  /** @type {any} the newest `session` message */
  #session = null;
  /** The session that this connection attends, or has asked for. */
  #attended = "";
  #canControl = false;
  /** Settled when the last `watch` has its answer. @type {Promise<void>} */
  #watching = Promise.resolve();
  /** What proves, to a connection after this one, that the session was started here. */
  #token = "";
  /** @type {Record<string, unknown>} for a session that is to be started, where no form has them */
  #params = {};
  #requests = new Requests((message) => this.#isOpen && this.#send(message));
  /** @type {(() => void)[]} who waits until the connection is open */
  #waiting = [];
  /** @type {{code: string, step: number, state: string} | null} what the notice on the page is about */
  #heldNotice = null;
  /** @type {any} the server's limits, from `hello` */
  #limits = {};
  /** The first of the frames in a row that cannot be shown. */
  #undecodable = 0;
  #stepRate = new Rate();
  #frameRate = new Rate();
  #line = new Line();
  /** @type {Inflater | null} of the connection */
  #inflater = null;
  #accept = accepted(/** @type {any} */ (navigator).connection);
  #pingedAt = -Infinity;
  /** Whether the first picture has been shown to somebody who wants little motion. */
  #isCalmed = false;
  /** The session that was started here last. */
  #own = "";
  /** The timer of an update that waits for the first picture, or 0. */
  #updating = 0;
  /** What was asked for of the simulation's output last. */
  #outputRead = "";

  connectedCallback() {
    this.#listening = new AbortController();
    this.#outputRead = "";
    const { signal } = this.#listening;
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    this.#view = new View(root, this._controls, this.getAttribute("poster") ?? "", recallRatio(this.simulation), this._plots);
    this.#plotting = new Plotting(
      this.#view.field("plots"),
      () => this.#session?.simulation ?? this.simulation,
      () => this.#session && `${this._linkTo(this.#session.session)}series.csv`,
    );
    root.addEventListener("click", (event) => this.#clicked(event), { signal });
    root.addEventListener("input", (event) => this.#moved(event), { signal });
    root.addEventListener("change", (event) => this.#chose(event), { signal });
    // It does not bubble.
    root.addEventListener("toggle", () => quietly(this.#readOutput()), { signal, capture: true });
    this.addEventListener("keydown", (event) => this.#pressed(event), { signal });
    document.addEventListener("visibilitychange", () => this.#tellVisibility(), { signal });
    this.#gestures = new Gestures(this.#view.figure, this.#viewport, {
      zoomsByWheel: () => this._controls === "full",
      isDrawing: () => this.#mayDraw && !this.#isHand,
      onPointer: (kind, at) => this.#draw(kind, at),
    });
    this.#gestures.listenTo(/** @type {HTMLElement} */ (this.#view.field("touch")), signal);
    this.#viewport.fit();
    this.#screen = new Screen(this, this.#view.player, signal);
    this.#tab = this._isThePage ? new Tab() : null;
    const form = /** @type {HTMLFormElement | null} */ (this.querySelector('form[slot="params"]'));
    if (form) {
      this.#form = new ParamsForm(form, signal, {
        onStart: () => this.#isOpen && !this.#pending && !this.#isGoing && quietly(this.#begin()),
        onLive: (params) => this.#isGoing && this.#canControl && this.#set(params),
        most: (isFile) => this.#limits[isFile ? "file_bytes" : "start_bytes"] ?? Infinity,
      });
    }
    this.#picture = new Picture(this.#view.holder, this._pictureAddress, {
      onPainted: (frame, drawing) => this.#painted(frame, drawing),
      onUndecodable: (seq, reason) => this.#cannotShow(seq, undecodable(seq, reason)),
      onTooHeavy: (seq) => this.#cannotShow(seq, tooHeavy(seq)),
      onOvertaken: () => (this.#line.notDrawn += 1),
      onSlow: (ms) => this.#view?.hint(slowPicture(ms)),
      onFrame: (document) => this.#listenInside(document, signal),
      onNoFrame: () => this.#view?.note(gettext("The picture is shown as an image: this page could not open the frame for it.")),
      onDone: (frame) => this.#isLive && this.#acknowledge(frame),
    });
    // A null is a choice, too: full speed.
    const speed = this.#speed;
    this.#view.bar?.showSpeed(speed === undefined ? Number(this.getAttribute("steps-per-second")) || null : speed);
    this.#timeline = new Timeline(this.#picture, () => this.#scrub());
    this.#keeping = new Keeping(this.#view, this.#picture, this.#timeline, {
      link: () => this._link,
      linkWithParams: () => this._pageWith(this.#form?.defaults.changed ?? {}),
      session: () => this.#session,
      series: () => this.#plotting?.series ?? [],
      simulation: () => this.simulation,
      socket: () => this._atServer(this.src),
    });
    this.#view.offer("copy-params", this.#form !== null && this.hasAttribute("page-address"));
    this.#view.offer("share", this.hasAttribute("page-address"));
    this.#readParams();
    this.#update();
    this.#connection.open();
  }

  disconnectedCallback() {
    clearTimeout(this.#updating);
    this.#listening?.abort();
    this.#leaving();
    this.#connection.close();
    this.#inflater?.close();
    this.#keeping?.close();
    this.#picture?.close();
    this.#plotting?.close();
    this.#view?.close();
    this.#tab?.close();
    this.#timeline?.clear();
    this.#requests.rejectAll(gettext("The player was taken off the page."));
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} session
   */
  attributeChangedCallback(name, before, session) {
    if (session && session !== this.#attended && this.#isOpen) this.#watch(session);
  }

  // What a page may ask of it, as of a <video>.

  /** Start a session with these parameters, or go on with one that is paused. */
  async play() {
    await this.#opening();
    await this.#watching;
    if (!this.#isGoing) await this.#begin();
    // Also one that is about to be paused, after a step that is still being taken.
    else if (["paused", "running"].includes(this.#session.state) && this.#canControl) await this.#ask({ type: "resume" });
    this.#goLive();
  }

  /** Pause the session; for those who only watch, hold the picture. */
  async pause() {
    if (this.#isGoing && this.#canControl) await this.#ask({ type: "pause" });
    else this.#hold();
  }

  /**
   * Take single steps of a session that is paused.
   * @param {number} [count]
   */
  async step(count = 1) {
    this.#goLive();
    await this.#ask({ type: "step", count });
  }

  /** Stop the session for good. */
  async stop() {
    await this.#wait("stop", this.#ask({ type: "stop" }));
  }

  get paused() {
    return !this.#isGoing || this.#session.state === "paused" || !this.#isLive;
  }

  /** `ready` before a session, else as in the protocol. */
  get state() {
    return this.#session?.state ?? "ready";
  }

  /** Whether what is asked of it is done: by who started the session, say. */
  get canControl() {
    return this.#isGoing && this.#canControl;
  }

  get currentStep() {
    return this.#session?.step ?? 0;
  }

  /** The parameters: of the session, or those that one is to be started with. */
  get params() {
    return this.#isGoing ? this.#session.params : { ...this.#params };
  }

  /** While a session goes on, only live ones can be set. */
  set params(params) {
    if (this.#isGoing) this.#set(params);
    else this.#params = { ...params };
  }

  // The connection.

  get #isOpen() {
    return ["live", "silent"].includes(this.getAttribute("status") ?? "");
  }

  /** @returns {Promise<void>} */
  #opening() {
    return this.#isOpen ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  #opened() {
    this.#inflater?.close();
    this.#inflater = new Inflater(
      (frame) => this.#arrived(frame),
      () => this.#cannotInflate(),
    );
    this.setAttribute("status", "live");
    this.#isRefused = false;
    this.#view?.complain("");
    this.#view?.offerLogin("");
    if (document.hidden) this.#tellVisibility();
    const session = this.session;
    if (session) this.#watch(session);
    else if (this.autoplay) quietly(this.#begin());
    for (const resolve of this.#waiting.splice(0)) resolve();
    this.#update();
  }

  /** @param {boolean} isSilent */
  #silent(isSilent) {
    this.setAttribute("status", isSilent ? "silent" : "live");
    const words = navigator.onLine
      ? gettext("The server does not answer. Waiting for it…")
      : gettext("This device has no network. Waiting for it…");
    this.#view?.complain(isSilent ? words : "");
    this.#update();
  }

  /** @param {boolean} isRefused whether there is a server that does not want this connection */
  #unconnected(isRefused) {
    if (isRefused === this.#isRefused) return;
    this.#isRefused = isRefused;
    const refusal = gettext(
      "The server is there, but refuses the connection of this page. Is %(origin)s among its ALLOWED_ORIGINS, and does a proxy before it pass WebSockets on, with their Host? Its log says more. Trying again…",
    );
    this.#view?.complain(
      isRefused ? put(refusal, { origin: location.origin }) : gettext("The connection is lost. Trying again…"),
    );
  }

  /**
   * @param {number} code
   * @param {boolean} comesBack
   */
  #disconnected(code, comesBack) {
    this.setAttribute("status", "lost");
    this.#attended = "";
    this.#pending = "";
    this.#requests.rejectAll(gettext("The connection is lost."));
    this.#update();
    const alert = this.#view?.field("alert");
    if (comesBack && isRevoked(code, true)) {
      // What was taken away must not come back by what this page holds.
      this.#token = "";
      this.#view?.note(alert?.textContent ?? "");
    }
    if (code === LOGIN_REQUIRED && !comesBack) this.#view?.offerLogin(this._loginAddress);
    if (code === SERVICE_RESTART) this.#view?.complain(gettext("The server restarts. Trying again…"));
    else if (comesBack && !this.#isRefused) this.#view?.complain(gettext("The connection is lost. Trying again…"));
    else if (!comesBack && !alert?.textContent) this.#view?.complain(gettext("The server closed the connection."));
  }

  /** The page, or this element, goes: what runs only for it need not wait to be found abandoned. */
  #leaving() {
    if (!this.autoplay || !this.#isGoing || this.#session.session !== this.#own) return;
    this.#send({ type: "stop" });
    this.#attended = "";
    this.removeAttribute("session");
    this.#session = null;
  }

  /** @param {any} message */
  #send(message) {
    return this.#connection.send(message);
  }

  /** @param {any} message */
  #ask(message) {
    return this.#requests.ask(message);
  }

  /**
   * @param {string | ArrayBuffer} data
   * @returns {boolean} whether it answers a ping of the connection's own, which has no id
   */
  #received(data) {
    if (typeof data !== "string") {
      this.#inflater?.take({ ...parseFrame(data), receivedAt: performance.now() });
      return false;
    }
    const message = JSON.parse(data);
    switch (message.type) {
      case "hello":
        this.#limits = message.limits;
        break;
      case "started":
        this.#started(message);
        break;
      case "watching":
        this.#canControl = message.can_control;
        // The one that everybody sees has an id, too.
        if (this.#attended === SHARED) this.#attended = message.session;
        break;
      case "session":
        this.#told(message);
        break;
      case "series":
        quietly(this.#plotting?.take(message));
        this.#emit("series", message);
        break;
      case "notice":
        this.#noticed(message);
        break;
      case "error":
        this.#failed(message);
        break;
    }
    this.#requests.settle(message);
    return message.type === "pong" && !message.id;
  }

  /** @param {{code: string, message: string, session?: string}} notice */
  #noticed(notice) {
    if (notice.code === "reloaded" && notice.session) {
      this.#moveTo(notice.session);
    } else if (notice.code === "reload_failed") {
      this.#view?.cover(notice.message);
      quietly(this.#showMistake(notice.message));
      return;
    }
    const { step, state } = this.#session ?? {};
    this.#heldNotice = { code: notice.code, step, state };
    this.#view?.note(notice.message);
    this.#update();
  }

  /**
   * Show where in the author's file a mistake is, to those who may know.
   * @param {string} message
   */
  async #showMistake(message) {
    if (!this.#canControl) return;
    const { line } = await this.#ask({ type: "status", output: true });
    if (line) this.#view?.cover(`${message}\n\n${codeAt(line)}`);
  }

  // The session.

  /** @param {string} session */
  #watch(session) {
    this.#attended = session;
    this.#watching = this.#ask({ type: "watch", session, token: this.#token || undefined, accept: this.#accept }).catch((error) => {
      if (error.code === "unknown_session" && this.#attended === session) this.#forget();
    });
  }

  /**
   * The session goes on as another, since its file was saved. Its parameters may be others, too.
   * @param {string} session
   */
  #moveTo(session) {
    const address = this._pageOf(session);
    if (address) location.replace(address);
    else this.setAttribute("session", session);
  }

  /** @param {{session: string, token: string}} started */
  #started({ session, token }) {
    this.#canControl = true;
    this.#own = session;
    this.#isCalmed = false;
    // That a frame of this one cannot be shown is news again.
    this.#undecodable = 0;
    this.#token = token;
    this.#attended = session;
    this.setAttribute("session", session);
    const address = this._pageOf(session);
    if (address) history.replaceState(null, "", address);
  }

  /** @param {any} session */
  #told(session) {
    const isAnother = session.session !== this.#session?.session;
    if (isAnother) this.#meet();
    const isNews = isAnother || session.state !== this.#session?.state;
    // They come at first, and when they have changed.
    if (!session.params) {
      const { params, long_params } = isAnother ? { params: {} } : this.#session;
      session = { ...session, params, long_params };
    }
    // It is asked for once, when the session has failed.
    const line = isAnother ? undefined : this.#session?.line;
    this.#session = { line, ...session };
    this.#form?.showDrawn(session.params);
    if (this.#pending === "start" ? isAnother : hasEnded(session.state) || session.state === "stopping") this.#pending = "";
    if (this.#heldNotice && !stillHolds(this.#heldNotice, session)) this.#forgetNotice();
    this.#view?.tell(session, { steps: this.#stepsPerSecond(session), frames: this.#framesPerSecond() });
    const picture = session.seq ? put(gettext("The picture of %(title)s"), { title: session.title }) : gettext("No picture yet");
    this.#view?.label(session.description ?? picture);
    quietly(this.#ping());
    quietly(this.#readOutput());
    quietly(this.#showFiles(session));
    if (this.#isGoing && !session.step) this.#updateSoon();
    else this.#update();
    if (!isNews) return;
    this.#view?.speak(
      [describe(session), ["paused", "stopped", "finished"].includes(session.state) && session.description].filter(Boolean).join(". "),
    );
    this.#emit("statechange", session);
    if (hasEnded(session.state)) {
      this.#keeping?.ended();
      this.#emit("ended", session);
    }
  }

  /** Have what the simulation printed told while somebody reads it, and where it failed. */
  async #readOutput() {
    const output = /** @type {HTMLDetailsElement | null} */ (this.#view?.field("output") ?? null);
    const { session, printed, state } = this.#session ?? {};
    if (!output || !session) return;
    const isFailed = state === "failed";
    output.hidden = !this.#canControl || !(printed || isFailed);
    const news = `${session} ${printed} ${isFailed}`;
    if (output.hidden || !(output.open || isFailed) || news === this.#outputRead) return;
    this.#outputRead = news;
    const told = await this.#ask({ type: "status", output: true }).catch((error) => {
      this.#outputRead = "";
      throw error;
    });
    // A session of another process does not tell it.
    output.hidden = !told.output?.length && !told.line;
    this.#view?.output(told.output ?? []);
    if (told.line && session === this.#session?.session) {
      this.#session.line = told.line;
      this.#update();
    }
  }

  /** @param {any} session */
  async #showFiles({ session, files = [] }) {
    const place = this.#view?.field("files");
    if (!place || (!files.length && place.hidden)) return;
    const { showFiles } = await import("./live-step-files.js");
    showFiles(place, files, (name) => `${this._linkTo(session)}files/${encodeURIComponent(name)}`);
  }

  /** Another session is attended: nothing of the last one counts any more. */
  #meet() {
    this.#stepRate = new Rate();
    this.#frameRate = new Rate();
    this.#timeline?.clear();
    this.#plotting?.clear();
    this.#line.clear();
    this.#view?.begin();
  }

  /**
   * Return the rate since the last message; at the end, that of the whole session.
   * @param {any} session
   */
  #stepsPerSecond(session) {
    if (session.state === "paused") return 0;
    const now = this.#stepRate.read(session.step, session.elapsed_ms);
    return hasEnded(session.state) && session.elapsed_ms > 0 ? (session.step * 1000) / session.elapsed_ms : now;
  }

  #framesPerSecond() {
    return this.#frameRate.read(this.#picture?.painted ?? 0, performance.now());
  }

  #forgetNotice() {
    this.#heldNotice = null;
    this.#view?.note("");
  }

  /** @param {{code: string, message: string, id?: string, fields?: Record<string, string[]>}} error */
  #failed(error) {
    const words = error.fields ? this.#misplaced(error.fields) : sentence(error.message);
    if (words) this.#view?.complain(words);
    this.#update();
    this.#emit("error", error);
  }

  /**
   * Show errors at their fields, and return those that have none.
   * @param {Record<string, string[]>} fields
   */
  #misplaced(fields) {
    if (this.#form) return this.#form.showErrors(fields).join(" ");
    return Object.entries(fields)
      .map(([name, messages]) => `${name}: ${messages.join(" ")}`)
      .join(" ");
  }

  /** The server does not know the session that this page was about. */
  #forget() {
    this.#attended = "";
    this.removeAttribute("session");
    if (this.#isGoing) this.#session = { ...this.#session, state: "lost" };
    this.#update();
  }

  /** @param {Record<string, unknown>} [params] */
  async #begin(params) {
    const form = params ? null : this.#form;
    params ??= form?.values ?? this.#params;
    this.#view?.complain("");
    this.#heldNotice = null;
    this.#view?.note("");
    this.#form?.showErrors({});
    const message = { type: "start", simulation: this.simulation, params, steps_per_second: this.#speed, accept: this.#accept };
    const size = new Blob([JSON.stringify(message)]).size;
    if (size > (this.#limits.start_bytes ?? Infinity)) {
      this.#view?.complain(tooLarge(size, this.#limits.start_bytes));
      return;
    }
    // Ask first, and draw "Starting…" second: the server works meanwhile.
    const answer = form?.hasFiles ? form.sendFiles((part) => this.#ask(part)).then(() => this.#ask(message)) : this.#ask(message);
    await this.#wait("start", answer);
  }

  /**
   * Say at once what is on its way. Once it is accepted, the session's next message says what came of it.
   * @param {"start" | "stop"} what
   * @param {Promise<any>} answer
   */
  async #wait(what, answer) {
    this.#pending = what;
    this.#update();
    try {
      await answer;
    } catch (error) {
      this.#pending = "";
      this.#update();
      throw error;
    }
  }

  /** Start with the parameters of the session, whose long texts have to be asked for. */
  async #beginAgain() {
    if (this.#session.long_params && this.#canControl) await this.#ask({ type: "status", params: true });
    const { params, long_params } = this.#session;
    // Where the server does not tell them, they may stand in the form.
    await this.#begin(long_params ? { ...this.#form?.values, ...params } : params);
  }

  /** @param {Record<string, unknown>} params */
  #set(params) {
    this.#form?.showErrors({});
    this.#ask({ type: "set", params });
  }

  #readParams() {
    const text = this.getAttribute("params");
    if (!text) return;
    try {
      this.#params = JSON.parse(text);
    } catch {
      this.#view?.complain(put(gettext("The attribute params needs a JSON object, and holds %(text)s."), { text }));
    }
  }

  // The controls.

  /** @param {Event} event */
  #clicked(event) {
    const button = /** @type {HTMLElement} */ (event.target).closest?.("[data-action]");
    const action = button?.getAttribute("data-action");
    // One that is locked waits for an answer.
    if (!action || button?.ariaDisabled === "true") return;
    if (["again", "stop", "play", "step"].includes(action)) this.#view?.complain("");
    quietly(this.#act(action));
  }

  /**
   * @param {string} action
   * @returns {Promise<any> | void}
   */
  #act(action) {
    switch (action) {
      case "play":
        return this.#isGoing && this.#session.state !== "paused" ? this.pause() : this.play();
      case "again":
        return this.#beginAgain();
      case "stop":
        return this.stop();
      case "step":
        return this.step();
      case "live":
        return this.#isLive ? this.#hold() : this.#goLive();
      case "zoom-in":
        return this.#viewport.zoom(ZOOM_STEP);
      case "zoom-out":
        return this.#viewport.zoom(1 / ZOOM_STEP);
      case "fit":
        return this.#viewport.fit();
      case "hand":
        this.#isHand = !this.#isHand;
        return this.#update();
      case "full-screen":
        return this.#screen?.toggle();
      case "keys":
        return this.#showKeys();
      case "back":
        return this.#timeline?.step(-1);
      case "forward":
        return this.#timeline?.step(1);
      default:
        return this.#keeping?.act(action);
    }
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (this.#updating) this.#update();
    const action = actionOf(event, { isLive: this.#isLive });
    if (!action || !this.#view) return;
    event.preventDefault();
    if (event.repeat && !REPEATED.includes(action)) return;
    const pressed = this.#view.button(action);
    // Where there is a button, what it may not do now, its key may not, either.
    const may = pressed?.offsetParent ? !pressed.disabled && pressed.ariaDisabled !== "true" : WITHOUT_BUTTON.includes(action);
    if (may) quietly(this.#act(action));
    // Who only watches holds the picture.
    else if (action === "play" && this.#isGoing && !this.#canControl) quietly(this.#act("live"));
  }

  /** @param {Event} event */
  #moved(event) {
    const field = /** @type {HTMLInputElement} */ (event.target);
    if (field.dataset.field === "position") this.#timeline?.goTo(Number(field.value));
    if (field.dataset.field === "fps") this.#view?.performance?.showFrameRate(Number(field.value));
  }

  /** @param {Event} event */
  #chose(event) {
    const field = /** @type {HTMLInputElement} */ (event.target);
    const value = field.value === "" ? null : Number(field.value);
    if (field.dataset.field === "fps") this.#ask({ type: "rate", fps: value });
    if (field.dataset.field === "steps-per-second") {
      rememberSpeed(this.simulation, value);
      if (this.#isGoing) this.#ask({ type: "rate", steps_per_second: value });
    }
  }

  /** The steps a second of a session that is started here; undefined: as the simulation says. */
  get #speed() {
    const given = Number(this.getAttribute("speed"));
    return given > 0 ? given : this._controls === "full" ? recallSpeed(this.simulation) : undefined;
  }

  async #showKeys() {
    const { showKeys } = await import("./live-step-help.js");
    if (this.isConnected && this.#view) showKeys(this.#view.player);
  }

  // The picture.

  /** @param {import("./live-step-history.js").Frame} frame */
  #arrived(frame) {
    const { header } = frame;
    if (header.session !== this.#attended) return;
    if (header.epoch < (this.#session?.epoch ?? 0)) {
      // Of a process that the session was taken from.
      this.#acknowledge(frame);
      return;
    }
    this.#line.came(header.seq);
    this.#timeline?.add(frame);
    // While another one is held, nobody waits for it to be painted.
    if (!this.#isLive) this.#acknowledge(frame);
  }

  /** The session is watched anew, without a stream. */
  #cannotInflate() {
    if (this.#accept === WITHOUT_STREAM) return;
    this.#accept = WITHOUT_STREAM;
    if (this.#attended) this.#watch(this.#attended);
  }

  /** @param {import("./live-step-history.js").Frame} frame */
  #acknowledge({ header }) {
    if (header.session === this.#attended) this.#send({ type: "ack", seq: header.seq });
  }

  /**
   * @param {import("./live-step-history.js").Frame} frame
   * @param {import("./live-step-surface.js").Drawing} drawing
   */
  #painted(frame, { ratio, adapts }) {
    const { header, receivedAt } = frame;
    this.#view?.shape(ratio);
    this.#view?.figure.toggleAttribute("data-adapts", adapts);
    this.#scrub();
    if (this.#session && ratio) rememberRatio(this.#session.simulation, ratio);
    if (this.#undecodable) this.#view?.complain("");
    this.#undecodable = 0;
    if (this.#picture?.painted === 1 || this.#updating) this.#update();
    if (this.#isLive) {
      this.#line.painted(performance.now() - receivedAt);
      this.#keeping?.painted(frame);
    }
    this.#emit("frame", { seq: header.seq, step: header.step, final: header.final });
    this.#calm();
  }

  /** Who wants little motion sees the first picture, and then decides. */
  #calm() {
    if (this.#isCalmed || !this.#isGoing || !matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.#isCalmed = true;
    this.#hold();
    this.#heldNotice = { code: "calm", step: 0, state: "" };
    this.#view?.note(gettext("The picture is held, since your system asks for little motion. It runs on: press Live to follow it."));
  }

  /**
   * @param {number} seq
   * @param {string} words
   */
  #cannotShow(seq, words) {
    // Only the first in a row is named, or a screen reader would read out every one.
    if (this.#undecodable) return;
    this.#undecodable = seq;
    this.#view?.complain(words);
  }

  /**
   * @param {Document} document of the picture
   * @param {AbortSignal} signal
   */
  #listenInside(document, signal) {
    this.#gestures?.listenInside(document, signal);
    this.#screen?.listenTo(document, signal);
    // Who has clicked into the picture has the keyboard there.
    document.addEventListener("keydown", (event) => this.#pressed(event), { signal });
  }

  /** Whether the simulation takes what is done on its picture. */
  get #mayDraw() {
    return this.#isGoing && this.#canControl && Boolean(this.#session.input);
  }

  /**
   * Tell the simulation what was done on its picture.
   * @param {"down" | "move" | "up"} kind
   * @param {import("./live-step-viewport.js").Place} at
   */
  #draw(kind, at) {
    const spot = this.#picture?.locate(at);
    if (spot) this.#send({ type: "pointer", kind, ...spot });
  }

  // Back in time.

  get #isLive() {
    return this.#timeline?.isLive ?? true;
  }

  /** Say where in time the picture is that stands there, which may not yet be the one that is to. */
  #scrub() {
    if (!this.#timeline) return;
    this.#view?.scrub(this.#timeline);
    const { held, newest = null } = this.#timeline;
    const shown = this.#picture?.shown;
    // Until the held frame is painted, the caption is that of the picture which still stands there.
    if (shown) this.#view?.caption(shown, shown === held ? newest : null);
  }

  #hold() {
    this.#timeline?.hold();
    this.#update();
  }

  #goLive() {
    this.#timeline?.goLive();
    if (this.#heldNotice?.code === "calm") this.#forgetNotice();
    this.#update();
  }

  #tellVisibility() {
    if (document.hidden) this.#line.away();
    this.#send({ type: "visibility", visible: !document.hidden });
  }

  /** Take the time that a message needs to the server and back. */
  async #ping() {
    const now = performance.now();
    if (this._controls !== "full" || document.hidden || now - this.#pingedAt < PING_EVERY_MS) return;
    this.#pingedAt = now;
    await this.#ask({ type: "ping" });
    this.#line.wentAround(performance.now() - now);
  }

  // What is on the page.

  /** Draw all that a start brings together with its first picture, or without it a moment later. */
  #updateSoon() {
    this.setAttribute("state", this.state);
    this.#updating ||= window.setTimeout(() => this.#update(), FIRST_PICTURE_MS);
  }

  #update() {
    clearTimeout(this.#updating);
    this.#updating = 0;
    const session = this.#session;
    const isCutOff = this.#isGoing && this.#heldNotice?.code === "reconnecting";
    const isHeard = this.getAttribute("status") === "live";
    const pending = this.#pending;
    // Of one that is watched and not told of yet nobody knows what may be done.
    const isUntold = this.#attended !== "" && this.#attended !== SHARED && session === null;
    const look = lookOf(session, { pending, isHeard, isCutOff, isUntold });
    this.setAttribute("state", this.state);
    this.#tab?.show(look);
    this.#view?.update(session, {
      isOpen: this.#isOpen && !isUntold,
      isGoing: this.#isGoing,
      isCutOff,
      isShared: this.session === SHARED,
      canControl: this.#canControl,
      hasFrame: Boolean(this.#picture?.shown),
      canFilm: canFilm(),
      pending,
      look,
    });
    this.#view?.equip(this.#mayDraw, this.#isHand);
    this.#view?.showLine(this.#line);
    const field = /** @type {HTMLInputElement | null} */ (document.activeElement);
    this.#form?.enable(this.#isGoing, this.#isOpen && this.#canControl);
    // Who has pressed Enter in a field keeps the keyboard.
    if (field?.disabled && this.contains(field)) this.#view?.figure.focus({ preventScroll: true });
    this.#view?.listParams(session, this.#isGoing && !this.#canControl, this.#form?.labels ?? {});
  }

  /**
   * @param {string} name
   * @param {any} detail
   */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  get #isGoing() {
    return this.#session !== null && !hasEnded(this.#session.state);
  }
}

/**
 * Let go of work whose failure the page has shown already.
 * @param {Promise<any> | void} work
 */
function quietly(work) {
  work?.catch(() => {});
}

/** @param {number} ms */
function slowPicture(ms) {
  return put(gettext("This picture takes the browser %(ms)s ms to draw, so that it is drawn less often."), { ms: Math.round(ms) });
}

/**
 * @param {number} seq
 * @param {string} reason in the browser's words, or ""
 */
function undecodable(seq, reason) {
  const words = put(gettext("Frame %(seq)s cannot be shown: it is not well-formed SVG."), { seq });
  return [words, reason && sentence(reason)].filter(Boolean).join(" ");
}

/** @param {number} seq */
function tooHeavy(seq) {
  return put(gettext("Frame %(seq)s is not shown: it has more than %(most)s shapes, and this page would stand still."), { seq, most: MOST_SHAPES });
}

/** @param {string} text */
function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

customElements.define("live-step", LiveStepElement);
