import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

/** @type {FakeSocket[]} */
let sockets = [];
let now = 0;

class FakeSocket extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  readyState = FakeSocket.CONNECTING;
  sent = [];

  constructor() {
    super();
    sockets.push(this);
  }

  opens() {
    this.readyState = FakeSocket.OPEN;
    this.onopen();
  }

  says(data) {
    this.onmessage({ data });
  }

  send(data) {
    this.sent.push(JSON.parse(data).type);
  }

  close() {}
}

globalThis.WebSocket = FakeSocket;
/** What is to be called, when, and how long after that again. */
const timers = new Map();
let lastTimer = 0;

function start(callback, ms, again) {
  timers.set((lastTimer += 1), { callback, due: now + ms, again });
  return lastTimer;
}

globalThis.window = Object.assign(new EventTarget(), {
  setTimeout: (callback, ms) => start(callback, ms, Infinity),
  setInterval: (callback, ms) => start(callback, ms, ms),
});
globalThis.clearTimeout = globalThis.clearInterval = (timer) => timers.delete(timer);
globalThis.document = Object.assign(new EventTarget(), { hidden: false, getElementById: () => null });
globalThis.fetch = async () => ({ type: "basic", status: 200 });
const { Connection } = await import("../../streaming/static/streaming/live-step-connection.js");

let told = [];
let connection;

function connected() {
  connection = new Connection({
    address: () => "ws://nowhere",
    healthAddress: () => "http://nowhere",
    isTalkative: () => true,
    onConnecting() {},
    onOpen: () => told.push("open"),
    onMessage: (data) => data === "pong",
    onSilent: (isSilent) => told.push(isSilent ? "silent" : "heard"),
    onFailed() {},
    onLost: (code, comesBack) => told.push(`${code} ${comesBack ? "comes back" : "is over"}`),
    onLeave() {},
  });
  connection.open();
  return sockets[0];
}

/** Let time pass, with the timers that become due in it. */
function pass(ms) {
  for (const end = now + ms; now < end; ) {
    now += 100;
    for (const timer of [...timers.values()].filter(({ due }) => due <= now)) {
      timer.due += timer.again;
      timer.callback();
    }
  }
}

beforeEach(() => {
  timers.clear();
  sockets = [];
  told = [];
  now = 1000;
  performance.now = () => now;
});

afterEach(() => connection.close());

test("a connection that had lasted was let in once, and is tried again", () => {
  const socket = connected();
  socket.opens();
  socket.says("hello");
  now += 6_000;
  socket.onclose({ code: 4401 });
  assert.deepEqual(told, ["open", "4401 comes back"]);
});

test("a handshake that took long is none that had lasted", () => {
  const socket = connected();
  now += 6_000;
  socket.opens();
  socket.onclose({ code: 4401 });
  assert.deepEqual(told, ["open", "4401 is over"]);
  pass(60_000);
  assert.equal(sockets.length, 1);
});

test("one that was never made has not lasted", () => {
  const socket = connected();
  now += 6_000;
  socket.onclose({ code: 4403 });
  assert.deepEqual(told, ["4403 is over"]);
});

test("without a network, what was under way is no sign of one, and an answer is", () => {
  const socket = connected();
  socket.opens();
  window.dispatchEvent(new Event("offline"));
  assert.deepEqual(socket.sent, ["ping"]);
  socket.says("frame");
  assert.deepEqual(told, ["open", "silent"]);
  socket.says("pong");
  assert.deepEqual(told, ["open", "silent", "heard"]);
});

test("without a network and an answer, it is given up, whatever arrives", () => {
  const socket = connected();
  socket.opens();
  window.dispatchEvent(new Event("offline"));
  for (let n = 0; n < 25; n += 1) {
    pass(100);
    socket.onmessage?.({ data: "frame" });
  }
  assert.deepEqual(told, ["open", "silent", "1006 comes back"]);
});

test("with the network, whatever arrives is a sign of it again", () => {
  const socket = connected();
  socket.opens();
  window.dispatchEvent(new Event("offline"));
  window.dispatchEvent(new Event("online"));
  socket.says("frame");
  assert.deepEqual(told, ["open", "silent", "heard"]);
});
