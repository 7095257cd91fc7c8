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

/** @typedef {import("./live-step-history.js").Frame} Frame */

export class Picture {
  /** @type {Promise<import("./live-step-surface.js").Surface> | null} */
  #surface = null;
  /** @type {Frame | null} the newest frame not yet drawn */
  #pending = null;
  #isDrawing = false;
  #isClosed = false;
  /** @type {import("./live-step-surface.js").Surface | null} that which is open by now */
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
   */
  show(frame) {
    if (this.#pending) this.hooks.onOvertaken();
    this.#pending = frame;
    if (!this.#isDrawing) this.#draw();
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

  async #draw() {
    this.#isDrawing = true;
    while (this.#pending) {
      const surface = await this.#ready();
      const frame = this.#pending;
      this.#pending = null;
      if (!frame) break;
      const ms = await this.#paint(surface, frame);
      if (ms > SLOW_MS) {
        this.hooks.onSlow(ms);
        await pause(Math.min(ms * REST, LONGEST_REST_MS));
      }
      if (!this.#isClosed) this.hooks.onDone(frame);
    }
    this.#isDrawing = false;
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
   * @param {import("./live-step-surface.js").Surface} surface
   * @param {Frame} frame
   * @returns {Promise<number>} the milliseconds for which it kept the page busy
   */
  async #paint(surface, frame) {
    let spent = 0;
    let drawing = null;
    try {
      const svg = await decodeFrame(frame.header, frame.payload);
      spent -= performance.now();
      drawing = await surface.draw(svg);
      spent += performance.now();
    } catch (error) {
      if (this.#isClosed) return 0;
      if (error instanceof TooManyShapes) this.hooks.onTooHeavy(frame.header.seq);
      else this.hooks.onUndecodable(frame.header.seq, /** @type {Error} */ (error).message);
    }
    await new Promise(requestAnimationFrame);
    const began = performance.now();
    // The element may be gone, or be elsewhere with a picture of its own.
    if (drawing && !this.#isClosed && surface.isUsable) {
      drawing.put();
      this.shown = frame;
      this.painted += 1;
      this.hooks.onPainted(frame, drawing);
    }
    // The browser lays out and paints between this callback and the next task.
    await pause(0);
    return drawing ? spent + performance.now() - began : 0;
  }
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
