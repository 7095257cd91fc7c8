"""Descriptions as authors write them: one paragraph of Markdown, with formulas between `$`."""

import html
from collections.abc import Mapping
from functools import cache
from typing import Any

import nh3
from django.utils.html import strip_tags
from django.utils.safestring import SafeString, mark_safe
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

# What a formula is made of; latex2mathml lets any markup through that stands in \text{}.
MATHML = {
    *("math", "mrow", "mi", "mo", "mn", "ms", "mtext", "mspace", "mpadded", "mphantom", "mstyle"),
    *("mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder", "mover", "munderover"),
    *("mtable", "mtr", "mtd", "menclose"),
}
TAGS = {"a", "code", "em", "strong", "span"} | MATHML
ATTRIBUTES = {
    "a": {"href"},
    "math": {"display"},
    **{tag: {"stretchy", "fence", "form", "mathvariant"} for tag in ("mo", "mi")},
}


def _formula(tex: str, options: Mapping[str, Any]) -> str:
    try:
        return convert(tex, display="inline")
    except Exception:  # noqa: BLE001  # Whatever is wrong with it, its own text says most.
        return f"<code>{html.escape(tex)}</code>"


# Prices are no formulas: a `$` beside a space or a digit is a dollar.
_markdown = MarkdownIt("commonmark", {"html": False}).use(
    dollarmath_plugin, renderer=_formula, allow_space=False, allow_digits=False
)


@cache
def to_html(text: str) -> SafeString:
    """Return one paragraph of Markdown as HTML without anything that could act."""
    return mark_safe(nh3.clean(_markdown.renderInline(text), tags=TAGS, attributes=ATTRIBUTES))


@cache
def to_text(text: str) -> str:
    """Return one paragraph of Markdown as text, for where no markup can be."""
    return html.unescape(strip_tags(to_html(text)))
