"""Pictures as libraries have them: as SVG, or as the file of a raster picture.

No library is imported here that the author has not imported: one that has its object has.
"""

import base64
import io
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from streaming.engine import rasters
from streaming.engine.errors import InvalidFrame

Content = str | bytes

# What is asked of an object that draws itself, as notebooks do, the best first.
METHODS = ("_repr_svg_", "_repr_mimebundle_", "_repr_png_", "_repr_jpeg_", "_repr_html_")
MIME_TYPES = ("image/svg+xml", "image/png", "image/jpeg", "text/html")
SVG_IN_HTML = re.compile(r"<svg(?=[\s>]).*?</svg\s*>", re.DOTALL)
MOLECULE_SIZE = 400
# What a library imports at its first use only, in up to a tenth of a second.
LATE = {
    "numpy": ("numpy.random",),
    "PIL.Image": ("PIL.ImageFile", "PIL.PngImagePlugin", "PIL.JpegImagePlugin"),
    "rdkit.Chem": ("rdkit.Chem.Draw",),
}


def warm_up() -> None:
    """Import what the libraries that are imported will need, so that no child has to."""
    for library in LATE.keys() & sys.modules.keys():
        for module in LATE[library]:
            with suppress(ImportError):
                import_module(module)


def drawn(drawable: Any) -> Content | None:
    """Return what an object looks like, or None if it does not say so. May run author code.

    Raises:
        InvalidFrame: If it cannot be shown as it is.
    """
    for module, name, draw in KNOWN:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(drawable, kind):
            return draw(drawable)
    if isinstance(drawable, type):
        return None
    return _draws_itself(drawable)


def _draws_itself(drawable: Any) -> Content | None:
    for name in METHODS:
        method = getattr(drawable, name, None)
        if not callable(method):
            continue
        said = method(*([None, None] if name == "_repr_mimebundle_" else []))
        if name == "_repr_mimebundle_":
            found = _in_bundle(said)
        elif name == "_repr_html_":
            found = _svg_in(said)
        else:
            found = _checked(said, f"{name}() of {type(drawable).__name__}")
        if found is not None:
            return found
    return None


def _checked(said: Any, what: str) -> Content | None:
    """Return what a method gave; None, as in notebooks, says that it has no such picture."""
    if isinstance(said, tuple) and said:  # With what is known of it.
        said = said[0]
    if said is None or isinstance(said, str | bytes):
        return said
    raise InvalidFrame(f"{what} must return str or bytes; got {type(said).__name__}")


def _in_bundle(said: Any) -> Content | None:
    bundle = said[0] if isinstance(said, tuple) and said else said
    if not isinstance(bundle, Mapping):
        return None
    for kind in MIME_TYPES:
        content = bundle.get(kind)
        if kind == "text/html":
            return _svg_in(content)
        if isinstance(content, str) and kind != "image/svg+xml":
            content = base64.b64decode(content)
        if isinstance(content, str | bytes):
            return content
    return None


def _svg_in(html: Any) -> str | None:
    """Return the SVG that a piece of HTML holds, if it is one."""
    found = SVG_IN_HTML.findall(html) if isinstance(html, str) else []
    return found[0] if len(found) == 1 else None


def _draw_molecule(molecule: Any) -> str:
    from rdkit.Chem.Draw import rdMolDraw2D

    drawer = rdMolDraw2D.MolDraw2DSVG(MOLECULE_SIZE, MOLECULE_SIZE)
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    # Its declaration names another encoding, and is cut off with it.
    return str(drawer.GetDrawingText())


def _draw_plotly(figure: Any) -> bytes:
    _need("kaleido", "a Plotly figure")
    return bytes(figure.to_image(format="svg"))


def _draw_altair(chart: Any) -> str:
    _need("vl_convert", "an Altair chart", package="vl-convert-python")
    buffer = io.StringIO()
    chart.save(buffer, format="svg")
    return buffer.getvalue()


def _need(module: str, what: str, *, package: str = "") -> None:
    if find_spec(module) is None:
        raise InvalidFrame(
            f"{what} becomes SVG with the package {package or module}, which is not installed: "
            f"pip install {package or module}"
        )


# Objects that say nothing of themselves, or not what they look like, by their class.
KNOWN: tuple[tuple[str, str, Callable[[Any], Content]], ...] = (
    ("numpy", "ndarray", rasters.file_of_array),
    ("PIL.Image", "Image", rasters.file_of_image),
    ("rdkit.Chem.rdchem", "Mol", _draw_molecule),
    ("plotly.basedatatypes", "BaseFigure", _draw_plotly),
    ("altair", "TopLevelMixin", _draw_altair),
)
