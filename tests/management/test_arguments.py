"""What the commands that run one simulation understand of its parameters."""

import pytest
from django import forms
from django.core.management import CommandError

from streaming.catalog.registry import registry
from streaming.engine.params import MAX_FILE_BYTES, Upload
from streaming.engine.simulations import describe
from streaming.management.arguments import find_simulation


@pytest.fixture
def values_of(monkeypatch):
    """Return the parameters of a simulation as a command reads them."""

    def values_of(target, *params, form=None):
        monkeypatch.setattr(registry, "get", lambda name: describe(target, form=form))
        options = {"name": "any", "file": None, "param": list(params)}
        return find_simulation(options)[1]

    return values_of


class FileForm(forms.Form):
    data = forms.FileField()


def of_data(data: bytes): ...


class TestFiles:
    def test_are_read_from_the_path_that_is_the_value(self, values_of, tmp_path, monkeypatch):
        (tmp_path / "prices ü.csv").write_bytes(b"1,2\n")
        read = Upload("prices ü.csv", b"1,2\n")
        assert values_of(of_data, f"data={tmp_path}/prices ü.csv")["data"] == read
        # As it is typed: from the working directory, or from home.
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert values_of(of_data, "data=prices ü.csv")["data"] == read
        assert values_of(of_data, "data=~/prices ü.csv")["data"] == read

    def test_of_a_form_are_read_too(self, values_of, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"1")
        path = tmp_path / "a.csv"
        data = values_of(of_data, f"data={path}", form=FileForm)["data"]
        assert (data.name, data.read()) == ("a.csv", b"1")

    def test_may_be_left_out(self, values_of):
        def target(data: bytes | None = None): ...

        assert values_of(target, "data=") == {"data": None}

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("/nowhere/a.csv", "data: /nowhere/a.csv cannot be read: No such file or directory."),
            ("/tmp", "data: /tmp cannot be read: Is a directory."),
            ("~nobody-here/a", "data: ~nobody-here/a cannot be read: "),
        ],
    )
    def test_that_cannot_be_read_are_told_by_a_sentence(self, values_of, path, said):
        with pytest.raises(CommandError, match=said) as refusal:
            values_of(of_data, f"data={path}")
        assert refusal.value.returncode == 2

    def test_have_the_limit_of_the_page(self, values_of, tmp_path):
        with (tmp_path / "large").open("wb") as file:
            file.truncate(MAX_FILE_BYTES + 1)
        with pytest.raises(CommandError, match="data: This file has 5,000,001 bytes; at most"):
            values_of(of_data, f"data={tmp_path}/large")

    def test_another_parameter_takes_no_path_for_a_file(self, values_of, tmp_path):
        def target(word: str): ...

        assert values_of(target, f"word={tmp_path}") == {"word": str(tmp_path)}
