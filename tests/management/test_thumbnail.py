"""`manage.py thumbnail`, and where the gallery finds what it draws."""

import io

import pytest
from django.core.management import CommandError, call_command

from streaming.catalog.registry import registry
from streaming.engine.frames import fault_of

SOURCE = """
from streaming import simulation

@simulation
def mine(most: int = 100):
    print("drawing")
    for step in range(most):
        yield f'<svg viewBox="0 0 9 9"><circle r="{step}"/></svg>'

@simulation
def failing():
    yield "<svg/>"
    raise ValueError("mine")
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "thumbnail_sim.py"
    path.write_text(SOURCE)
    yield path
    registry.added_files.clear()
    registry._added.clear()
    registry._found = None


@pytest.fixture
def draw(path):
    def draw(*arguments):
        out = io.StringIO()
        call_command("thumbnail", *map(str, arguments), "--file", str(path), stdout=out)
        return out.getvalue()

    return draw


@pytest.mark.django_db
def test_draws_the_card_of_a_file_and_its_loop(draw, path, client):
    assert "/thumbnails/" not in client.get("/").content.decode()
    said = draw("mine", "--steps=20")
    folder = path.parent / "thumbnails"
    still, loop = folder / "mine.svg", folder / "mine.loop.svg"
    assert f"{still}: {still.stat().st_size} bytes" in said
    assert 'r="19"' in still.read_text()
    assert fault_of(loop.read_bytes()) is None
    assert loop.read_text().count("<circle") == 8
    html = client.get("/").content.decode()
    for kind in (".svg", ".loop.svg"):
        address = f"/simulations/mine/thumbnail{kind}"
        assert f'"{address}"' in html
        response = client.get(address)
        assert response.content == (folder / f"mine{kind}").read_bytes()
        assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [".png", ".py", "", "s"])
def test_nothing_else_of_the_folder_is_given(draw, path, client, kind):
    draw("mine", "--steps=1")
    (path.parent / "thumbnails" / f"mine{kind or '.x'}").write_text("secret")
    assert client.get(f"/simulations/mine/thumbnail{kind}").status_code == 404


def test_what_the_simulation_prints_is_no_part_of_what_is_said(draw, capsys):
    draw("mine", "--steps=1")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "drawing\n")


def test_of_an_app_goes_where_it_is_told(tmp_path):
    out = io.StringIO()
    call_command("thumbnail", "counter", "--steps=2", "--out", str(tmp_path), stdout=out)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["counter.loop.svg", "counter.svg"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("failing",), "failed after step 1: ValueError: mine"),
        (("mine", "--param=most=0"), "It has drawn nothing"),
        (("sized", "--param=size=6000000", "--steps=2"), "an SVG may have 4,194,304 at most"),
        (("nobody",), "there is no simulation 'nobody'"),
        (("mine", "--out=/dev/null/x"), "could not be written: Not a directory"),
    ],
)
def test_says_what_is_wrong(draw, arguments, said):
    with pytest.raises(CommandError, match=said):
        draw(*arguments)
