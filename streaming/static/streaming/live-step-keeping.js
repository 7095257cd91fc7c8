// @ts-check
/** What the buttons under "Keep and share" do. What can is loaded when the first of them is pressed. */

import { gettext } from "./live-step-words.js";

/** Servers and proxies refuse longer ones. */
const LONGEST_ADDRESS = 4_000;

/**
 * @typedef {{
 *   link: () => string,
 *   linkWithParams: () => string,
 *   socket: () => string,
 *   session: () => any,
 *   series: () => any[],
 *   simulation: () => string,
 * }} About addresses, the newest `session` message, what was plotted, and the simulation's name
 */

export class Keeping {
  /** @type {import("./live-step-saving.js").Saving | null} */
  #saving = null;
  #isClosed = false;

  /**
   * @param {import("./live-step-view.js").View} view
   * @param {import("./live-step-picture.js").Picture} picture
   * @param {import("./live-step-timeline.js").Timeline} timeline
   * @param {About} about
   */
  constructor(view, picture, timeline, about) {
    this.view = view;
    this.picture = picture;
    this.timeline = timeline;
    this.about = about;
  }

  /** The frames that are to be saved. */
  get #frames() {
    return this.view.span === "recent" ? this.timeline.recent : this.timeline.frames;
  }

  get #name() {
    return this.about.session()?.simulation ?? this.about.simulation();
  }

  /**
   * @param {string} action of a button, or of its key
   */
  async act(action) {
    if (action === "share") return this.#share();
    const saving = await this.#load();
    if (!saving) return;
    switch (action) {
      case "copy-link":
        return saving.text(action, this.about.link());
      case "copy-params":
        return this.#copyParams(saving);
      case "copy-fault":
        return saving.text(action, this.view.fault?.text ?? "");
      case "svg":
      case "png":
        return saving.frame(action, this.#name);
      case "film":
        return saving.film(this.#name);
      case "kept-film":
        return saving.keptFilm(this.#frames, this.#name);
      case "page":
        return saving.page(this.#frames, this.about.session(), this.about.series());
    }
  }

  async #share() {
    const { showShare } = await import("./live-step-share.js");
    if (this.#isClosed) return;
    const session = this.about.session();
    showShare(this.view.player, {
      title: session?.title ?? this.#name,
      simulation: this.#name,
      session: session?.session ?? "",
      link: session ? this.about.link() : "",
      page: this.about.linkWithParams(),
      socket: this.about.socket(),
    });
  }

  /** Most visitors only look. */
  async #load() {
    const { Saving } = await import("./live-step-saving.js");
    // The player may have been taken off the page meanwhile.
    if (this.#isClosed) return null;
    this.#saving ??= new Saving(this.view, this.picture);
    return this.#saving;
  }

  /**
   * Copy an address at which the form has the values that it has now.
   * @param {import("./live-step-saving.js").Saving} saving
   */
  async #copyParams(saving) {
    const address = this.about.linkWithParams();
    if (address.length <= LONGEST_ADDRESS) return saving.text("copy-params", address);
    this.view.note(gettext("These parameters are too long for a link: save the page, or send the file that is in them."));
  }

  /** @param {import("./live-step-history.js").Frame} frame that has been painted */
  painted(frame) {
    this.#saving?.painted(frame);
  }

  /** The session has ended: so has its film, but not one that is made of kept frames. */
  ended() {
    this.#saving?.ended();
  }

  close() {
    this.#isClosed = true;
    this.#saving?.stop();
  }
}
