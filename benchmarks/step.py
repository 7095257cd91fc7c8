"""The step that everybody runs: pure Python for about 10 ms, then an SVG that proves itself."""

import hashlib
import os
import re
import sys
import time
from collections.abc import Iterator
from itertools import count

# Set by the runner, which measures it once, so that every server does the same work.
ROUNDS = int(os.environ.get("STEP_ROUNDS", "100000"))
TARGET_S = 0.010
SHAPES = 200


def burn(rounds: int) -> int:
    total = 0
    for n in range(rounds):
        total += n * n % 7
    return total


def picture(number: int, seed: int, shapes: int = SHAPES) -> str:
    """Draw an SVG of about 7 KB, with its number and the hash of what stands before the hash."""
    drawn = "".join(
        f'<circle cx="{(seed * n + number * 7) % 997}" cy="{(seed + n * number) % 991}" r="3"/>'
        for n in range(shapes)
    )
    body = f'<svg xmlns="http://www.w3.org/2000/svg" data-number="{number}">{drawn}'
    return f"{body}<desc>{hashlib.sha256(body.encode()).hexdigest()}</desc></svg>"


def steps() -> Iterator[str]:
    """Yield the picture of each step; pictures are numbered from 1."""
    for number in count(1):
        yield picture(number, burn(ROUNDS))


FRAME = re.compile(r'(<svg .*data-number="(\d+)">.*)<desc>(\w{64})</desc></svg>', re.DOTALL)


def number_of(svg: str) -> int | None:
    """Return the number of a frame, or None when it is damaged."""
    match = FRAME.fullmatch(svg)
    if match is None or hashlib.sha256(match[1].encode()).hexdigest() != match[3]:
        return None
    return int(match[2])


def calibrate() -> int:
    """Return how many rounds take 10 ms on this machine."""
    rounds = 10_000
    best = min(_seconds(rounds) for _ in range(20))
    return round(rounds * TARGET_S / best)


def _seconds(rounds: int) -> float:
    began = time.perf_counter()
    burn(rounds)
    return time.perf_counter() - began


def bare_loop(seconds: float) -> float:
    """Return the frames per second of a loop that does nothing else."""
    frames = steps()
    next(frames)
    began, made = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(frames)
        made += 1
    return made / (time.perf_counter() - began)


if __name__ == "__main__":
    # A slice for each line of standard input, which says how many seconds it may take.
    for line in sys.stdin:
        print(bare_loop(float(line)), flush=True)
