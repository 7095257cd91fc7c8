// @ts-check
/** Frames that remember those before: the parts of one stream, made frames that stand alone. */

import { parseFrame } from "./live-step-client.js";

const STREAM = "deflate-stream";
const SHARED = "deflate-raw";
/** What a browser takes that gives no part before the next one comes, or not as it should. */
export const WITHOUT_STREAM = [SHARED];
/** A browser that keeps a part back for so long will not give it before the next one comes. */
const LATE_MS = 3_000;

/**
 * What this browser takes, what it would rather have first: a stream at once where data are dear,
 * and else where the line is slow.
 * @param {any} [connection] of the navigator, which not every browser has
 */
export function accepted(connection) {
  return connection?.saveData ? [STREAM, SHARED] : [SHARED, STREAM];
}

/** @typedef {import("./live-step-history.js").Frame} Frame */

/** Inflates what comes over one connection. */
export class Inflater {
  /** @type {WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>> | null} */
  #writer = null;
  /** @type {ReadableStreamDefaultReader<Uint8Array> | null} */
  #reader = null;
  /** Frames that came later wait for this one. */
  #last = Promise.resolve();
  #waiting = 0;
  #isClosed = false;

  /**
   * @param {(frame: Frame) => void} onFrame called for each in its order, at once where nothing
   *   has to be inflated
   * @param {() => void} onBroken called for each part that cannot be had
   */
  constructor(onFrame, onBroken) {
    this.onFrame = onFrame;
    this.onBroken = onBroken;
  }

  /** @param {Frame} frame */
  take(frame) {
    const isPart = frame.header.encoding === STREAM;
    if (!isPart && !this.#waiting) {
      this.onFrame(frame);
      return;
    }
    this.#waiting += 1;
    this.#last = this.#last.then(async () => {
      const whole = isPart ? await this.#inflate(frame).catch(() => null) : frame;
      this.#waiting -= 1;
      if (this.#isClosed) return;
      if (whole) this.onFrame(whole);
      else this.onBroken();
    });
  }

  /** The connection has ended: what is under way is dropped. */
  close() {
    this.#isClosed = true;
    this.#end();
  }

  #end() {
    this.#writer?.abort().catch(() => {});
    this.#writer = this.#reader = null;
  }

  /**
   * @param {Frame} part
   * @returns {Promise<Frame>} rejected when it is damaged, or does not come
   */
  async #inflate({ header, payload, receivedAt }) {
    if (header.begins) this.#begin();
    if (!this.#writer || !this.#reader) throw new Error("the stream is broken");
    try {
      this.#writer.write(payload).catch(() => {});
      const whole = new Uint8Array(header.size);
      for (let filled = 0; filled < header.size; ) {
        const { value, done } = await soon(this.#reader.read());
        if (done) throw new Error("the stream has ended");
        // One that is longer than it should be does not fit.
        whole.set(value, filled);
        filled += value.length;
      }
      return { ...parseFrame(whole.buffer), receivedAt };
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  #begin() {
    this.#end();
    const { readable, writable } = new DecompressionStream(SHARED);
    this.#writer = writable.getWriter();
    this.#reader = readable.getReader();
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>} rejected when it takes too long
 */
async function soon(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("late")), LATE_MS);
  });
  try {
    return await Promise.race([promise, /** @type {Promise<never>} */ (late)]);
  } finally {
    clearTimeout(timer);
  }
}
