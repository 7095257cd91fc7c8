"""The livestep.v1 dialect: parses what clients send and builds what the server sends."""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum, StrEnum, auto
from typing import Any, TypeVar

from streaming.delivery.framing import EPOCH, SHARED_ENCODINGS, Encoding
from streaming.engine.errors import BadMessage, ClientError, InvalidParams, TooLarge, UnknownType
from streaming.engine.events import KINDS, Pointer
from streaming.engine.params import plain
from streaming.engine.simulations import Abandon, Engine
from streaming.engine.snapshot import Snapshot
from streaming.engine.traces import Place

SUBPROTOCOL = "livestep.v1"
MAX_START_BYTES = 256 * 1024
MAX_MESSAGE_BYTES = 16 * 1024
MAX_ACK_BYTES = 200
MAX_ID_LENGTH = 64
# One with an id of full length, each character of which may be an escape.
MAX_PING_CHARACTERS = 500
# To parse that many takes 5 ms, in which the event loop does nothing else.
MAX_VALUES = 5000
# Texts, in which the signs that are counted mean nothing; the last may lack its end.
TEXTS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
# Half of a character, as an escape: JSON allows it alone.
SURROGATE = re.compile(r"\\u[dD]")
# With fewer of them nothing can be nested deeper than JSON is written.
MOST_BRACKETS = 100
# As our own page writes it. Parsing one as any other message costs ten times as much.
USUAL_ACK = re.compile(r'\{"type":"ack","seq":(\d{1,15})\}', re.ASCII)
MAX_FPS = 60
MAX_STEPS_PER_COMMAND = 1_000_000
MAX_STEPS_PER_SECOND = 1_000_000
# A text longer than this is told only to those who ask for it and may control the session.
MAX_TOLD_CHARACTERS = 1000
# What of a `session` message tells the parameters.
PARAMS = ("params", "long_params")
MAX_COORDINATE = 1e9
MAX_TARGET_LENGTH = 200
LARGE_KINDS = ("start", "file")
MAX_FILE_NAME = 255
MAX_OUTPUT_CHARACTERS = 64_000


Choice = TypeVar("Choice", bound=StrEnum)


class Streams(Enum):
    """When a client takes its frames as one continuous stream."""

    NEVER = auto()
    # While its line is the limit.
    IF_SLOW = auto()
    ALWAYS = auto()


@dataclass(frozen=True, slots=True)
class Start:
    simulation: str
    params: dict[str, Any]
    engine: Engine | None
    abandon: Abandon | None
    fps: float | None
    encoding: Encoding
    streams: Streams = Streams.NEVER
    # Else the simulation's own rate holds; None is no limit.
    sets_step_rate: bool = False
    steps_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    session: str
    token: str | None
    encoding: Encoding
    streams: Streams = Streams.NEVER


@dataclass(frozen=True, slots=True)
class Step:
    count: int


@dataclass(frozen=True, slots=True)
class SetParams:
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rate:
    """What is absent from the message stays as it is; None in `steps_per_second` is no limit."""

    fps: float | None
    changes_step_rate: bool
    steps_per_second: float | None


@dataclass(frozen=True, slots=True)
class FilePart:
    """A part of a file for a parameter of the next `start`; the first one names the file anew."""

    param: str
    name: str
    content: bytes
    is_first: bool
    is_last: bool


@dataclass(frozen=True, slots=True)
class Ack:
    seq: int


@dataclass(frozen=True, slots=True)
class Visibility:
    visible: bool


@dataclass(frozen=True, slots=True)
class Ping:
    """What a `ping` is answered with; None if it has no id."""

    id: str | None


class Verb(StrEnum):
    """The messages that are nothing but their type."""

    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    STATUS = "status"
    LEAVE = "leave"
    PING = "ping"


Command = Start | Watch | FilePart | Step | SetParams | Rate | Ack | Visibility | Pointer | Verb


