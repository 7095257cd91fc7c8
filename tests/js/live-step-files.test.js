import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { codeAt } from "../../streaming/static/streaming/live-step-fault.js";
import { formatSize } from "../../streaming/static/streaming/live-step-files.js";

suite("the size of a file", () => {
  for (const [bytes, words] of [
    [0, "0 bytes"],
    [1, "1 byte"],
    [999, "999 bytes"],
    [1_000, "1 kB"],
    [1_260, "1.3 kB"],
    [16_777_216, "16.8 MB"],
  ]) {
    test(`of ${bytes} bytes`, () => assert.equal(formatSize(bytes), words));
  }
});

suite("the code of a mistake", () => {
  test("has its line among its neighbours", () => {
    const around = [
      [9, "while True:"],
      [10, "    1 / 0"],
    ];
    assert.equal(codeAt({ line: 10, code: "1 / 0", around }), "   9  while True:\n▸ 10      1 / 0");
  });

  test("is the line alone where a server tells no more, or nothing", () => {
    assert.equal(codeAt({ line: 10, code: "1 / 0" }), "1 / 0");
    assert.equal(codeAt(null), "");
  });
});
