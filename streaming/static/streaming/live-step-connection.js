// @ts-check
/** One WebSocket after another: it comes back for as long as that can help. */

import { SUBPROTOCOL, isFinal, reconnectDelay } from "./live-step-client.js";

/** After so much silence the server is asked whether it is there. */
const ASK_AFTER_MS = 5_000;
/** The same while it has something to say each second. */
const ASK_TALKATIVE_AFTER_MS = 1_500;
/** Without an answer for so long, what is known may be old. */
const SILENT_AFTER_MS = 3_000;
/** How long an answer, or a connection, may take. On a slow line it waits behind a large frame. */
const ANSWER_MS = 8_000;
/** The same when the network, or this page, was away: then the socket is probably dead. */
const DOUBTFUL_ANSWER_MS = 2_000;
const LOOK_EVERY_MS = 500;
/** How long a connection must have lasted for the next one to be tried at once again. */
const SETTLED_AFTER_MS = 5_000;
const CLOSED_WITHOUT_A_WORD = 1006;
/** Of so many attempts in a row that fail, the first has the server asked whether it is there. */
const LOOK_EVERY_ATTEMPTS = 10;

export class Connection {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {AbortController | null} ends every listener that `open` added */
  #listening = null;
  #retryTimer = 0;
  #lookTimer = 0;
  #attempt = 0;
  /** Attempts in a row that failed since there was reason to think otherwise. */
  #failures = 0;
  #isOver = false;
  /** Since when there is a connection. One that is only being made has not lasted at all. */
  #openedAt = Infinity;
  #heardAt = 0;
  /** When the server was asked whether it is there, for want of any word since. */
  #askedAt = Infinity;
  /** When an answer that is waited for comes too late. */
  #giveUpAt = Infinity;
  #isSilent = false;
  /** Whether the browser said that there is no network, and the server has not answered since. */
  #isOffline = false;
  #lookedAt = 0;

  /**
   * @param {{
   *   address: () => string,
   *   healthAddress: () => string,
   *   isTalkative: () => boolean,
   *   onConnecting: () => void,
   *   onOpen: () => void,
   *   onMessage: (data: string | ArrayBuffer) => boolean,
   *   onSilent: (isSilent: boolean) => void,
   *   onFailed: (isRefused: boolean) => void,
   *   onLost: (code: number, comesBack: boolean) => void,
   *   onLeave: () => void,
   * }} hooks `isTalkative` says whether the server should speak each second; `onMessage` returns
   *   whether that answers a ping of ours; `onFailed` comes when a connection could not be made, once it is
   *   known whether a server refuses it; `onLeave` before the page is left
   */
  constructor(hooks) {
    this.hooks = hooks;
  }

