"""Reads frames as a client does, in every encoding that there is."""

import json
import zlib

RAW = -15


class FrameReader:
    """What one client has read, over one connection: a stream needs what came before."""

    def __init__(self):
        self._stream = None

    def read(self, content):
        """Return a frame's header, its picture as `svg`, its bytes on the way as `bytes`."""
        head, _, payload = content.partition(b"\n")
        frame = json.loads(head)
        way = {"bytes": len(content), "way": frame["encoding"], "begins": frame.get("begins")}
        if frame["encoding"] == "deflate-stream":
            if frame.get("begins"):
                self._stream = zlib.decompressobj(RAW)
            whole = self._stream.decompress(payload)
            assert len(whole) == frame["size"]
            return {**self.read(whole), **way}
        if frame["encoding"] == "deflate-raw":
            payload = zlib.decompress(payload, RAW)
        assert len(payload) == frame["size"]
        return {**frame, "svg": payload, **way}
