// @ts-check
/**
 * The parameters' form, which the server renders: its values, their errors, the files that fill a
 * field, the sliders beside the numbers, and what a live one does at once.
 */

import { Defaults } from "./live-step-defaults.js";
import { gettext, put } from "./live-step-words.js";

/** A slider moves faster than a server should be told. */
const LIVE_INTERVAL_MS = 120;

export class ParamsForm {
  #timer = 0;
  /** @type {Set<HTMLElement>} the live fields that changed since they were last told */
  #changed = new Set();

  /**
   * @param {HTMLFormElement} form
   * @param {AbortSignal} signal ends every listener
   * @param {{onStart: () => void, onLive: (params: Record<string, unknown>) => void, most: () => number}} hooks
   *   `most` says how many bytes can be sent
   */
  constructor(form, signal, hooks) {
    this.form = form;
    this.hooks = hooks;
    form.addEventListener("submit", (event) => this.#submitted(event), { signal });
    form.addEventListener("change", (event) => this.#edited(event), { signal });
    form.addEventListener("input", (event) => this.#slid(event), { signal });
    form.addEventListener("dragover", (event) => droppedOn(event) && event.preventDefault(), { signal });
    form.addEventListener("drop", (event) => this.#dropped(event), { signal });
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
    for (const field of this.fields) inputOf(field).toggleAttribute("aria-invalid", field.querySelector(".errors li") !== null);
    this.defaults = new Defaults(this, signal);
  }

  get fields() {
    return /** @type {HTMLElement[]} */ ([...this.form.querySelectorAll("[data-name]")]);
  }

  /** Every parameter, as the fields have it. */
  get values() {
    return valuesOf(this.fields);
  }

  /** @param {HTMLElement} field */
  valueOf(field) {
    return Object.values(valuesOf([field]))[0];
  }

  /**
   * Put values into the fields that may change now; a live one acts at once.
   * @param {Record<string, unknown>} values by the parameters' names
   */
  fill(values) {
    for (const field of this.fields) {
      const name = field.dataset.name ?? "";
      const input = inputOf(field);
      if (!(name in values) || input.disabled) continue;
      if (input.type === "checkbox") input.checked = Boolean(values[name]);
      else input.value = String(values[name] ?? "");
      this.#settled(field);
    }
  }

  /** The parameters' names as a person reads them. */
  get labels() {
    return Object.fromEntries(
      this.fields.map((field) => [field.dataset.name, field.querySelector("label")?.dataset.label]),
    );
  }

  /**
   * @param {boolean} isGoing
   * @param {boolean} canControl
   */
  enable(isGoing, canControl) {
    this.form.hidden = isGoing && !canControl;
    for (const field of this.fields) {
      const mayChange = !isGoing || (canControl && "live" in field.dataset);
      for (const input of field.querySelectorAll("input, select, textarea")) {
        /** @type {HTMLInputElement} */ (input).disabled = !mayChange;
      }
    }
    this.defaults.update();
  }

  /**
   * Show errors at their fields, and put the focus on the first.
   * @param {Record<string, string[]>} errors
   * @returns {string[]} those that belong to no field
   */
  showErrors(errors) {
    let first = null;
    for (const field of this.fields) {
      const messages = errors[field.dataset.name ?? ""] ?? [];
      const input = inputOf(field);
      const list = /** @type {HTMLElement} */ (field.querySelector(".errors"));
      list.replaceChildren(
        ...messages.map((message) => Object.assign(document.createElement("li"), { textContent: message })),
      );
      input.toggleAttribute("aria-invalid", messages.length > 0);
      if (messages.length) first ??= input;
    }
    first?.focus();
    const names = this.fields.map((field) => field.dataset.name);
    return Object.entries(errors).flatMap(([name, messages]) => (names.includes(name) ? [] : messages));
  }

  /** @param {SubmitEvent} event */
  #submitted(event) {
    event.preventDefault();
    this.hooks.onStart();
  }

  /** @param {Event} event */
  #edited(event) {
    const input = /** @type {HTMLInputElement} */ (event.target);
    const field = fieldOf(input);
    if (input.type === "file") {
      if (input.files?.[0]) this.#read(field, input.files[0]);
      input.value = "";
    } else if (!isSlider(input)) this.#settled(field);
  }

  /** @param {DragEvent} event */
  #dropped(event) {
    const field = droppedOn(event);
    const file = event.dataTransfer?.files[0];
    if (!field) return;
    event.preventDefault();
    if (file && !inputOf(field).disabled) this.#read(field, file);
  }

  /**
   * A field has its value: its slider follows, and a live one acts.
   * @param {HTMLElement} field
   */
  #settled(field) {
    const slider = /** @type {HTMLInputElement | null} */ (field.querySelector("[data-slider]"));
    if (slider) slider.value = inputOf(field).value;
    this.#tell(field);
  }

