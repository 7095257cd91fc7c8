// @ts-check
/**
 * What hands do on the picture: wheel, drag and pinch move it; with the drawing tool a drag is for
 * the simulation.
 */

/** How much a wheel zooms for each pixel that it would scroll, and a pinch on a touchpad. */
const ZOOM_PER_PIXEL = 0.002;
const ZOOM_PER_PINCH = 0.01;
const LINE_PX = 16;
const MOVE_EVERY_MS = 1000 / 60;
/** What is meant to be selected, not dragged. */
const TEXT = "text, foreignObject";

/** @typedef {import("./live-step-viewport.js").Place} Place */

export class Gestures {
  /** @type {Map<number, Place>} where each finger, or the mouse with its button down, was last */
  #held = new Map();
  #draws = false;
  /** @type {Place | null} a move that has not been told yet */
  #move = null;
  #moveTimer = 0;

  /**
   * @param {HTMLElement} room in which the picture is seen
   * @param {import("./live-step-viewport.js").Viewport} viewport
   * @param {{
   *   zoomsByWheel: () => boolean,
   *   isDrawing: () => boolean,
   *   onPointer: (kind: "down" | "move" | "up", at: Place) => void,
   * }} hooks `onPointer` gets fractions of the picture, and moves at most 60 times a second
   */
  constructor(room, viewport, hooks) {
    this.room = room;
    this.viewport = viewport;
    this.hooks = hooks;
  }

  /**
   * Listen to what lies over the picture, and hears of everything.
   * @param {HTMLElement} cover
   * @param {AbortSignal} signal ends every listener and timer
   */
  listenTo(cover, signal) {
    const place = (/** @type {MouseEvent} */ event) => {
      const { left, top, width, height } = this.room.getBoundingClientRect();
      return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
    };
    this.#listen(cover, place, signal);
    // A second finger: not for the browser to scroll with.
    const pinch = (/** @type {TouchEvent} */ event) => event.touches.length > 1 && event.preventDefault();
    cover.addEventListener("touchmove", pinch, { passive: false, signal });
    signal.addEventListener("abort", () => clearTimeout(this.#moveTimer));
  }

  /**
   * Listen to the picture itself, for as long as it has this document.
   * @param {Document} picture
   * @param {AbortSignal} signal
   */
  listenInside(picture, signal) {
    const view = /** @type {Window} */ (picture.defaultView);
    const place = (/** @type {MouseEvent} */ event) =>
      this.viewport.fromPicture({ x: event.clientX / view.innerWidth, y: event.clientY / view.innerHeight });
    this.#listen(picture, place, signal);
    for (const kind of ["selectstart", "dragstart"]) {
      picture.addEventListener(kind, (event) => this.#held.size && event.preventDefault(), { signal });
    }
  }

  /**
   * @param {EventTarget} target
   * @param {(event: MouseEvent) => Place} place in the room
   * @param {AbortSignal} signal
   */
  #listen(target, place, signal) {
    /** @type {(kind: string, hear: (event: any) => void) => void} */
    const on = (kind, hear) => target.addEventListener(kind, hear, { passive: false, signal });
    on("wheel", (event) => this.#wheeled(event, place(event)));
    on("pointerdown", (event) => this.#pressed(event, place(event)));
    on("pointermove", (event) => this.#moved(event, place(event)));
    for (const kind of ["pointerup", "pointercancel"]) on(kind, (event) => this.#released(event, place(event)));
  }

  /**
   * @param {WheelEvent} event
   * @param {Place} at
   */
  #wheeled(event, at) {
    const { isZoomed } = this.viewport;
    // Where it can change nothing, the page scrolls.
    if (!event.deltaY || (event.deltaY > 0 && !isZoomed && !event.ctrlKey)) return;
    if (!event.ctrlKey && !isZoomed && !this.hooks.zoomsByWheel()) return;
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : event.deltaY * LINE_PX;
    const factor = Math.exp(-pixels * (event.ctrlKey ? ZOOM_PER_PINCH : ZOOM_PER_PIXEL));
    this.viewport.zoom(Math.min(Math.max(factor, 0.5), 2), at);
  }

  /**
   * @param {PointerEvent} event
   * @param {Place} at
   */
  #pressed(event, at) {
    const target = /** @type {Element} */ (event.target);
    if (event.button !== 0 || target.closest?.(TEXT)) return;
    if (target instanceof HTMLElement) target.setPointerCapture(event.pointerId);
    this.#held.set(event.pointerId, at);
    if (this.#held.size === 1 && this.hooks.isDrawing()) {
      this.#draws = true;
      this.hooks.onPointer("down", this.viewport.toPicture(at));
    } else {
      // A second finger makes a pinch of it.
      this.#endDrawing(at);
    }
  }

  /**
   * @param {PointerEvent} event
   * @param {Place} at
   */
  #moved(event, at) {
    const before = this.#held.get(event.pointerId);
    if (!before) return;
    // It was let go where nobody saw it.
    if (!event.buttons) return this.#released(event, at);
    if (this.#draws) this.#draw(at);
    else if (this.#held.size === 1) this.viewport.pan(at.x - before.x, at.y - before.y);
    else this.#pinch(event.pointerId, before, at);
    this.#held.set(event.pointerId, at);
  }

  /**
   * @param {number} id
   * @param {Place} before
   * @param {Place} at
   */
  #pinch(id, before, at) {
    const other = [...this.#held].find(([held]) => held !== id)?.[1];
    if (!other) return;
    const { width, height } = this.room.getBoundingClientRect();
    const apart = (/** @type {Place} */ place) => Math.hypot((place.x - other.x) * width, (place.y - other.y) * height);
    const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
    this.viewport.zoom(apart(at) / Math.max(apart(before), 1), middle);
    this.viewport.pan((at.x - before.x) / 2, (at.y - before.y) / 2);
  }

  /**
   * @param {PointerEvent} event
   * @param {Place} at
   */
  #released(event, at) {
    if (this.#held.delete(event.pointerId)) this.#endDrawing(at);
  }

  /** @param {Place} at */
  #draw(at) {
    this.#move = this.viewport.toPicture(at);
    if (!this.#moveTimer) this.#moveTimer = window.setTimeout(() => this.#tellMove(), MOVE_EVERY_MS);
  }

  #tellMove() {
    clearTimeout(this.#moveTimer);
    this.#moveTimer = 0;
    if (this.#move) this.hooks.onPointer("move", this.#move);
    this.#move = null;
  }

  /** @param {Place} at */
  #endDrawing(at) {
    if (!this.#draws) return;
    this.#tellMove();
    this.#draws = false;
    this.hooks.onPointer("up", this.viewport.toPicture(at));
  }
}
