// @ts-check
/**
 * The parameters' form, which the server renders: its values, their errors, the files that fill a
 * field, the sliders beside the numbers, and what a live one does at once.
 */

import { gettext, put } from "./live-step-words.js";

/** A slider moves faster than a server should be told. */
const LIVE_INTERVAL_MS = 120;
/** Of a file; in base64 it is a third longer, and a message has at most 256 KiB. */
const PART_BYTES = 180_000;

export class ParamsForm {
  #timer = 0;
  /** @type {Set<HTMLElement>} the live fields that changed since they were last told */
  #changed = new Set();

  /**
   * @param {HTMLFormElement} form
   * @param {AbortSignal} signal ends every listener
   * @param {{onStart: () => void, onLive: (params: Record<string, unknown>) => void, most: (isFile: boolean) => number}} hooks
   *   `most` says how many bytes can be sent, in a file of its own or as text
   */
  constructor(form, signal, hooks) {
    this.form = form;
    this.hooks = hooks;
    form.addEventListener("submit", (event) => this.#submitted(event), { signal });
    form.addEventListener("change", (event) => this.#edited(event), { signal });
    form.addEventListener("input", (event) => this.#slid(event), { signal });
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  get fields() {
    return /** @type {HTMLElement[]} */ ([...this.form.querySelectorAll("[data-name]")]);
  }

  /** Every parameter, as the fields have it. */
  get values() {
    return valuesOf(this.fields);
  }

  /**
   * Send the files that are chosen, in parts.
   * @param {(message: any) => Promise<any>} ask
   */
  async sendFiles(ask) {
    for (const input of this.fields.map(inputOf)) {
      const file = input.type === "file" && input.files?.[0];
      if (!file) continue;
      for (let at = 0; at === 0 || at < file.size; at += PART_BYTES) {
        const content = await base64(file.slice(at, at + PART_BYTES));
        const last = at + PART_BYTES >= file.size;
        await ask({ type: "file", param: input.name, name: file.name, content, first: at === 0, last });
      }
    }
  }

  /**
   * Show what was drawn for fields that were left open.
   * @param {any} params of the session
   */
  showDrawn(params) {
    for (const input of this.fields.map(inputOf)) {
      const value = input.name.split(".").reduce((inside, name) => inside?.[name], params);
      if (input.type === "number") input.placeholder = input.value === "" ? (value ?? "") : "";
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
    if (input.type === "file") this.#chosen(field, input);
    else if (!isSlider(input)) {
      const slider = /** @type {HTMLInputElement | null} */ (field.querySelector("[data-slider]"));
      if (slider) slider.value = input.value;
      this.#tell(field);
    }
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
   * Take a chosen file for a parameter, or put its text into the field that it is for.
   * @param {HTMLElement} field
   * @param {HTMLInputElement} chooser
   */
  async #chosen(field, chooser) {
    const file = chooser.files?.[0];
    const name = field.dataset.name ?? "";
    const isParam = chooser === inputOf(field);
    const most = this.hooks.most(isParam);
    if (!file) return;
    if (file.size > most) {
      const message = put(gettext("%(file)s has %(size)s bytes; at most %(most)s can be sent."), {
        file: file.name,
        size: file.size,
        most,
      });
      this.showErrors({ [name]: [message] });
    } else if (isParam) {
      this.showErrors({});
      return;
    } else {
      inputOf(field).value = await file.text();
      this.showErrors({});
    }
    chooser.value = "";
  }
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
function inputsOf(field) {
  return /** @type {HTMLInputElement[]} */ ([
    ...field.querySelectorAll("input:not(.file *, [data-slider]), select, textarea"),
  ]);
}

/** @param {HTMLElement} field */
function inputOf(field) {
  return inputsOf(field)[0];
}

/** @param {Blob} part */
async function base64(part) {
  const reader = new FileReader();
  await new Promise((resolve) => {
    reader.onload = resolve;
    reader.readAsDataURL(part);
  });
  return String(reader.result).split(",")[1] ?? "";
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
    values[inputOf(field).name] = valueOf(inputsOf(field));
  }
  return values;
}

/** @param {HTMLInputElement[]} inputs of one field; several are alternatives */
function valueOf(inputs) {
  const [input] = inputs;
  const chosen = () => inputs.filter(({ checked }) => checked).map(({ value }) => value);
  if (input.type === "radio") return chosen()[0] ?? "";
  if (input.type === "checkbox") return input.hasAttribute("value") ? chosen() : input.checked;
  if (input.type === "file") return input.files?.[0]?.name ?? "";
  if (input.type !== "select-multiple") return input.value;
  return Array.from(/** @type {any} */ (input).selectedOptions, ({ value }) => value);
}
