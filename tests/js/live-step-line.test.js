import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { Line } from "../../streaming/static/streaming/live-step-line.js";

suite("the line", () => {
  function after(...seqs) {
    const line = new Line();
    for (const seq of seqs) line.came(seq);
    return line;
  }

  test("counts what came and what was not sent, from the first on", () => {
    const line = after(7, 8, 11, 11);
    assert.deepEqual([line.received, line.notSent], [3, 2]);
  });

  test("is not to blame for what was not sent to a page that nobody looked at", () => {
    const line = after(1);
    line.away();
    line.came(500);
    line.came(502);
    assert.deepEqual([line.received, line.notSent], [3, 1]);
  });

  test("is long without being behind", () => {
    const line = new Line();
    line.painted(10);
    assert.equal(line.behindMs, 10);
    for (const ms of [300, 310]) line.wentAround(ms);
    line.painted(10);
    assert.equal(line.behindMs, 20, "only what is beyond its shortest way");
  });

  test("has a new distance after two minutes", () => {
    const line = new Line();
    line.wentAround(20);
    for (let ping = 0; ping < 24; ping += 1) line.wentAround(300);
    line.painted(0);
    assert.equal(line.behindMs, 0);
  });

  test("begins anew with another session, as long as it is", () => {
    const line = after(1, 5);
    line.wentAround(100);
    line.clear();
    line.came(9);
    line.wentAround(130);
    line.painted(1);
    assert.deepEqual([line.received, line.notSent, line.behindMs], [1, 0, 31]);
  });
});
