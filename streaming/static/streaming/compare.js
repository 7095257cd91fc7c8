// @ts-check
/** Sessions side by side: one set of controls for those that obey this page, one chart for their lines. */

import { describe, hasEnded } from "./live-step-client.js";
import { Plots } from "./live-step-plots.js";
import { gettext, put } from "./live-step-words.js";

/** @typedef {import("./live-step.js").LiveStepElement} Player */

const said = /** @type {HTMLElement} */ (document.querySelector(".compare-said"));
const room = /** @type {HTMLElement} */ (document.querySelector(".compare-lines"));
const all = [...document.querySelectorAll(".compared figure")].map((figure) => ({
  figure: /** @type {HTMLElement} */ (figure),
  player: /** @type {Player} */ (figure.querySelector("live-step")),
  /** @type {any} the newest `session` message */
  session: null,
  step: 0,
}));
const plots = new Plots(() => "compared", { css: false });

/**
 * What each button does, when it can be pressed, and for which sessions, if for more than those for
 * which it can be: one that takes a single step is called running.
 * @type {Record<string, [(player: Player) => Promise<void>, (state: string) => boolean, ((state: string) => boolean)?]>}
 */
const DEEDS = {
  pause: [(player) => player.pause(), (state) => ["running", "starting"].includes(state)],
  resume: [(player) => player.play(), (state) => state === "paused", (state) => ["paused", "running"].includes(state)],
  step: [(player) => player.step(), (state) => state === "paused"],
  stop: [(player) => player.stop(), (state) => !hasEnded(state) && state !== "stopping"],
};

for (const one of all) {
  const { figure, player } = one;
  player.addEventListener("statechange", (event) => {
    one.session = /** @type {CustomEvent} */ (event).detail;
    one.step = Math.max(one.step, one.session.step);
    update();
  });
  player.addEventListener("frame", (event) => {
    one.step = /** @type {CustomEvent} */ (event).detail.step;
    tellState(one);
  });
  player.addEventListener("series", (event) => {
    const { names, points } = /** @type {CustomEvent} */ (event).detail;
    if (room.hidden) room.replaceChildren(plots.element);
    room.hidden = false;
    plots.take({ names: names.map((/** @type {string} */ name) => `${figure.dataset.letter} ${name}`), points });
  });
}

document.querySelector(".compare-bar")?.addEventListener("click", (event) => {
  const button = /** @type {HTMLElement} */ (event.target).closest("button");
  const what = button?.dataset.do ?? "";
  if (what === "copy") copy();
  else if (what in DEEDS) {
    const [deed, isOffered, isMeant = isOffered] = DEEDS[what];
    obeying(isMeant).forEach(({ player }) => deed(player).catch((error) => (said.textContent = error.message)));
  }
});

/**
 * Return those that obey this page and are in a state.
 * @param {(state: string) => boolean} isSo
 */
function obeying(isSo) {
  return all.filter(({ player, session }) => player.canControl && isSo(session?.state));
}

function update() {
  for (const button of document.querySelectorAll(".compare-bar button")) {
    const { do: what = "" } = /** @type {HTMLButtonElement} */ (button).dataset;
    if (what in DEEDS) /** @type {HTMLButtonElement} */ (button).disabled = obeying(DEEDS[what][1]).length === 0;
  }
  const ours = all.filter(({ player }) => player.canControl).length;
  said.textContent = put(gettext("You control %(ours)s of %(all)s."), { ours, all: all.length });
  const differing = differingParams();
  for (const one of all) {
    const { figure, session } = one;
    if (!session) continue;
    text(figure, ".title", session.title);
    text(figure, ".values", differing.map((name) => `${name} ${shown(session.params[name])}`).join(", "));
    tellState(one);
  }
}

/** @param {{figure: HTMLElement, session: any, step: number}} one */
function tellState({ figure, session, step }) {
  if (!session) return;
  const words = hasEnded(session.state) ? describe(session) : `${describe(session)} · ${put(gettext("Step %(step)s"), { step })}`;
  text(figure, ".state", words);
}

/** The names of the parameters that are not the same in all sessions. */
function differingParams() {
  const known = all.flatMap(({ session }) => (session ? [session.params] : []));
  const names = [...new Set(known.flatMap((params) => Object.keys(params)))];
  return names.filter((name) => new Set(known.map((params) => shown(params[name]))).size > 1);
}

/** @param {unknown} value */
function shown(value) {
  return typeof value === "string" ? value.slice(0, 40) : JSON.stringify(value) ?? "–";
}

/**
 * @param {HTMLElement} figure
 * @param {string} which
 * @param {string} words
 */
function text(figure, which, words) {
  const element = /** @type {HTMLElement} */ (figure.querySelector(which));
  if (element.textContent !== words) element.textContent = words;
}

async function copy() {
  try {
    await navigator.clipboard.writeText(location.href);
    said.textContent = gettext("Copied");
  } catch {
    // Without TLS, or without the permission, a page has no clipboard.
    said.textContent = put(gettext("This browser lets no page copy: %(text)s"), { text: location.href });
  }
}

// Last, so that nothing is missed of what the players say.
await import("./live-step.js");
