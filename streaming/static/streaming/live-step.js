// @ts-check
/**
 * <live-step simulation="tour" session="" src="/ws"> brings a rendered player alive: it connects,
 * starts or watches a session, and shows its frames.
 */

import {
  Rate,
  SERVICE_RESTART,
  describe,
  formatRate,
  hasEnded,
  parseFrame,
  socketUrl,
  stillHolds,
} from "./live-step-client.js";
import { Connection } from "./live-step-connection.js";
import { Picture } from "./live-step-picture.js";

export class LiveStepElement extends HTMLElement {
  #connection = new Connection({
    address: () => this.#address,
    onConnecting: () => this.setAttribute("status", "connecting"),
    onOpen: () => this.#opened(),
    onMessage: (data) => this.#received(data),
    onLost: (code, comesBack) => this.#disconnected(code, comesBack),
  });
  /** @type {Picture | null} */
  #picture = null;
  /** @type {AbortController | null} ends every listener that connectedCallback added */
  #listening = null;
  /** @type {any} the newest `session` message */
  #session = null;
  #canControl = false;
  /** What proves, to a connection after this one, that the session was started here. */
  #token = "";
  /** @type {{code: string, step: number, state: string} | null} what the notice on the page is about */
  #heldNotice = null;
  /** @type {any} the server's limits, from `hello` */
  #limits = {};
  /** The first of the frames in a row that cannot be shown. */
  #undecodable = 0;
  #stepRate = new Rate();
  #frameRate = new Rate();

  connectedCallback() {
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    this.#form.addEventListener("submit", (event) => this.#submitted(event), { signal });
    this.#form.addEventListener("change", (event) => this.#changed(event), { signal });
    for (const action of ["stop", "pause", "step"]) {
      this.#button(action).addEventListener("click", () => this.#clicked(action), { signal });
    }
    document.addEventListener("visibilitychange", () => this.#tellVisibility(), { signal });
    this.#picture = new Picture(this.#image, {
      onPainted: () => this.#painted(),
      onUndecodable: (seq) => this.#cannotShow(seq),
      onDone: (seq) => this.#send({ type: "ack", seq }),
    });
    this.#update();
    this.#connection.open();
  }

  disconnectedCallback() {
    this.#listening?.abort();
    this.#connection.close();
    this.#picture?.close();
  }

  // The connection.

  get #address() {
    const session = this.getAttribute("session") ?? "";
    return socketUrl(this.getAttribute("src") ?? "/ws", location.href, session);
  }

  #opened() {
    this.setAttribute("status", "live");
    this.#complain("");
    if (document.hidden) this.#tellVisibility();
    const session = this.getAttribute("session");
    if (session) this.#send({ type: "watch", session, token: this.#token || undefined, id: "watch" });
    this.#update();
  }

  /**
   * @param {number} code
   * @param {boolean} comesBack
   */
  #disconnected(code, comesBack) {
    this.setAttribute("status", "lost");
    this.#update();
    if (code === SERVICE_RESTART) this.#complain("The server restarts. Trying again…");
    else if (comesBack) this.#complain("The connection is lost. Trying again…");
    else if (!this.#alert.textContent) this.#complain("The server closed the connection.");
  }

  /** @param {any} message */
  #send(message) {
    this.#connection.send(message);
  }

  /** @param {string | ArrayBuffer} data */
  #received(data) {
    if (typeof data !== "string") {
      this.#picture?.show(parseFrame(data));
      return;
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
        break;
      case "session":
        this.#told(message);
        break;
      case "notice":
        this.#noticed(message);
        break;
      case "error":
        this.#failed(message);
        break;
    }
  }

  /** @param {{code: string, message: string}} notice */
  #noticed(notice) {
    const { step, state } = this.#session ?? {};
    this.#heldNotice = { code: notice.code, step, state };
    setText(this.#notice, notice.message);
  }

  // The session.

  /** @param {{session: string, token: string}} started */
  #started({ session, token }) {
    this.#canControl = true;
    this.#token = token;
    this.setAttribute("session", session);
    const address = this.getAttribute("session-address");
    if (address) history.replaceState(null, "", address.replace("SESSION", session));
  }

  /** @param {any} session */
  #told(session) {
    if (session.session !== this.#session?.session) {
      this.#stepRate = new Rate();
      this.#frameRate = new Rate();
    }
    const isNews = session.state !== this.#session?.state;
    this.#session = session;
    if (this.#heldNotice && !stillHolds(this.#heldNotice, session)) {
      this.#heldNotice = null;
      setText(this.#notice, "");
    }
    this.#field("engine").textContent = session.engine;
    this.#field("step").textContent = session.step.toLocaleString("en");
    this.#field("viewers").textContent = session.viewers.toLocaleString("en");
    this.#field("step-rate").textContent = this.#stepsPerSecond(session);
    this.#image.alt = session.description ?? `The picture of ${session.title}`;
    this.#showProgress(session.progress);
    this.#update();
    if (isNews) this.dispatchEvent(new CustomEvent("live-step:state", { detail: session }));
  }

  /**
   * Return the rate since the last message; at the end, that of the whole session.
   * @param {any} session
   */
  #stepsPerSecond(session) {
    const now = this.#stepRate.read(session.step, session.elapsed_ms);
    if (hasEnded(session.state) && session.elapsed_ms > 0) {
      return formatRate((session.step * 1000) / session.elapsed_ms);
    }
    return now === "–" ? this.#field("step-rate").textContent : now;
  }

  /** @param {{done: number, total: number | null, text: string} | null} progress */
  #showProgress(progress) {
    const bar = /** @type {HTMLProgressElement} */ (this.#field("progress"));
    bar.hidden = !progress;
    this.#field("progress-text").textContent = progress?.text ?? "";
    if (!progress) return;
    if (progress.total) {
      bar.max = progress.total;
      bar.value = progress.done;
    } else {
      bar.removeAttribute("value");
    }
  }

  /** @param {{code: string, message: string, id?: string, fields?: Record<string, string[]>}} error */
  #failed(error) {
    if (error.fields) {
      this.#showFieldErrors(error.fields);
      return;
    }
    if (error.id === "watch" && error.code === "unknown_session") this.#lost();
    this.#complain(sentence(error.message));
    this.#update();
    this.dispatchEvent(new CustomEvent("live-step:error", { detail: error }));
  }

  /** The server does not know the session that this page was about. */
  #lost() {
    this.removeAttribute("session");
    if (this.#isGoing) this.#session = { ...this.#session, state: "lost" };
  }

  // The controls.

  /** @param {SubmitEvent} event */
  #submitted(event) {
    event.preventDefault();
    this.#complain("");
    this.#heldNotice = null;
    setText(this.#notice, "");
    this.#showFieldErrors({});
    const params = this.#values(this.#fields);
    const message = { type: "start", id: "start", simulation: this.getAttribute("simulation"), params };
    const size = new Blob([JSON.stringify(message)]).size;
    if (size > (this.#limits.start_bytes ?? Infinity)) {
      const most = this.#limits.start_bytes.toLocaleString("en");
      this.#complain(`The parameters have ${size.toLocaleString("en")} bytes; at most ${most} can be sent.`);
      return;
    }
    this.#send(message);
  }

  /** @param {Event} event */
  #changed(event) {
    const input = /** @type {HTMLInputElement} */ (event.target);
    if (input.type === "file") {
      this.#fill(input);
      return;
    }
    const field = /** @type {HTMLElement | null} */ (input.closest("[data-live]"));
    if (!field || !this.#isGoing || !this.#canControl) return;
    this.#showFieldErrors({});
    this.#send({ type: "set", id: "set", params: this.#values([field]) });
  }

  /**
   * Put a chosen file's text into the field that it is for.
   * @param {HTMLInputElement} input
   */
  async #fill(input) {
    const file = input.files?.[0];
    const field = /** @type {HTMLElement} */ (input.closest("[data-name]"));
    const name = field.dataset.name ?? "";
    const most = this.#limits.start_bytes ?? Infinity;
    if (!file) return;
    if (file.size > most) {
      const message = `${file.name} has ${file.size.toLocaleString("en")} bytes; at most ${most.toLocaleString("en")} can be sent.`;
      this.#showFieldErrors({ [name]: [message] });
    } else {
      const area = /** @type {HTMLTextAreaElement} */ (field.querySelector("textarea"));
      area.value = await file.text();
      this.#showFieldErrors({});
    }
    input.value = "";
  }

  /** @param {string} action */
  #clicked(action) {
    this.#complain("");
    const resumes = action === "pause" && this.#session?.state === "paused";
    this.#send({ type: resumes ? "resume" : action, id: action });
  }

  /**
   * Read fields as the parameters of a message.
   * @param {Iterable<HTMLElement>} fields
   */
  #values(fields) {
    /** @type {Record<string, unknown>} */
    const values = {};
    for (const field of fields) {
      const input = /** @type {HTMLInputElement} */ (
        field.querySelector("input:not([type=file]), select, textarea")
      );
      values[input.name] = input.type === "checkbox" ? input.checked : input.value;
    }
    return values;
  }

  /** @param {Record<string, string[]>} errors */
  #showFieldErrors(errors) {
    let first = null;
    for (const field of this.#fields) {
      const messages = errors[field.dataset.name ?? ""] ?? [];
      const input = /** @type {HTMLInputElement} */ (field.querySelector("input, select, textarea"));
      const list = /** @type {HTMLElement} */ (field.querySelector(".errors"));
      list.replaceChildren(
        ...messages.map((message) => Object.assign(document.createElement("li"), { textContent: message })),
      );
      input.toggleAttribute("aria-invalid", messages.length > 0);
      if (messages.length) first ??= input;
    }
    first?.focus();
    const unplaced = Object.keys(errors).filter(
      (name) => !this.#fields.some((field) => field.dataset.name === name),
    );
    if (unplaced.length) this.#complain(unplaced.map((name) => errors[name].join(" ")).join(" "));
  }

  // The picture.

  #painted() {
    if (this.#undecodable) this.#complain("");
    this.#undecodable = 0;
  }

  /** @param {number} seq */
  #cannotShow(seq) {
    // Only the first in a row is named, or a screen reader would read out every one.
    this.#undecodable ||= seq;
    const which = this.#undecodable.toLocaleString("en");
    this.#complain(`Frame ${which} cannot be shown: it is not well-formed SVG.`);
  }

  #tellVisibility() {
    this.#send({ type: "visibility", visible: !document.hidden });
  }

  // What is on the page.

  #update() {
    const session = this.#session;
    const isGoing = this.#isGoing;
    const isLive = this.getAttribute("status") === "live";
    const controls = isLive && isGoing && this.#canControl;
    const isWatching = isGoing && !this.#canControl;
    this.setAttribute("state", session?.state ?? "ready");
    setText(this.#field("state"), session ? describe(session) : "Ready");
    this.#button("start").disabled = !isLive || isGoing;
    this.#button("stop").disabled = !controls || session.state === "stopping";
    this.#button("pause").disabled = !controls || session.state === "stopping";
    this.#button("pause").textContent = session?.state === "paused" ? "Resume" : "Pause";
    this.#button("step").disabled = !controls || session.state !== "paused";
    this.#field("controls").hidden = isWatching;
    this.#field("watching").hidden = !isWatching;
    for (const field of this.#fields) {
      const mayChange = !isGoing || (controls && "live" in field.dataset);
      for (const input of field.querySelectorAll("input, select, textarea")) {
        /** @type {HTMLInputElement} */ (input).disabled = !mayChange;
      }
    }
    const painted = this.#frameRate.read(this.#picture?.painted ?? 0, performance.now());
    this.#field("frame-rate").textContent = isGoing ? painted : "–";
  }

  /** @param {string} message */
  #complain(message) {
    setText(this.#alert, message);
  }

  get #isGoing() {
    return this.#session !== null && !hasEnded(this.#session.state);
  }

  get #form() {
    return /** @type {HTMLFormElement} */ (this.querySelector("form"));
  }

  get #fields() {
    return /** @type {HTMLElement[]} */ ([...this.querySelectorAll("[data-name]")]);
  }

  get #image() {
    return /** @type {HTMLImageElement} */ (this.querySelector(".picture img"));
  }

  get #alert() {
    return /** @type {HTMLElement} */ (this.querySelector("[role=alert]"));
  }

  get #notice() {
    return this.#field("notice");
  }

  /** @param {string} action */
  #button(action) {
    return /** @type {HTMLButtonElement} */ (this.querySelector(`[data-action=${action}]`));
  }

  /** @param {string} name */
  #field(name) {
    return /** @type {HTMLElement} */ (this.querySelector(`[data-field=${name}]`));
  }
}

/**
 * Change a text only when it is new: a live region speaks each time that it changes.
 * @param {HTMLElement} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {string} text */
function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

customElements.define("live-step", LiveStepElement);
