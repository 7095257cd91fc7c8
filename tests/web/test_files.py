"""Files that come before a `start`: in parts, bounded, and let go with their connection."""

import pytest

from streaming.delivery import protocol
from streaming.delivery.protocol import FilePart
from streaming.engine.errors import BadMessage, TooLarge, Unavailable, WrongState
from streaming.engine.params import Upload
from streaming.web import files as module
from streaming.web.files import Files


@pytest.fixture
def files():
    files = Files()
    yield files
    files.close()
    assert Files.held == 0


def part(content=b"1", param="table", name="a.csv", first=True, last=True):
    return FilePart(param, name, content, first, last)


class TestFiles:
    def test_take_the_place_of_their_names(self, files):
        files.take(part(b"1,", last=False))
        assert files.put_into({"table": "a.csv"}) == {"table": "a.csv"}
        files.take(part(b"2", first=False))
        params = {"table": "a.csv", "size": 3, "other": "a.csv"}
        assert files.put_into(params) == {**params, "table": Upload("a.csv", b"1,2")}
        assert files.put_into({"table": "b.csv"}) == {"table": "b.csv"}

    def test_a_second_one_replaces_the_first(self, files):
        files.take(part(b"1111"))
        files.take(part(b"2"))
        assert files.put_into({"table": "a.csv"})["table"].content == b"2"
        assert Files.held == 1

    @pytest.mark.parametrize("wrong", [part(first=False), part(first=False, name="b.csv")])
    def test_a_part_of_no_file_is_refused(self, files, wrong):
        with pytest.raises(WrongState, match="from its first"):
            files.take(wrong)

    def test_one_that_is_too_large_is_let_go(self, files):
        files.take(part(b"1" * 5_000_000, last=False))
        with pytest.raises(TooLarge, match="5,000,000 bytes"):
            files.take(part(first=False))
        assert Files.held == 0

    def test_too_many_are_refused(self, files):
        for number in range(4):
            files.take(part(param=str(number)))
        with pytest.raises(TooLarge, match="at most 4 files"):
            files.take(part(param="4"))

    def test_all_connections_together_are_bounded(self, files, monkeypatch):
        monkeypatch.setattr(module, "BYTES_TOGETHER", 10)
        other = Files()
        other.take(part(b"12345678"))
        with pytest.raises(Unavailable, match="too many files"):
            files.take(part(b"123"))
        other.close()
        files.take(part(b"123"))


class TestMessage:
    def command(self, **fields):
        message = {"type": "file", "param": "table", "name": "a.csv", "content": "MSwy"}
        return protocol.command({**message, **fields})

    def test_is_a_part_of_a_file(self):
        assert self.command() == part(b"1,2")
        assert self.command(first=False, last=False) == part(b"1,2", first=False, last=False)

    @pytest.mark.parametrize(
        "fields",
        [
            {"content": "?"},
            {"content": None},
            {"content": "größe"},
            {"name": ""},
            {"name": "a" * 256},
            {"param": "a" * 65},
            {"first": 1},
            {"last": None},
        ],
    )
    def test_with_something_else_is_refused(self, fields):
        with pytest.raises(BadMessage):
            self.command(**fields)

    def test_may_be_as_long_as_a_start(self):
        text = "x" * 200_000
        protocol.check_size({"type": "file"}, text)
        with pytest.raises(TooLarge):
            protocol.check_size({"type": "set"}, text)
