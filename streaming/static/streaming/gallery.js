// @ts-check
/** The first page: a card plays its loop while somebody points at it, or has it under the keyboard. */

for (const image of /** @type {NodeListOf<HTMLImageElement>} */ (document.querySelectorAll(".card [data-loop]"))) {
  const card = /** @type {HTMLElement} */ (image.closest(".card"));
  const still = image.src;
  const play = () => {
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!isCalm) image.src = image.dataset.loop ?? still;
  };
  const rest = () => {
    if (!card.matches(":hover, :focus-within")) image.src = still;
  };
  // A finger that presses a card is about to leave the page.
  card.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && play());
  card.addEventListener("pointerleave", rest);
  card.addEventListener("focusin", play);
  card.addEventListener("focusout", rest);
}
