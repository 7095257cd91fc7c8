import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { actionOf } from "../../streaming/static/streaming/live-step-keys.js";

function press(key, { on = "", field, how = {}, ...event } = {}) {
  const target = { matches: (selector) => on !== "" && selector.includes(on), dataset: { field } };
  return actionOf({ key, composedPath: () => [target], ...event }, { isLive: true, ...how });
}

suite("a key", () => {
  test("acts in upper and lower case", () => {
    assert.equal(press("s"), "stop");
    assert.equal(press("S"), "stop");
    assert.equal(press("="), "zoom-in");
    assert.equal(press("x"), undefined);
  });

  test("of space is that of the one button for start, pause and resume", () => {
    assert.equal(press(" "), "play");
  });

  test("to the right steps only from the newest frame", () => {
    assert.equal(press("ArrowRight"), "step");
    assert.equal(press("ArrowRight", { how: { isLive: false } }), "forward");
    assert.equal(press("ArrowLeft"), "back");
  });

  test("belongs to the field or the button that has the focus", () => {
    assert.equal(press("s", { on: "input" }), undefined);
    assert.equal(press(" ", { on: "button" }), undefined);
    assert.equal(press("s", { on: "button" }), "stop");
    assert.equal(press("?", { on: "button" }), "keys");
  });

  test("is not for the player while something lies over it", () => {
    const target = { matches: () => false, dataset: {}, closest: (selector) => (selector === "dialog" ? {} : null) };
    assert.equal(actionOf({ key: "s", composedPath: () => [target] }, { isLive: true }), undefined);
  });

  test("moves the timeline by one frame, and is no text there", () => {
    assert.equal(press("s", { on: "input", field: "position" }), "stop");
    assert.equal(press("ArrowRight", { on: "input", field: "position" }), "forward");
    assert.equal(press("Home", { on: "input", field: "position" }), undefined);
  });

  test("with another key is the browser's", () => {
    assert.equal(press("s", { ctrlKey: true }), undefined);
    assert.equal(press("s", { defaultPrevented: true }), undefined);
  });
});