  open() {
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    window.addEventListener("online", () => this.#hurry(), { signal });
    window.addEventListener("offline", () => this.#doubt(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry(), { signal });
    // A page in the back/forward cache must hold no socket. It may come back from there.
    window.addEventListener(
      "pagehide",
      () => {
        this.hooks.onLeave();
        this.#leave();
      },
      { signal },
    );
    window.addEventListener("pageshow", (event) => event.persisted && this.#hurry(), { signal });
    this.#connect();
  }

  close() {
    this.#listening?.abort();
    this.#leave();
  }

  /**
   * @param {any} message
   * @returns {boolean} whether there was a connection to send it over
   */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    this.hooks.onConnecting();
    const socket = new WebSocket(this.hooks.address(), SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#openedAt = performance.now();
      this.#failures = 0;
      this.hooks.onOpen();
    };
    socket.onmessage = ({ data }) => {
      this.#heardAt = performance.now();
      // Not at once: a server that takes us in only to drop us must not be asked ever faster.
      if (this.#hasSettled) this.#attempt = 0;
      const isAnswer = this.hooks.onMessage(data);
      // Frames that were under way when the network went say nothing of now.
      if (this.#isOffline && !isAnswer) return;
      this.#isOffline = false;
      this.#askedAt = this.#giveUpAt = Infinity;
      this.#tellSilence(false);
    };
    socket.onclose = ({ code }) => this.#lost(code);
    this.#socket = socket;
    this.#isSilent = this.#isOffline = false;
    this.#heardAt = this.#lookedAt = performance.now();
    this.#openedAt = this.#askedAt = Infinity;
    this.#giveUpAt = this.#heardAt + ANSWER_MS;
    this.#lookTimer = window.setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  get #hasOpened() {
    return this.#openedAt < Infinity;
  }

  get #hasSettled() {
    return performance.now() - this.#openedAt > SETTLED_AFTER_MS;
  }

  /** Notice a connection that has ended without a word. */
  #look() {
    const now = performance.now();
    const stoodStill = now - this.#lookedAt > 3 * LOOK_EVERY_MS;
    this.#lookedAt = now;
    // A page that was held up has not heard what was said meanwhile.
    if (stoodStill && !document.hidden) return;
    const isTalkative = this.hooks.isTalkative();
    const askAfter = isTalkative ? ASK_TALKATIVE_AFTER_MS : ASK_AFTER_MS;
    if (now > this.#giveUpAt) this.#lost(CLOSED_WITHOUT_A_WORD);
    else if (this.#giveUpAt === Infinity && now - this.#heardAt > askAfter) this.#ask(ASK_AFTER_MS - askAfter + ANSWER_MS);
    else if (now - (isTalkative ? this.#heardAt : this.#askedAt) > SILENT_AFTER_MS) this.#tellSilence(true);
  }

  /** @param {boolean} isSilent */
  #tellSilence(isSilent) {
    if (!this.#hasOpened || isSilent === this.#isSilent) return;
    this.#isSilent = isSilent;
    this.hooks.onSilent(isSilent);
  }

  /** The browser says that there is no network. */
  #doubt() {
    if (!this.#socket) return;
    this.#isOffline = true;
    this.#ask(DOUBTFUL_ANSWER_MS);
    this.#tellSilence(true);
  }

  /** @param {number} patience in milliseconds */
  #ask(patience) {
    this.send({ type: "ping" });
    this.#askedAt = Math.min(this.#askedAt, performance.now());
    this.#giveUpAt = Math.min(this.#giveUpAt, performance.now() + patience);
  }

  /** There is reason to think that it works again, or that it has ceased to. */
  #hurry() {
    this.#failures = 0;
    this.#isOffline = false;
    if (this.#socket) this.#ask(DOUBTFUL_ANSWER_MS);
    else if (!this.#isOver) this.#connect();
  }

  /** @param {number} code */
  #lost(code) {
    this.#drop();
    this.#isOver = isFinal(code, this.#hasSettled);
    this.hooks.onLost(code, !this.#isOver);
    if (this.#isOver) return;
    // A browser does not say why a connection failed. It may have been refused.
    if (!this.#hasOpened && this.#failures++ % LOOK_EVERY_ATTEMPTS === 0) this.#lookForServer();
    const delay = reconnectDelay(this.#attempt, Math.random, code);
    this.#attempt += 1;
    this.#retryTimer = window.setTimeout(() => this.#connect(), delay);
  }

  async #lookForServer() {
    const isRefused = await this.#isServerThere();
    if (!this.#hasOpened && !this.#listening?.signal.aborted) this.hooks.onFailed(isRefused);
  }

  async #isServerThere() {
    try {
      const { type, status } = await fetch(this.hooks.healthAddress(), {
        cache: "no-store",
        // Of another origin it says nothing but that it is there.
        mode: "no-cors",
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      return type === "opaque" || status < 500;
    } catch {
      return false;
    }
  }

  #leave() {
    clearTimeout(this.#retryTimer);
    this.#drop();
  }

  /** Be done with the socket, whose close is no news any more. */
  #drop() {
    clearInterval(this.#lookTimer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    // To close one that is not open yet would be a warning in the console.
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }
}
