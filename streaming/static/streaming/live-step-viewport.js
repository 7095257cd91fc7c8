// @ts-check
/** Which part of the picture is seen. It stays while one frame follows the other. */

export const MOST_ZOOM = 40;

/** A place, as fractions of the width and the height of what is seen. @typedef {{x: number, y: number}} Place */

export class Viewport {
  scale = 1;
  /** Where the picture's left and top edges are, as fractions of the room for it. */
  x = 0;
  y = 0;

  /** @param {(viewport: Viewport) => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
  }

  get isZoomed() {
    return this.scale > 1;
  }

  /**
   * @param {number} factor
   * @param {Place} [at] what stays where it is
   */
  zoom(factor, at = { x: 0.5, y: 0.5 }) {
    const fixed = this.toPicture(at);
    this.scale = Math.min(Math.max(this.scale * factor, 1), MOST_ZOOM);
    this.#moveTo(at.x - fixed.x * this.scale, at.y - fixed.y * this.scale);
  }

  /**
   * @param {number} dx
   * @param {number} dy as fractions of the room
   */
  pan(dx, dy) {
    this.#moveTo(this.x + dx, this.y + dy);
  }

  /** See all of it. */
  fit() {
    this.scale = 1;
    this.#moveTo(0, 0);
  }

  /**
   * Return where in the picture something is that is seen at a place.
   * @param {Place} at
   * @returns {Place} as fractions of the picture
   */
  toPicture({ x, y }) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  /**
   * @param {Place} at fractions of the picture
   * @returns {Place}
   */
  fromPicture({ x, y }) {
    return { x: this.x + x * this.scale, y: this.y + y * this.scale };
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  #moveTo(x, y) {
    // No edge comes off the side of the room.
    this.x = Math.min(Math.max(x, 1 - this.scale), 0);
    this.y = Math.min(Math.max(y, 1 - this.scale), 0);
    this.onChange(this);
  }
}
