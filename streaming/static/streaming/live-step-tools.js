// @ts-check
/** What a visitor can take away. */

import { make } from "./live-step-dom.js";
import { icon } from "./live-step-icons.js";
import { gettext } from "./live-step-words.js";

/** The buttons: links to this, files of it. */
export function tools() {
  return make(
    "div",
    { class: "tools", part: "tools", role: "group", "aria-label": gettext("Keep and share") },
    tool("share", "share", gettext("Share…"), { disabled: false, hidden: true }),
    tool("copy-link", "link", gettext("Copy link")),
    tool("copy-params", "link", gettext("Copy link with these parameters"), { disabled: false, hidden: true }),
    tool("svg", "save", gettext("Save SVG")),
    tool("png", "save", gettext("Save PNG")),
    tool("film", "film", gettext("Record"), { "aria-pressed": "false" }),
    tool("kept-film", "save", gettext("Save as film"), { title: gettext("A film of the frames that are kept") }),
    tool("page", "save", gettext("Save as page"), { title: gettext("One HTML file with the frames that are kept, and a player that needs no network") }),
    make(
      "label",
      { class: "span", hidden: true, "data-field": "span-row" },
      gettext("Page and film of"),
      make("select", { "data-field": "span" }, new Option(gettext("the whole run"), "run"), new Option(gettext("the newest frames"), "recent")),
    ),
  );
}

/**
 * @param {string} action
 * @param {string} shape
 * @param {string} text
 * @param {Record<string, string | boolean>} [attributes]
 */
function tool(action, shape, text, attributes = {}) {
  const word = make("span", { class: "word" }, text);
  return make("button", { type: "button", part: `button ${action}`, "data-action": action, disabled: true, ...attributes }, icon(shape), word);
}
