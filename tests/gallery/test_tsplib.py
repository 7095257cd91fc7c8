import pytest

from gallery.forms import TourForm
from gallery.tsplib import MAX_CITIES, CitiesError, read_cities

FIVE = [(1, 2), (3, 4), (5, 6), (7, 8.5), (9, 1)]
CSV = "\n".join(f"{x},{y}" for x, y in FIVE)
HEAD = "NAME: five\nTYPE: TSP\nDIMENSION: 5\nEDGE_WEIGHT_TYPE: EUC_2D\nNODE_COORD_SECTION\n"
TSPLIB = HEAD + "\n".join(f"{n} {x} {y}" for n, (x, y) in enumerate(FIVE, 1)) + "\nEOF\n"


class TestReads:
    def test_berlin52(self, berlin52):
        cities = read_cities(berlin52)
        assert len(cities) == 52
        assert cities[0] == (565, 575)
        assert cities[-1] == (1740, 245)

    @pytest.mark.parametrize(
        "text",
        [
            TSPLIB,
            TSPLIB.replace("EOF", ""),
            TSPLIB.replace(": ", " : ").replace("\n", "\r\n"),
            CSV,
            "x,y\n" + CSV,
            "name,x,y\n" + "\n".join(f"city {x},{x},{y}" for x, y in FIVE),
            CSV.replace(",", "; "),
            CSV.replace(",", "\t"),
            "\n\n" + CSV + "\n\n",
        ],
    )
    def test_every_form(self, text):
        assert read_cities(text) == FIVE

    def test_scientific_notation(self):
        assert read_cities(CSV.replace("1,2", "1e0,2E+0")) == FIVE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected 5 to 5,000 cities, got 0"),
        ("1,2\n3,4", "expected 5 to 5,000 cities, got 2"),
        ("1,2\n" * (MAX_CITIES + 1), "got 5,001"),
        ("1,2\nx,4\n" + CSV, "line 2: expected a finite number for x, got 'x'"),
        ("1,2\n3,nan\n" + CSV, "line 2: expected a finite number for y, got 'nan'"),
        ("1,2\n\n3\n" + CSV, "line 3: expected x,y or name,x,y, got '3'"),
        (TSPLIB.replace("EUC_2D", "GEO"), "line 4: expected the type EUC_2D, got 'GEO'"),
        (
            TSPLIB.replace("DIMENSION: 5", "DIMENSION: 6"),
            "line 10: the cities end after 5; expected 6",
        ),
        (
            TSPLIB.replace("DIMENSION: 5", "DIMENSION: five"),
            "line 3: expected the number of cities, got 'five'",
        ),
        (TSPLIB.replace("2 3 4", "2 3"), "line 7: expected a city's number, x and y, got '2 3'"),
        (TSPLIB.replace("2 3 4", "2 3 inf"), "line 7: expected a finite number for y, got 'inf'"),
        (
            TSPLIB.replace("NODE_COORD_SECTION\n", ""),
            "line 5: expected a TSPLIB keyword or NODE_COORD_SECTION, got '1 1 2'",
        ),
        ("NAME: five\nDIMENSION: 5\n", "expected a line NODE_COORD_SECTION"),
    ],
)
def test_malformed_input_gets_the_line_and_what_was_expected(text, said):
    with pytest.raises(CitiesError) as caught:
        read_cities(text)
    assert said in str(caught.value)


def test_the_form_shows_the_error_at_its_field():
    form = TourForm({"cities": "1,2\nx,4\n" + CSV, "seed": 1, "size": 0, "pace": 30})
    assert form.errors == {"cities": ["line 2: expected a finite number for x, got 'x'"]}
