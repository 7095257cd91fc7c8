// @ts-check
/** The picture: the newest frame is prepared off the page, put in place, and then acknowledged. */

import { decodeFrame } from "./live-step-client.js";
import { FrameSurface, ImageSurface } from "./live-step-surface.js";
import { TooManyShapes } from "./live-step-weight.js";

/** A picture that takes longer is drawn less often, so that the page stays usable. */
export const SLOW_MS = 200;
/** For each millisecond of drawing, so many are left to the rest of the page. */
const REST = 3;
/** The server waits no more than 15 s for an acknowledgement. */
const LONGEST_REST_MS = 5_000;

/** One that is parsed in less is no burden: the next is parsed while it waits for its turn. */
const LIGHT_MS = 50;

/** @typedef {import("./live-step-history.js").Frame} Frame */
/** @typedef {import("./live-step-surface.js").Surface} Surface */
/** @typedef {{drawing: import("./live-step-surface.js").Drawing | null, ms: number}} Prepared what it kept the page busy for */

export class Picture {
  /** @type {Promise<Surface> | null} */
  #surface = null;
  /** @type {Frame | null} the newest frame not yet prepared */
  #pending = null;
  #isPreparing = false;
  /** Until the last one that was prepared is on the page. */
  #putting = Promise.resolve();
  #isHeavy = false;
  #isClosed = false;
  /** @type {Frame | null} what alone may be seen */
  #held = null;
  /** @type {Surface | null} that which is open by now */
  #current = null;
  /** @type {Frame | null} what is on the page */
  shown = null;
  painted = 0;

  /**
   * @param {HTMLElement} holder in which it is drawn
   * @param {string} address of the document for the sandboxed frame; "" for an <img>
   * @param {{
   *   onPainted: (frame: Frame, drawing: import("./live-step-surface.js").Drawing) => void,
   *   onUndecodable: (seq: number, reason: string) => void,
   *   onTooHeavy: (seq: number) => void,
   *   onOvertaken: () => void,
   *   onSlow: (ms: number) => void,
   *   onFrame: (document: Document) => void,
   *   onNoFrame: () => void,
   *   onDone: (frame: Frame) => void,
   * }} hooks `onFrame` comes with the document in which pictures are to be, before the first of them;
   *   `onDone` comes for every frame that is drawn, when it is on the screen
   */
  constructor(holder, address, hooks) {
    this.holder = holder;
    this.address = address;
    this.hooks = hooks;
  }

  /**
   * Only the newest frame is drawn. Its ack also covers the frames that it overtook.
   * @param {Frame} frame
   * @param {boolean} [isHeld] whether nothing else is to be seen, not even what is being drawn
   */
  show(frame, isHeld = false) {
    if (this.#pending) this.hooks.onOvertaken();
    this.#pending = frame;
    this.#held = isHeld ? frame : null;
    if (!this.#isPreparing) this.#prepareOn();
  }

  /**
   * Return what is at a place of the picture, or null where that cannot be told.
   * @param {import("./live-step-viewport.js").Place} at
   */
  locate({ x, y }) {
    return this.#current?.locate(x, y) ?? null;
  }

  /** Give up what is held for a page that is gone. */
  close() {
    this.#isClosed = true;
    this.#pending = null;
    this.shown = null;
    this.#surface?.then((surface) => surface.close());
  }

  /** Prepare what comes, one ahead of what the screen shows. */
  async #prepareOn() {
    this.#isPreparing = true;
    while (this.#pending) {
      if (this.#isHeavy) await this.#putting;
      const surface = await this.#ready();
      const frame = this.#pending;
      this.#pending = null;
      if (!frame) break;
      const prepared = await this.#prepare(surface, frame);
      await this.#putting;
      this.#isHeavy = prepared.ms > LIGHT_MS;
      this.#putting = this.#put(surface, frame, prepared);
    }
    this.#isPreparing = false;
  }

  async #ready() {
    const surface = await this.#surface;
    if (surface?.isUsable) return surface;
    surface?.close();
    this.#surface = this.#open();
    return this.#surface;
  }

  async #open() {
    const frame = this.address ? await FrameSurface.open(this.holder, this.address) : null;
    if (frame) {
      this.hooks.onFrame(frame.document);
      this.#current = frame;
      return frame;
    }
    if (this.address && !this.#isClosed) this.hooks.onNoFrame();
    this.#current = new ImageSurface(this.holder);
    return this.#current;
  }

  /**
   * @param {Surface} surface
   * @param {Frame} frame
   * @returns {Promise<Prepared>}
   */
  async #prepare(surface, frame) {
    try {
      const svg = await decodeFrame(frame.header, frame.payload);
      const began = performance.now();
      const drawing = await surface.draw(svg);
      return { drawing, ms: performance.now() - began };
    } catch (error) {
      if (this.#isClosed) return { drawing: null, ms: 0 };
      if (error instanceof TooManyShapes) this.hooks.onTooHeavy(frame.header.seq);
      else this.hooks.onUndecodable(frame.header.seq, /** @type {Error} */ (error).message);
      return { drawing: null, ms: 0 };
    }
  }

  /**
   * @param {Surface} surface
   * @param {Frame} frame
   * @param {Prepared} prepared
   */
  async #put(surface, frame, { drawing, ms }) {
    await new Promise(requestAnimationFrame);
    const began = performance.now();
    // The element may be gone, or be elsewhere with a picture of its own.
    const isWanted = !this.#held || this.#held === frame;
    if (drawing && isWanted && !this.#isClosed && surface.isUsable) {
      drawing.put();
      this.shown = frame;
      this.painted += 1;
      this.hooks.onPainted(frame, drawing);
    }
    // The browser lays out and paints between this callback and the next task.
    await pause(0);
    const busy = drawing ? ms + performance.now() - began : 0;
    if (busy > SLOW_MS) {
      this.#isHeavy = true;
      this.hooks.onSlow(busy);
      await pause(Math.min(busy * REST, LONGEST_REST_MS));
    }
    if (!this.#isClosed) this.hooks.onDone(frame);
  }
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