def read(text: str | None) -> dict[str, Any]:
    """Return a client's message as a JSON object.

    Raises:
        BadMessage: If it is no JSON object.
        TooLarge: If it is longer than any message may be, or has more values.
    """
    if text is None:
        raise BadMessage("expected a text message with a JSON object, got a binary message")
    try:
        size = len(text.encode())
        if size > MAX_START_BYTES:
            raise TooLarge(
                f"a message may have {MAX_START_BYTES:,} bytes, and this one has {size:,}"
            )
        if size > MAX_MESSAGE_BYTES and (values := _count_values(text)) > MAX_VALUES:
            raise TooLarge(f"a message may have {MAX_VALUES:,} values, and this one has {values:,}")
        content = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        # Half a character could be neither stored nor sent on, nor could what is nested too deep.
        if SURROGATE.search(text) or _count(text, "[{") > MOST_BRACKETS:
            json.dumps(content, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise BadMessage(f"expected a JSON object, got {text:.80}") from error
    except (ValueError, RecursionError) as error:
        raise BadMessage(
            "expected a JSON object of finite numbers, whole characters and little depth, "
            f"got {text:.80}"
        ) from error
    if not isinstance(content, dict):
        raise BadMessage(f"expected a JSON object, got {text:.80}")
    return content


def _count_values(text: str) -> int:
    """Return how many values a message has at most, without parsing it."""
    if (most := _count(text, ",[{")) <= MAX_VALUES:
        return most
    return _count(TEXTS.sub("", text), ",[{")


def _count(text: str, signs: str) -> int:
    return sum(map(text.count, signs))


def check_size(content: Mapping[str, Any], text: str) -> None:
    """Hold a message that was read to the size that its type may have.

    Raises:
        TooLarge: If it is longer.
    """
    size = len(text.encode())
    kind = content.get("type")
    if kind == "ack" and size > MAX_ACK_BYTES:
        raise TooLarge(f"an ack may have {MAX_ACK_BYTES} bytes, and this one has {size:,}")
    if kind not in LARGE_KINDS and size > MAX_MESSAGE_BYTES:
        raise TooLarge(
            f"a message other than start and file may have {MAX_MESSAGE_BYTES:,} bytes, "
            f"and this one has {size:,}"
        )


def message_id(content: Mapping[str, Any]) -> str | None:
    """Return the id that the answer has to repeat, if the message carries one."""
    given = content.get("id")
    if given is None or (isinstance(given, str) and len(given) <= MAX_ID_LENGTH):
        return given
    raise BadMessage(f"id: expected a string of at most {MAX_ID_LENGTH} characters, {_got(given)}")


def command(content: Mapping[str, Any]) -> Command:
    """Return what a message asks for.

    Raises:
        BadMessage: If a field is missing or is not what it should be.
        UnknownType: If the protocol has no such message.
    """
    kind = content.get("type")
    if not isinstance(kind, str):
        raise BadMessage(f"type: expected the name of a message, {_got(kind)}")
    if kind in list(Verb):
        return Verb(kind)
    if kind not in _PARSERS:
        known = ", ".join(sorted([*_PARSERS, *Verb]))
        raise UnknownType(f"there is no message of type {kind[:40]!r}; expected one of {known}")
    return _PARSERS[kind](content)


def read_ack(text: str | None) -> int | None:
    """Return the number in a well-formed ack, and None for every other message.

    By far the most frequent message, and not one of the 30 a second: it is worth a short way. A
    longer one is read as any other message, and refused.
    """
    if text is None or len(text) > MAX_ACK_BYTES or '"ack"' not in text:
        return None
    if usual := USUAL_ACK.fullmatch(text):
        return int(usual[1])
    try:
        content = read(text)
        check_size(content, text)
        parsed = command(content)
    except ClientError:
        return None
    return parsed.seq if isinstance(parsed, Ack) else None


def read_ping(text: str | None) -> Ping | None:
    """Return a well-formed ping, and None for every other message."""
    if text is None or len(text) > MAX_PING_CHARACTERS or '"ping"' not in text:
        return None
    try:
        content = read(text)
        return Ping(message_id(content)) if command(content) is Verb.PING else None
    except ClientError:
        return None


def _start(content: Mapping[str, Any]) -> Start:
    return Start(
        simulation=_text(content, "simulation"),
        params=_object(content, "params"),
        engine=_choice(content, "engine", Engine),
        abandon=_choice(content, "abandon", Abandon),
        fps=_fps(content),
        encoding=_encoding(content),
        streams=_streams(content),
        sets_step_rate="steps_per_second" in content,
        steps_per_second=_step_rate(content),
    )


def _watch(content: Mapping[str, Any]) -> Watch:
    token = content.get("token")
    if token is not None and not isinstance(token, str):
        raise BadMessage(f"token: expected a string, {_got(token)}")
    return Watch(_text(content, "session"), token, _encoding(content), _streams(content))


def _file(content: Mapping[str, Any]) -> FilePart:
    param, name = _text(content, "param"), _text(content, "name")
    if len(param) > MAX_ID_LENGTH or not 0 < len(name) <= MAX_FILE_NAME:
        raise BadMessage(
            f"file: expected the name of a parameter, of at most {MAX_ID_LENGTH} characters, and "
            f"that of a file, of 1 to {MAX_FILE_NAME}"
        )
    is_first, is_last = content.get("first", True), content.get("last", True)
    if not isinstance(is_first, bool) or not isinstance(is_last, bool):
        raise BadMessage(f"first, last: expected true or false, {_got([is_first, is_last])}")
    try:
        part = base64.b64decode(_text(content, "content"), validate=True)
    except ValueError as error:
        raise BadMessage(f"content: expected base64, {_got(content['content'])}") from error
    return FilePart(param, name, part, is_first, is_last)


def _step(content: Mapping[str, Any]) -> Step:
    count = content.get("count", 1)
    if not _is_int(count) or not 1 <= count <= MAX_STEPS_PER_COMMAND:
        raise BadMessage(
            f"count: expected a whole number from 1 to {MAX_STEPS_PER_COMMAND:,}, {_got(count)}"
        )
    return Step(count)


def _set(content: Mapping[str, Any]) -> SetParams:
    if "params" not in content:
        raise BadMessage("params: expected an object with the parameters to change, got nothing")
    return SetParams(_object(content, "params"))


def _rate(content: Mapping[str, Any]) -> Rate:
    changes_step_rate = "steps_per_second" in content
    per_second = _step_rate(content)
    fps = _fps(content)
    if fps is None and not changes_step_rate:
        raise BadMessage("rate: expected fps, steps_per_second or both, got neither")
    return Rate(fps, changes_step_rate, per_second)


def _step_rate(content: Mapping[str, Any]) -> float | None:
    per_second: Any = content.get("steps_per_second")
    if per_second is not None and not (
        _is_number(per_second) and 0 < per_second <= MAX_STEPS_PER_SECOND
    ):
        raise BadMessage(
            f"steps_per_second: expected a number above 0 and up to {MAX_STEPS_PER_SECOND:,}, "
            f"or null for no limit, {_got(per_second)}"
        )
    return None if per_second is None else float(per_second)


def _ack(content: Mapping[str, Any]) -> Ack:
    seq = content.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool):
        raise BadMessage(f"seq: expected the number of a frame, {_got(seq)}")
    return Ack(seq)


