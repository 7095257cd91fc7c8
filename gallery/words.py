"""What the page says of the simulations beyond what they say in words of their own: the names of
parameters and choices, and the first paragraphs of docstrings. Here, so that they are found for
translation; tests/gallery/test_words.py says when one is missing."""

from django.utils.translation import gettext_noop

NAMES = [
    gettext_noop("Size"),
    gettext_noop("Temperature"),
    gettext_noop("Count"),
    gettext_noop("Feed"),
    gettext_noop("Kill"),
    gettext_noop("Seed"),
    gettext_noop("Dataset"),
    gettext_noop("Iris"),
    gettext_noop("Wine"),
    gettext_noop("Breast cancer"),
    gettext_noop("Rate"),
    gettext_noop("Epochs"),
    gettext_noop("Pace"),
    gettext_noop("Planets"),
    gettext_noop("Inner"),
    gettext_noop("Outer"),
    gettext_noop("All"),
    gettext_noop("Days"),
]

DESCRIPTIONS = [
    gettext_noop("Find a short round trip through all cities, on your own coordinates."),
    gettext_noop("Watch magnetic domains form and dissolve as you change the temperature."),
    gettext_noop("Count down to zero and end."),
    gettext_noop(
        "Draw a random walk of fifty thousand steps, in a function that knows nothing of us."
    ),
    gettext_noop(
        "Untangle a graph, yours or that of a novel's characters, by forces between its nodes."
    ),
    gettext_noop("Grow spots, stripes and labyrinths from two substances that react and spread."),
    gettext_noop(
        "Train a classifier on flowers, wines or tumours, and see where it draws its borders."
    ),
    gettext_noop(
        "Let the planets move by each other's gravity, from where they were in the year 2000."
    ),
    gettext_noop(
        "Watch patterns of cells live, move and breed, your own too, and draw among them."
    ),
]
