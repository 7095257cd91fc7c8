import threading
from decimal import Decimal

import pytest

from streaming.engine import board as module
from streaming.engine.board import NUMBERS, Board
from streaming.engine.events import MOST_WAITING, Pointer


def test_a_number_is_seen_on_the_other_side(both_sides):
    one, other = both_sides
    for number, name in enumerate(NUMBERS):
        setattr(one, name, number + 0.5)
    assert [getattr(other, name) for name in NUMBERS] == [n + 0.5 for n in range(len(NUMBERS))]


def test_a_copy_has_every_number():
    board, copy = Board(), Board()
    board.set_up(fps=7, most_steps=0)
    board.taken = 9
    copy.copy_from(board)
    assert (copy.fps, copy.most_steps, copy.taken) == (7, float("inf"), 9)


class TestParams:
    def test_of_any_type_arrive(self, both_sides):
        one, other = both_sides
        one.write_params({"size": 3, "price": Decimal("1.5")})
        assert other.read_params() == {"size": 3, "price": Decimal("1.5")}
        assert other.params_revision == 1

    def test_that_are_just_being_written_are_not_read(self, both_sides):
        one, other = both_sides
        one.write_params({"text": "a" * 100})
        one._memory[module.PARAMS_AT + 20] ^= 0xFF
        assert other.read_params() is None

    def test_of_the_largest_message_fit(self, both_sides):
        one, other = both_sides
        one.write_params({"text": "a" * 256 * 1024})
        assert len(other.read_params()["text"]) == 256 * 1024

    def test_that_are_too_large_are_said(self, both_sides):
        with pytest.raises(ValueError, match="more than"):
            both_sides[0].write_params({"text": "a" * 3 * 1024**2})

    def test_that_no_other_process_can_have_are_said(self, both_sides):
        with pytest.raises(ValueError, match="another process"):
            both_sides[0].write_params({"lock": threading.Lock()})


class TestReports:
    def test_arrive_and_the_newest_holds(self, both_sides):
        one, other = both_sides
        assert other.read_reports() == {}
        one.write_reports({"description": "a"})
        assert other.read_reports() == {"description": "a"}
        one.write_reports({"description": "ä" * 1000})
        assert other.read_reports() == {"description": "ä" * 1000}

    def test_that_are_just_being_written_leave_the_last_ones(self, both_sides):
        one, other = both_sides
        one.write_reports({"description": "a"})
        other.read_reports()
        one._memory[module.REPORTS_AT + 4] ^= 0xFF
        assert other.read_reports() == {"description": "a"}

    @pytest.mark.parametrize("content", [b"\xff\xff\xff\xff1234", b"[1, 2]", b""])
    def test_of_a_child_that_runs_wild_are_nothing(self, both_sides, content):
        one, other = both_sides
        one.write_text(module.REPORTS_AT, content)
        assert other.read_reports() == {}
        one._memory[module.REPORTS_AT : module.REPORTS_AT + 8] = b"\xff" * 8
        assert other.read_reports() == {}


class TestHeldPicture:
    def test_arrives_with_its_step_and_the_newest_holds(self, both_sides):
        one, other = both_sides
        assert other.read_held() is None
        one.hold(3, "<svg>ä</svg>")
        assert other.read_held() == (3, "<svg>ä</svg>".encode())
        one.hold(4, b"<svg/>")
        assert other.read_held() == (4, b"<svg/>")
        assert other.read_held_step() == 4

    def test_that_is_just_being_written_is_not_read(self, both_sides):
        one, other = both_sides
        one.hold(3, "<svg/>")
        one.held_step = 0
        assert other.read_held() is None

    def test_that_is_too_large_leaves_the_last_one(self, both_sides):
        one, other = both_sides
        one.hold(3, "<svg/>")
        one.hold(4, b" " * 3 * 1024**2)
        assert other.read_held() == (3, b"<svg/>")

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0, 1e300])
    def test_numbers_that_a_child_which_runs_wild_has_written_are_none(self, both_sides, number):
        one, other = both_sides
        one.hold(3, "<svg/>")
        one.held_bytes = number
        assert other.read_held() is None
        one.hold(3, "<svg/>")
        one.held_step = number
        assert other.read_held() is None
        assert other.read_held_step() == 0

    def test_of_text_that_is_no_utf_8_is_found_by_who_reads_it(self, both_sides):
        one, other = both_sides
        one.hold(3, "<svg>\udcff</svg>")
        assert other.read_held() == (3, b"<svg>\xed\xb3\xbf</svg>")


@pytest.mark.parametrize("character", ["\x01", "\N{GRINNING FACE}", '"'])
def test_as_many_events_as_may_wait_have_room(both_sides, character):
    one, other = both_sides
    longest = Pointer("move", -0.12345678901234567, -1.2345678901234567e-300, character * 200)
    one.write_events([(2**53 - number, longest) for number in range(MOST_WAITING)][::-1])
    assert len(other.read_events()) == MOST_WAITING
    assert not any(one._memory[module.PLOTS_AT : module.PLOTS_END]), "and the plots have theirs"
