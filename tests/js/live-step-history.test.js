import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { points, top } from "../../streaming/static/streaming/live-step-chart.js";
import { History, MOST_BYTES, MOST_FRAMES } from "../../streaming/static/streaming/live-step-history.js";
import { Timeline } from "../../streaming/static/streaming/live-step-timeline.js";
import { ngettext, put } from "../../streaming/static/streaming/live-step-words.js";

function frame(seq, size = 1) {
  return { header: { seq, step: seq * 10 }, payload: new Uint8Array(size), receivedAt: seq };
}

function filled(count, size = 1) {
  const history = new History();
  for (let seq = 1; seq <= count; seq += 1) history.add(frame(seq, size));
  return history;
}

function numbers(history) {
  return history.frames.map(({ number }) => number);
}

suite("the frames that are kept", () => {
  test("are so many of the newest, without a gap", () => {
    const history = filled(MOST_FRAMES + 5);
    assert.equal(history.recent.length, MOST_FRAMES);
    assert.equal(history.recent[0].number, 5);
    assert.equal(history.newest.header.seq, MOST_FRAMES + 5);
  });

  test("span the whole run, thinned evenly as it grows", () => {
    const history = filled(10_000);
    const older = numbers(history).slice(0, -MOST_FRAMES);
    assert.equal(older[0], 0, "the first one is always there");
    assert.ok(older.length > MOST_FRAMES / 2 && older.length <= MOST_FRAMES);
    const gaps = older.slice(1).map((number, index) => number - older[index]);
    assert.equal(new Set(gaps).size, 1);
    assert.ok(10_000 - MOST_FRAMES - older.at(-1) <= gaps[0]);
  });

  test("never take more than their room", () => {
    const history = filled(200, MOST_BYTES / 20);
    const bytes = history.frames.reduce((sum, { payload }) => sum + payload.length, 0);
    assert.ok(bytes <= MOST_BYTES);
    assert.ok(numbers(history).length > 10);
    assert.equal(numbers(history)[0], 0);
    history.add(frame(201, MOST_BYTES + 1));
    assert.equal(history.newest.header.seq, 201, "the newest is kept whatever its size");
  });

  test("are found by their number, or the nearest before it", () => {
    const history = filled(10_000);
    const kept = numbers(history);
    assert.equal(history.at(kept[3] + 1).number, kept[3]);
    assert.equal(history.at(-5).number, 0);
    assert.equal(history.at(1e9).number, 9_999);
  });

  test("are gone through one by one", () => {
    const history = filled(10_000);
    const kept = numbers(history);
    assert.equal(history.beside(0, 1).number, kept[1]);
    assert.equal(history.beside(kept[1] + 1, -1).number, kept[1], "from one that is gone");
    assert.equal(history.beside(0, -1), undefined);
    assert.equal(history.beside(9_999, 1), undefined);
  });

  test("hold the final frame once", () => {
    const history = new History();
    history.add(frame(1));
    history.add(frame(1));
    assert.equal(history.frames.length, 1);
    assert.equal(history.last, 0);
    history.clear();
    assert.equal(history.at(0), undefined);
  });
});

suite("what is seen of them", () => {
  function timeline() {
    const shown = [];
    return { shown, time: new Timeline({ show: ({ header }) => shown.push(header.seq) }, () => {}) };
  }

  test("is the newest, until one is held", () => {
    const { shown, time } = timeline();
    time.add(frame(1));
    time.add(frame(2));
    time.step(-1);
    time.add(frame(3));
    assert.deepEqual(shown, [1, 2, 1]);
    assert.equal(time.isLive, false);
    time.step(1);
    time.step(1);
    assert.deepEqual(shown, [1, 2, 1, 2, 3]);
    assert.equal(time.isLive, true, "the newest is followed");
  });

  test("stays held when its frame is kept no more", () => {
    const { shown, time } = timeline();
    time.add(frame(1));
    time.add(frame(2));
    time.add(frame(3));
    time.goTo(1);
    for (let seq = 4; seq < 5_000; seq += 1) time.add(frame(seq));
    assert.ok(!time.frames.some(({ number }) => number === 1));
    assert.equal(time.position, 1);
    assert.deepEqual(shown, [1, 2, 3, 2]);
    time.step(-1);
    assert.equal(shown.at(-1), 1);
  });

  test("begins anew with another session", () => {
    const { time } = timeline();
    time.add(frame(1));
    time.add(frame(2));
    time.goTo(0);
    time.clear();
    assert.equal(time.isLive, true);
    assert.equal(time.last, -1);
  });
});

suite("the small lines", () => {
  test("end at the right edge and reach from the bottom to the top", () => {
    assert.equal(points([0, 5, 10]), "231.9,39.0 235.9,20.0 240.0,1.0");
  });

  test("are read by an axis that ends at a round number", () => {
    assert.deepEqual([0, 0.3, 1, 1.2, 4, 53, 999].map((value) => top([value, 0])), [1, 0.5, 1, 2, 5, 100, 1000]);
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
