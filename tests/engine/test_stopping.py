import contextlib
import ctypes
import logging
import os
import threading
import time

import pytest

from streaming.engine import figures
from streaming.engine.errors import StopInterrupted
from streaming.engine.stopping import RETRY_S, AuthorCode, Ladder
from streaming.engine.worker import short_switch_interval

WAIT_S = 30.0


class TestLadder:
    def climb(self, interrupts, *times):
        done = []
        answers = iter(interrupts)
        ladder = Ladder(
            2.0,
            lambda: done.append("interrupt") or next(answers),
            lambda: done.append("end"),
        )
        return [ladder.climb(at) for at in times], done

    def test_waits_for_the_grace_time_then_interrupts_then_ends(self):
        waits, done = self.climb([True], 0.0, 2.0, 3.0)
        assert (waits, done) == ([2.0, 1.0, None], ["interrupt", "end"])

    def test_interrupts_once(self):
        _, done = self.climb([True], 2.0, 2.1, 2.2)
        assert done == ["interrupt"]

    def test_tries_again_soon_when_no_author_code_ran(self):
        waits, done = self.climb([False, True], 2.0, 2.05)
        assert waits == [RETRY_S, pytest.approx(0.95)]
        assert done == ["interrupt", "interrupt"]

    def test_ends_once(self):
        waits, done = self.climb([], 3.5, 4.0)
        assert (waits, done) == ([None, None], ["end"])


class Deaf(logging.Handler):
    def emit(self, record):
        pass


def spin():
    while True:
        time.monotonic()


class TestAuthorCode:
    def test_is_interrupted_from_another_thread(self):
        author, entered, caught = AuthorCode(), threading.Event(), []

        def work():
            try:
                author(lambda: (entered.set(), spin()))
            except StopInterrupted as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert entered.wait(WAIT_S)
        assert author.interrupt()
        thread.join(WAIT_S)
        assert len(caught) == 1
        assert author.interrupted

    def test_gives_what_the_code_gives(self):
        author = AuthorCode()
        assert author(lambda a, b: a + b, 1, b=2) == 3
        with pytest.raises(ZeroDivisionError):
            author(lambda: 1 / 0)
        assert not author.interrupted

    def test_is_not_interrupted_outside(self):
        author = AuthorCode()
        assert not author.interrupt()
        assert author(lambda: "ran") == "ran"
        assert not author.interrupt()

    def test_is_not_interrupted_while_it_is_in_our_code(self):
        author, inside, go_on, seen = AuthorCode(), threading.Event(), threading.Event(), []

        def ours():
            inside.set()
            go_on.wait(WAIT_S)
            seen.append("ours ran to its end")

        thread = threading.Thread(target=lambda: author(lambda: author.aside(ours)))
        thread.start()
        assert inside.wait(WAIT_S)
        assert not author.interrupt()
        go_on.set()
        thread.join(WAIT_S)
        assert seen

    @pytest.mark.parametrize("moment", ["before it leaves", "while it leaves"])
    def test_one_that_comes_as_the_code_returns_is_absorbed(self, moment):
        """It is raised by the call itself, and never after it."""
        here = threading.get_ident()

        class Leaving(AuthorCode):
            lefts = 0

            def send(self):
                self._asked = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(here), ctypes.py_object(StopInterrupted)
                )
                self._asking = False

            def _leave(self):
                self.lefts += 1
                if self.lefts == 1:
                    self._asking = True
                    sending = threading.Timer(0.02, self.send)
                    sending.start()
                    if moment == "before it leaves":
                        sending.join()
                super()._leave()

        author = Leaving()
        with pytest.raises(StopInterrupted):
            author(lambda: "done")
        assert author.interrupted
        assert not author._inside
        assert sum(range(1000)) == 499_500, "nothing comes later"

    def test_never_escapes_whenever_it_comes(self):
        """Short calls one after the other, interrupted at no moment in particular.

        INTERRUPTS=20000 in the environment, with --timeout=0 -o faulthandler_timeout=0, tries so
        many.
        """
        with short_switch_interval():  # As while thread sessions run.
            for n in range(int(os.environ.get("INTERRUPTS", "200"))):
                self.interrupt_somewhere(n)

    def interrupt_somewhere(self, n):
        author, caught = AuthorCode(), False

        def interrupt():
            while not author.interrupt():
                pass

        def code():
            for _ in range(n % 7):
                author.aside(len, "x")

        thread = threading.Thread(target=interrupt)
        thread.start()
        deadline = time.monotonic() + WAIT_S
        while not caught and time.monotonic() < deadline:
            try:
                author(code)
            except StopInterrupted:
                caught = True
        assert not author._asking or thread.is_alive()
        # From here on nothing may be raised any more.
        thread.join(WAIT_S)
        for _ in range(50):
            time.monotonic()
        assert caught
        assert not author._inside

    @pytest.mark.parametrize("n", range(30))
    def test_leaves_no_lock_of_the_process_taken(self, n):
        """Logging takes its handlers' locks in Python: interrupted there, it would hang for all."""
        author, entered = AuthorCode(), threading.Event()
        logger = logging.getLogger(f"{__name__}.{n}")
        logger.propagate = False
        logger.addHandler(handler := Deaf())

        def code():
            entered.set()
            while True:
                logger.error("busy")

        def work():
            with contextlib.suppress(StopInterrupted):
                author(code)

        thread = threading.Thread(target=work)
        thread.start()
        assert entered.wait(WAIT_S)
        while not author.interrupt():
            pass
        thread.join(WAIT_S)
        assert not thread.is_alive()
        assert handler.lock.acquire(timeout=WAIT_S)
        handler.lock.release()

    @pytest.mark.parametrize("n", range(10))
    def test_leaves_the_lock_of_drawing_free(self, n):
        """It is the whole process's, and Python code takes it."""
        author, entered = AuthorCode(), threading.Event()

        class Figure:
            def savefig(self, buffer, format):
                entered.set()

        def work():
            with contextlib.suppress(StopInterrupted):
                author(lambda: [figures.draw(Figure()) for _ in range(10**9)])

        thread = threading.Thread(target=work)
        thread.start()
        assert entered.wait(WAIT_S)
        time.sleep(n / 1000)
        while not author.interrupt():
            pass
        thread.join(WAIT_S)
        assert not thread.is_alive()
        assert figures._lock.acquire(timeout=WAIT_S)
        figures._lock.release()

    def test_a_signal_handler_is_told_once(self):
        author = AuthorCode()
        assert not author.begin_interrupt()
        assert author(lambda: (author.begin_interrupt(), author.begin_interrupt())) == (True, False)
