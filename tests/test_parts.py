import sys
import time

import pytest

from development.parts import Part

# Ends in order after the first signal, unless a second one ends it before that.
SERVER = """
import signal, sys, time

def end(number, frame):
    signal.signal(number, signal.SIG_DFL)
    print("ending", flush=True)
    time.sleep(0.5)
    print("ended in order", flush=True)
    sys.exit()

signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""


class Patient(Part):
    def begin(self):
        self._run(sys.executable, "-c", SERVER, environment={})

    def answers(self):
        return self.said("ready")

    def said(self, word):
        return word in self.log_path.read_text()


@pytest.fixture
def part(tmp_path):
    part = Patient(tmp_path, "patient")
    part.start()
    yield part
    part.kill()


def until(fact):
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("meanwhile", [Part.request_stop, Part.pause])
def test_one_that_was_asked_to_end_is_not_asked_again(part, meanwhile):
    part.request_stop()
    until(lambda: part.said("ending"))
    meanwhile(part)
    part.stop()
    assert part.said("ended in order")


def test_one_that_was_started_again_is_asked_again(part):
    part.stop()
    part.log_path.write_text("")
    part.start()
    part.stop()
    assert part.said("ended in order")
