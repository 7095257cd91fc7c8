// @ts-check
/** Which frame is shown: the newest as it comes, or one that is held while the session goes on. */

import { History } from "./live-step-history.js";

/** @typedef {import("./live-step-history.js").Frame} Frame */

export class Timeline {
  #history = new History();
  /** @type {number | null} the number of the kept frame that is shown, or null for the newest */
  #position = null;

  /**
   * @param {{show: (frame: Frame) => void}} picture
   * @param {(history: History, position: number | null) => void} onChange comes when there are other
   *   frames, or another one is to be seen
   */
  constructor(picture, onChange) {
    this.picture = picture;
    this.onChange = onChange;
  }

  /** Whether the newest frame is shown, whichever it is. */
  get isLive() {
    return this.#position === null;
  }

  /** The frames that are kept, the oldest first. */
  get frames() {
    return this.#history.frames;
  }

  /** @param {Frame} frame which is shown, unless another is held */
  add(frame) {
    this.#history.add(frame);
    if (this.isLive) this.picture.show(frame);
    this.onChange(this.#history, this.#position);
  }

  /** @param {number} number of the kept frame to be shown */
  goTo(number) {
    if (number >= this.#history.last) return this.goLive();
    this.#position = number;
    this.#show();
  }

  /** Keep the newest frame where it is. */
  hold() {
    if (!this.#history.length || !this.isLive) return;
    this.#position = this.#history.last;
    this.#show();
  }

  goLive() {
    if (this.isLive) return;
    this.#position = null;
    this.#show();
  }

  clear() {
    this.#history.clear();
    this.#position = null;
  }

  #show() {
    const frame = this.#history.at(this.#position ?? this.#history.last);
    if (frame) this.picture.show(frame);
    this.onChange(this.#history, this.#position);
  }
}
