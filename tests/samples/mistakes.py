"""Mistakes that people make, each with the sentence that they are to read."""

import sys

from tests.samples.simulations import svg


def prints_its_svg():
    print(svg(1))  # noqa: T201


def yields_a_dict():
    yield svg(1)
    yield {"not": "a picture"}  # here


def yields_a_lazy_list():
    yield lambda: [svg(1)]  # here


def returns_text():
    return "no picture"


class RendersNothing:
    def step(self): ...

    def render(self):  # here
        return None


def divides():
    yield svg(1)
    yield svg(1 / 0)  # here


def divides_in_a_lazy_frame():
    yield lambda: svg(1 / 0)  # here


def fails_in_a_library():
    import json

    yield json.loads("{")  # here


def exits():
    yield svg(1)
    sys.exit("done")  # here


def exits_without_a_word():
    yield svg(1)
    sys.exit()  # here


def asks():
    yield svg(input("How many? "))  # here


def has_a_breakpoint():
    yield svg(1)
    import pdb

    pdb.Pdb(nosigint=True).set_trace()
    yield svg(2)  # here


MISTAKES = {
    prints_its_svg: "returned None at its first call: `return` the picture",
    yields_a_dict: "got dict, which is no frame; expected SVG as str or bytes",
    yields_a_lazy_list: "got list, which is no frame: yield one picture for each step",
    returns_text: "a frame must hold an <svg> element; got str beginning with 'no picture'",
    RendersNothing: "got NoneType, which is no frame: the function that draws returns nothing",
    divides: "failed after step 1: ZeroDivisionError: division by zero",
    divides_in_a_lazy_frame: "failed after step 1: ZeroDivisionError: division by zero",
    fails_in_a_library: "JSONDecodeError: Expecting property name",
    exits: "it called sys.exit(done); a simulation ends with `return`",
    exits_without_a_word: "it called sys.exit(); a simulation ends with `return`",
    asks: "it called input(), and nobody is at a keyboard here; ask with a parameter",
    has_a_breakpoint: "it has a breakpoint(), and there is no debugger here",
}
