// @ts-check
/** Elements, made in one expression. */

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, string | boolean>} [attributes] false leaves one out
 * @param {(Node | string)[]} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/**
 * Change a text only when it is new: a live region speaks each time that it changes.
 * @param {HTMLElement | null} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}
