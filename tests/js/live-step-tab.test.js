import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

const LOOKS = {
  starting: { sign: "busy", tone: "busy", words: "Starting…" },
  running: { sign: "play", tone: "going", words: "Running" },
};

let changes, page;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  changes = [];
  page = { title: "Waves", querySelector: () => watched({ href: "/own.svg" }) };
  globalThis.document = page;
  globalThis.window = globalThis;
});

/** Note each icon that is set. */
function watched(icon) {
  return new Proxy(icon, {
    set(target, name, value) {
      changes.push(value);
      target[name] = value;
      return true;
    },
  });
}

async function tab() {
  const { Tab } = await import("../../streaming/static/streaming/live-step-tab.js");
  return new Tab();
}

test("a start that goes through several states changes the icon once", async () => {
  const shown = await tab();
  shown.show(LOOKS.starting);
  mock.timers.tick(50);
  shown.show(LOOKS.running);
  assert.deepEqual([page.title, changes], ["Waves", []]);
  mock.timers.tick(100);
  assert.equal(page.title, "Running – Waves");
  assert.equal(changes.length, 1);
});

test("what is shown for longer is shown", async () => {
  const shown = await tab();
  for (const look of [LOOKS.starting, LOOKS.running, LOOKS.starting]) {
    shown.show(look);
    mock.timers.tick(150);
    assert.equal(page.title, `${look.words} – Waves`);
  }
  assert.equal(changes.length, 3);
});

test("nothing comes after it has left the tab as it was", async () => {
  const shown = await tab();
  shown.show(LOOKS.running);
  mock.timers.tick(150);
  shown.show(LOOKS.starting);
  shown.close();
  mock.timers.tick(1000);
  assert.deepEqual([page.title, changes.at(-1)], ["Waves", "/own.svg"]);
});
