// @ts-check
/** All keys, in a window of their own. */

import { make } from "./live-step-dom.js";
import { gettext } from "./live-step-words.js";

/**
 * Show the keys until the visitor closes them.
 * @param {HTMLElement} parent
 */
export function showKeys(parent) {
  // Who was quicker than this module has asked for them more than once.
  if (parent.querySelector("dialog")) return;
  const rows = [
    [gettext("Space"), gettext("start, pause, resume")],
    ["S", gettext("stop")],
    ["→", gettext("take one step while it is paused; one picture later while it is held")],
    ["←", gettext("hold the picture, and go back in time")],
    ["L", gettext("follow the newest picture")],
    ["+ − 0", gettext("zoom in, zoom out, see all of it")],
    ["R", gettext("record a film, and save it")],
    ["F", gettext("full screen")],
    ["?", gettext("these keys")],
  ];
  const list = make("dl", { class: "keys" }, ...rows.map(([key, text]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, text))));
  const dialog = /** @type {HTMLDialogElement} */ (
    make(
      "dialog",
      { class: "help", part: "help", "aria-labelledby": "live-step-keys-title" },
      make("h2", { id: "live-step-keys-title" }, gettext("Keys")),
      list,
      make("form", { method: "dialog" }, make("button", { class: "primary" }, gettext("Close"))),
    )
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  parent.append(dialog);
  dialog.showModal();
}
