import pytest

from streaming.delivery.shape import GREATEST_RATIO, LEAST_RATIO, USUAL_RATIO, box_of, ratio_of


@pytest.mark.parametrize(
    ("svg", "ratio"),
    [
        (b'<svg viewBox="-20 -15 40 30"/>', 4 / 3),
        (b"<svg viewBox='0,0 9,3'/>", 3),
        (b'<svg width="460.8pt" height="345.6pt" viewBox="0 0 460.8 345.6"/>', 4 / 3),
        (b'<svg width="200" height="100" viewBox="0 0 10 10"/>', 2),
        (b'<svg width="100%" height="100%" viewBox="0 0 10 20"/>', 0.5),
        (b'<svg width="1in" height="10mm" viewBox="0 0 10 5"/>', 2),
        (b'<?xml version="1.0"?><!-- drawn --><svg viewBox="0 0 3 1"></svg>', 3),
        # What is inside says nothing of the picture's shape.
        (b'<svg viewBox="0 0 1 2"><svg width="9" height="1"/></svg>', 0.5),
        (b'<svg viewBox="0 0 9000 1"/>', GREATEST_RATIO),
        (b'<svg viewBox="0 0 1 9000"/>', LEAST_RATIO),
    ],
)
def test_is_what_the_first_tag_says(svg, ratio):
    assert ratio_of(svg) == pytest.approx(ratio)


@pytest.mark.parametrize(
    "svg",
    [
        b"",
        b"<svg/>",
        b"no picture",
        b'<svg viewBox="0 0 0 0"/>',
        b'<svg viewBox="0 0 1"/>',
        b'<svg viewBox="0 0 wide high"/>',
        b'<svg viewBox="0 0 nan 1"/>',
        b'<svg viewBox="0 0 inf 1"/>',
        b'<svg viewBox="0 0 -4 1"/>',
        b'<svg viewBox="0 0 1e999 1"/>',
        b'<svg width="%b" height="1" />' % (b"9" * 100_000),
        b'<svg width="10" height="0"/>',
        b'<svg width="1.2.3" height="1"/>',
    ],
)
def test_of_one_that_says_none_it_is_the_usual(svg):
    assert ratio_of(svg) == USUAL_RATIO


def test_the_box_is_what_the_view_box_says_or_else_the_size():
    assert box_of(b'<svg viewBox="1,2 3,4"/>') == b"1 2 3 4"
    assert box_of(b'<svg width="288pt" height="216pt"/>') == b"0 0 288 216"
    assert box_of(b"<svg/>") == b"0 0 300 300"
