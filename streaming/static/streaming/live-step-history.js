// @ts-check
/** Frames of a session, as they came over the wire, to go back to: the newest, and some of the whole run. */

/** So many of the newest are kept, and as many at most of those before them. */
export const MOST_FRAMES = 300;
/** Of what is kept; a session of large frames keeps fewer of them. */
export const MOST_BYTES = 64 * 1024 * 1024;

/**
 * @typedef {{header: any, payload: Uint8Array<ArrayBuffer>, receivedAt: number, number?: number}} Frame
 *   `number` counts the frames that came here, from 0
 */

export class History {
  /** @type {Frame[]} */
  #newest = [];
  /** @type {Frame[]} one in `#stride` of those that came before */
  #older = [];
  #stride = 1;
  #count = 0;

  /**
   * Keep a frame. The oldest give way.
   * @param {Frame} frame
   */
  add(frame) {
    // The last frame of a session comes once more, as its final one.
    if (this.newest?.header.seq === frame.header.seq) this.#newest.pop();
    else this.#count += 1;
    frame.number = this.#count - 1;
    this.#newest.push(frame);
    while (this.#newest.length > 1 && isTooMuch(this.#newest)) this.#retire(/** @type {Frame} */ (this.#newest.shift()));
  }

  /** @param {Frame} frame that is none of the newest any more */
  #retire(frame) {
    if (numberOf(frame) % this.#stride === 0) this.#older.push(frame);
    while (this.#older.length > 1 && isTooMuch(this.#older)) {
      this.#stride *= 2;
      this.#older = this.#older.filter((older) => numberOf(older) % this.#stride === 0);
    }
  }

  clear() {
    this.#newest = [];
    this.#older = [];
    this.#stride = 1;
    this.#count = 0;
  }

  /** @returns {Frame | undefined} */
  get newest() {
    return this.#newest.at(-1);
  }

  /** The frames that are kept, the oldest first. */
  get frames() {
    return [...this.#older, ...this.#newest];
  }

  /** The last ones, without any gap. */
  get recent() {
    return [...this.#newest];
  }

  /** The number of the newest frame. */
  get last() {
    return this.#count - 1;
  }

  /**
   * Return the frame that was shown when the one with this number came: the nearest that is kept.
   * @param {number} number
   * @returns {Frame | undefined}
   */
  at(number) {
    return this.frames.findLast((frame) => numberOf(frame) <= number) ?? this.frames[0];
  }

  /**
   * Return the next frame that is kept.
   * @param {number} number
   * @param {number} by 1 for later, -1 for earlier
   * @returns {Frame | undefined}
   */
  beside(number, by) {
    if (by > 0) return this.frames.find((frame) => numberOf(frame) > number);
    return this.frames.findLast((frame) => numberOf(frame) < number);
  }
}

/** @param {Frame} frame */
function numberOf(frame) {
  return frame.number ?? 0;
}

/** @param {Frame[]} frames which may have half of the room */
function isTooMuch(frames) {
  const bytes = frames.reduce((sum, { payload }) => sum + payload.length, 0);
  return frames.length > MOST_FRAMES || bytes > MOST_BYTES / 2;
}
