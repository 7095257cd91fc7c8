"""One picture of a session: from whatever an author gives to the bytes of an SVG."""

import copy
import re
import xml.etree.ElementTree as ET
import zlib
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from streaming.engine import figures, pictures, rasters
from streaming.engine.errors import InvalidFrame
from streaming.engine.refusals import NOTHING_YIELDED, refusal, refusal_of_bytes

SVG_NAMESPACE = "http://www.w3.org/2000/svg"
XLINK_NAMESPACE = "http://www.w3.org/1999/xlink"

# What the limit of a frame may be, which counts what goes over the wire. Above the higher one
# daphne refuses to send it: its limit of 1 MiB holds in both directions.
LEAST_FRAME_BYTES, MOST_FRAME_BYTES = 1000, 1024 * 1024 - 4096
# No SVG has more, however small it is compressed: each viewer's browser unpacks and draws it.
MOST_SVG_BYTES = 4 * 1024 * 1024

SVG_TAG = re.compile(rb"<svg(?=[\s/>])")
# A comment may hold "<svg" too, and is passed over.
COMMENT_OR_SVG = re.compile(rb"<!--|<svg(?=[\s/>])")
# Possessive: what was taken is never given back, or a tag without an end would take long.
START_TAG = re.compile(rb"""<svg(?:[^>"']++|"[^"]*+"|'[^']*+')*+>""")
XMLNS = re.compile(rb"\sxmlns\s*=")

# Where the data of a raster picture begins, if an SVG is nothing else.
MAX_RASTER_HEAD = 500

# What an author gives for a frame; `to_svg` says which objects it takes.
Drawable = Any


@dataclass(frozen=True, slots=True)
class Frame:
    """One rendered SVG of one session. `seq` counts its frames from 1, `step` its steps."""

    seq: int
    step: int
    svg: bytes
    deflated: bytes | None = None

    @property
    def size(self) -> int:
        """The SVG's length in bytes."""
        return len(self.svg)

    @property
    def memory(self) -> int:
        """The bytes that keeping this frame costs."""
        return len(self.svg) + len(self.deflated or b"")


def to_svg(drawable: Drawable) -> bytes:
    """Return a drawable as UTF-8 bytes that begin with `<svg` and name their namespace.

    Runs author code when the drawable is lazy.

    Raises:
        InvalidFrame: If it is none of the accepted forms; the message names its type.
    """
    if drawable is None:
        raise InvalidFrame(NOTHING_YIELDED)
    svg = _source(drawable)
    if svg is None and callable(drawable):
        drawable = drawable()
        svg = _source(drawable)
    if svg is None:
        raise InvalidFrame(refusal(drawable))
    return _with_namespaces(_from_svg_tag(svg, drawable))


def deflate(svg: bytes) -> bytes | None:
    """Compress to raw deflate at level 1, or return None when that saves nothing."""
    # In the letters of a raster's file nothing repeats: looking for it takes five times as long.
    is_raster = b";base64," in svg[:MAX_RASTER_HEAD]
    strategy = zlib.Z_HUFFMAN_ONLY if is_raster else zlib.Z_DEFAULT_STRATEGY
    packer = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS, strategy=strategy)
    deflated = packer.compress(svg) + packer.flush()
    return deflated if len(deflated) < len(svg) else None


def deflate_for(svg: bytes, most_bytes: int, *, wanted: bool) -> bytes | None:
    """Compress an SVG if somebody wants that, or if it can be sent in no other way."""
    is_needed = wanted or len(svg) > most_bytes
    return deflate(svg) if is_needed and len(svg) <= MOST_SVG_BYTES else None


def sent_bytes(svg: bytes, deflated: bytes | None) -> int:
    """Return how many bytes of a frame go over the wire, to a viewer that takes them compressed."""
    return len(svg if deflated is None else deflated)


def fault_of(svg: bytes) -> str | None:
    """Say why an SVG is not well-formed, with line and column; None if it is."""
    parser = expat.ParserCreate(namespace_separator=" ")
    try:
        parser.Parse(svg, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        return f"line {error.lineno}, column {error.offset + 1}: {reason}"
    return None


def _source(drawable: Drawable) -> bytes | None:
    if isinstance(drawable, bytes):
        if rasters.is_raster(drawable):
            return rasters.wrapped(drawable)
        return _checked_utf8(drawable)
    if isinstance(drawable, str):
        try:
            return str.encode(drawable)  # Of a subclass, too: no author code.
        except UnicodeEncodeError as error:
            raise InvalidFrame(f"a frame's text cannot be written as UTF-8: {error}") from error
    if (figure := figures.figure_of(drawable)) is not None:
        return figures.draw(figure)
    if isinstance(drawable, ET.ElementTree):
        drawable = drawable.getroot()
    if isinstance(drawable, ET.Element):
        return _serialise(drawable)
    if isinstance(drawable, bytearray | memoryview):
        return _source(bytes(drawable))
    content = pictures.drawn(drawable)
    return None if content is None else _source(content)


def _checked_utf8(svg: bytes) -> bytes:
    try:
        svg.decode()
    except UnicodeDecodeError as error:
        raise InvalidFrame(refusal_of_bytes(svg, error)) from error
    return svg


def _serialise(element: ET.Element) -> bytes:
    # ElementTree would write <ns0:svg>; without the namespace it writes <svg>.
    element = copy.deepcopy(element)
    for node in element.iter():
        if isinstance(node.tag, str):
            node.tag = node.tag.removeprefix("{" + SVG_NAMESPACE + "}")
    return ET.tostring(element)


def _from_svg_tag(svg: bytes, drawable: Drawable) -> bytes:
    start = _svg_tag(svg)
    if start is not None:
        return svg[start:]
    beginning = svg[:40].decode(errors="replace")
    raise InvalidFrame(
        f"a frame must hold an <svg> element; got {type(drawable).__name__} "
        f"beginning with {beginning!r}"
    )


def _svg_tag(svg: bytes) -> int | None:
    """Find the first <svg that stands in no comment. No byte is looked at more than twice."""
    found = COMMENT_OR_SVG.search(svg)
    while found is not None and found.group() == b"<!--":
        end = svg.find(b"-->", found.end())
        # One that never ends is none; then no later one ends either.
        following, after = (SVG_TAG, found.end()) if end < 0 else (COMMENT_OR_SVG, end)
        found = following.search(svg, after)
    return None if found is None else found.start()


def _with_namespaces(svg: bytes) -> bytes:
    tag = START_TAG.match(svg)
    if tag is None:
        raise InvalidFrame("a frame's <svg> tag never ends")
    missing = b""
    if not XMLNS.search(tag.group()):
        missing += b' xmlns="' + SVG_NAMESPACE.encode() + b'"'
    # Anywhere: it may be named where it is used.
    if b"xlink:" in svg and b"xmlns:xlink" not in svg:
        missing += b' xmlns:xlink="' + XLINK_NAMESPACE.encode() + b'"'
    return svg[: len(b"<svg")] + missing + svg[len(b"<svg") :] if missing else svg
