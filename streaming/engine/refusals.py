"""What to do about an object that is no frame: the sentence that its author reads."""

import inspect
from typing import Any

ACCEPTED = (
    "SVG as str or bytes, a PNG or JPEG file as bytes, a matplotlib Figure or what stands on one, "
    "a NumPy array, a Pillow image, an xml.etree element, an object that draws itself in notebooks "
    "(_repr_svg_() and its kin), or a callable returning one of these"
)
NOTHING_YIELDED = (
    "a `yield` gave None, which is no frame: write the picture after it, and if a function draws "
    f"it, let that `return` it; expected {ACCEPTED}"
)
# Of each kind of object, by the beginning of its class's full name.
ADVICE = (
    ("builtins.list", "yield one picture for each step"),
    ("builtins.tuple", "yield one picture for each step"),
    ("builtins.generator", "write `yield from` before it"),
    ("builtins.coroutine", "write `await` before it"),
    ("builtins.NoneType", "the function that draws returns nothing: give it a `return`"),
    ("torch.Tensor", "yield tensor.detach().cpu().numpy(), with the channels last"),
    ("jaxlib.", "yield numpy.asarray(array)"),
    ("tensorflow.", "yield tensor.numpy()"),
    ("pandas.", "yield the figure that it draws: data.plot().figure"),
    ("polars.", "yield the figure that matplotlib draws of it"),
    ("networkx.", "draw it with networkx.draw(graph, ax=axes), and yield the figure"),
    ("bokeh.", "yield bokeh.io.export.get_svg(figure)[0]"),
    ("pygal.", "yield chart.render()"),
)
# Files that browsers know, and we do not wrap.
SIGNATURES = {b"GIF8": "a GIF", b"RIFF": "a WebP picture", b"%PDF": "a PDF", b"BM": "a BMP picture"}
# Names under which libraries write SVG.
METHODS = ("as_svg", "to_svg", "get_svg", "tostring", "to_string", "render")


def refusal(drawable: Any) -> str:
    """Say that an object is no frame, with its module, and what it could be turned into."""
    kind = type(drawable)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind)
    return f"got {name}, which is no frame{_advice(drawable)}; expected {ACCEPTED}"


def refusal_of_bytes(content: bytes, error: UnicodeDecodeError) -> str:
    """Say that bytes are neither text nor a picture that we wrap."""
    known = (what for start, what in SIGNATURES.items() if content.startswith(start))
    what = next(known, None)
    if what is not None:
        return f"a frame's bytes are {what}; expected SVG, PNG or JPEG: save it as one of these"
    return f"a frame's bytes must be UTF-8, or a PNG or JPEG file: {error}"


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _advice(drawable: Any) -> str:
    full_name = _full_name(type(drawable))
    found = (advice for start, advice in ADVICE if full_name.startswith(start))
    if (advice := next(found, None)) is not None:
        return f": {advice}"
    if callable(drawable):
        return ", from a function that was called for it: call it once more"
    methods = (name for name in METHODS if callable(inspect.getattr_static(drawable, name, None)))
    if (method := next(methods, None)) is not None:
        return f": perhaps yield what its {method}() returns"
    return ""
