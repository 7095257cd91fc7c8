// @ts-check
/**
 * The words of the element: English as they stand, or those of the catalog that the page brings as
 * JSON in an element with the id `live-step-words`.
 */

/** @type {{language?: string, catalog?: Record<string, string | string[]>}} */
const given = JSON.parse(globalThis.document?.getElementById("live-step-words")?.textContent || "{}");

export const language = given.language ?? "en";

// In the order of a catalog's plural forms.
const CATEGORIES = ["zero", "one", "two", "few", "many", "other"];
const rules = new Intl.PluralRules(language);
const categories = rules
  .resolvedOptions()
  .pluralCategories.sort((one, other) => CATEGORIES.indexOf(one) - CATEGORIES.indexOf(other));

/**
 * @param {string} text
 * @returns {string}
 */
export function gettext(text) {
  return [given.catalog?.[text] ?? text].flat()[0];
}

/**
 * @param {string} singular
 * @param {string} plural
 * @param {number} number
 * @returns {string}
 */
export function ngettext(singular, plural, number) {
  const forms = given.catalog?.[singular];
  if (!Array.isArray(forms)) return number === 1 ? singular : plural;
  // A catalog has no form for fractions, which some languages put last.
  return forms[Math.min(categories.indexOf(rules.select(number)), forms.length - 1)];
}

/**
 * Put values in the places of a text, such as `%(step)s`.
 * @param {string} text
 * @param {Record<string, string | number>} values numbers are written as the language does
 */
export function put(text, values) {
  return text.replace(/%\((\w+)\)s/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? formatNumber(value) : value;
  });
}

/** @type {Map<string, Intl.NumberFormat>} by their options; to make one takes a hundred times as long as to use it */
const formats = new Map();

/**
 * @param {number} number
 * @param {Intl.NumberFormatOptions} [options]
 */
export function formatNumber(number, options) {
  const key = JSON.stringify(options ?? {});
  const format = formats.get(key) ?? new Intl.NumberFormat(language, options);
  formats.set(key, format);
  return format.format(number);
}
