import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { points } from "../../streaming/static/streaming/live-step-chart.js";
import { History, MOST_BYTES, MOST_FRAMES } from "../../streaming/static/streaming/live-step-history.js";
import { ngettext, put } from "../../streaming/static/streaming/live-step-words.js";

function frame(seq, size = 1) {
  return { header: { seq, step: seq * 10 }, payload: new Uint8Array(size), receivedAt: seq };
}

suite("the frames that are kept", () => {
  test("are so many, the newest", () => {
    const history = new History();
    for (let seq = 1; seq <= MOST_FRAMES + 5; seq += 1) history.add(frame(seq));
    assert.equal(history.length, MOST_FRAMES);
    assert.equal(history.first, 5);
    assert.equal(history.at(history.last).header.seq, MOST_FRAMES + 5);
    assert.equal(history.at(0).header.seq, 6, "the nearest to one that is gone");
  });

  test("are fewer when they are large", () => {
    const history = new History();
    for (let seq = 1; seq <= 6; seq += 1) history.add(frame(seq, MOST_BYTES / 4));
    assert.equal(history.length, 4);
    history.add(frame(7, MOST_BYTES + 1));
    assert.equal(history.length, 1, "the newest is kept whatever its size");
  });

  test("hold the final frame once", () => {
    const history = new History();
    history.add(frame(1));
    history.add(frame(1));
    assert.equal(history.length, 1);
    history.clear();
    assert.equal(history.at(0), undefined);
  });
});

suite("the small lines", () => {
  test("end at the right edge and reach from the bottom to the top", () => {
    assert.equal(points([0, 5, 10]), "231.9,39.0 235.9,20.0 240.0,1.0");
  });

  test("are flat at the bottom without any value", () => {
    assert.equal(points([0, 0]), "235.9,39.0 240.0,39.0");
  });
});

suite("words", () => {
  test("take values, numbers as the language writes them", () => {
    assert.equal(put("%(a)s of %(b)s", { a: 1234, b: "x" }), "1,234 of x");
  });

  test("are counted in English without a catalog", () => {
    assert.equal(ngettext("step", "steps", 1), "step");
    assert.equal(ngettext("step", "steps", 0), "steps");
  });
});
