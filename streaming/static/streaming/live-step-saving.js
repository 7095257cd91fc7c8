// @ts-check
/** What a visitor takes away: a link, the shown frame, a film of what is painted, a page of the kept frames. */

import { decodeFrame } from "./live-step-client.js";
import { Film, download, toImage, toPage, toPng } from "./live-step-recorder.js";
import { gettext, language, put } from "./live-step-words.js";

/** @typedef {import("./live-step-history.js").Frame} Frame */

/** Until its button may be pressed again, "Copied" is shown. */
const COPIED_MS = 2_000;
/** In a film of frames that are kept. */
const KEPT_FRAME_MS = 40;

export class Saving {
  /** @type {Film | null} */
  #film = null;
  /** @type {Frame | null} what is to be drawn into the film next */
  #filmed = null;
  #isFilming = false;
  /** Whether the film is made of frames that are kept, and not of what is painted. */
  #isOfKept = false;

  /**
   * @param {import("./live-step-view.js").View} view says what fails, and has the film's button
   * @param {import("./live-step-picture.js").Picture} picture
   */
  constructor(view, picture) {
    this.view = view;
    this.picture = picture;
  }

  /**
   * Save the frame that is shown.
   * @param {"svg" | "png"} kind
   * @param {string} name of the simulation
   */
  async frame(kind, name) {
    const frame = this.picture.shown;
    if (!frame) return;
    const svg = new Blob([await decodeFrame(frame.header, frame.payload)], { type: "image/svg+xml" });
    try {
      download(kind === "svg" ? svg : await toPng(svg), `${name}-${frame.header.step}.${kind}`);
    } catch {
      this.view.complain(gettext("This browser cannot draw the picture as a PNG. Save the SVG instead."));
    }
  }

  /**
   * Save frames as a page that plays them.
   * @param {Frame[]} frames
   * @param {{title: string, simulation: string, params: any}} session
   * @param {any[]} series what was plotted
   */
  async page(frames, { title, simulation, params }, series) {
    try {
      download(await toPage(frames, { title, simulation, lang: language, params, series }), `${simulation}.html`);
    } catch {
      this.view.complain(gettext("The page could not be made: the server did not give its player. Try again."));
    }
  }

  /**
   * Put a text on the clipboard.
   * @param {string} action whose button says so
   * @param {string} text
   */
  async text(action, text) {
    try {
      await navigator.clipboard.writeText(text);
      this.#say(action, gettext("Copied"));
    } catch {
      // Without TLS, or without the permission, a page has no clipboard.
      this.view.note(put(gettext("This browser lets no page copy: %(text)s"), { text }));
    }
  }

  /**
   * Let a button say for a moment what it has done.
   * @param {string} action
   * @param {string} words
   */
  #say(action, words) {
    const button = this.view.button(action);
    const label = button?.querySelector(".word") ?? button;
    if (!button || !label || button.dataset.words) return;
    button.dataset.words = label.textContent ?? "";
    label.textContent = words;
    setTimeout(() => {
      label.textContent = button.dataset.words ?? "";
      delete button.dataset.words;
    }, COPIED_MS);
  }

  /**
   * Begin to film, or save what was filmed.
   * @param {string} name of the simulation
   */
  async film(name) {
    const frame = this.picture.shown;
    if (this.#film) this.#film.stop();
    if (this.#film || !frame) return;
    this.#film = new Film({ onGrown: () => this.#showFilm(), onEnd: (film) => this.#saveFilm(film, name) });
    this.#isOfKept = false;
    try {
      this.#film.start(await toImage(frame));
    } catch {
      this.#film = null;
      this.view.complain(gettext("This browser cannot record a film. Save the page instead."));
    }
    this.#showFilm();
  }

  /**
   * Make a film of frames that are kept, as long as it takes to show them.
   * @param {Frame[]} frames
   * @param {string} name of the simulation
   */
  async keptFilm(frames, name) {
    if (this.#film) this.#film.stop();
    if (this.#film || !frames.length) return;
    const film = new Film({ onGrown: () => this.#showFilm(), onEnd: (content) => this.#saveFilm(content, name) });
    this.#film = film;
    this.#isOfKept = true;
    try {
      film.start(await toImage(frames[0]));
      for (const frame of frames) {
        if (this.#film !== film) break;
        const image = await toImage(frame).catch(() => null);
        if (!image) continue; // It could not be shown, either.
        film.draw(image);
        await new Promise((resolve) => setTimeout(resolve, KEPT_FRAME_MS));
      }
      film.stop();
    } catch {
      this.#film = null;
      this.view.complain(gettext("This browser cannot record a film. Save the page instead."));
    }
    this.#showFilm();
  }

  /**
   * Draw a frame that has been painted into the film, if there is one: the newest, as often as can be.
   * @param {Frame} frame
   */
  async painted(frame) {
    this.#filmed = this.#film && !this.#isOfKept ? frame : null;
    if (this.#isFilming) return;
    this.#isFilming = true;
    while (this.#filmed) {
      const next = this.#filmed;
      this.#filmed = null;
      this.#film?.draw(await toImage(next));
    }
    this.#isFilming = false;
  }

  /** End and save the film, if there is one. */
  stop() {
    this.#film?.stop();
  }

  /** End and save the film of a session that has ended. */
  ended() {
    if (!this.#isOfKept) this.stop();
  }

  /**
   * @param {Blob} film
   * @param {string} name
   */
  #saveFilm(film, name) {
    this.#film = null;
    this.#showFilm();
    if (film.size) download(film, `${name}.webm`);
    else this.view.note(gettext("Nothing was recorded: it was too short."));
  }

  #showFilm() {
    const size = Math.ceil((this.#film?.bytes ?? 0) / 1000);
    const words = [gettext("Stop recording"), size && put(gettext("%(size)s kB"), { size })];
    this.view.press("film", this.#film !== null, this.#film ? words.filter(Boolean).join(" · ") : gettext("Record"));
  }
}
