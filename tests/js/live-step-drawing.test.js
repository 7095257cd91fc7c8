import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { Lines, MOST_POINTS, indexAt, logTicks, look, nearestStep, pathOf, scaleOf, short, thinned, ticks } from "../../streaming/static/streaming/live-step-drawing.js";

const SIZE = { width: 600, height: 200, isLog: false };

function lineOf(values, name = "loss") {
  return { name, steps: values.map((_, index) => index + 1), values };
}

suite("lines", () => {
  test("take the points of their names, and none twice", () => {
    const lines = new Lines();
    lines.take({ names: ["a", "b"], points: [[1, 0.5, null], [2, 0.25, 3]] });
    lines.take({ names: ["a"], points: [[2, 9], [3, 0.125]] });
    assert.deepEqual(lines.all, [
      { name: "a", steps: [1, 2, 3], values: [0.5, 0.25, 0.125] },
      { name: "b", steps: [1, 2], values: [null, 3] },
    ]);
  });

  test("are a table with a row for each step", () => {
    const lines = new Lines();
    lines.take({ names: ["a", 'the "b"'], points: [[1, 0.5, null], [3, 0.25, 3]] });
    lines.take({ names: ["c"], points: [[2, -1]] });
    assert.equal(lines.csv, 'step,a,"the ""b""",c\n1,0.5,,\n2,,,-1\n3,0.25,3,\n');
  });

  test("are told as a server tells them", () => {
    const one = new Lines();
    const other = new Lines();
    one.take({ names: ["a", "b"], points: [[1, 0.5, null], [3, 0.25, 3]] });
    one.series.forEach((series) => other.take(series));
    assert.deepEqual(other.all, one.all);
  });

  test("of any length stay within bounds, and keep their extremes", () => {
    const lines = new Lines();
    for (let step = 1; step <= 5 * MOST_POINTS; step += 1) {
      const value = step === 777 ? 50 : step === 9_999 ? -50 : Math.sin(step);
      lines.take({ names: ["a"], points: [[step, value]] });
      assert.ok(lines.all[0].steps.length <= MOST_POINTS);
    }
    const [{ steps, values }] = lines.all;
    assert.deepEqual([Math.max(...values), Math.min(...values)], [50, -50]);
    assert.deepEqual([steps[0], steps.at(-1)], [1, 5 * MOST_POINTS]);
  });
});

suite("thinning", () => {
  test("keeps a gap", () => {
    const values = Array.from({ length: 1000 }, (_, index) => (index === 500 ? null : index));
    const line = thinned(lineOf(values), 50);
    assert.ok(line.values.includes(null));
    assert.ok(line.steps.length <= 50);
  });

  test("of nothing but gaps ends", () => {
    assert.ok(thinned(lineOf(Array(1000).fill(null)), 50).steps.length <= 50);
  });
});

suite("ticks", () => {
  test("are round numbers", () => {
    assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
    assert.deepEqual(ticks(-1.7, 3, 6), [-1, 0, 1, 2, 3]);
    assert.deepEqual(ticks(1, 3, 6, 1), [1, 2, 3], "steps are whole");
  });

  test("of a logarithmic axis are powers of ten, and what lies between where there are few", () => {
    assert.deepEqual(logTicks(0.001, 1000, 5), [0.01, 1, 100]);
    assert.deepEqual(logTicks(0.3, 9, 6), [0.5, 1, 2, 5]);
  });

  test("are written short", () => {
    assert.deepEqual([0, 0.1 + 0.2, 1e-5, 1234567, -250000].map(short), ["0", "0.3", "1e-5", "1.23e6", "-250000"]);
  });
});

suite("a path", () => {
  test("has no line over a gap, and a dot for a point alone", () => {
    const line = lineOf([1, 2, null, 3, null, 4]);
    const path = pathOf(line, scaleOf([line], SIZE));
    assert.equal(path.match(/M/g).length, 3);
    assert.equal(path.match(/L/g).length, 1);
  });

  test("has nothing below zero on a logarithmic axis", () => {
    const line = lineOf([1, -1, 10, 0, 100]);
    const path = pathOf(line, scaleOf([line], { ...SIZE, isLog: true }));
    assert.equal(path.match(/M/g).length, 3);
    assert.ok(!path.includes("NaN") && !path.includes("Infinity"));
  });

  test("lies within the picture, whatever the numbers are", () => {
    const odd = [[5], [0, 0, 0], [1e300, -1e300], [1e-300, 2e-300], [null, null], [], [-1, -2], [7, null]];
    for (const values of odd) {
      for (const isLog of [false, true]) {
        const line = lineOf(values);
        const scale = scaleOf([line], { ...SIZE, isLog });
        const numbers = pathOf(line, scale).match(/-?[\d.]+/g) ?? [];
        assert.ok(numbers.every((number) => Number(number) >= 0 && Number(number) <= 600), `${values}: ${numbers}`);
        assert.ok(scale.marks.length < 20 && scale.stepMarks.length < 20);
      }
    }
  });
});

suite("a step", () => {
  const line = { name: "a", steps: [1, 5, 9], values: [1, 2, 3] };

  test("has the point that came before it", () => {
    assert.deepEqual([0, 1, 4, 5, 100].map((step) => indexAt(line, step)), [-1, 0, 0, 1, 2]);
  });

  test("that is pointed at is the nearest that any line has", () => {
    assert.equal(nearestStep([line], 6), 5);
    assert.equal(nearestStep([line, { name: "b", steps: [6, 7], values: [1, 1] }], 6.4), 6);
    assert.equal(nearestStep([], 6), null);
  });
});

test("32 lines look different from each other", () => {
  const looks = Array.from({ length: 32 }, (_, index) => JSON.stringify(look(index)));
  assert.equal(new Set(looks).size, 32);
});
