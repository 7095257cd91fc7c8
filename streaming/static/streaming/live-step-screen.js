// @ts-check
/** Full screen: the picture alone. The bar goes after a while, and comes back with the hand or the keyboard. */

const IDLE_MS = 3_000;

export class Screen {
  #timer = 0;

  /**
   * @param {HTMLElement} element that fills the screen
   * @param {HTMLElement} player gets the attribute `data-idle` while nobody moves
   * @param {AbortSignal} signal ends every listener and timer
   */
  constructor(element, player, signal) {
    this.element = element;
    this.player = player;
    document.addEventListener("fullscreenchange", () => this.#wake(), { signal });
    this.listenTo(element, signal);
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  /**
   * The picture has a document of its own, whose movements its page does not hear of.
   * @param {EventTarget} target
   * @param {AbortSignal} signal
   */
  listenTo(target, signal) {
    for (const kind of ["pointermove", "pointerdown", "keydown", "focusin"]) {
      target.addEventListener(kind, () => this.#wake(), { signal, passive: true });
    }
  }

  get #isFull() {
    // Of an element in a shadow tree the document knows the host only.
    return this.element.matches(":fullscreen");
  }

  #wake() {
    clearTimeout(this.#timer);
    this.player.removeAttribute("data-idle");
    if (this.#isFull) this.#timer = window.setTimeout(() => this.#rest(), IDLE_MS);
  }

  #rest() {
    this.player.toggleAttribute("data-idle", this.#isFull);
  }

  toggle() {
    return this.#isFull ? document.exitFullscreen() : this.element.requestFullscreen();
  }
}
