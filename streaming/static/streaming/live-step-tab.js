// @ts-check
/** The browser's tab says how the session is: by its title and by its icon. */

import { iconFile } from "./live-step-icons.js";

/** For any ground that a browser has for its tabs. @type {Record<string, string>} */
const COLOURS = { idle: "#64748b", busy: "#d97706", going: "#16a34a", held: "#3b82f6", bad: "#dc2626", unknown: "#94a3b8" };
/** A receipt is shorter than this; a tab shows less anyway. */
const MOST_CHARACTERS = 60;
/** A start goes through several states in this time, and the browser loads an icon anew for each. */
const SETTLED_MS = 150;

export class Tab {
  #title = document.title;
  #icon = /** @type {HTMLLinkElement | null} */ (document.querySelector('link[rel="icon"]'));
  #address = this.#icon?.href ?? "";
  /** @type {Map<string, string>} the icons' URLs; the browser may read one late */
  #urls = new Map();
  /** @type {import("./live-step-state.js").Look | null} what is to be shown next */
  #look = null;
  #timer = 0;

  /** @param {import("./live-step-state.js").Look} look */
  show(look) {
    this.#look = look;
    this.#timer ||= window.setTimeout(() => this.#put(), SETTLED_MS);
  }

  #put() {
    this.#timer = 0;
    if (!this.#look) return;
    const { sign, tone, words } = this.#look;
    const title = `${words.slice(0, MOST_CHARACTERS)} – ${this.#title}`;
    if (document.title !== title) document.title = title;
    if (!this.#icon) return;
    const key = `${sign} ${tone}`;
    const url = this.#urls.get(key) ?? URL.createObjectURL(iconFile(sign, COLOURS[tone]));
    this.#urls.set(key, url);
    if (this.#icon.href !== url) this.#icon.href = url;
  }

  /** Leave the tab as it was. */
  close() {
    clearTimeout(this.#timer);
    document.title = this.#title;
    if (this.#icon) this.#icon.href = this.#address;
    for (const url of this.#urls.values()) URL.revokeObjectURL(url);
  }
}
