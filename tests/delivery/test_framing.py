"""Frames as binary messages: written, and read from another process."""

import json
import tracemalloc
import zlib
from dataclasses import replace

import pytest

from streaming.delivery import framing
from streaming.delivery.framing import Encoding
from streaming.engine.frames import Frame, deflate


class TestEncodeFrame:
    def test_is_a_line_of_json_and_the_payload(self):
        frame = Frame(41, 112, b"<svg/>")
        head, _, payload = framing.encode_frame(
            "s", frame, Encoding.IDENTITY, final=True
        ).partition(b"\n")
        assert payload == b"<svg/>"
        assert json.loads(head) == {
            "type": "frame", "session": "s", "epoch": 1, "seq": 41, "step": 112,
            "encoding": "identity", "size": 6, "final": True,
        }  # fmt: skip

    def test_deflated_it_says_the_size_of_the_svg(self):
        svg = b"<svg>" + b"a" * 500 + b"</svg>"
        head, _, payload = framing.encode_frame(
            "s", Frame(1, 1, svg, deflate(svg)), Encoding.DEFLATE_RAW, final=False
        ).partition(b"\n")
        assert json.loads(head)["encoding"] == "deflate-raw"
        assert json.loads(head)["size"] == len(svg)
        assert zlib.decompress(payload, -15) == svg

    def test_what_is_not_deflated_goes_as_it_is(self):
        assert b'"identity"' in framing.encode_frame(
            "s", Frame(1, 1, b"<svg/>"), Encoding.DEFLATE_RAW, final=False
        )


class TestDecodeFrame:
    FRAME = Frame(7, 3, b"<svg>xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx</svg>")

    @pytest.mark.parametrize("is_deflated", [True, False])
    def test_is_what_was_encoded(self, is_deflated):
        frame = replace(self.FRAME, deflated=deflate(self.FRAME.svg)) if is_deflated else self.FRAME
        message = framing.encode_frame("s", frame, framing.Encoding.DEFLATE_RAW, final=True)
        decoded, final = framing.decode_frame(message)
        assert final
        assert (decoded.seq, decoded.step, decoded.svg) == (frame.seq, frame.step, frame.svg)
        assert (decoded.size, decoded.deflated) == (len(frame.svg), frame.deflated)

    def test_goes_on_to_others_as_it_came_and_is_not_inflated_for_that(self, monkeypatch):
        frame = replace(self.FRAME, deflated=deflate(self.FRAME.svg))
        message = framing.encode_frame("s", frame, Encoding.DEFLATE_RAW, final=True)
        monkeypatch.setattr(framing.zlib, "decompressobj", lambda wbits: 1 / 0)
        decoded, _final = framing.decode_frame(message)
        assert framing.encode_frame("s", decoded, Encoding.DEFLATE_RAW, final=True) == message
        with pytest.raises(ZeroDivisionError):
            framing.encode_frame("s", decoded, Encoding.IDENTITY, final=True)

    @pytest.mark.parametrize(
        ("size", "payload"),
        [
            (10**9, zlib.compress(bytes(10**7), 9)[2:-4]),
            (40, zlib.compress(bytes(10**7), 9)[2:-4]),
            (4, b"\xff\xff\xff\xff"),
            (0, b""),
        ],
    )
    def test_what_is_too_large_or_damaged_is_refused_and_takes_no_memory(self, size, payload):
        header = {"seq": 1, "step": 1, "encoding": "deflate-raw", "size": size, "final": False}
        tracemalloc.start()
        try:
            if size == 40:
                # No more is inflated than was said.
                assert len(framing.decode_frame(message_of(header, payload))[0].svg) == 40
            else:
                with pytest.raises(ValueError, match=r"frame|invalid"):
                    _ = framing.decode_frame(message_of(header, payload))[0].svg
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


def message_of(header, payload):
    return json.dumps(header).encode() + b"\n" + payload
