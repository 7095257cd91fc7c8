import json
import time

import pytest

from streaming.delivery import protocol
from streaming.delivery.framing import Encoding
from streaming.delivery.protocol import Streams, Verb
from streaming.engine.errors import BadMessage, InvalidParams, TooLarge, UnknownType, WrongState
from streaming.engine.events import Pointer
from streaming.engine.session import Session
from streaming.engine.simulations import Abandon, Engine, describe
from streaming.engine.snapshot import Progress, State


def parse(**content):
    return protocol.command(protocol.read(json.dumps(content)))


class TestRead:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "stop",
            "[]",
            '"stop"',
            "12",
            "{",
        ],
    )
    def test_refuses_what_is_no_json_object(self, text):
        with pytest.raises(BadMessage, match="expected a JSON object, got"):
            protocol.read(text)

    @pytest.mark.parametrize(
        "text",
        [
            '{"x": NaN}',
            '{"x": 1e999}',
            '{"x": ' + "9" * 5000 + "}",
            '{"x": "\\ud800"}',
            "[" * 10_000,
        ],
    )
    def test_says_what_an_object_may_not_hold(self, text):
        with pytest.raises(BadMessage, match="finite numbers, whole characters and little depth"):
            protocol.read(text)

    def test_refuses_binary(self):
        with pytest.raises(BadMessage, match="got a binary message"):
            protocol.read(None)

    def test_start_may_be_longer_than_the_rest(self):
        long = "x" * (protocol.MAX_MESSAGE_BYTES + 1)
        protocol.check_size({"type": "start"}, long)
        with pytest.raises(TooLarge, match="16,384 bytes"):
            protocol.check_size({"type": "set"}, long)

    def test_refuses_what_is_too_long_for_anything(self):
        with pytest.raises(TooLarge, match="262,144 bytes"):
            protocol.read(json.dumps({"type": "start", "x": "x" * protocol.MAX_START_BYTES}))

    def test_sizes_count_bytes_not_letters(self):
        with pytest.raises(TooLarge):
            protocol.check_size({"type": "set"}, "ü" * 9000)


class TestMessageId:
    def test_is_repeated_when_it_is_a_short_string(self):
        assert protocol.message_id({"id": "a" * 64}) == "a" * 64
        assert protocol.message_id({}) is None

    @pytest.mark.parametrize("given", ["a" * 65, 7, ["a"]])
    def test_is_refused_otherwise(self, given):
        with pytest.raises(BadMessage, match=r"^id: expected a string"):
            protocol.message_id({"id": given})


