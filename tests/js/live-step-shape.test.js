import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { naturalSize, recallRatio, rememberRatio, resized, shownRatio, statedSize, toPixels } from "../../streaming/static/streaming/live-step-shape.js";

suite("a length", () => {
  for (const [text, pixels] of [["10", 10], [" 1.5in ", 144], ["25.4mm", 96], ["3pt", 4], ["1e2PX", 100], [".5em", 8]]) {
    test(`${text} is ${pixels} pixels`, () => assert.ok(Math.abs(toPixels(text) - pixels) < 1e-9));
  }
  for (const text of [null, "", "100%", "auto", "-3", "0", "3 apples", "calc(1px)", "NaN", "1e999e"]) {
    test(`${text} is none`, () => assert.equal(toPixels(text), null));
  }
});

suite("a picture's own shape", () => {
  const none = { width: null, height: null, viewBox: null };

  test("is that of its sizes, as of an <img>", () => {
    assert.equal(naturalSize({ width: "40mm", height: "20mm", viewBox: "0 0 10 10" }).ratio, 2);
  });

  test("is that of its viewBox when a size is missing", () => {
    assert.equal(naturalSize({ ...none, width: "100%", viewBox: " 0,0 30\n10" }).ratio, 3);
    assert.equal(naturalSize({ ...none, width: "100", viewBox: "0 0 30 10" }).ratio, 3);
  });

  test("is unknown without either, or with nonsense", () => {
    for (const viewBox of [null, "", "0 0 1", "0 0 0 5", "0 0 -3 5", "a b c d"]) {
      assert.equal(naturalSize({ ...none, viewBox }).ratio, null);
    }
  });

  test("is stated by the first tag", () => {
    const svg = `<svg a=">" viewBox='0 0 2 1'\n width = "5"><svg height="3"/></svg>`;
    assert.deepEqual(statedSize(svg), { width: "5", height: null, viewBox: "0 0 2 1" });
  });

  test("is kept where it is drawn in another size", () => {
    const svg = `<svg style="a: b" width="5" viewBox='0 0 2 1'><svg height="3"/></svg>`;
    assert.deepEqual(resized(svg, 1600), {
      svg: `<svg style="a: b" viewBox='0 0 2 1' width="1600" height="800"><svg height="3"/></svg>`,
      height: 800,
    });
    assert.equal(resized(`<svg width="8" height="4" />`, 16).svg, `<svg width="16" height="8" viewBox="0 0 8 4"/>`);
  });

  test("is bounded, or 4 to 3", () => {
    assert.equal(shownRatio(1000), 8);
    assert.equal(shownRatio(0.001), 0.2);
    assert.equal(shownRatio(null), 4 / 3);
    assert.equal(shownRatio(NaN), 4 / 3);
  });

  test("is forgotten by a browser that keeps nothing", () => {
    assert.doesNotThrow(() => rememberRatio("ising", 1));
    assert.equal(recallRatio("ising"), null);
  });
});
