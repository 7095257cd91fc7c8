"""What the README shows, works."""

import re

import pytest

from streaming.catalog.registry import load_file
from tests.gallery.test_simulations import FakeSession
from tests.servers import ROOT


def test_ones_own_simulation_in_ten_lines(tmp_path):
    """The first block of Python runs as it stands, to its end."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    assert len(code.strip().splitlines()) <= 11
    path = tmp_path / "my_sim.py"
    path.write_text(code)
    ((_, simulation),) = load_file(path)
    frames = list(FakeSession().frames_of(simulation, {"count": 3}))
    assert len(frames) == 4
    assert b">0</text>" in frames[-1]


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def anchors(page):
    """Return the names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#:]*)#?([^)#:]*)\)", page.read_text()):
        place = page.parent / target if target else page
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place), (target, anchor)
