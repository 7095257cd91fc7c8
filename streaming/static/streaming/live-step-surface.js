// @ts-check
/**
 * Where a picture is drawn: in a sandboxed frame with a document and a policy of its own, or in an
 * <img> where there can be no such frame. Neither runs a script nor loads anything.
 */

import { naturalSize, statedSize } from "./live-step-shape.js";
import { MOST_SHAPES, TooManyShapes, countShapes, isTooHeavy } from "./live-step-weight.js";

/** How long the frame's empty document may take. */
const OPEN_MS = 5_000;
/** The id of that document's root: what has another is not ours, such as an error page. */
const MARK = "live-step-picture";
const XHTML = "http://www.w3.org/1999/xhtml";
const SVG = "http://www.w3.org/2000/svg";
/**
 * A picture that is drawn for light and for dark gets the scheme of its page, any other is light: a
 * browser paints a ground of its own under a frame whose scheme is another than that of its element.
 * Its colours are its own where a system forces some on the pages.
 */
const ADAPTING = ":where(:root) { color-scheme: light dark; forced-color-adjust: none; }";
const LIGHT = ":where(:root) { forced-color-adjust: none; }";
/** What a picture says in its CSS that is drawn for light and for dark. */
const ADAPTS = "color-scheme";
/** Shows whether a picture's own styles count, which a policy could forbid. */
const PROBE = `<svg xmlns="${SVG}" id="${MARK}" style="opacity: 0.5"/>`;

/**
 * @typedef {{ratio: number | null, adapts: boolean, put: () => void}} Drawing `put` shows it, in place of
 *   the last one; `adapts` if it is drawn for light and for dark
 * @typedef {{x: number, y: number, target?: string}} Spot in the picture's own coordinates, with the
 *   nearest id of what is there
 * @typedef {{
 *   draw: (svg: string) => Promise<Drawing>,
 *   locate: (x: number, y: number) => Spot | null,
 *   isUsable: boolean,
 *   close: () => void,
 * }} Surface `locate` takes fractions of its width and height
 */

/** @implements {Surface} */
export class FrameSurface {
  /** @type {boolean | null} whether the picture that stands there is drawn for light and for dark */
  adapts = null;

  /** @param {HTMLIFrameElement} frame whose document has been loaded */
  constructor(frame) {
    this.frame = frame;
    this.window = /** @type {Window & typeof globalThis} */ (frame.contentWindow);
    this.document = this.window.document;
    this.sheet = new this.window.CSSStyleSheet();
    this.document.adoptedStyleSheets = [this.sheet];
    for (const kind of ["click", "auxclick"]) this.document.addEventListener(kind, refuseLink);
  }

  /**
   * Put a frame into a page.
   * @param {HTMLElement} holder
   * @param {string} address of the empty document
   * @returns {Promise<FrameSurface | null>} null where there can be none
   */
  static async open(holder, address) {
    const frame = document.createElement("iframe");
    frame.setAttribute("sandbox", "allow-same-origin");
    // Its shapes are not for a screen reader, which reads the description, nor for the Tab key.
    frame.setAttribute("aria-hidden", "true");
    frame.tabIndex = -1;
    frame.src = address;
    let timer = 0;
    await new Promise((resolve) => {
      frame.onload = resolve;
      timer = window.setTimeout(resolve, OPEN_MS);
      holder.append(frame);
    });
    clearTimeout(timer);
    if (frame.contentDocument?.documentElement?.id === MARK) {
      const surface = new FrameSurface(frame);
      if (surface.#keepsStyles()) return surface;
    }
    frame.remove();
    return null;
  }

  get isUsable() {
    return this.frame.isConnected && this.frame.contentDocument === this.document;
  }

  #keepsStyles() {
    this.document.documentElement.replaceWith(this.#parse(PROBE));
    return this.window.getComputedStyle(this.document.documentElement).opacity === "0.5";
  }

  /** @param {string} svg */
  #parse(svg) {
    // The parser of its own document: one of the page would drop style attributes, as the page's
    // policy has it.
    const parsed = new this.window.DOMParser().parseFromString(svg, "image/svg+xml");
    const fault = parsed.getElementsByTagNameNS(XHTML, "parsererror")[0];
    const root = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (parsed.documentElement));
    if (fault || root.localName !== "svg" || root.namespaceURI !== SVG) throw new Error(reason(fault));
    return root;
  }

  /** @param {string} svg */
  async draw(svg) {
    const root = this.#parse(svg);
    if (countShapes(root) > MOST_SHAPES) throw new TooManyShapes();
    const adapts = svg.includes(ADAPTS);
    return {
      ratio: fit(root),
      adapts,
      put: () => {
        if (this.adapts !== adapts) this.sheet.replaceSync(adapts ? ADAPTING : LIGHT);
        this.adapts = adapts;
        this.document.documentElement.replaceWith(root);
        // From now on it is seen, and what stood in its place is not.
        this.frame.classList.add("drawn");
      },
    };
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  locate(x, y) {
    const root = /** @type {any} */ (this.document.documentElement);
    const [left, top] = [x * this.window.innerWidth, y * this.window.innerHeight];
    const matrix = root.getScreenCTM?.()?.inverse();
    const spot = matrix && new this.window.DOMPoint(left, top).matrixTransform(matrix);
    // A picture without any extent has no places.
    if (!Number.isFinite(spot?.x) || !Number.isFinite(spot?.y)) return null;
    return { x: spot.x, y: spot.y, target: this.document.elementFromPoint(left, top)?.closest("[id]")?.id };
  }

  close() {
    this.frame.remove();
  }
}

