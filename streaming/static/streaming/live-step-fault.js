// @ts-check
/** The card over the last picture of a session that has failed: what went wrong, where, and one way on. */

import { describe } from "./live-step-client.js";
import { make, setText } from "./live-step-dom.js";
import { gettext, put } from "./live-step-words.js";

/**
 * Return the line of an author's error among its neighbours, with their numbers.
 * @param {{line: number, code?: string, around?: [number, string][]} | null | undefined} place
 */
export function codeAt(place) {
  if (!place?.around?.length) return place?.code ?? "";
  const width = String(place.around[place.around.length - 1][0]).length;
  return place.around.map(([number, code]) => `${number === place.line ? "▸" : " "} ${String(number).padStart(width)}  ${code}`).join("\n");
}

export class Fault {
  #words = make("p", { class: "what", "data-field": "fault" });
  #place = make("p", { class: "place", hidden: true, "data-field": "place" });
  #code = make("pre", { hidden: true, tabindex: "0", "aria-label": gettext("The code"), "data-field": "code" });
  #again = /** @type {HTMLButtonElement} */ (
    make("button", { type: "button", class: "primary", part: "button again", "data-action": "again", title: gettext("Again with the same parameters") }, gettext("Run again"))
  );

  constructor() {
    const copy = make("button", { type: "button", part: "button copy-fault", "data-action": "copy-fault" }, gettext("Copy"));
    const card = make("div", { class: "card", part: "fault", role: "group", "aria-label": gettext("What went wrong") }, this.#words, this.#place, this.#code, make("div", { class: "ways" }, this.#again, copy));
    this.element = make("div", { class: "fault", hidden: true }, card);
  }

  /**
   * @param {any} session the newest `session` message, or null
   * @param {boolean} mayStart
   */
  update(session, mayStart) {
    const isFault = ["failed", "stuck", "lost"].includes(session?.state);
    this.element.hidden = !isFault;
    if (!isFault) return;
    setText(this.#words, session.error?.message ?? describe(session));
    const { file, line } = session.line ?? {};
    const code = codeAt(session.line);
    this.#place.hidden = !file;
    setText(this.#place, file ? put(gettext("%(file)s, line %(line)s"), { file, line: String(line) }) : "");
    this.#code.hidden = !code;
    setText(this.#code, code);
    this.#again.disabled = !mayStart;
  }

  /** What is copied. */
  get text() {
    return [this.#words, this.#place, this.#code].filter((part) => !part.hidden).map((part) => part.textContent).join("\n");
  }
}
