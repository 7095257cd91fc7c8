// @ts-check
/** The page that shows <live-step> with controls of its own. */

const MOST_EVENTS = 8;

const player = /** @type {import("./live-step.js").LiveStepElement} */ (document.querySelector("live-step.own"));
const events = /** @type {HTMLElement} */ (document.querySelector(".events"));

document.querySelector(".own-controls")?.addEventListener("click", (event) => {
  const call = /** @type {HTMLElement} */ (event.target).dataset.call;
  if (call === "step") player.step(10).catch(show);
  else if (call) player[/** @type {"play" | "pause" | "stop"} */ (call)]().catch(show);
});

for (const name of ["statechange", "frame", "ended"]) {
  player.addEventListener(name, () => show(`${name}: ${player.state}, currentStep ${player.currentStep}`));
}
player.addEventListener("error", (event) => show(`error: ${/** @type {CustomEvent} */ (event).detail.message}`));

/** @param {any} what */
function show(what) {
  const line = Object.assign(document.createElement("li"), { textContent: what.message ?? what });
  // Frames come by the dozen: one line holds the newest of them.
  const first = events.firstElementChild;
  if (first?.textContent?.startsWith("frame") && line.textContent?.startsWith("frame")) first.remove();
  events.prepend(line);
  while (events.children.length > MOST_EVENTS) events.lastElementChild?.remove();
}
