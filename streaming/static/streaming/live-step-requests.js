// @ts-check
/** Messages that have an answer: each gets an id, which the server's answer repeats. */

import { gettext } from "./live-step-words.js";

export class Requests {
  /** @type {Map<string, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();
  #asked = 0;

  /** @param {(message: any) => boolean} send says whether there was a connection to send it over */
  constructor(send) {
    this.send = send;
  }

  /**
   * @param {any} message
   * @returns {Promise<any>} the answer; rejected with what the server said
   */
  ask(message) {
    const id = String(++this.#asked);
    const answer = new Promise((resolve, reject) => {
      if (this.send({ ...message, id })) this.#waiting.set(id, { resolve, reject });
      else reject(new Error(gettext("There is no connection to the server.")));
    });
    // The page shows what was refused; a caller may look, too.
    answer.catch(() => {});
    return answer;
  }

  /**
   * Settle the request that a message answers, if it answers one.
   * @param {any} message
   */
  settle(message) {
    const request = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type !== "error") request?.resolve(message);
    else request?.reject(Object.assign(new Error(message.message), { code: message.code }));
  }

  /** @param {string} reason */
  rejectAll(reason) {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }
}
