"""Ctrl-C, whatever is going on: one line or a result, and never a traceback."""

import signal
import subprocess
import sys

import pytest

ASKED = """
import os, signal, threading
threading.Timer({after}, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
from pullback.cli import main
main({args})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process there")
@pytest.mark.parametrize("after", [0.05, 1.0, 3.0])
@pytest.mark.parametrize(
    "args",
    [["train", "--epochs", "1000000", "-q"], ["forecast", "--layers", "64,64x40,10", "-q",
     "--draws", "5000"]],
)  # fmt: skip
def test_it_ends_with_a_line(after, args, tmp_path, monkeypatch):
    monkeypatch.setenv("PULLBACK_CACHE", "off")  # so that it compiles
    code = ASKED.format(after=after, args=args)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert "Traceback" not in done.stderr
    if done.returncode == 0:  # in the middle of training: what was learnt is shown
        assert "interrupted" in done.stdout
    else:
        # Python itself ends by the signal where code that it compiled was running
        assert done.returncode in (130, -signal.SIGINT)
        assert done.stderr.strip() == "pullback: interrupted"
