import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { actionOf } from "../../streaming/static/streaming/live-step-keys.js";

function press(key, { on = "", field, how = {}, ...event } = {}) {
  const target = { matches: (selector) => on !== "" && selector.includes(on), dataset: { field } };
  return actionOf({ key, composedPath: () => [target], ...event }, { isGoing: true, isLive: true, ...how });
}

suite("a key", () => {
  test("acts in upper and lower case", () => {
    assert.equal(press("s"), "stop");
    assert.equal(press("S"), "stop");
    assert.equal(press("="), "zoom-in");
    assert.equal(press("x"), undefined);
  });

  test("of space starts what does not go on", () => {
    assert.equal(press(" "), "pause");
    assert.equal(press(" ", { how: { isGoing: false } }), "start");
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
  });

  test("moves the scrubber by one frame", () => {
    assert.equal(press("ArrowRight", { on: "input", field: "position" }), "forward");
    assert.equal(press("Home", { on: "input", field: "position" }), undefined);
  });

  test("with another key is the browser's", () => {
    assert.equal(press("s", { ctrlKey: true }), undefined);
    assert.equal(press("s", { defaultPrevented: true }), undefined);
  });
});
