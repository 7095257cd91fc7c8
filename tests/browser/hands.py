"""Hands on a picture, and a server that says what a test wants.

Playwright's own mouse runs a script in every frame while a button is down, which never returns from
a frame without scripts: so the mouse and the fingers go through Chromium's own protocol.
"""

import json
import re


class Hands:
    """A mouse and fingers, whose places are fractions of the picture's width and height."""

    def __init__(self, page):
        self.page = page
        self.devtools = page.context.new_cdp_session(page)

    def _place(self, x, y):
        box = self.page.locator(".picture").bounding_box()
        return {"x": box["x"] + box["width"] * x, "y": box["y"] + box["height"] * y}

    def mouse(self, kind, x, y, buttons=1):
        self.devtools.send(
            "Input.dispatchMouseEvent",
            {"type": kind, "button": "left", "buttons": buttons, "clickCount": 1}
            | self._place(x, y),
        )

    def drag(self, begin, end, moves=10):
        self.mouse("mousePressed", *begin)
        for move in range(1, moves + 1):
            part = move / moves
            self.mouse(
                "mouseMoved",
                *(one + (other - one) * part for one, other in zip(begin, end, strict=True)),
            )
        self.mouse("mouseReleased", *end, buttons=0)

    def touch(self, kind, *places):
        points = [{**self._place(*place), "id": number} for number, place in enumerate(places)]
        self.devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def wheel(self, x, y, delta):
        self.devtools.send(
            "Input.dispatchMouseEvent",
            {"type": "mouseWheel", "deltaX": 0, "deltaY": delta} | self._place(x, y),
        )


class FakeServer:
    """Answers a page's WebSocket, and keeps what it says."""

    LIMITS = {"start_bytes": 256 * 1024}

    def __init__(self, page, **session):
        self.heard, self.route = [], None
        self.session = {
            **{"session": "fake", "epoch": 1, "simulation": "ising", "title": "Fake"},
            **{"engine": "thread", "state": "running", "params": {}, "step": 1, "seq": 1},
            **{"frames": {"produced": 1}, "rate": {"fps": 30, "steps_per_second": None}},
            **{"progress": None, "description": "what it is", "viewers": 1, "files": []},
            **{"queue_position": None, "elapsed_ms": 1, "stop": None, "error": None},
            **{"type": "session", **session},
        }
        page.route_web_socket(re.compile("/ws"), self._open)

    def _open(self, route):
        self.route = route
        route.on_message(self._answer)
        self.say(type="hello", protocol="livestep.v1", server="fake", limits=self.LIMITS)

    def say(self, **message):
        self.route.send(json.dumps(message))

    def _answer(self, text):
        message = json.loads(text)
        self.heard.append(message)
        number = message.get("id")
        if message["type"] == "start":
            self.say(type="started", id=number, session="fake", token="t")
            self.say(**self.session)
        elif message["type"] == "watch":
            self.say(type="watching", id=number, session=message["session"], can_control=False)
            self.say(**self.session)
        elif message["type"] == "ping":
            self.say(type="pong", id=number)
        elif number:
            self.say(type="ok", id=number)

    def frame(self, seq, svg, final=False):
        content = svg.encode()
        header = {"type": "frame", "session": "fake", "epoch": 1, "seq": seq, "step": seq}
        header |= {"encoding": "identity", "size": len(content), "final": final}
        self.route.send(json.dumps(header).encode() + b"\n" + content)

    def all(self, kind):
        return [message for message in self.heard if message["type"] == kind]

    @property
    def acked(self):
        """The frame that was acknowledged last; 0 before the first."""
        return max((message["seq"] for message in self.all("ack")), default=0)

    def wait_for(self, page, is_there):
        """Wait until it has heard what makes a function true."""
        for _ in range(400):
            if is_there():
                return
            page.wait_for_timeout(50)
        raise AssertionError(f"not heard: {self.heard[-5:]}")


class HoldingServer(FakeServer):
    """Answers neither a start nor a stop before it is told to."""

    is_holding = True

    def _answer(self, text):
        message = json.loads(text)
        if self.is_holding and message["type"] in ("start", "stop"):
            self.heard.append(message)
        else:
            super()._answer(text)

    def begin(self, **session):
        self.say(type="started", id=self.all("start")[-1]["id"], session="fake", token="t")
        self.tell(**session)

    def tell(self, **session):
        self.session |= session
        self.say(**self.session)