def _visibility(content: Mapping[str, Any]) -> Visibility:
    visible = content.get("visible")
    if not isinstance(visible, bool):
        raise BadMessage(f"visible: expected true or false, {_got(visible)}")
    return Visibility(visible)


def _pointer(content: Mapping[str, Any]) -> Pointer:
    kind, target = content.get("kind"), content.get("target")
    if kind not in KINDS:
        raise BadMessage(f"kind: expected one of {', '.join(KINDS)}, {_got(kind)}")
    if target is not None and not (isinstance(target, str) and len(target) <= MAX_TARGET_LENGTH):
        raise BadMessage(
            f"target: expected an id of at most {MAX_TARGET_LENGTH} characters, {_got(target)}"
        )
    return Pointer(kind, _coordinate(content, "x"), _coordinate(content, "y"), target)


def _coordinate(content: Mapping[str, Any], name: str) -> float:
    value: Any = content.get(name)
    if not _is_number(value) or abs(value) > MAX_COORDINATE:
        raise BadMessage(
            f"{name}: expected a number from -{MAX_COORDINATE:g} to {MAX_COORDINATE:g}, "
            f"{_got(value)}"
        )
    return float(value)


_PARSERS: dict[str, Callable[[Mapping[str, Any]], Command]] = {
    "start": _start,
    "watch": _watch,
    "file": _file,
    "step": _step,
    "set": _set,
    "rate": _rate,
    "ack": _ack,
    "visibility": _visibility,
    "pointer": _pointer,
}


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise BadMessage(f"{name}: expected a string, {_got(value)}")
    return value


