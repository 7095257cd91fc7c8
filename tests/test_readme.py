"""What the README shows, works."""

import re

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


def test_the_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)
