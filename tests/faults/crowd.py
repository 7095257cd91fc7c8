"""Clients that start, watch and control sessions, come back when they are cut, and note all that
they are told."""

import asyncio
import json
import re
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import WebSocketException

from tests.faults.history import BEFORE, ENDED, Seen

CONNECT_S = 5.0
# A line that says nothing for so long is given up, as the page does.
SILENCE_S = 6.0
PING_S = 2.0
# After that a client asks again.
ANSWER_S = 3.0
# Between two attempts.
RETRY_S = (0.1, 1.0)
# Between two commands of one client.
COMMAND_S = (1.0, 4.0)
# How likely each is.
COMMANDS = {"pause": 3, "resume": 6, "step": 1, "rate": 1, "status": 2, "stop": 1}
# The sessions of a run: their simulations and engines. The last waits for a compute machine.
KINDS = (("marked", "thread"), ("marked_apart", "process"), ("marked_apart", "cluster"))
MARK = re.compile(rb">(\S+) (\S+) \d+<")


@dataclass
class Stage:
    """One after the other, the sessions that the same clients attend."""

    simulation: str
    engine: str
    session: str = ""
    token: str = ""


class Crowd:
    """All clients of a run, with one history.

    Args:
        stages: How many sessions go on at once.
        viewers: How many watch, beside who starts each session.
        beginnings: The file in which simulations note that they begin.
    """

    def __init__(self, cluster, *, stages, viewers, beginnings, seed):
        self.cluster, self.beginnings = cluster, beginnings
        self.history = []
        self.began = time.monotonic()
        # Set when every session is to end, and no other to begin.
        self.is_ending = asyncio.Event()
        kinds = KINDS if cluster.computes else KINDS[:-1]
        self.stages = [Stage(*kinds[number % len(kinds)]) for number in range(stages)]
        places = [*cluster.processes, "nginx"]
        self.clients = [
            Client(f"owner{number}", stage, self, places[number % len(cluster.processes)], seed)
            for number, stage in enumerate(self.stages)
        ]
        self.clients += [
            Client(f"viewer{number}", self.stages[number % stages], self, places[number % 3], seed)
            for number in range(viewers)
        ]

    async def __aenter__(self):
        self._tasks = [asyncio.create_task(client.run()) for client in self.clients]
        return self

    async def __aexit__(self, *error):
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    @property
    def now(self):
        return time.monotonic() - self.began

    @property
    def attending(self):
        """The session that each client attends now."""
        found = {client.name: client.stage.session for client in self.clients}
        return {name: session for name, session in found.items() if session}

    def story_of(self, client):
        """What a client was told last, in words."""
        seen = [one for one in self.history if one.client == client.name][-BEFORE:]
        told = "\n    ".join(map(str, seen))
        return f"{client.name} wants {client.stage.session or 'nothing'}\n    {told}"

    @property
    def is_over(self):
        """Whether every client has seen how its session has ended, and its final frame."""
        return all(client.has_seen_the_end for client in self.clients)


