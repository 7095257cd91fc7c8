// @ts-check
/** Files made of frames: one picture, a film, or a page that plays them without a network. */

import { FILM_TYPES, decodeFrame, recordingPage } from "./live-step-client.js";
import { resized, shownRatio } from "./live-step-shape.js";
import { gettext } from "./live-step-words.js";

const PICTURE_WIDTH = 1600;
const FILM_WIDTH = 1280;
const CHUNK_MS = 1_000;
/** A film that nobody ends is ended. */
export const LONGEST_FILM_MS = 10 * 60_000;
export const MOST_FILM_BYTES = 256 * 1024 * 1024;
/** How long a browser may take to begin with a download. */
const DOWNLOAD_MS = 10_000;

/**
 * Hand a file to the visitor.
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), DOWNLOAD_MS);
}

/**
 * Have a picture that is drawn for light and for dark be the one for light: a file's paper is white.
 * @param {string} svg
 */
export function onPaper(svg) {
  return svg.replace(/prefers-color-scheme\s*:\s*(light|dark)/gi, (_, scheme) => (/light/i.test(scheme) ? "min-width: 0" : "max-width: 0"));
}

/**
 * Draw an SVG as a PNG of 1600 pixels' width.
 * @param {Blob} svg
 * @returns {Promise<Blob>}
 */
export async function toPng(svg) {
  // One that has only a viewBox has no size of its own: each browser takes another.
  const { svg: text, height } = resized(onPaper(await svg.text()), PICTURE_WIDTH);
  const sized = new Blob([text], { type: svg.type });
  const url = URL.createObjectURL(sized);
  try {
    const image = Object.assign(new Image(), { src: url });
    await image.decode();
    const canvas = blank(PICTURE_WIDTH, height);
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) =>
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no PNG"))), "image/png"),
    );
  } finally {
    URL.revokeObjectURL(url);
  }
}

/**
 * Return a frame as an image, which a canvas can take.
 * @param {import("./live-step-history.js").Frame} frame
 */
export async function toImage({ header, payload }) {
  const url = URL.createObjectURL(new Blob([onPaper(await decodeFrame(header, payload))], { type: "image/svg+xml" }));
  const image = Object.assign(new Image(), { src: url });
  try {
    await image.decode();
  } finally {
    URL.revokeObjectURL(url);
  }
  return image;
}

/**
 * Make one self-contained page of frames.
 * @param {import("./live-step-history.js").Frame[]} frames
 * @param {{title: string, simulation: string, lang: string, params: any, series: any[]}} about
 * @returns {Promise<Blob>}
 */
export async function toPage(frames, about) {
  let template = await textOf("recording.html");
  if (about.series.length) {
    const drawing = await textOf("live-step-drawing.js");
    template = template.replace("/* live-step-drawing.js */", () => drawing);
  }
  const shown = [];
  for (const { header, payload, receivedAt } of frames) {
    const svg = onPaper(await decodeFrame(header, payload));
    shown.push({ step: header.step, seq: header.seq, ms: Math.round(receivedAt - frames[0].receivedAt), svg });
  }
  const words = {
    play: gettext("Play"),
    pause: gettext("Pause"),
    previous: gettext("Previous frame"),
    next: gettext("Next frame"),
    speed: gettext("Speed"),
    step: gettext("Step"),
    frame: gettext("Frame"),
    parameters: gettext("Parameters"),
    lines: gettext("Lines"),
    logarithmic: gettext("Logarithmic"),
    empty: gettext("This recording has no frames."),
    broken: gettext("This frame is no SVG that can be shown."),
  };
  return new Blob([recordingPage(template, { ...about, words, frames: shown })], { type: "text/html" });
}

/** @param {string} name of a file beside this one */
async function textOf(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return response.text();
}

/** Films what is painted, as WebM. */
export class Film {
  #canvas = blank(FILM_WIDTH, 1);
  /** @type {MediaRecorder | null} */
  #recorder = null;
  /** @type {Blob[]} */
  #chunks = [];
  #timer = 0;
  /** How large the film is by now. */
  bytes = 0;

  /** @param {{onGrown: () => void, onEnd: (film: Blob) => void}} hooks `onEnd` comes once, with what was filmed */
  constructor(hooks) {
    this.hooks = hooks;
  }

  /** @param {HTMLImageElement} image what is shown now */
  start(image) {
    const ratio = shownRatio(image.naturalWidth / image.naturalHeight);
    // Encoders want even numbers.
    this.#canvas = blank(FILM_WIDTH, Math.round(FILM_WIDTH / ratio / 2) * 2);
    const mimeType = FILM_TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.#recorder = new MediaRecorder(this.#canvas.captureStream(), { mimeType });
    this.#recorder.ondataavailable = ({ data }) => this.#took(data);
    this.#recorder.onstop = () => this.#ended();
    this.draw(image);
    this.#recorder.start(CHUNK_MS);
    this.#timer = window.setTimeout(() => this.stop(), LONGEST_FILM_MS);
  }

  /** @param {HTMLImageElement} image */
  draw(image) {
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d");
    if (!context) return;
    const scale = Math.min(width / (image.naturalWidth || width), height / (image.naturalHeight || height));
    const [w, h] = [(image.naturalWidth || width) * scale, (image.naturalHeight || height) * scale];
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.drawImage(image, (width - w) / 2, (height - h) / 2, w, h);
  }

  stop() {
    clearTimeout(this.#timer);
    if (this.#recorder?.state === "recording") this.#recorder.stop();
  }

  /** @param {Blob} chunk */
  #took(chunk) {
    this.#chunks.push(chunk);
    this.bytes += chunk.size;
    this.hooks.onGrown();
    if (this.bytes > MOST_FILM_BYTES) this.stop();
  }

  #ended() {
    for (const track of this.#recorder?.stream.getTracks() ?? []) track.stop();
    const film = new Blob(this.#chunks, { type: "video/webm" });
    this.#chunks = [];
    this.#recorder = null;
    this.hooks.onEnd(film);
  }
}

/**
 * @param {number} width
 * @param {number} height
 */
function blank(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  if (context) {
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
  }
  return canvas;
}
