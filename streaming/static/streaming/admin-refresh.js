// @ts-check
/** Keeps a page of the admin fresh: it asks for its own address, and takes over what has changed. */

const REFRESH_EVERY_MS = 2_000;
/** A server that takes long to answer is asked less often: most of its time is for others. */
const PAUSE_PER_ANSWER = 4;
const ANSWER_MS = 15_000;
/** So that the server keeps the messages that are meant for a person. */
const HEADERS = { "X-Livestep-Refresh": "1" };

/**
 * Get a page of the admin.
 * @param {string} address
 * @returns {Promise<Document | null>} null when the server sends us elsewhere: to log in, mostly
 */
export async function fetchPage(address) {
  const response = await fetch(address, {
    headers: HEADERS,
    redirect: "manual",
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (response.type === "opaqueredirect" || response.status === 403) return null;
  if (!response.ok) throw new Error(`status ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

/** Asks again and again, one question at a time, while somebody can see the page. */
export class Refresher {
  #timer = 0;
  #isAsking = false;
  #isOver = false;
  #since = new Date();

  /** @param {(fresh: Document) => void} update is given the page as it is now */
  constructor(update) {
    this.update = update;
    this.status = /** @type {HTMLElement} */ (document.querySelector(".refresh-status"));
  }

  start() {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) clearTimeout(this.#timer);
      else this.#ask();
    });
    this.#later();
  }

  /** @param {number} [pause] in milliseconds, at least */
  #later(pause = 0) {
    clearTimeout(this.#timer);
    if (!document.hidden && !this.#isOver) {
      this.#timer = window.setTimeout(() => this.#ask(), Math.max(REFRESH_EVERY_MS, pause));
    }
  }

  async #ask() {
    if (this.#isAsking || this.#isOver) return;
    this.#isAsking = true;
    const askedAt = performance.now();
    try {
      const fresh = await fetchPage(location.href);
      if (fresh) this.#refreshed(fresh);
      else this.#end();
    } catch {
      const time = this.#since.toLocaleTimeString(document.documentElement.lang);
      this.#say((this.status.dataset.stale ?? "").replace("%(time)s", time));
    } finally {
      this.#isAsking = false;
    }
    this.#later((performance.now() - askedAt) * PAUSE_PER_ANSWER);
  }

  /** @param {Document} fresh */
  #refreshed(fresh) {
    this.update(fresh);
    this.#since = new Date();
    this.#say("");
  }

  #end() {
    this.#isOver = true;
    this.#say(this.status.dataset.over ?? "");
  }

  /** @param {string} sentence */
  #say(sentence) {
    // Said once: a screen reader would read it again.
    if (this.status.textContent !== sentence) this.status.textContent = sentence;
  }
}

/**
 * Bring every part of the page that is marked `data-fresh` up to date.
 * @param {Document} fresh
 */
export function morphParts(fresh) {
  for (const part of document.querySelectorAll("[data-fresh]")) {
    const name = part.getAttribute("data-fresh");
    const other = fresh.querySelector(`[data-fresh="${name}"]`);
    if (other) morph(part, other);
  }
}

/**
 * Make an element like another one. What is alike stays the same node, and so keeps its focus,
 * its scroll position and the text that is selected in it.
 * @param {Element} element
 * @param {Element} other
 */
export function morph(element, other) {
  if (element.isEqualNode(other)) return;
  morphAttributes(element, other);
  const nodes = [...element.childNodes];
  [...other.childNodes].forEach((fresh, index) => {
    const node = nodes[index];
    if (!node) element.append(fresh);
    else if (node.nodeName !== fresh.nodeName) node.replaceWith(fresh);
    else if (node instanceof Element) morph(node, /** @type {Element} */ (fresh));
    else if (node.nodeValue !== fresh.nodeValue) node.nodeValue = fresh.nodeValue;
  });
  for (const node of nodes.slice(other.childNodes.length)) node.remove();
}

/**
 * @param {Element} element
 * @param {Element} other
 */
function morphAttributes(element, other) {
  for (const { name } of [...element.attributes]) {
    // Whether details are open is the reader's business.
    if (!other.hasAttribute(name) && name !== "open") element.removeAttribute(name);
  }
  for (const { name, value } of other.attributes) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
}
