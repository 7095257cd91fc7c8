"""Process 1 of a container: stood in for by a process to which the kernel gives orphans, too."""

import signal
import subprocess
import sys

import pytest

from tests.servers import ROOT

PROGRAM = """
import ctypes, os, pathlib, signal, subprocess, sys, time
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
from streaming.server.init import go_on_in_child
go_on_in_child()

def end(number, frame):
    sys.exit(7)

signal.signal(signal.SIGTERM, end)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
for _ in range(20):
    subprocess.run(["sh", "-c", "sleep 0.01 &"])
parent = os.getppid()
children = pathlib.Path(f"/proc/{parent}/task/{parent}/children")
while children.read_text().split() != [str(os.getpid())]:
    time.sleep(0.01)
print("no orphan is left", flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
signal.pause()
"""


@pytest.mark.parametrize(("how", "code"), [("ended", 7), ("killed", 128 + signal.SIGKILL)])
def test_reaps_what_is_left_passes_signals_on_and_ends_as_its_work_does(how, code):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "no orphan is left\n"
            if how == "ended":
                process.terminate()
            assert process.wait(30) == code
        finally:
            process.kill()