class TestCommand:
    def test_start(self):
        start = parse(
            type="start",
            simulation="tour",
            params={"a": 1},
            engine="process",
            abandon="keep",
            fps=12,
            unknown=1,
        )
        assert start == protocol.Start(
            "tour", {"a": 1}, Engine.PROCESS, Abandon.KEEP, 12.0, Encoding.DEFLATE_RAW
        )
        assert parse(type="start", simulation="tour").params == {}

    def test_watch(self):
        assert parse(type="watch", session="s", token="t") == protocol.Watch(
            "s", "t", Encoding.DEFLATE_RAW
        )

    @pytest.mark.parametrize(
        ("accept", "encoding"),
        [
            (["identity"], Encoding.IDENTITY),
            (["br", "deflate-raw"], Encoding.DEFLATE_RAW),
            ([], Encoding.IDENTITY),
            (None, Encoding.DEFLATE_RAW),
            (["deflate-stream"], Encoding.DEFLATE_RAW),
            (["deflate-stream", "identity"], Encoding.IDENTITY),
        ],
    )
    def test_accept_names_the_encodings_in_order_of_preference(self, accept, encoding):
        assert parse(type="watch", session="s", accept=accept).encoding is encoding

    @pytest.mark.parametrize(
        ("accept", "streams"),
        [
            (["deflate-raw"], Streams.NEVER),
            (None, Streams.NEVER),
            (["deflate-raw", "deflate-stream"], Streams.IF_SLOW),
            (["br", "deflate-stream", "deflate-raw"], Streams.ALWAYS),
        ],
    )
    def test_accept_says_when_a_stream_is_wanted(self, accept, streams):
        assert parse(type="watch", session="s", accept=accept).streams is streams
        assert parse(type="start", simulation="tour", accept=accept).streams is streams

    @pytest.mark.parametrize("verb", list(Verb))
    def test_verbs(self, verb):
        assert parse(type=str(verb)) is verb

    def test_rate_tells_no_limit_from_no_change(self):
        assert parse(type="rate", steps_per_second=None) == protocol.Rate(None, True, None)
        assert parse(type="rate", fps=30) == protocol.Rate(30.0, False, None)

    def test_the_rest(self):
        assert parse(type="step") == protocol.Step(1)
        assert parse(type="set", params={"a": 1}) == protocol.SetParams({"a": 1})
        assert parse(type="ack", seq=4) == protocol.Ack(4)
        assert parse(type="visibility", visible=False) == protocol.Visibility(False)

    def test_an_unknown_type_is_told_the_known_ones(self):
        with pytest.raises(UnknownType, match="expected one of ack, file, leave"):
            parse(type="begin")

    @pytest.mark.parametrize(
        ("content", "field"),
        [
            ({}, "type"),
            ({"type": 3}, "type"),
            ({"type": ["start"]}, "type"),
            ({"type": "start"}, "simulation"),
            ({"type": "start", "simulation": 3}, "simulation"),
            ({"type": "start", "simulation": "a", "params": []}, "params"),
            ({"type": "start", "simulation": "a", "engine": "gpu"}, "engine"),
            ({"type": "start", "simulation": "a", "engine": {}}, "engine"),
            ({"type": "start", "simulation": "a", "abandon": "never"}, "abandon"),
            ({"type": "start", "simulation": "a", "fps": 0}, "fps"),
            ({"type": "start", "simulation": "a", "fps": True}, "fps"),
            ({"type": "start", "simulation": "a", "accept": "identity"}, "accept"),
            ({"type": "watch"}, "session"),
            ({"type": "watch", "session": "s", "token": 1}, "token"),
            ({"type": "step", "count": 0}, "count"),
            ({"type": "step", "count": 1.5}, "count"),
            ({"type": "step", "count": None}, "count"),
            ({"type": "set"}, "params"),
            ({"type": "rate"}, "rate"),
            ({"type": "rate", "fps": 61}, "fps"),
            ({"type": "rate", "steps_per_second": 0}, "steps_per_second"),
            ({"type": "rate", "steps_per_second": "fast"}, "steps_per_second"),
            ({"type": "ack"}, "seq"),
            ({"type": "ack", "seq": "1"}, "seq"),
            ({"type": "visibility", "visible": 1}, "visible"),
        ],
    )
    def test_a_wrong_field_is_named(self, content, field):
        with pytest.raises(BadMessage, match=f"^{field}: expected"):
            protocol.command(content)


class TestValues:
    """A message of 250 KB can hold a hundred thousand of them, and 80 ms of the event loop."""

    @pytest.mark.parametrize("dense", ["[],", "{},", "1,", '"",'])
    def test_without_number_are_too_large(self, dense):
        text = '{"type":"start","params":{"a":[' + dense * (250_000 // len(dense)) + "0]}}"
        with pytest.raises(TooLarge, match="5,000 values"):
            protocol.read(text)

    def test_of_a_file_with_many_commas_are_one(self):
        cities = ",[{\\n" * 40_000
        text = json.dumps({"type": "start", "params": {"cities": cities}})
        assert protocol.read(text)["params"]["cities"] == cities

    @pytest.mark.parametrize("odd", ['"', "\\\\", '\\\\"', '"\\\\', "\\\\u00e9"])
    def test_are_counted_in_a_time_that_grows_with_the_text(self, odd):
        text = '{"a":"' + odd * (250_000 // len(odd))
        began = time.process_time()
        with pytest.raises((BadMessage, TooLarge)):
            protocol.read(text)
        assert time.process_time() - began < 0.5


class TestReadAck:
    def test_a_long_one_is_too_large(self):
        with pytest.raises(TooLarge, match="200 bytes"):
            protocol.check_size({"type": "ack"}, "x" * 201)

    @pytest.mark.parametrize(
        "text",
        [
            '{"type":"ack","seq":41}',
            '{ "seq": 41, "type": "ack" }',
            '{"type":"ack","seq":41,"x":"' + "y" * 100 + '"}',
        ],
    )
    def test_takes_every_well_formed_ack(self, text):
        assert protocol.read_ack(text) == 41

    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            '{"type":"ping"}',
            '{"type":"ack"}',
            '{"type":"ack","seq":"1"}',
            '"ack"',
            '{"type":"start","simulation":"ack"}',
            '{"type":"ack","seq":1',
            '{"type":"ack","seq":41,"x":"' + "y" * 180 + '"}',
            '{"type":"ack","seq":41,"x":"' + "ü" * 90 + '"}',
        ],
    )
    def test_leaves_the_rest(self, text):
        assert protocol.read_ack(text) is None


