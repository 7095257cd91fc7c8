// @ts-check
/**
 * The list of sessions refreshes itself, row by row: what is checked, focused, scrolled to or
 * chosen stays.
 */

import { Refresher, morph, morphParts } from "./admin-refresh.js";

/** Django's own script for the action bar, and the words that it uses. */
const django = /** @type {any} */ (window);

/** @returns {NodeListOf<HTMLInputElement>} */
const boxes = () => document.querySelectorAll("#result_list input.action-select");

/** The boxes as Django's script wants them, but those that are there when it looks. */
const liveBoxes = {
  get length() {
    return boxes().length;
  },
  forEach: (/** @type {(box: HTMLInputElement) => void} */ visit) => boxes().forEach(visit),
  [Symbol.iterator]: () => boxes()[Symbol.iterator](),
};

/** @param {HTMLTableRowElement} row */
const key = (row) => row.querySelector("a")?.getAttribute("href") ?? "";

/** @param {ParentNode} page */
const tableIn = (page) => /** @type {HTMLTableElement | null} */ (page.querySelector("#result_list"));

/** @param {Document} fresh */
function refresh(fresh) {
  morphParts(fresh);
  const table = tableIn(document);
  const other = tableIn(fresh);
  const before = [...boxes()].map((box) => box.value).join();
  if (table) mergeRows(table.tBodies[0], other ? [...other.tBodies[0].rows] : []);
  else if (other) showFirstRows(fresh);
  const [count, freshCount] = [document, fresh].map((page) => page.querySelector(".paginator"));
  if (count && freshCount) morph(count, freshCount);
  if ([...boxes()].map((box) => box.value).join() !== before) recount();
}

/**
 * @param {HTMLTableSectionElement} body
 * @param {HTMLTableRowElement[]} fresh
 */
function mergeRows(body, fresh) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const known = new Map([...body.rows].map((row) => [key(row), row]));
  fresh.forEach((row, index) => {
    const old = known.get(key(row));
    known.delete(key(row));
    if (old) mergeCells(old, row);
    const placed = old ?? row;
    // Only what is out of place is moved: a move takes the focus away.
    if (body.rows[index] !== placed) body.insertBefore(placed, body.rows[index] ?? null);
  });
  for (const row of known.values()) row.remove();
  if (focused?.isConnected && focused !== document.activeElement) {
    focused.focus({ preventScroll: true });
  }
}

/**
 * @param {HTMLTableRowElement} row
 * @param {HTMLTableRowElement} fresh
 */
function mergeCells(row, fresh) {
  [...row.cells].forEach((cell, index) => {
    if (!cell.querySelector("input.action-select")) morph(cell, fresh.cells[index]);
  });
}

/**
 * There was no table as long as there was no row.
 * @param {Document} fresh
 */
function showFirstRows(fresh) {
  const form = document.querySelector("#changelist-form");
  form?.replaceChildren(.../** @type {Element} */ (fresh.querySelector("#changelist-form")).childNodes);
  watchBoxes();
}

/** Have Django's script know the rows that have come since it looked. */
function watchBoxes() {
  if (document.getElementById("action-toggle")) django.Actions(liveBoxes);
}

/** Count the checked rows once more, as Django's script does when one is clicked. */
function recount() {
  const counter = /** @type {HTMLElement | null} */ (document.querySelector(".action-counter"));
  const toggle = /** @type {HTMLInputElement | null} */ (document.getElementById("action-toggle"));
  if (!counter || !toggle) return;
  const across = /** @type {HTMLInputElement | null} */ (document.querySelector(".select-across"));
  if (across?.value === "1") {
    // All are chosen, whatever page they are on: those that have come as well.
    for (const box of boxes()) {
      box.checked = true;
      box.closest("tr")?.classList.add("selected");
    }
  }
  const all = boxes().length;
  const checked = [...boxes()].filter((box) => box.checked).length;
  toggle.checked = checked === all && all > 0;
  counter.dataset.actionsIcnt = String(all);
  const words = django.ngettext("%(sel)s of %(cnt)s selected", "%(sel)s of %(cnt)s selected", checked);
  counter.textContent = django.interpolate(words, { sel: checked, cnt: all }, true);
  if (!toggle.checked) document.querySelector(".actions .question")?.classList.add("hidden");
}

// Not before Django's script has looked, at this very event: of two counts the last one stands.
document.addEventListener("DOMContentLoaded", watchBoxes);
new Refresher(refresh).start();
