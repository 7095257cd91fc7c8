import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import { describe as suite, test } from "node:test";

import {
  LONGEST_DELAY_MS,
  Rate,
  decodeFrame,
  describe,
  describeRemaining,
  formatDuration,
  hasEnded,
  isFinal,
  parseFrame,
  recordingPage,
  SERVICE_RESTART,
  reconnectDelay,
  socketUrl,
  stillHolds,
} from "../../streaming/static/streaming/live-step-client.js";

function message(header, payload) {
  const head = new TextEncoder().encode(JSON.stringify(header) + "\n");
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes.buffer;
}

suite("frames", () => {
  const svg = new TextEncoder().encode("<svg>größer\n</svg>");

  test("are split at the first line feed", () => {
    const { header, payload } = parseFrame(message({ seq: 4 }, svg));
    assert.equal(header.seq, 4);
    assert.deepEqual(payload, svg);
  });

  test("without a header are an error", () => {
    assert.throws(() => parseFrame(new Uint8Array([1, 2]).buffer), /needs a line of JSON/);
  });

  test("are decoded in both encodings", async () => {
    const plain = await decodeFrame({ encoding: "identity", size: svg.length }, svg);
    const deflated = await decodeFrame({ encoding: "deflate-raw", size: svg.length }, new Uint8Array(deflateRawSync(svg)));
    assert.equal(plain, "<svg>größer\n</svg>");
    assert.equal(deflated, "<svg>größer\n</svg>");
  });

  test("that are damaged are an error", async () => {
    await assert.rejects(decodeFrame({ encoding: "deflate-raw", size: 2 }, new Uint8Array([255, 255])));
  });

  test("that are longer than they say are an error", async () => {
    const bomb = new Uint8Array(deflateRawSync(new Uint8Array(10_000_000)));
    await assert.rejects(decodeFrame({ encoding: "deflate-raw", size: 1000 }, bomb), RangeError);
  });
});

suite("reconnecting", () => {
  test("waits longer each time, up to a limit, with jitter", () => {
    assert.equal(reconnectDelay(0, () => 1), 250);
    assert.equal(reconnectDelay(3, () => 1), 2000);
    assert.equal(reconnectDelay(3, () => 0.5), 1000);
    assert.equal(reconnectDelay(500, () => 1), LONGEST_DELAY_MS);
  });

  test("gives a server that restarts a moment, once", () => {
    assert.equal(reconnectDelay(0, () => 1, SERVICE_RESTART), 2000);
    assert.equal(reconnectDelay(0, () => 0.25, SERVICE_RESTART), 500);
    assert.equal(reconnectDelay(1, () => 1, SERVICE_RESTART), 500);
    assert.equal(reconnectDelay(0, () => 1, 1006), 250);
  });
});

suite("a close", () => {
  test("that would only come again is final", () => {
    for (const code of [4400, 4401, 4403, 4429]) assert.equal(isFinal(code, false), true);
    for (const code of [1000, 1006, 1012, 4408]) assert.equal(isFinal(code, false), false);
  });

  test("that takes a login or a right away is not", () => {
    for (const code of [4401, 4403]) assert.equal(isFinal(code, true), false);
    for (const code of [4400, 4429]) assert.equal(isFinal(code, true), true);
  });
});

test("the socket's address is the page's", () => {
  assert.equal(socketUrl("/ws", "http://a.test:8000/x/", ""), "ws://a.test:8000/ws");
  assert.equal(socketUrl("/ws", "https://a.test/", "s-1"), "wss://a.test/ws?session=s-1");
});

suite("a session in words", () => {
  const stop = { by: "client", how: "flag", after_ms: 38, step: 112 };
  const cases = [
    [{ state: "running" }, "Running"],
    [{ state: "queued", queue_position: null }, "Waiting for a free place"],
    [{ state: "queued", queue_position: 3 }, "Waiting for a free place: number 3 in the queue"],
    [{ state: "stopped", stop: { ...stop, how: "kill" } }, "Stopped in 38 ms, during step 112, by ending its process"],
    [{ state: "stopped", stop: { ...stop, how: "interrupt" } }, "Stopped in 38 ms, during step 112, by interrupting it"],
    [
      { state: "stopped", stop: { ...stop, by: "time_limit" } },
      "Stopped in 38 ms, during step 112, since it had run for as long as it may",
    ],
    [{ state: "stopping", stop }, "Stopping, during step 112"],
    [{ state: "stopped", stop }, "Stopped in 38 ms, during step 112"],
    [{ state: "stopped", stop: { ...stop, step: 0 } }, "Stopped in 38 ms, before its first step"],
    [{ state: "stopped", stop: { ...stop, by: "admin" } }, "Stopped in 38 ms, during step 112, by an administrator"],
    [{ state: "finished", step: 1 }, "Finished after 1 step"],
    [{ state: "finished", step: 1200 }, "Finished after 1,200 steps"],
    [{ state: "failed", error: { message: "It failed." } }, "It failed."],
  ];
  for (const [session, words] of cases) {
    test(words, () => assert.equal(describe(session), words));
  }

  test("knows which states are the end", () => {
    assert.equal(hasEnded("stuck"), true);
    assert.equal(hasEnded("stopping"), false);
  });
});