class Client:
    """Attends the sessions of a stage, one after the other, over whichever process.

    Who is called an owner starts them. All show the token, and so may control them.
    """

    def __init__(self, name, stage, crowd, place, seed):
        self.name, self.stage, self._crowd = name, stage, crowd
        self._random = Random(f"{seed} {name}")
        self._place = place
        self._attendance = 0
        self._attended = ""
        self._state, self._has_frames, self._is_final = "", False, False
        self._is_known = True
        self._count = 0
        self._socket = None

    @property
    def has_seen_the_end(self):
        if not self.stage.session:
            return self._crowd.is_ending.is_set()
        if self._attended != self.stage.session:
            return False
        if not self._is_known:
            return True
        return self._state in ENDED and (
            self._is_final or self._state == "lost" or not self._has_frames
        )

    def cut(self):
        """Have the connection gone, without a word."""
        if self._socket is not None:
            self._socket.transport.abort()

    def move(self):
        """Have the client go on over another process."""
        places = [*self._crowd.cluster.processes, "nginx"]
        self._place = places[(places.index(self._place) + 1) % len(places)]
        self.cut()

    async def run(self):
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with self._connect() as self._socket:
                    await self._converse(self._socket)
            self._socket = None
            await asyncio.sleep(self._random.uniform(*RETRY_S))
            if self._random.random() < 0.3:
                self._place = self._random.choice([*self._crowd.cluster.processes, "nginx"])

    def _connect(self):
        how = {
            "subprotocols": ["livestep.v1"],
            "max_queue": None,
            "open_timeout": CONNECT_S,
            "close_timeout": 0.2,
            "ping_interval": None,
        }
        query = f"?session={self.stage.session}" if self.stage.session else ""
        cluster = self._crowd.cluster
        if self._place == "nginx":
            return connect(f"{cluster.url.replace('http', 'ws')}/ws{query}", **how)
        path = str(cluster.processes[self._place].socket_path)
        return unix_connect(path, f"ws://localhost/ws{query}", **how)

    async def _converse(self, socket):
        self._attended = ""
        asked_at = heard_at = ping_at = time.monotonic()
        command_at = heard_at + self._random.uniform(*COMMAND_S)
        is_asking = False
        while True:
            now = time.monotonic()
            if self._attended != self._wanted and not (is_asking and now < asked_at + ANSWER_S):
                is_asking, asked_at = True, now
                await self._attend()
            elif now > command_at:
                command_at = now + self._random.uniform(*COMMAND_S)
                await self._command()
            elif now > ping_at + PING_S:
                ping_at = now
                await self._send("ping")
            try:
                async with asyncio.timeout(0.25):
                    content = await socket.recv()
            except TimeoutError:
                if now > heard_at + SILENCE_S:
                    return
                continue
            heard_at = time.monotonic()
            if isinstance(content, bytes):
                await self._take_frame(content)
                continue
            message = json.loads(content)
            if message["type"] in ("started", "watching"):
                self._begin(message)
                is_asking = False
            elif message["type"] == "session":
                self._take_state(message)
            elif message["type"] == "error" and message.get("id") == "attend":
                is_asking = message["code"] != "unknown_session"
                self._note_refusal(message)

    @property
    def _is_owner(self):
        return self.name.startswith("owner")

    @property
    def _wanted(self):
        """The session to attend; "new" for one that is still to be started."""
        is_done = not self.stage.session or (
            self.stage.session == self._attended and self.has_seen_the_end
        )
        if self._is_owner and is_done and not self._crowd.is_ending.is_set():
            return "new"
        return self.stage.session

    async def _attend(self):
        if self._wanted == "new":
            label = f"{self.name}.{self._random.getrandbits(32):x}"
            params = {"label": label, "beginnings": str(self._crowd.beginnings)}
            await self._send(
                "start",
                id="attend",
                simulation=self.stage.simulation,
                engine=self.stage.engine,
                params=params,
                fps=5,
            )
        elif self._wanted:
            await self._send("watch", id="attend", session=self._wanted, token=self.stage.token)

    async def _command(self):
        if not self._attended or self._state in ENDED:
            return
        if self._crowd.is_ending.is_set():
            command = "stop"
        else:
            command = self._random.choices(list(COMMANDS), list(COMMANDS.values()))[0]
        fields = {"fps": self._random.randint(3, 6)} if command == "rate" else {}
        await self._send(command, id="command", **fields)

    def _begin(self, message):
        self._attendance += 1
        self._attended = message["session"]
        self._state, self._has_frames, self._is_final = "", False, False
        self._is_known = True
        if message["type"] == "started":
            self.stage.session, self.stage.token = message["session"], message["token"]

    def _take_state(self, message):
        if message["session"] == self._attended:
            self._state, self._has_frames = message["state"], message["seq"] > 0
            self._note(
                "session", epoch=message["epoch"], seq=message["seq"], state=message["state"]
            )

    async def _take_frame(self, content):
        head, _, payload = content.partition(b"\n")
        frame = json.loads(head)
        await self._send("ack", seq=frame["seq"])
        svg = zlib.decompress(payload, -15) if frame["encoding"] == "deflate-raw" else payload
        label, mark = (part.decode() for part in MARK.search(svg).groups())
        self._is_final = frame["final"]
        self._note(
            "frame",
            session=frame["session"],
            epoch=frame["epoch"],
            seq=frame["seq"],
            final=frame["final"],
            mark=f"{label} {mark}",
        )

    def _note_refusal(self, message):
        if message["code"] == "unknown_session" and self._wanted == self.stage.session:
            self._note("unknown", session=self.stage.session)
            self._attended, self._is_known = self.stage.session, False

    async def _send(self, type, **fields):
        await self._socket.send(json.dumps({"type": type, **fields}))

    def _note(self, what, session=None, **fields):
        self._crowd.history.append(
            Seen(
                at=self._crowd.now,
                client=self.name,
                attendance=self._attendance,
                place=self._place,
                session=session or self._attended,
                what=what,
                **fields,
            )
        )
