// @ts-check
/**
 * The parameters' form, which the server renders: its values, their errors, the files that fill a
 * field, the sliders beside the numbers, and what a live one does at once.
 */

import { Defaults } from "./live-step-defaults.js";
import { fill, inputOf, inputsOf, valueOf } from "./live-step-inputs.js";
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
    form.addEventListener("dragover", (event) => droppedOn(event) && event.preventDefault(), { signal });
    form.addEventListener("drop", (event) => this.#dropped(event), { signal });
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
    for (const field of this.fields) mark(inputOf(field), field.querySelector(".errors li") !== null);
    this.defaults = new Defaults(this, signal);
  }

  get fields() {
    return /** @type {HTMLElement[]} */ ([...this.form.querySelectorAll("[data-name]")]);
  }

  /** Every parameter, as the fields have it. */
  get values() {
    return valuesOf(this.fields);
  }

  /** Whether a file is chosen. */
  get hasFiles() {
    return this.fields.map(inputOf).some(({ type, files }) => type === "file" && Boolean(files?.length));
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

  /** @param {HTMLElement} field */
  valueOf(field) {
    return valueOf(inputsOf(field));
  }

  /**
   * Put values into the fields that may change now; a live one acts at once.
   * @param {Record<string, unknown>} values by the parameters' names
   */
  fill(values) {
    for (const field of this.fields) {
      const name = field.dataset.name ?? "";
      const inputs = inputsOf(field);
      if (!(name in values) || inputs[0].disabled) continue;
      fill(inputs, values[name]);
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
      mark(input, messages.length > 0);
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
    if (input === inputOf(field) && input.type === "file") this.#chosen(field, input);
    else if (input.type === "file") {
      if (input.files?.[0]) this.#read(field, input.files[0]);
      input.value = "";
    } else if (!isSlider(input)) this.#settled(field);
  }

  /**
   * See whether a file that is a parameter can be sent.
   * @param {HTMLElement} field
   * @param {HTMLInputElement} input
   */
  #chosen(field, input) {
    const file = input.files?.[0];
    if (!file) return;
    const most = this.hooks.most(true);
    const isTooLarge = file.size > most;
    this.showErrors(isTooLarge ? { [field.dataset.name ?? ""]: [fileTooLarge(file, most)] } : {});
    if (isTooLarge) input.value = "";
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
    const most = this.hooks.most(false);
    if (file.size > most) {
      this.showErrors({ [name]: [fileTooLarge(file, most)] });
      return;
    }
    const text = await textOf(file);
    if (text === null) {
      this.showErrors({ [name]: [put(gettext("%(file)s is no text: a text file in UTF-8 is expected here."), { file: file.name })] });
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
  return isFile && field?.querySelector(".file [type=file]") ? field : null;
}

/**
 * @param {File} file
 * @param {number} most
 */
function fileTooLarge({ name, size }, most) {
  return put(gettext("%(file)s has %(size)s bytes; at most %(most)s can be sent."), { file: name, size, most });
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

/**
 * @param {HTMLElement} input
 * @param {boolean} isInvalid
 */
function mark(input, isInvalid) {
  // Without a value it would mean false.
  if (isInvalid) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

/** @param {HTMLElement} input */
function fieldOf(input) {
  return /** @type {HTMLElement} */ (input.closest("[data-name]"));
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
