// @ts-check
/** A session's page in the admin: it refreshes itself, and shows stack and picture when it is asked to. */

import { Refresher, fetchPage, morphParts } from "./admin-refresh.js";

new Refresher(morphParts).start();

const section = /** @type {HTMLElement | null} */ (document.querySelector("[data-stack]"));
const button = section?.querySelector("button");

/** Not with every refresh: to say where it is costs the session some time. */
async function showStack() {
  if (!section || !button) return;
  button.disabled = true;
  try {
    const page = await fetchPage(section.dataset.stack ?? "");
    const stack = page?.querySelector("pre.stack");
    const shown = section.querySelector("pre");
    if (stack && shown) shown.textContent = stack.textContent;
  } catch {
    // What was seen last stays; the page itself says that the server does not answer.
  } finally {
    button.disabled = false;
  }
}

/** Not by itself: a picture may keep the browser busy, and the buttons have to work. */
const showing = /** @type {HTMLButtonElement | null} */ (document.querySelector(".live-picture button"));
showing?.addEventListener("click", () => {
  const picture = /** @type {HTMLTemplateElement} */ (showing.nextElementSibling);
  showing.replaceWith(picture.content);
});
if (showing) showing.hidden = false;

if (button) {
  button.hidden = false;
  button.addEventListener("click", showStack);
  showStack();
}
