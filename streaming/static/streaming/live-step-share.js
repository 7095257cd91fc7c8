// @ts-check
/** What is given to others: links, a QR code, and the code that puts the player into another page. */

import { make } from "./live-step-dom.js";
import { gettext, put } from "./live-step-words.js";

const SCRIPT = new URL("live-step.js", import.meta.url).href;

/**
 * @typedef {{
 *   title: string,
 *   simulation: string,
 *   session: string,
 *   link: string,
 *   page: string,
 *   socket: string,
 * }} About the session's id and link, "" for none; the simulation's page with its parameters
 */

/**
 * Show what can be shared until the visitor closes it.
 * @param {HTMLElement} parent
 * @param {About} about
 */
export function showShare(parent, about) {
  const shared = about.link || about.page;
  const code = make("img", { class: "code", src: qrOf(shared), width: "180", height: "180", alt: gettext("A QR code of the link") });
  // One that would be too large for a phone is not made.
  code.onerror = () => code.remove();
  const dialog = /** @type {HTMLDialogElement} */ (
    make(
      "dialog",
      { class: "help share", part: "share", "aria-labelledby": "live-step-share-title" },
      make("h2", { id: "live-step-share-title" }, gettext("Share")),
      ...(about.link ? [row(gettext("This session"), about.link)] : []),
      row(gettext("The simulation with these parameters"), about.page),
      code,
      row(gettext("In a frame of another page"), frameOf(about), true),
      row(gettext("As an element of another page"), elementOf(about), true),
      make("p", { class: "quiet" }, gettext("The site has to allow pages elsewhere: FRAME_ANCESTORS for the frame, ALLOWED_ORIGINS for the element.")),
      make("form", { method: "dialog" }, make("button", { class: "primary" }, gettext("Close"))),
    )
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  parent.append(dialog);
  dialog.showModal();
}

/**
 * @param {string} label
 * @param {string} text
 * @param {boolean} [isCode] of several lines
 */
function row(label, text, isCode = false) {
  const field = /** @type {HTMLTextAreaElement} */ (make("textarea", { readonly: true, ...(isCode ? { rows: "3" } : { rows: "1", wrap: "off" }) }, text));
  const copy = make("button", { type: "button", "aria-label": put(gettext("Copy: %(what)s"), { what: label }) }, gettext("Copy"));
  field.addEventListener("focus", () => field.select());
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = gettext("Copied");
    } catch {
      // Without TLS, or without the permission, a page has no clipboard.
      field.focus();
    }
  });
  return make("div", { class: "row" }, make("label", {}, label, field), copy);
}

/** @param {string} address of a page of ours */
function qrOf(address) {
  const { origin, pathname, search } = new URL(address);
  return `${origin}${pathname}qr.svg${search}`;
}

/** @param {About} about */
function frameOf({ title, session, page }) {
  const { origin, pathname, search } = new URL(page);
  const address = `${origin}${pathname}embedded/${session ? `?session=${session}` : search}`;
  return `<iframe src="${escaped(address)}" title="${escaped(title)}" width="640" height="560" style="border: 0" allow="fullscreen"></iframe>`;
}

/** @param {About} about */
function elementOf({ simulation, session, socket }) {
  const watched = session && ` session="${session}"`;
  return `<script type="module" src="${SCRIPT}"></script>\n<live-step simulation="${simulation}"${watched} src="${socket}" controls="bar"></live-step>`;
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
