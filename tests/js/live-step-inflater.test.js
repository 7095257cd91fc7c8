import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";
import { constants, createDeflateRaw } from "node:zlib";

import { Inflater, WITHOUT_STREAM, accepted } from "../../streaming/static/streaming/live-step-inflater.js";

const SVGS = ["<svg>one and the same picture</svg>", "<svg>one and the same Picture</svg>", "<svg>größer</svg>"];

/** What the server sends: the parts of one stream, each flushed. */
async function parts(svgs) {
  const deflate = createDeflateRaw();
  const found = [];
  for (const [number, svg] of svgs.entries()) {
    const whole = `${JSON.stringify({ seq: number + 1, encoding: "identity" })}\n${svg}`;
    deflate.write(whole);
    await new Promise((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve));
    const payload = new Uint8Array(deflate.read());
    const header = { encoding: "deflate-stream", size: Buffer.byteLength(whole), begins: number === 0 };
    found.push({ header, payload, receivedAt: 0 });
  }
  return found;
}

/** Take frames, and wait until something was said of each. */
function taken(frames) {
  return new Promise((resolve) => {
    const said = [];
    const say = (words) => (said.push(words), said.length === frames.length && resolve(said));
    const inflater = new Inflater(
      ({ header, payload }) => say(`${header.seq} ${header.encoding} ${new TextDecoder().decode(payload)}`),
      () => say("a broken one"),
    );
    for (const frame of frames) inflater.take(frame);
  });
}

suite("frames of a stream", () => {
  test("stand alone when they come out", async () => {
    const expected = SVGS.map((svg, number) => `${number + 1} identity ${svg}`);
    assert.deepEqual(await taken(await parts(SVGS)), expected);
  });

  test("keep their order with those beside it", async () => {
    const [first, second] = await parts(SVGS.slice(0, 2));
    const beside = { header: { seq: 7, encoding: "identity" }, payload: new TextEncoder().encode("<svg/>"), receivedAt: 0 };
    const said = await taken([beside, first, beside, second]);
    assert.deepEqual(said.map((words) => words[0]), ["7", "1", "7", "2"]);
  });

  test("begin anew where it is said", async () => {
    const said = await taken([...(await parts(SVGS)), ...(await parts(SVGS))]);
    assert.equal(said[3], `1 identity ${SVGS[0]}`);
  });

  test("are handed on at once where nothing is to be inflated", () => {
    const seen = [];
    new Inflater((frame) => seen.push(frame), assert.fail).take({ header: { encoding: "deflate-raw" } });
    assert.equal(seen.length, 1);
  });
});

suite("a stream that is damaged", () => {
  test("breaks all that follows, until another begins", async () => {
    const [first, second, third] = await parts(SVGS);
    second.payload = new Uint8Array([255, 255, 255]);
    const said = await taken([first, second, third, ...(await parts(SVGS))]);
    assert.deepEqual(said.map((words) => words.split(" ")[1]), ["identity", "broken", "broken", "identity", "identity", "identity"]);
  });

  test("breaks where a part is longer than it says", async () => {
    const [first] = await parts(SVGS);
    first.header.size -= 1;
    assert.deepEqual(await taken([first]), ["a broken one"]);
  });

  test("breaks where a part does not come, after a while", async (context) => {
    const [first] = await parts(SVGS);
    first.header.size += 1;
    context.mock.timers.enable({ apis: ["setTimeout"] });
    let said;
    taken([first]).then((words) => (said = words));
    while (!said) {
      await new Promise((resolve) => setImmediate(resolve));
      context.mock.timers.tick(1000);
    }
    assert.deepEqual(said, ["a broken one"]);
  });

  test("is nobody's any more once its connection has ended", async () => {
    const inflater = new Inflater(assert.fail, assert.fail);
    for (const part of await parts(SVGS)) inflater.take(part);
    inflater.close();
    await new Promise((resolve) => setImmediate(resolve));
  });
});

test("a stream is for slow lines, or for whoever saves data", () => {
  assert.deepEqual(accepted(undefined), ["deflate-raw", "deflate-stream"]);
  assert.deepEqual(accepted({ saveData: true }), ["deflate-stream", "deflate-raw"]);
  assert.deepEqual(WITHOUT_STREAM, ["deflate-raw"]);
});