def _object(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise BadMessage(f"{name}: expected an object, {_got(value)}")
    return value


def _choice(content: Mapping[str, Any], name: str, choices: type[Choice]) -> Choice | None:
    value = content.get(name)
    if value is None:
        return None
    if value not in list(choices):
        raise BadMessage(f"{name}: expected one of {', '.join(choices)}, {_got(value)}")
    return choices(value)


def _fps(content: Mapping[str, Any]) -> float | None:
    fps = content.get("fps")
    if fps is None:
        return None
    if not _is_number(fps) or not 1 <= fps <= MAX_FPS:
        raise BadMessage(f"fps: expected a number from 1 to {MAX_FPS}, {_got(fps)}")
    return float(fps)


def _encoding(content: Mapping[str, Any]) -> Encoding:
    """Choose among the encodings that a client would rather have; it must take both."""
    accepted = _accepted(content)
    if accepted == [Encoding.DEFLATE_STREAM]:
        return Encoding.DEFLATE_RAW
    return next((one for one in accepted if one in SHARED_ENCODINGS), Encoding.IDENTITY)


def _streams(content: Mapping[str, Any]) -> Streams:
    """Return when a client takes a stream: always if it would rather have it than anything."""
    accepted = _accepted(content)
    if Encoding.DEFLATE_STREAM not in accepted:
        return Streams.NEVER
    return Streams.ALWAYS if accepted[0] is Encoding.DEFLATE_STREAM else Streams.IF_SLOW


def _accepted(content: Mapping[str, Any]) -> list[Encoding]:
    """Return what a client takes, of what there is, in its order."""
    accept = content.get("accept")
    if accept is None:
        return [Encoding.DEFLATE_RAW]
    if not isinstance(accept, list) or not all(isinstance(name, str) for name in accept):
        raise BadMessage(f"accept: expected a list of encodings, {_got(accept)}")
    return [Encoding(name) for name in accept if name in list(Encoding)]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


def _got(value: Any) -> str:
    return "got nothing" if value is None else f"got {json.dumps(value):.80}"


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """Return a number of JSON. 1e999 is none that JSON could send on."""
    if math.isinf(number := float(text)):
        raise ValueError(f"{text:.40} is too large")
    return number


# What the server sends.

# One for all: `json.dumps` would make one for each message.
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=str)


def encode(message: Mapping[str, Any], answers: str | None = None) -> str:
    """Return a message as text, with the id of the message that it answers."""
    return _ENCODER.encode(message if answers is None else {**message, "id": answers})


def hello_message(version: str, limits: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "hello",
        "protocol": SUBPROTOCOL,
        "server": f"livestep/{version}",
        "limits": {
            "start_bytes": MAX_START_BYTES,
            "message_bytes": MAX_MESSAGE_BYTES,
            **limits,
        },
    }


