"""The parts of the server that need no socket; tests/live has the rest."""

import daphne.server
import pytest
from daphne.ws_protocol import WebSocketProtocol as DaphneWebSocketProtocol

from streaming.management.commands import runserver
from streaming.server import daphne as module
from streaming.server.daphne import (
    Server,
    server_class,
    what_is_unknown,
)


class TestWithAnotherDaphne:
    def test_the_one_that_is_installed_is_known(self):
        assert what_is_unknown() == ""
        assert server_class() is Server
        assert runserver.Command.server_cls is Server

    @pytest.mark.parametrize("name", ["create_application", "kill_all_applications"])
    def test_a_part_that_is_missing_makes_it_daphnes_own(self, name, monkeypatch, caplog):
        monkeypatch.delattr(daphne.server.Server, name)
        assert what_is_unknown() == f"daphne.server.Server has no {name}"
        assert server_class() is daphne.server.Server
        assert "without backpressure" in caplog.text

    def test_a_method_with_other_arguments_too(self, monkeypatch):
        def serverSend(self, message):
            pass

        monkeypatch.setattr(DaphneWebSocketProtocol, "serverSend", serverSend)
        assert "serverSend takes other arguments" in what_is_unknown()

    def test_a_server_that_says_when_it_is_ready_no_more(self, monkeypatch):
        monkeypatch.setattr(module.DaphneServer, "__init__", lambda self, application: None)
        assert "ready_callable" in what_is_unknown()
