// @ts-check
/** The picture: the newest frame is decoded off the page, put in place, and then acknowledged. */

import { decodeFrame } from "./live-step-client.js";

/** @typedef {import("./live-step-history.js").Frame} Frame */

export class Picture {
  /** @type {Frame | null} the newest frame not yet drawn */
  #pending = null;
  #isDrawing = false;
  #isClosed = false;
  #url = "";
  /** @type {Frame | null} what is on the page */
  shown = null;
  painted = 0;

  /**
   * @param {HTMLImageElement} image which each frame replaces
   * @param {{
   *   onPainted: (frame: Frame) => void,
   *   onUndecodable: (seq: number) => void,
   *   onDone: (frame: Frame) => void,
   * }} hooks `onDone` comes for every frame that is drawn, when it is on the screen
   */
  constructor(image, hooks) {
    this.image = image;
    this.hooks = hooks;
  }

  /**
   * Only the newest frame is drawn. Its ack also covers the frames that it overtook.
   * @param {Frame} frame
   */
  show(frame) {
    this.#pending = frame;
    if (!this.#isDrawing) this.#draw();
  }

  /** Give up what is held for a page that is gone. */
  close() {
    this.#isClosed = true;
    this.#pending = null;
    this.shown = null;
    URL.revokeObjectURL(this.#url);
    this.#url = "";
  }

  async #draw() {
    this.#isDrawing = true;
    while (this.#pending) {
      const frame = this.#pending;
      this.#pending = null;
      try {
        await this.#paint(frame);
      } catch {
        this.hooks.onUndecodable(frame.header.seq);
      }
      // The browser paints between this callback and the next task.
      await new Promise(requestAnimationFrame);
      setTimeout(() => this.hooks.onDone(frame));
    }
    this.#isDrawing = false;
  }

  /** @param {Frame} frame */
  async #paint(frame) {
    const svg = await decodeFrame(frame.header, frame.payload);
    const url = URL.createObjectURL(svg);
    // An <img> runs no script that the SVG may carry; innerHTML would trust it. A second one is
    // decoded off the page and then put in place, so that nothing flickers.
    const image = /** @type {HTMLImageElement} */ (this.image.cloneNode());
    image.src = url;
    try {
      await image.decode();
    } catch (error) {
      URL.revokeObjectURL(url);
      throw error;
    }
    // The element may be gone, or be elsewhere with a picture of its own.
    if (this.#isClosed || !this.image.isConnected) {
      URL.revokeObjectURL(url);
      return;
    }
    image.alt = this.image.alt;
    this.image.replaceWith(image);
    this.image = image;
    URL.revokeObjectURL(this.#url);
    this.#url = url;
    this.shown = frame;
    this.painted += 1;
    this.hooks.onPainted(frame);
  }
}
