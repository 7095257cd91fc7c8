import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { MOST_ZOOM, Viewport } from "../../streaming/static/streaming/live-step-viewport.js";

suite("what is seen of a picture", () => {
  function viewport() {
    return new Viewport(() => {});
  }

  test("is all of it at first, and nothing outside of it", () => {
    const view = viewport();
    view.zoom(0.5);
    view.pan(0.4, -0.4);
    assert.deepEqual([view.scale, view.x, view.y, view.isZoomed], [1, 0, 0, false]);
  });

  test("keeps its place under the mouse", () => {
    const view = viewport();
    const at = { x: 0.8, y: 0.3 };
    for (const factor of [1.5, 1.7, 0.8]) {
      const before = view.toPicture(at);
      view.zoom(factor, at);
      const after = view.toPicture(at);
      assert.ok(Math.abs(before.x - after.x) < 1e-9 && Math.abs(before.y - after.y) < 1e-9);
    }
  });

  test("moves as far as the picture goes", () => {
    const view = viewport();
    view.zoom(4);
    view.pan(9, -9);
    assert.deepEqual([view.x, view.y], [0, -3]);
    view.fit();
    assert.equal(view.isZoomed, false);
  });

  test("has an end", () => {
    const view = viewport();
    for (let turn = 0; turn < 100; turn += 1) view.zoom(2);
    assert.equal(view.scale, MOST_ZOOM);
  });

  test("is told in both directions", () => {
    const view = viewport();
    view.zoom(3, { x: 0.2, y: 0.9 });
    const { x, y } = view.fromPicture(view.toPicture({ x: 0.6, y: 0.1 }));
    assert.ok(Math.abs(x - 0.6) < 1e-9 && Math.abs(y - 0.1) < 1e-9);
  });
});