class TestPointer:
    def test_is_what_somebody_did_on_the_picture(self):
        content = {"type": "pointer", "kind": "down", "x": 1, "y": -2.5, "target": "a"}
        assert protocol.command(content) == Pointer("down", 1.0, -2.5, "a")
        del content["target"]
        assert protocol.command(content).target is None

    @pytest.mark.parametrize(
        "wrong",
        [
            {"kind": "click"}, {"kind": None}, {"kind": ["down"]}, {"x": None}, {"x": "1"},
            {"x": True}, {"x": float("inf")}, {"y": float("nan")}, {"y": 1.1e9}, {"y": -(10**400)},
            {"target": 5}, {"target": "a" * 201},
        ],
    )  # fmt: skip
    def test_out_of_range_is_refused(self, wrong):
        content = {"type": "pointer", "kind": "down", "x": 0, "y": 0, **wrong}
        with pytest.raises(BadMessage, match=next(iter(wrong))):
            protocol.command(content)

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
    def test_of_no_number_is_refused_as_it_is_read(self, number):
        def heard(text):
            return protocol.command(protocol.read(text))

        with pytest.raises(BadMessage):
            heard(f'{{"type":"pointer","kind":"move","x":{number},"y":0}}')


class TestSessionMessage:
    def test_has_every_field_and_null_for_what_does_not_apply(self):
        session = Session(
            "s",
            describe(lambda: 1, name="sample"),
            {"a": 1},
            fps=30,
            on_change=lambda _: None,
            on_notice=lambda *_: None,
        )
        message = protocol.status_message(session.snapshot(), viewers=2)
        assert message.pop("elapsed_ms") == 0
        assert message == {
            "type": "session", "session": "s", "epoch": 1, "simulation": "sample",
            "title": "Sample", "engine": "thread", "state": "queued",
            "params": {"a": 1}, "step": 0, "seq": 0,
            "frames": {"produced": 0, "too_large": 0, "step": None},
            "rate": {"fps": 30, "steps_per_second": None},
            "progress": None, "description": None, "input": False, "printed": 0, "viewers": 2,
            "files": [], "queue_position": None,
            "stop": None, "error": None,
        }  # fmt: skip
        session.begin()
        session.report_progress(Progress.of(1, 2, "half"))
        session.request_stop("client")
        session.finish()
        message = json.loads(
            protocol.encode(protocol.status_message(session.snapshot(), viewers=0), "7")
        )
        assert message["state"] == State.STOPPED
        assert message["progress"] == {"done": 1, "total": 2, "text": "half"}
        assert set(message["stop"]) == {"by", "how", "after_ms", "step"}
        assert message["id"] == "7"


def test_errors_carry_their_code_and_the_fields():
    assert protocol.error_message(WrongState("no")) == {
        "type": "error",
        "code": "wrong_state",
        "message": "no",
    }
    message = protocol.error_message(InvalidParams({"size": ["Too big.", "Odd."]}))
    assert message["fields"] == {"size": ["Too big.", "Odd."]}
    assert message["message"] == "size: Too big. Odd."
