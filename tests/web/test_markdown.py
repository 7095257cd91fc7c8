import pytest

from streaming.web.markdown import to_html, to_text


def test_markup_and_formulas_are_shown():
    text = r"The **Metropolis** rule, `exp` of $-\beta E$, [explained](https://example.org/)."
    html = to_html(text)
    assert "<strong>Metropolis</strong>" in html
    assert "<code>exp</code>" in html
    assert '<math display="inline">' in html
    assert "<mi>β</mi>" in html
    assert '<a href="https://example.org/"' in html
    assert to_text(text) == "The Metropolis rule, exp of \N{MINUS SIGN}βE, explained."


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '<img src="x" onerror="alert(1)">',
        "[x](javascript:alert(1))",
        "![x](https://example.org/track.png)",
        r"$\text{<b onclick=alert(1)><img src=x onerror=alert(1)></b>}$",
        r"$\href{javascript:alert(1)}{x}$",
        r"$\style{color:red}{x}$",
    ],
)
def test_nothing_in_it_can_act(text):
    html = to_html(text)
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html
    assert "style=" not in html


@pytest.mark.parametrize("text", ["it costs $5 and $6", "a < b, and a_b_c", "2 * 3 * 4", "$x"])
def test_what_only_looks_like_markup_stays(text):
    assert to_text(text) == text


def test_a_formula_that_is_none_is_shown_as_it_stands():
    assert to_html(r"$\begin{nonsense}$")
