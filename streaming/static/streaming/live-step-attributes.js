// @ts-check
/** What a page says of <live-step> by its attributes, and the addresses that follow from them. */

import { socketUrl } from "./live-step-client.js";

const CONTROLS = ["none", "bar", "full"];

export class AttributesElement extends HTMLElement {
  get simulation() {
    return this.getAttribute("simulation") ?? "";
  }

  set simulation(name) {
    this.setAttribute("simulation", name);
  }

  get session() {
    return this.getAttribute("session") ?? "";
  }

  set session(id) {
    this.setAttribute("session", id);
  }

  get src() {
    return this.getAttribute("src") ?? "/ws";
  }

  set src(address) {
    this.setAttribute("src", address);
  }

  get autoplay() {
    return this.hasAttribute("autoplay");
  }

  set autoplay(isOn) {
    this.toggleAttribute("autoplay", isOn);
  }

  /** Which controls there are: "none", "bar" or "full". */
  get _controls() {
    if (!this.hasAttribute("controls")) return "none";
    const kind = this.getAttribute("controls") ?? "";
    return CONTROLS.includes(kind) ? kind : "full";
  }

  /** Of the WebSocket. */
  get _address() {
    return socketUrl(this.src, location.href, this.session);
  }

  get _healthAddress() {
    return this._atServer("healthz");
  }

  /** The document in which pictures are shown. "" if they are to be images, which are cheaper for a few. */
  get _pictureAddress() {
    const address = this.getAttribute("picture") ?? "picture.svg";
    return address === "img" ? "" : this._atServer(address);
  }

  /** Whether the simulation is known to plot, so that room is kept for its lines. */
  get _plots() {
    return this.hasAttribute("plots");
  }

  /** Where a visitor logs in, to come back to this page. */
  get _loginAddress() {
    const page = this.getAttribute("login");
    if (!page) return "";
    const address = new URL(page, location.href);
    address.searchParams.set("next", location.pathname + location.search);
    return address.href;
  }

  /** Whether the page is about this player, and not the player a part of some page. */
  get _isThePage() {
    return this.hasAttribute("session-address");
  }

  /**
   * Return the page of a session, where that is this page.
   * @param {string} session
   */
  _pageOf(session) {
    return (this.getAttribute("session-address") ?? "").replace("SESSION", session);
  }

  /** Where others watch this session. */
  get _link() {
    return this._linkTo(this.session);
  }

  /** @param {string} session */
  _linkTo(session) {
    return this._atServer(this._pageOf(session) || `sessions/${session}/`);
  }

  /**
   * Return the address of this simulation's page with values in its form.
   * @param {Record<string, unknown>} params
   */
  _pageWith(params) {
    const address = new URL(this.getAttribute("page-address") ?? "", location.href);
    for (const [name, value] of Object.entries(params)) address.searchParams.set(name, String(value));
    return address.href;
  }

  /** @param {string} path */
  _atServer(path) {
    return new URL(path, new URL(this.src, location.href)).href;
  }
}
