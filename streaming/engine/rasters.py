"""Raster pictures, wrapped in an SVG that holds nothing else: protocol, recording and export stay.

No library is needed here for PNG and JPEG files; an author who has an array or an image has
imported NumPy or Pillow.
"""

import base64
import io
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from streaming.engine.errors import InvalidFrame

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# A file of more bytes is made a JPEG where Pillow is there: encoded it would be over the limit.
LARGE_BYTES = 640_000
JPEG_QUALITY = 90
# Cells of a small array stay sharp when the page enlarges them.
MOST_SHARP = 256

COLOURS = {1: 0, 3: 2, 4: 6}  # By the number of channels, as PNG names them.
UP_FILTER = 2
# How far floats may miss 0..1, as rounding makes them.
TOLERANCE = 1e-3


def is_raster(content: bytes) -> bool:
    return content.startswith((PNG, JPEG))


def wrapped(content: bytes) -> bytes:
    """Return a PNG or JPEG file as an SVG of its size.

    Raises:
        InvalidFrame: If the file is damaged.
    """
    is_png = content.startswith(PNG)
    try:
        width, height = _png_size(content) if is_png else _jpeg_size(content)
    except (struct.error, StopIteration) as error:
        kind = "PNG" if is_png else "JPEG"
        raise InvalidFrame(f"a frame's {kind} file is cut off or damaged") from error
    sharp = ' style="image-rendering:pixelated"' if max(width, height) <= MOST_SHARP else ""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"><image width="{width}" height="{height}"{sharp} '
        f'href="data:image/{"png" if is_png else "jpeg"};base64,'
    )
    return b"".join((head.encode(), base64.b64encode(content), b'"/></svg>'))


def file_of_array(array: Any) -> bytes:
    """Return a NumPy array as a PNG file, or as a JPEG if that would be large.

    Raises:
        InvalidFrame: If it is no picture, by its shape or by its values.
    """
    pixels = _pixels(array)
    content = _png(pixels)
    if len(content) <= LARGE_BYTES or pixels.shape[2] == 4:
        return content
    try:
        from PIL import Image
    except ImportError:
        return content
    return _jpeg(Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]))


def file_of_image(image: Any) -> bytes:
    """Return a Pillow image as a PNG file, or as a JPEG if that would be large."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and image.mode in ("L", "RGB", "RGBA"):
        return file_of_array(numpy.asarray(image))
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    try:
        image.save(buffer, format="PNG", compress_level=1)
    except OSError as error:
        raise InvalidFrame(
            f'an image of mode {image.mode} cannot be shown: yield image.convert("RGB")'
        ) from error
    if buffer.tell() > LARGE_BYTES and image.mode in ("L", "RGB"):
        return _jpeg(image)
    return buffer.getvalue()


def _jpeg(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _pixels(array: Any) -> Any:
    """Return an array as bytes of the shape (height, width, channels)."""
    shape = array.shape
    is_flat = array.ndim == 2
    if (not is_flat and not (array.ndim == 3 and shape[2] in COLOURS)) or 0 in shape:
        raise InvalidFrame(_of_wrong_shape(shape))
    if array.dtype.kind == "b":
        array = array.astype("uint8") * 255
    elif array.dtype.kind == "f":
        _check_range(array, 1, TOLERANCE)
        array = (array.clip(0, 1) * 255 + 0.5).astype("uint8")
    elif array.dtype.kind in "iu":
        if array.dtype != "uint8":
            _check_range(array, 255, 0)
        array = array.astype("uint8", copy=False)
    else:
        raise InvalidFrame(
            f"an array of {array.dtype} is no picture; expected uint8, or floats in 0..1"
        )
    return array[:, :, None] if is_flat else array


def _of_wrong_shape(shape: tuple[int, ...]) -> str:
    expected = "expected (height, width), or (height, width, 3 or 4) for colours"
    if len(shape) == 3 and shape[0] in COLOURS and 0 not in shape:
        expected += ": yield numpy.moveaxis(array, 0, -1)"
    return f"an array of the shape {shape} is no picture; {expected}"


def _check_range(array: Any, most: int, tolerance: float) -> None:
    low, high = array.min(), array.max()
    # NaN is in no range.
    if not (low >= -tolerance and high <= most + tolerance):
        raise InvalidFrame(
            f"an array of {array.dtype} with values from {low:g} to {high:g} cannot be shown; "
            f"expected {'floats in 0..1' if most == 1 else 'whole numbers in 0..255'}: scale it, "
            "or draw it with matplotlib's imshow"
        )


def _png(pixels: Any) -> bytes:
    height, width, channels = pixels.shape
    lines = pixels.reshape(height, -1)
    # Each line but the first as its difference to the one above, which compresses far better.
    filtered = bytearray(height * (1 + width * channels))
    rows = sys.modules["numpy"].frombuffer(filtered, dtype="uint8").reshape(height, -1)
    rows[:, 0] = UP_FILTER
    rows[:, 1:] = lines
    rows[1:, 1:] -= lines[:-1]
    # A search for repetitions takes twice as long, and saves a tenth of a smooth picture.
    packer = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    packed = packer.compress(filtered) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, COLOURS[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return PNG + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", check)))


def _png_size(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", content, len(PNG) + 8)
    return width, height


def _jpeg_size(content: bytes) -> tuple[int, int]:
    return next(_jpeg_sizes(content))


def _jpeg_sizes(content: bytes) -> Iterator[tuple[int, int]]:
    at = 2
    while at + 4 <= len(content):
        mark, kind, size = struct.unpack_from(">BBH", content, at)
        # The frame headers, of which there is one; four marks among them mean something else.
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, at + 5)
            yield width, height
        if mark != 0xFF or size < 2:
            return
        at += 2 + size