def series_message(
    names: Sequence[str], steps: Sequence[int], columns: Sequence[Sequence[float]]
) -> dict[str, Any]:
    """Return a `series` message: points of lines that have them at the same steps. NaN is a gap."""
    values = [[value if value == value else None for value in column] for column in columns]
    points = [list(row) for row in zip(steps, *values, strict=True)]
    return {"type": "series", "names": list(names), "points": points}


def told_params(params: Mapping[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """Return the part of a `session` message that tells the parameters.

    Args:
        whole: Whether long texts are among them. They may be a visitor's data, so that they are
            for those who may control the session; the others get their names and lengths.
    """
    values = {name: plain(value) for name, value in params.items()}
    if whole:
        return {"params": values}
    lengths = {name: _length(value) for name, value in values.items()}
    long = {name: length for name, length in lengths.items() if length > MAX_TOLD_CHARACTERS}
    told = {name: value for name, value in values.items() if name not in long}
    return {"params": told, "long_params": long} if long else {"params": told}


def told_line(place: Place | None) -> dict[str, Any]:
    """Return the part of a `session` message that says to those who may control it where in the
    author's code it failed."""
    return {"line": place and asdict(place)}


def told_output(lines: Sequence[str]) -> dict[str, Any]:
    """Return the part of a `session` message for those who may control it that has the lines which
    were printed last."""
    left, kept = MAX_OUTPUT_CHARACTERS, []
    for line in reversed(lines):
        left -= len(line)
        if left < 0:
            break
        kept.append(line)
    return {"output": kept[::-1]}


def with_more(status: Mapping[str, Any], more: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a `session` message with parts that not everybody is told."""
    if not more:
        return status
    return {**(without_params(status) if "params" in more else status), **more}


def _length(value: Any) -> int:
    if value is None or isinstance(value, bool | int | float):
        return 0
    return len(value if isinstance(value, str) else json.dumps(value, default=str))


def without_params(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `session` message for viewers that know the parameters already."""
    return {name: value for name, value in status.items() if name not in PARAMS}


def status_message(
    snapshot: Snapshot, *, viewers: int, queue_position: int | None = None, epoch: int = EPOCH
) -> dict[str, Any]:
    progress, stop = snapshot.progress, snapshot.stop
    return {
        "type": "session",
        "session": snapshot.id,
        "epoch": epoch,
        "simulation": snapshot.simulation,
        "title": snapshot.title,
        "engine": snapshot.engine,
        "state": snapshot.state,
        **told_params(snapshot.params),
        "step": snapshot.step,
        "seq": snapshot.seq,
        "frames": {
            "produced": snapshot.seq,
            "too_large": snapshot.frames_too_large,
            # Of the newest one.
            "step": snapshot.frame_step or None,
        },
        "rate": {"fps": snapshot.fps, "steps_per_second": snapshot.steps_per_second},
        "progress": progress
        and {"done": progress.done, "total": progress.total, "text": progress.text},
        "description": snapshot.description,
        "input": snapshot.takes_input,
        "printed": snapshot.printed,
        "files": [{"name": name, "size": size} for name, size in snapshot.files],
        "viewers": viewers,
        "queue_position": queue_position,
        "elapsed_ms": snapshot.elapsed_ms,
        "stop": stop
        and {"by": stop.by, "how": stop.how, "after_ms": stop.after_ms, "step": stop.step},
        "error": snapshot.error and {"message": snapshot.error},
    }


def notice_message(code: str, sentence: str, **more: Any) -> dict[str, Any]:
    return {"type": "notice", "code": code, "message": sentence, **more}


def error_message(error: ClientError) -> dict[str, Any]:
    message: dict[str, Any] = {"type": "error", "code": error.code, "message": str(error)}
    if isinstance(error, InvalidParams):
        message["fields"] = error.fields
    return message
