import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { clock, lookOf } from "../../streaming/static/streaming/live-step-state.js";

const HOW = { pending: "", isHeard: true, isCutOff: false };
const running = { state: "running", step: 3, elapsed_ms: 9_000, frames: { produced: 2 } };

function words(session, how = {}) {
  return lookOf(session, { ...HOW, ...how }).words;
}

suite("a session in one look", () => {
  test("is what was asked for until that is answered", () => {
    assert.equal(words(null, { pending: "start" }), "Starting…");
    assert.equal(words(running, { pending: "stop" }), "Stopping…");
    assert.equal(words({ ...running, state: "stopped" }, { pending: "start" }), "Starting…");
  });

  test("of which nothing was told yet is no session that could be started", () => {
    assert.equal(words(null, { isUntold: true }), "Connecting…");
    assert.equal(words(null), "Ready");
  });

  test("counts the seconds of a long first step only", () => {
    const first = { ...running, step: 0, frames: { produced: 0 } };
    assert.equal(words({ ...first, elapsed_ms: 4_900 }), "First step, 4 s");
    assert.equal(words({ ...first, elapsed_ms: 900 }), "Running");
    assert.equal(words(running), "Running");
  });

  test("says what failed shortly, for the card has the sentence", () => {
    assert.equal(words({ state: "failed", step: 2, error: { message: "long" } }), "Failed after step 2");
    assert.equal(words({ state: "failed", step: 0, error: { message: "long" } }), "Failed in its first step");
    assert.equal(words({ state: "stuck", step: 2, error: { message: "long" } }), "Stuck in step 3");
  });

  test("is in doubt while the server, or the session's process, is not heard", () => {
    assert.deepEqual(lookOf(running, { ...HOW, isHeard: false }), {
      sign: "unknown",
      tone: "unknown",
      words: "Running when last heard of",
    });
    assert.equal(lookOf(running, { ...HOW, isCutOff: true }).words, "Reconnecting");
    // What has ended cannot have changed.
    assert.equal(lookOf({ state: "finished", step: 1 }, { ...HOW, isHeard: false }).tone, "going");
  });
});

test("a clock has hours when it needs them", () => {
  assert.deepEqual([0, 61_900, 3_600_000, 36_061_000].map(clock), ["0:00", "1:01", "1:00:00", "10:01:01"]);
});
