// @ts-check
/** A session's page in the admin: it refreshes itself, and shows the stack when it is asked to. */

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

if (button) {
  button.hidden = false;
  button.addEventListener("click", showStack);
  showStack();
}
