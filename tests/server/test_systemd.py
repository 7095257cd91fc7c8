"""What systemd hears of a process."""

import errno
import os
import socket

import pytest
from twisted.internet.task import Clock

from streaming.server import systemd as module
from streaming.server.systemd import Systemd


@pytest.fixture
def heard(tmp_path, monkeypatch):
    """Listen as systemd does; a call returns what has come."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)

        def take():
            try:
                return [listener.recv(100).decode(), *take()]
            except BlockingIOError:
                return []

        yield take


def test_hears_again_after_a_shortage_of_descriptors(heard, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    clock = Clock()
    said = Systemd(clock)
    said.start()
    assert heard() == ["READY=1", "WATCHDOG=1"]
    with monkeypatch.context() as short:
        short.setattr(module.socket, "socket", refuse)
        clock.advance(0.2)
    assert heard() == []
    clock.advance(0.2)
    assert heard() == ["WATCHDOG=1"]
    said.stop()


def test_nobody_who_listens_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    module.notify("READY=1")
