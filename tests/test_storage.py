"""The site's static files, as they are collected."""

from pathlib import Path

import pytest
from django.core.files.base import ContentFile

import streaming
from project.storage import REMARKS, StaticStorage

SCRIPTS = sorted(Path(streaming.__file__).parent.glob("static/streaming/*.js"))
SCRIPT = b"""// @ts-check
/** What it is for. */

/**
 * @param {number} value
 */
export function twice(value) {
  // A remark.
  /** @type {number} */ (value);
  return 2 * value; // One behind code stays.
}
"""
CODE = b"""
export function twice(value) {
  /** @type {number} */ (value);
  return 2 * value; // One behind code stays.
}
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_remarks_are_left_out_and_nothing_else(script):
    """A line in a template literal that looks like a remark would be left out of the text."""
    pieces = REMARKS.split(script.read_bytes())
    assert all(piece.count(b"`") % 2 == 0 for piece in pieces)
    assert b"".join(pieces).decode().splitlines() == list(code_of(script.read_text()))


def code_of(script):
    """Yield the lines of a script that are not in a remark."""
    is_inside = False
    for line in script.splitlines():
        text = line.strip()
        begins = text.startswith("/**") and (text.endswith("*/") or "*/" not in text)
        is_inside = is_inside or begins
        if not is_inside and not text.startswith("//"):
            yield line
        is_inside = is_inside and not text.endswith("*/")


def test_our_scripts_are_served_without_their_remarks(tmp_path):
    storage = StaticStorage(location=tmp_path)
    for name in ("streaming/twice.js", "elsewhere/twice.js", "streaming/twice.css"):
        content = ContentFile(SCRIPT)
        content.read()  # Its hash was taken before.
        storage.save(name, content)
    assert (tmp_path / "streaming/twice.js").read_bytes() == CODE
    assert (tmp_path / "elsewhere/twice.js").read_bytes() == SCRIPT
    assert (tmp_path / "streaming/twice.css").read_bytes() == SCRIPT
