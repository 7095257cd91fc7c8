import itertools
import re

import pytest

from streaming.delivery.loop import FRAMES, FewFrames, loop_of
from streaming.engine.frames import fault_of, to_svg


@pytest.mark.parametrize("count", [1, 2, FRAMES, FRAMES + 1, 100, 1000])
def test_few_frames_of_many_are_kept_and_the_newest(count):
    few = FewFrames()
    for number in range(count):
        few.add(b"%d" % number)
    kept = [int(frame) for frame in few.frames]
    assert len(kept) == min(count, FRAMES)
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, count - 1)
    gaps = [later - earlier for earlier, later in itertools.pairwise(kept)]
    assert max(gaps, default=0) <= 4 * count / FRAMES


def test_of_no_frames_there_are_none():
    assert FewFrames().frames == []


FIRST = '<svg viewBox="-20 -15 40 30"><circle r="1"/></svg>'
OTHERS = [
    '<svg viewBox="-1,-1, 2,2" width="9mm" height="9mm" class="x"><circle r="2"/></svg>',
    '<svg width="288pt" height="216pt"><circle r="3"/></svg>',
    "<svg><circle r='4'/></svg>",
]


def test_a_loop_is_one_picture_that_shows_one_frame_at_a_time():
    loop = loop_of([to_svg(svg) for svg in (FIRST, *OTHERS)])
    assert fault_of(loop) is None
    text = loop.decode()
    assert re.findall(r"<circle r=.(\d).", text) == ["1", "2", "3", "4"]
    # It stands at 0, wherever the plane of its frames begins.
    boxes = ["0 0 40 30", "-20 -15 40 30", "-1 -1 2 2", "0 0 288 216", "0 0 300 300"]
    assert re.findall(r'viewBox="([^"]*)"', text) == boxes
    assert "mm" not in text
    assert "0%{opacity:1}25%{opacity:0}" in text
    # A clip path in a hidden frame would hide what later ones clip by the same id.
    assert "visibility" not in text
    assert re.findall(r"animation-delay:([\d.-]+)s", text) == ["-1.0", "-0.75", "-0.5", "-0.25"]
