import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { isSame } from "../../streaming/static/streaming/live-step-inputs.js";

suite("two values of an input", () => {
  test("are the same number however it is written", () => {
    assert.ok(isSame({ type: "number" }, "1.10", 1.1));
    assert.ok(isSame({ type: "number" }, "1e22", "1e+22"));
    assert.ok(!isSame({ type: "number" }, "0", null));
  });

  test("are not the same text for being the same number", () => {
    assert.ok(!isSame({ type: "text" }, "1.10", "1.1"));
    assert.ok(isSame({ type: "text" }, "a, b", ["a", "b"]));
  });

  test("are the same time with seconds that are none", () => {
    assert.ok(isSame({ type: "datetime-local" }, "2026-01-02T03:04", "2026-01-02T03:04:00"));
    assert.ok(isSame({ type: "time" }, "12:30", "12:30:00"));
    assert.ok(!isSame({ type: "time" }, "12:30", "12:30:01"));
    assert.ok(!isSame({ type: "text" }, "12:30", "12:30:00"));
  });
});
