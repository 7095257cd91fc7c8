// @ts-check
/** The inputs of one parameter's field: what they have, what they begin with, and how to fill them. */

const TIMES = ["time", "datetime-local"];

/** @param {HTMLElement} field */
export function inputsOf(field) {
  return /** @type {HTMLInputElement[]} */ ([...field.querySelectorAll("input:not(.file *, [data-slider]), select, textarea")]);
}

/** @param {HTMLElement} field */
export function inputOf(field) {
  return inputsOf(field)[0];
}

/**
 * @param {HTMLInputElement[]} inputs of one field; several are alternatives
 * @returns {string | boolean | string[]}
 */
export function valueOf(inputs) {
  return read(inputs, "checked", "selected", "value");
}

/** @param {HTMLInputElement[]} inputs */
export function defaultOf(inputs) {
  return read(inputs, "defaultChecked", "defaultSelected", "defaultValue");
}

/**
 * @param {HTMLInputElement[]} inputs
 * @param {"checked" | "defaultChecked"} checked
 * @param {"selected" | "defaultSelected"} selected
 * @param {"value" | "defaultValue"} value
 */
function read(inputs, checked, selected, value) {
  const [input] = inputs;
  const chosen = () => inputs.filter((one) => one[checked]).map((one) => one.value);
  if (input.type === "radio") return chosen()[0] ?? "";
  if (input.type === "checkbox") return input.hasAttribute("value") ? chosen() : input[checked];
  if (input.type === "file") return value === "value" ? (input.files?.[0]?.name ?? "") : "";
  if (input.localName !== "select") return input[value];
  const options = /** @type {HTMLOptionElement[]} */ ([.../** @type {any} */ (input).options]);
  const picked = options.filter((option) => option[selected]).map((option) => option.value);
  return input.multiple ? picked : (picked[0] ?? options[0]?.value ?? "");
}

/**
 * Put a value into the inputs of one field. Nobody but its user can choose a file; it can be let go.
 * @param {HTMLInputElement[]} inputs
 * @param {unknown} value
 */
export function fill(inputs, value) {
  const [input] = inputs;
  const texts = [value ?? []].flat().map(asText);
  if (input.type === "file") {
    if (!texts.join("")) input.value = "";
    return;
  }
  if (input.type === "checkbox" && !input.hasAttribute("value")) input.checked = Boolean(value);
  else if (input.type === "radio" || input.type === "checkbox") for (const one of inputs) one.checked = texts.includes(one.value);
  else if (input.multiple) for (const option of /** @type {any} */ (input).options) option.selected = texts.includes(option.value);
  else input.value = texts.join(", ");
}

/**
 * Whether two values of an input mean the same.
 * @param {{type: string}} input
 * @param {unknown} one
 * @param {unknown} other
 */
export function isSame({ type }, one, other) {
  if (typeof one === "boolean") return one === Boolean(other);
  const [left, right] = [one, other].map((value) => [value ?? []].flat().map(asText).join(", "));
  if (type === "number" && left !== "" && right !== "") return Number(left) === Number(right);
  return left === right || (TIMES.includes(type) && withoutNoSeconds(left) === withoutNoSeconds(right));
}

/** @param {string} time of which the server has the seconds, and a browser leaves them out if there are none */
function withoutNoSeconds(time) {
  return time.replace(/(\d\d:\d\d):00$/, "$1");
}

/** @param {unknown} value */
function asText(value) {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}
