"""A Ctrl-C that a library swallowed while it was loaded is not lost."""

import os
import signal
import sys

import pytest

from pullback.interrupt import Interrupt, InterruptAtOnce

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGINT ends the process there")


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_what_was_swallowed_is_known_inside():
    before = signal.getsignal(signal.SIGINT)
    with InterruptAtOnce():
        with pytest.raises(KeyboardInterrupt):
            press()
        with Interrupt() as inside:
            assert inside.asked
            with pytest.raises(KeyboardInterrupt):
                press()
    assert signal.getsignal(signal.SIGINT) is before


def test_nothing_is_known_where_nobody_asked():
    with InterruptAtOnce(), Interrupt() as inside:
        assert not inside.asked
        press()
        assert inside.asked
