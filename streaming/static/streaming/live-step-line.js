// @ts-check
/** What the line does for a session: which frames came over it, and how far behind the picture is. */

/** The shortest of so many round trips, one each 5 s, is the distance to the server. */
const ROUND_TRIPS = 24;

export class Line {
  #last = 0;
  #isAway = false;
  /** @type {number[]} milliseconds, the newest last */
  #roundTrips = [];
  received = 0;
  /** Frames that the server did not send, since the line was full. */
  notSent = 0;
  /** Frames that came, and gave way to a newer one before they were drawn. */
  notDrawn = 0;
  /** @type {number | null} how old the picture was when it was painted, without the distance */
  behindMs = null;

  /** Begin with another session, over the same line. */
  clear() {
    this.#last = 0;
    this.#isAway = false;
    this.received = this.notSent = this.notDrawn = 0;
    this.behindMs = null;
  }

  /** Nothing is sent to this page until it is looked at again. */
  away() {
    this.#isAway = true;
  }

  /** @param {number} seq of a frame that came */
  came(seq) {
    // A frame may come again, as the final one.
    if (seq <= this.#last) return;
    if (this.#last && !this.#isAway) this.notSent += seq - this.#last - 1;
    this.#isAway = false;
    this.#last = seq;
    this.received += 1;
  }

  /** @param {number} ms that a message took to the server and back */
  wentAround(ms) {
    this.#roundTrips = [...this.#roundTrips, ms].slice(-ROUND_TRIPS);
  }

  /** @param {number} ms from when the frame came to when it was painted */
  painted(ms) {
    const distance = Math.min(...this.#roundTrips);
    this.behindMs = (this.#roundTrips.at(-1) ?? 0) - (Number.isFinite(distance) ? distance : 0) + ms;
  }
}
