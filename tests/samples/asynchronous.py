"""Simulations whose steps are coroutines."""

import asyncio

from streaming import Context, simulation
from tests.samples.simulations import svg

ended = []


@simulation
async def counts(ctx: Context, count: int = 3):
    """Count, with a task of its own that runs meanwhile."""
    beats = []

    async def beat():
        while True:
            beats.append(1)
            await asyncio.sleep(0.001)

    task = asyncio.create_task(beat())
    try:
        for number in range(count):
            await ctx.sleep(0.01)
            yield svg(f"{number} {len(beats) > 1}")
    finally:
        task.cancel()
        await asyncio.sleep(0)


async def draws(level: int = 1):
    """Be called again and again."""
    await asyncio.sleep(0)
    draws.calls = getattr(draws, "calls", 0) + 1
    return svg(draws.calls) if draws.calls < 3 else None


class Walker:
    def __init__(self):
        self.at = 0

    async def step(self):
        await asyncio.sleep(0)
        if self.at == 2:
            raise StopAsyncIteration
        self.at += 1

    def render(self):
        return svg(self.at)


async def fails():
    yield svg(1)
    await asyncio.sleep(0)
    raise ZeroDivisionError  # here


async def sleeps_for_long():
    yield svg(1)
    await asyncio.sleep(3600)


async def sleeps_in_the_context(ctx: Context):
    yield svg(1)
    await ctx.sleep(3600)


async def burns(ctx: Context):
    yield svg(1)
    ctx.describe("burning")
    while True:
        pass
