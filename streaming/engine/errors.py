"""Everything that Livestep raises on purpose.

LivestepError
├── InvalidSimulation        an author's declaration that cannot work
├── InvalidFrame             a frame that is none of the accepted forms
├── EngineError              the process engine cannot start or lost a child
└── ClientError              a client can see it: an error code, and a close code if not 4400
    ├── BadMessage           bad_message
    │   └── UnknownType      unknown_type
    ├── UnknownSimulation    unknown_simulation
    ├── UnknownSession       unknown_session
    ├── InvalidParams        invalid_params, with the messages of each field
    ├── Forbidden            forbidden           4403
    │   └── LoginRequired    forbidden           4401
    ├── WrongState           wrong_state
    ├── ServerStopping       server_stopping
    ├── Unavailable          internal
    ├── TooManySessions      too_many_sessions   4429
    ├── TooManyMessages      too_many_messages   4429
    └── TooLarge             too_large

StopRequested                a BaseException, so that `except Exception` lets it through
└── StopInterrupted          raised by us wherever the author's code happens to be
"""

import errno
from collections.abc import Mapping
from itertools import islice
from typing import Any

# What a machine runs out of, by the error that says so.
SHORT_OF = {
    errno.EMFILE: "the server has no file descriptor left",
    errno.ENFILE: "the machine has no file descriptor left",
    errno.ENOMEM: "the machine has no memory left",
    errno.EAGAIN: "the machine allows no more processes or threads",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
}


# What Python says, as a RuntimeError, when it can start none.
NO_THREAD = "can't start new thread"

# Of an answer to wrong parameters, in characters.
MOST_NAMED, MOST_SENTENCES = 20, 3
MAX_NAME, MAX_SENTENCE, MAX_MESSAGE = 64, 200, 400


class LivestepError(Exception):
    """Base of every error here. Its text is a sentence that a person can act on."""


class InvalidSimulation(LivestepError):
    """An author declared a simulation that cannot work."""


class InvalidFrame(LivestepError):
    """A simulation gave a frame that is none of the accepted forms."""


class EngineError(LivestepError):
    """A child process cannot be had."""


class ClientError(LivestepError):
    """A client's mistake, or a limit that it met."""

    code = "internal"
    close_code = 4400


class BadMessage(ClientError):
    """A message that is not what the protocol says."""

    code = "bad_message"


class UnknownType(BadMessage):
    """A message whose type the protocol does not have."""

    code = "unknown_type"


class UnknownSimulation(ClientError):
    """No simulation has that name."""

    code = "unknown_simulation"


class UnknownSession(ClientError):
    """No session has that id, or its picture is no longer kept."""

    code = "unknown_session"


class InvalidParams(ClientError):
    """Parameters that do not validate."""

    code = "invalid_params"

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        # What a client has sent is repeated here: so much of it, and no more.
        self.fields = {
            cut(name, MAX_NAME): [cut(sentence, MAX_SENTENCE) for sentence in said[:MOST_SENTENCES]]
            for name, said in islice(fields.items(), MOST_NAMED)
        }
        sentences = [f"{name}: {' '.join(said)}" for name, said in self.fields.items()]
        more = len(fields) - MOST_NAMED
        text = cut("; ".join(sentences), MAX_MESSAGE)
        super().__init__(f"{text}; and {more:,} more" if more > 0 else text)


class Forbidden(ClientError):
    """The client may watch, but may not do that."""

    code = "forbidden"
    close_code = 4403


class LoginRequired(Forbidden):
    """This site is for users that are logged in."""

    close_code = 4401


class WrongState(ClientError):
    """A command that makes no sense in the state that the session is in."""

    code = "wrong_state"


class TooManySessions(ClientError):
    """A limit of sessions or viewers is reached."""

    code = "too_many_sessions"
    close_code = 4429


class ServerStopping(ClientError):
    """The server is about to end."""

    code = "server_stopping"


class Unavailable(ClientError):
    """Something that the server itself needs does not answer."""


class TooManyMessages(ClientError):
    """The client sends faster than its allowance."""

    code = "too_many_messages"
    close_code = 4429


class TooLarge(ClientError):
    """A message over its size limit."""

    code = "too_large"


class StopRequested(BaseException):
    """Raised inside author code by `ctx.check()` and `ctx.sleep()` when stop was asked for."""


class StopInterrupted(StopRequested):
    """Raised inside author code that went on for too long after a stop was asked for."""


def cut(text: str, most: int) -> str:
    """Return a text, or as much of its beginning as it may have of characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def told(error: BaseException) -> str:
    """Return an error as Python tells it: its kind, and its text if it has one."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def shortage(error: BaseException) -> str:
    """Say what there was too little of, where a system call, or Python, could not have it."""
    if isinstance(error, MemoryError):
        return SHORT_OF[errno.ENOMEM]
    if NO_THREAD in str(error):
        return SHORT_OF[errno.EAGAIN]
    if isinstance(error, OSError):
        return SHORT_OF.get(error.errno or 0) or error.strerror or str(error)
    return str(error)


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that the machine, and not the code, had too little of something."""
    is_short_of = isinstance(error, OSError) and error.errno in SHORT_OF
    return is_short_of or isinstance(error, MemoryError) or NO_THREAD in str(error)


def error_of(message: Mapping[str, Any]) -> ClientError:
    """Return the error that an `error` message stands for."""
    fields = message.get("fields")
    if fields is not None:
        return InvalidParams(fields)
    kinds = (
        BadMessage,
        UnknownType,
        UnknownSimulation,
        UnknownSession,
        Forbidden,
        WrongState,
        ServerStopping,
        TooManySessions,
        TooManyMessages,
        TooLarge,
    )
    kind = next((kind for kind in kinds if kind.code == message["code"]), Unavailable)
    return kind(message["message"])
