import threading
import time

from streaming.engine.burning import cpu_seconds


def test_tells_a_thread_that_counts_from_one_that_sleeps():
    release, counted = threading.Event(), threading.Event()

    def count():
        while time.thread_time() < 0.05:
            pass
        counted.set()
        release.wait(10)

    counter = threading.Thread(target=count)
    sleeper = threading.Thread(target=release.wait, args=(10,))
    counter.start()
    sleeper.start()
    assert counted.wait(10)
    assert cpu_seconds(counter.native_id) >= 0.05
    assert cpu_seconds(sleeper.native_id) < 0.05
    release.set()
    counter.join()
    sleeper.join()


def test_of_a_thread_that_is_gone_or_has_not_begun_nothing_is_known():
    thread = threading.Thread(target=int)
    assert cpu_seconds(thread.native_id) is None
    thread.start()
    thread.join()
    deadline = time.monotonic() + 5
    # The system lets go of it a moment after Python does.
    while cpu_seconds(thread.native_id) is not None:
        assert time.monotonic() < deadline