suite("a notice", () => {
  const running = { state: "running", step: 56 };

  test("of a slow step holds until the step has ended", () => {
    const notice = { code: "slow_step", ...running };
    assert.equal(stillHolds(notice, running), true);
    assert.equal(stillHolds(notice, { state: "running", step: 57 }), false);
    assert.equal(stillHolds(notice, { state: "stopped", step: 56 }), false);
  });

  test("of a pause under way holds until the state changes", () => {
    const notice = { code: "pausing", ...running };
    assert.equal(stillHolds(notice, { state: "running", step: 57 }), true);
    assert.equal(stillHolds(notice, { state: "paused", step: 57 }), false);
  });

  test("of a process that does not answer holds until anything is said of the session", () => {
    const notice = { code: "reconnecting", ...running };
    assert.equal(stillHolds(notice, running), false);
    assert.equal(stillHolds(notice, { state: "lost", step: 56 }), false);
  });

  test("of why a session waits holds as long as it does", () => {
    const notice = { code: "waiting", state: "queued", step: 0 };
    assert.equal(stillHolds(notice, { state: "queued", step: 0 }), true);
    assert.equal(stillHolds(notice, { state: "starting", step: 0 }), false);
    assert.equal(stillHolds(notice, { state: "stopped", step: 0 }), false);
  });

  test("of a server that restarts holds until the session has ended", () => {
    const notice = { code: "server_stopping", ...running };
    assert.equal(stillHolds(notice, { state: "running", step: 99 }), true);
    assert.equal(stillHolds(notice, { state: "stopped", step: 99 }), false);
  });

  test("of a frame that was too large stays", () => {
    const notice = { code: "frame_too_large", ...running };
    assert.equal(stillHolds(notice, { state: "stopped", step: 99 }), true);
  });
});

suite("a rate", () => {
  test("is taken between two readings", () => {
    const rate = new Rate();
    assert.equal(rate.read(10, 1000), null);
    assert.equal(rate.read(20, 3000), 5);
    assert.equal(rate.read(1020, 4000), 1000);
  });

  test("waits until there is enough to count, however often it is asked", () => {
    const rate = new Rate();
    rate.read(0, 1000);
    assert.equal(rate.read(1, 1010), null);
    assert.equal(rate.read(20, 2000), 20);
  });

  test("is unknown when no time has passed or the counter went back", () => {
    const rate = new Rate();
    rate.read(10, 1000);
    assert.equal(rate.read(11, 1000), null);
    assert.equal(rate.read(5, 2000), null);
  });
});

suite("what is left", () => {
  const session = { state: "running", elapsed_ms: 30_000, progress: { done: 10, total: 40 } };

  test("follows from what is done", () => {
    assert.equal(describeRemaining(session), "2 min left");
    assert.equal(describeRemaining({ ...session, elapsed_ms: 4_000 }), "12 s left");
  });

  test("is not said while it is unknown, or when all is done", () => {
    assert.equal(describeRemaining({ ...session, progress: null }), "");
    assert.equal(describeRemaining({ ...session, progress: { done: 10, total: null } }), "");
    assert.equal(describeRemaining({ ...session, progress: { done: 0, total: 40 } }), "");
    assert.equal(describeRemaining({ ...session, elapsed_ms: 900 }), "");
    assert.equal(describeRemaining({ ...session, state: "stopped" }), "");
  });

  test("is written in seconds, minutes or hours", () => {
    assert.equal(formatDuration(59.4), "59 s");
    assert.equal(formatDuration(90), "2 min");
    assert.equal(formatDuration(7_300), "2 h 2 min");
  });
});

suite("a recording", () => {
  const template = '<p><script type="application/json" id="recording">null</script>';

  test("cannot end the script that holds it", () => {
    const page = recordingPage(template, { svg: "</script>$&\u2028" });
    const json = page.match(/id="recording">(.*)<\/script>$/s)[1];
    assert.ok(!json.includes("<"));
    assert.ok(!json.includes("\u2028"));
    assert.deepEqual(JSON.parse(json), { svg: "</script>$&\u2028" });
  });

  test("needs its place", () => {
    assert.throws(() => recordingPage("<p>", {}), /no place/);
  });
});
