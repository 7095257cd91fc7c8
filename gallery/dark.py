"""The pictures' colours in the dark: ink becomes light, paper dark, and what is coloured milder."""

import io
import re
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAINTS = ("fill", "stroke")
IN_THE_DARK = {
    "#fff": "#10151d",
    "#ffffff": "#10151d",
    "#fef3c7": "#463a17",
    "#fde68a": "#40351a",
    "#1e3a8a": "#8fabf5",
    "#cbd5e1": "#475569",
    "#f1f5f9": "#161d28",
    "#e2e8f0": "#334155",
    "#dbeafe": "#1e3a5f",
    "#7ea6f4": "#3f62b5",
    "#1d4ed8": "#7ea6f4",
    "#64748b": "#94a3b8",
    "#334155": "#cbd5e1",
    "#0f172a": "#e2e8f0",
    "#0f766e": "#5eead4",
    "#b45309": "#fbbf24",
}


def dark(*colours: str) -> str:
    """Return a style for the beginning of an SVG that shows these of its colours as in the dark.

    One that is not in the table stays. A viewer whose system is light, and a program that knows
    no styles, sees the picture as it is.
    """
    return _style(
        f'[{paint}="{colour}"]{{{paint}:{IN_THE_DARK[colour]}}}'
        for colour in colours
        if colour in IN_THE_DARK
        for paint in PAINTS
    )


def darken(figure: "Figure") -> "Figure":
    """Have the SVG of a figure show its colours as in the dark; returns the figure.

    matplotlib paints by `style` attributes, which only a rule that is important outdoes.
    """
    save = figure.savefig

    def savefig(file: IO[bytes], **options: Any) -> None:
        drawn = io.BytesIO()
        save(drawn, **options)
        head, defs, rest = drawn.getvalue().partition(b"<defs>")
        style = _style(
            f'[style*="{paint}: {colour}"]{{{paint}:{dark}!important}}'
            for colour, dark in IN_THE_DARK.items()
            for paint in PAINTS
            # As it writes them, with a sign behind: "#fff" is the beginning of others.
            if re.search(f"{paint}: {colour}\\b".encode(), rest)
        )
        file.write(head + style.encode() + defs + rest)

    figure.savefig = savefig  # type: ignore[method-assign,assignment]
    return figure


def _style(rules: Iterable[str]) -> str:
    return f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"