/** @implements {Surface} */
export class ImageSurface {
  #url = "";
  #image = new Image();

  /** @param {HTMLElement} holder */
  constructor(holder) {
    this.holder = holder;
  }

  get isUsable() {
    return true;
  }

  /** @param {string} svg */
  async draw(svg) {
    if (isTooHeavy(svg)) throw new TooManyShapes();
    // Another <img> each time, decoded off the page, so that nothing flickers.
    const url = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    const image = Object.assign(new Image(), { src: url, alt: "", className: "drawn" });
    try {
      await image.decode();
    } catch {
      URL.revokeObjectURL(url);
      throw new Error("");
    }
    // Not what the image says of itself, which is rounded, and something where there is nothing.
    const { ratio } = naturalSize(statedSize(svg));
    return { ratio, adapts: svg.includes(ADAPTS), put: () => this.#put(image, url) };
  }

  /** An image does not say where in it something is. */
  locate() {
    return null;
  }

  close() {
    URL.revokeObjectURL(this.#url);
    this.#image.remove();
  }

  /**
   * @param {HTMLImageElement} image
   * @param {string} url
   */
  #put(image, url) {
    // The element may be gone, or be elsewhere with a picture of its own.
    if (!this.holder.isConnected) {
      URL.revokeObjectURL(url);
      return;
    }
    if (this.#image.isConnected) this.#image.replaceWith(image);
    else this.holder.append(image);
    URL.revokeObjectURL(this.#url);
    this.#image = image;
    this.#url = url;
  }
}

/** @param {Event} event */
function refuseLink(event) {
  if (/** @type {Element} */ (event.target).closest?.("a")) event.preventDefault();
}

/**
 * Have a picture fill the room that there is, as an <img> does.
 * @param {SVGSVGElement} root
 * @returns {number | null} its own ratio
 */
function fit(root) {
  const attributes = {
    width: root.style.width || root.getAttribute("width"),
    height: root.style.height || root.getAttribute("height"),
    viewBox: root.getAttribute("viewBox"),
  };
  const { width, height, ratio } = naturalSize(attributes);
  if (!attributes.viewBox && width && height) root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.setAttribute("width", "100%");
  root.setAttribute("height", "100%");
  Object.assign(root.style, { boxSizing: "border-box", width: "100%", height: "100%", minWidth: "0", minHeight: "0", maxWidth: "none", maxHeight: "none" });
  // Where no listener hears of a click, it would open a window, which the sandbox forbids.
  for (const link of root.getElementsByTagName("a")) link.setAttribute("target", "_blank");
  return ratio;
}

/** @param {Element | undefined} fault what the parser has put where it gave up */
function reason(fault) {
  const words = fault?.querySelector("div")?.textContent ?? fault?.textContent ?? "";
  return /line \d+.*/i.exec(words.replaceAll(`{${SVG}}`, ""))?.[0].trim() ?? "";
}
