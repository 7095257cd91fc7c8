// @ts-check
/** Under a simulation's form: one session for each of several values of a parameter, to be seen side by side. */

import { SUBPROTOCOL, socketUrl } from "./live-step-client.js";
import { make } from "./live-step-dom.js";
import { inputOf, inputsOf, valueOf } from "./live-step-inputs.js";
import { gettext, ngettext, put } from "./live-step-words.js";

const [FEWEST, MOST] = [2, 6];

const box = /** @type {HTMLElement} */ (document.querySelector(".compare-form"));
const param = /** @type {HTMLSelectElement} */ (box.querySelector("select"));
const values = /** @type {HTMLInputElement} */ (box.querySelector("input"));
const button = /** @type {HTMLButtonElement} */ (box.querySelector("button"));
const said = /** @type {HTMLElement} */ (box.querySelector("[role=alert]"));
/** They hold the new sessions until the page that shows them does. @type {WebSocket[]} */
const sockets = [];

button.addEventListener("click", () => start());
values.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && start());

async function start() {
  if (button.disabled) return;
  const wanted = [...new Set(values.value.split(",").map((text) => text.trim()).filter(Boolean))];
  if (wanted.length < FEWEST || wanted.length > MOST) {
    say(put(gettext("%(fewest)s to %(most)s values are expected, with commas between them."), { fewest: FEWEST, most: MOST }));
    return;
  }
  button.disabled = true;
  say(gettext("Starting…"));
  // Those of the last attempt are nobody's now.
  for (const socket of sockets.splice(0)) socket.close();
  const given = formValues();
  const started = [];
  const refused = [];
  for (const value of wanted) {
    try {
      const { session, params } = await begin({ ...given, [param.value]: value });
      started.push(session);
      // What the server has chosen for the first one, such as a seed, holds for all: they differ in one thing.
      for (const [name, chosen] of Object.entries(params)) if (given[name] === "" && chosen !== null) given[name] = chosen;
    } catch (error) {
      refused.push(`${param.value} ${value}: ${/** @type {Error} */ (error).message}`);
    }
  }
  button.disabled = false;
  if (!refused.length) location.assign(addressOf(started));
  else say(refused.join("\n"), started);
}

/**
 * What the fields of the form say.
 * @returns {Record<string, unknown>}
 */
function formValues() {
  const fields = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("form.params [data-name]")]);
  return Object.fromEntries(fields.filter((field) => inputOf(field).type !== "file").map((field) => [inputOf(field).name, valueOf(inputsOf(field))]));
}

/**
 * Start a session, over a connection of its own: each has one.
 * @param {Record<string, unknown>} params
 * @returns {Promise<{session: string, params: Record<string, unknown>}>} refused with what the server says
 */
function begin(params) {
  const { simulation = "", src = "/ws" } = box.dataset;
  const socket = new WebSocket(socketUrl(src, location.href, ""), SUBPROTOCOL);
  sockets.push(socket);
  return new Promise((resolve, reject) => {
    socket.onopen = () => {
      // Nobody sees its frames here.
      socket.send(JSON.stringify({ type: "visibility", visible: false }));
      socket.send(JSON.stringify({ type: "start", simulation, params }));
    };
    socket.onmessage = ({ data }) => {
      const message = typeof data === "string" ? JSON.parse(data) : {};
      // The first of its messages has the parameters.
      if (message.type === "session" && message.params) resolve(message);
      if (message.type !== "error") return;
      reject(new Error(message.message));
      socket.close();
    };
    socket.onclose = () => reject(new Error(gettext("The connection is lost.")));
  });
}

/** @param {string[]} sessions */
function addressOf(sessions) {
  const { page = "", compare = "" } = box.dataset;
  if (sessions.length < FEWEST) return page.replace("SESSION", sessions[0]);
  return `${compare}?${new URLSearchParams(sessions.map((session) => ["session", session]))}`;
}

/**
 * @param {string} words
 * @param {string[]} [started] sessions that there are, though not all that were wanted
 */
function say(words, started = []) {
  const count = started.length;
  const link = put(ngettext("Show the %(count)s session that started", "Show the %(count)s sessions that started", count), { count });
  said.replaceChildren(words, ...(count ? [make("a", { href: addressOf(started) }, link)] : []));
}
