"""What goes out; tests/live/test_server.py has clients that do not read it."""

import asyncio

from streaming.server.sending import Gate


async def test_a_gate_holds_until_the_transport_has_room():
    gate = Gate()
    await gate.wait()
    gate.pauseProducing()
    waiting = asyncio.create_task(gate.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.resumeProducing()
    await waiting
