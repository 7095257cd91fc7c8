// @ts-check
/** The way back to the defaults, of one parameter or of all, and the presets that the author named. */

import { defaultOf as defaultIn, inputOf, inputsOf, isSame, valueOf } from "./live-step-inputs.js";

/**
 * @typedef {{
 *   form: HTMLFormElement,
 *   fields: HTMLElement[],
 *   valueOf: (field: HTMLElement) => unknown,
 *   fill: (values: Record<string, unknown>) => void,
 * }} ParamsForm not by its module's name: the storage of static files would find a cycle of imports
 */

export class Defaults {
  /**
   * @param {ParamsForm} params
   * @param {AbortSignal} signal ends every listener
   */
  constructor(params, signal) {
    this.params = params;
    const { form } = params;
    form.addEventListener("click", (event) => this.#clicked(event), { signal });
    for (const kind of ["input", "change"]) form.addEventListener(kind, () => this.update(), { signal });
    this.update();
  }

  /** The values that are not the defaults, of which an address may hold all: a file has only a name here. */
  get changed() {
    const fields = this.params.fields.filter((field) => inputOf(field).type !== "file" && isChanged(field));
    return Object.fromEntries(fields.map((field) => [field.dataset.name ?? "", this.params.valueOf(field)]));
  }

  /** Show what can be reset. */
  update() {
    let any = false;
    for (const field of this.params.fields) {
      const mayReset = isChanged(field) && !inputOf(field).disabled;
      /** @type {HTMLElement} */ (field.querySelector("[data-reset]")).hidden = !mayReset;
      any ||= mayReset;
    }
    const all = /** @type {HTMLButtonElement | null} */ (this.params.form.querySelector("[data-reset-all]"));
    if (all) all.disabled = !any;
  }

  /** @param {Event} event */
  #clicked(event) {
    const button = /** @type {HTMLElement} */ (event.target).closest("button");
    if (!button) return;
    const { preset } = button.dataset;
    if (preset) this.params.fill(JSON.parse(preset));
    else if ("resetAll" in button.dataset) this.params.fill(defaultsOf(this.params.fields));
    else if ("reset" in button.dataset) {
      const field = /** @type {HTMLElement} */ (button.closest("[data-name]"));
      this.params.fill(defaultsOf([field]));
      // The button goes: the keyboard stays at its field.
      inputOf(field).focus();
    }
    this.update();
  }
}

/** @param {HTMLElement[]} fields */
function defaultsOf(fields) {
  return Object.fromEntries(fields.map((field) => [field.dataset.name ?? "", defaultOf(field)]));
}

/** @param {HTMLElement} field */
function defaultOf(field) {
  return field.dataset.default ? JSON.parse(field.dataset.default) : defaultIn(inputsOf(field));
}

/** @param {HTMLElement} field */
function isChanged(field) {
  return !isSame(inputOf(field), valueOf(inputsOf(field)), defaultOf(field));
}
