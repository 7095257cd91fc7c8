// @ts-check
/** Takes what a simulation plots to its chart, which is loaded when the first of it comes. */

export class Plotting {
  /** @type {import("./live-step-plots.js").Plots | null} */
  #plots = null;
  /** Counts the sessions whose lines these were. */
  #round = 0;
  #isClosed = false;

  /**
   * @param {HTMLElement | null} room where the chart stands; null if there is none
   * @param {() => string} name of the simulation
   * @param {() => string} table where the server has all of it
   */
  constructor(room, name, table) {
    this.room = room;
    this.name = name;
    this.table = table;
  }

  /** @param {import("./live-step-drawing.js").Series} series */
  async take(series) {
    if (!this.room) return;
    const round = this.#round;
    const { Plots } = await import("./live-step-plots.js");
    // Meanwhile another session may be watched, or nothing any more.
    if (this.#isClosed || round !== this.#round) return;
    if (!this.#plots) {
      this.#plots = new Plots(this.name, { table: this.table });
      this.room.replaceChildren(this.#plots.element);
      this.room.hidden = false;
    }
    this.#plots.take(series);
  }

  /** The lines as a server would tell them. */
  get series() {
    return this.#plots?.series ?? [];
  }

  /** Another session is watched. */
  clear() {
    this.#round += 1;
    this.#plots?.clear();
  }

  close() {
    this.#isClosed = true;
    this.#plots?.close();
  }
}
