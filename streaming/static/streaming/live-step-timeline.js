// @ts-check
/** Which frame is shown: the newest as it comes, or one that is held while the session goes on. */

import { History } from "./live-step-history.js";

/** @typedef {import("./live-step-history.js").Frame} Frame */

export class Timeline {
  #history = new History();
  /** @type {Frame | null} what is held, even when nothing else keeps it any more */
  #held = null;

  /**
   * @param {{show: (frame: Frame, isHeld?: boolean) => void}} picture
   * @param {() => void} onChange comes when there are other frames, or another one is to be seen
   */
  constructor(picture, onChange) {
    this.picture = picture;
    this.onChange = onChange;
  }

  /** Whether the newest frame is shown, whichever it is. */
  get isLive() {
    return this.#held === null;
  }

  /** The frame that is held; null while the newest is followed. */
  get held() {
    return this.#held;
  }

  /** The number of the frame that is to be seen. */
  get position() {
    return this.#held?.number ?? this.last;
  }

  /** The number of the newest frame, counted from 0. */
  get last() {
    return this.#history.last;
  }

  /** @returns {Frame | undefined} */
  get newest() {
    return this.#history.newest;
  }

  /** The frames that are kept of the whole run, the oldest first. */
  get frames() {
    return this.#history.frames;
  }

  /** The newest frames, without any gap. */
  get recent() {
    return this.#history.recent;
  }

  /** @param {Frame} frame which is shown, unless another is held */
  add(frame) {
    this.#history.add(frame);
    if (this.isLive) this.picture.show(frame);
    this.onChange();
  }

  /** @param {number} number of the frame to be shown; the nearest that is kept */
  goTo(number) {
    this.#hold(this.#history.at(number));
  }

  /** @param {1 | -1} by one frame later, or earlier */
  step(by) {
    this.#hold(this.#history.beside(this.position, by));
  }

  /** Keep the newest frame where it is. */
  hold() {
    if (!this.newest || !this.isLive) return;
    this.#held = this.newest;
    this.#show(this.#held);
  }

  goLive() {
    if (this.isLive) return;
    this.#held = null;
    if (this.newest) this.#show(this.newest);
  }

  clear() {
    this.#history.clear();
    this.#held = null;
  }

  /** @param {Frame | undefined} frame; the newest is not held, but followed */
  #hold(frame) {
    if (!frame) return;
    if (frame === this.newest) return this.goLive();
    this.#held = frame;
    this.#show(frame);
  }

  /** @param {Frame} frame */
  #show(frame) {
    this.picture.show(frame, !this.isLive);
    this.onChange();
  }
}