  /** @param {Event} event */
  #slid(event) {
    const slider = /** @type {HTMLInputElement} */ (event.target);
    if (!isSlider(slider)) return;
    const field = fieldOf(slider);
    inputOf(field).value = slider.value;
    this.#tell(field);
  }

  /** @param {HTMLElement} field */
  #tell(field) {
    if (!("live" in field.dataset)) return;
    this.#changed.add(field);
    // The first change at once, and those that follow it as often as may be.
    if (!this.#timer) this.#tellChanged();
  }

  #tellChanged() {
    const changed = [...this.#changed];
    this.#changed.clear();
    this.#timer = changed.length ? window.setTimeout(() => this.#tellChanged(), LIVE_INTERVAL_MS) : 0;
    if (changed.length) this.hooks.onLive(valuesOf(changed));
  }

  /**
   * Put a file's text into the field that it is for.
   * @param {HTMLElement} field
   * @param {File} file
   */
  async #read(field, file) {
    const name = field.dataset.name ?? "";
    const most = this.hooks.most();
    const about = { file: file.name, size: file.size, most };
    if (file.size > most) {
      this.showErrors({ [name]: [put(gettext("%(file)s has %(size)s bytes; at most %(most)s can be sent."), about)] });
      return;
    }
    const text = await textOf(file);
    if (text === null) {
      this.showErrors({ [name]: [put(gettext("%(file)s is no text: a text file in UTF-8 is expected here."), about)] });
      return;
    }
    inputOf(field).value = text;
    this.showErrors({});
    this.#settled(field);
    this.defaults.update();
  }
}

/**
 * Return what is in a text file, or null of a file that holds something else, such as a picture.
 * @param {File} file
 */
async function textOf(file) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

/**
 * Return the field that takes a file which is dragged over it, or null.
 * @param {DragEvent} event
 */
function droppedOn(event) {
  const isFile = event.dataTransfer?.types.includes("Files");
  const field = /** @type {HTMLElement | null} */ (/** @type {HTMLElement} */ (event.target).closest("[data-name]"));
  return isFile && field?.querySelector("[type=file]") ? field : null;
}

/**
 * @param {number} size
 * @param {number} most
 */
export function tooLarge(size, most) {
  return put(gettext("The parameters have %(size)s bytes; at most %(most)s can be sent."), {
    size,
    most,
  });
}

/** @param {HTMLElement} input */
function fieldOf(input) {
  return /** @type {HTMLElement} */ (input.closest("[data-name]"));
}

/** @param {HTMLElement} field */
function inputOf(field) {
  return /** @type {HTMLInputElement} */ (
    field.querySelector("input:not([type=file], [data-slider]), select, textarea")
  );
}

/** @param {HTMLInputElement} input */
function isSlider(input) {
  return "slider" in input.dataset;
}

/** @param {HTMLElement[]} fields */
function valuesOf(fields) {
  /** @type {Record<string, unknown>} */
  const values = {};
  for (const field of fields) {
    const input = inputOf(field);
    values[input.name] = input.type === "checkbox" ? input.checked : input.value;
  }
  return values;
}
