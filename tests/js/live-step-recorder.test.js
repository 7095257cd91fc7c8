import assert from "node:assert/strict";
import { test } from "node:test";

import { onPaper } from "../../streaming/static/streaming/live-step-recorder.js";

test("a saved picture is the one for light, whatever the system's scheme is", () => {
  const svg = "<style>@media (prefers-color-scheme: dark) {a{}} @media (prefers-color-scheme:light) {b{}}</style>";
  assert.equal(onPaper(svg), "<style>@media (max-width: 0) {a{}} @media (min-width: 0) {b{}}</style>");
  assert.equal(onPaper("<svg/>"), "<svg/>");
});
