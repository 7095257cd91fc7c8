// @ts-check
/** The newest frames of a session, as they came over the wire, to go back to. */

export const MOST_FRAMES = 300;
/** Of what is kept; a session of large frames keeps fewer of them. */
export const MOST_BYTES = 64 * 1024 * 1024;

/** @typedef {{header: any, payload: Uint8Array<ArrayBuffer>, receivedAt: number}} Frame */

export class History {
  /** @type {Frame[]} */
  #frames = [];
  #bytes = 0;
  /** How many frames came before the oldest that is kept. */
  first = 0;

  /**
   * Keep a frame. The oldest give way.
   * @param {Frame} frame
   */
  add(frame) {
    // The last frame of a session comes once more, as its final one.
    if (this.#frames.at(-1)?.header.seq === frame.header.seq) this.#bytes -= this.#frames.pop()?.payload.length ?? 0;
    this.#frames.push(frame);
    this.#bytes += frame.payload.length;
    while (this.#frames.length > MOST_FRAMES || (this.#bytes > MOST_BYTES && this.#frames.length > 1)) {
      this.#bytes -= this.#frames.shift()?.payload.length ?? 0;
      this.first += 1;
    }
  }

  clear() {
    this.#frames = [];
    this.#bytes = 0;
    this.first = 0;
  }

  get length() {
    return this.#frames.length;
  }

  /** The frames that are kept, the oldest first. */
  get frames() {
    return [...this.#frames];
  }

  /**
   * Return a frame by its number, counted from the session's first one that came here; the nearest
   * that is kept.
   * @param {number} number
   * @returns {Frame | undefined}
   */
  at(number) {
    const index = Math.min(Math.max(number - this.first, 0), this.#frames.length - 1);
    return this.#frames[index];
  }

  get last() {
    return this.first + this.#frames.length - 1;
  }
}
