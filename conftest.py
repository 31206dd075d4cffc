"""Compiled programs of the tests, and the key that signs them, are for this run only."""

from __future__ import annotations

import importlib
import os
import signal
import tempfile

import pytest

# before the workers of a parallel run start, so that they share it
if "PULLBACK_TEST_CACHE" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="pullback-tests-")
    os.environ["PULLBACK_TEST_CACHE"] = _folder.name
os.environ["PULLBACK_CACHE"] = os.path.join(os.environ["PULLBACK_TEST_CACHE"], "cache")
os.environ["XDG_DATA_HOME"] = os.path.join(os.environ["PULLBACK_TEST_CACHE"], "data")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--campaign=long`` is what ``make campaigns`` passes."""
    parser.addoption(
        "--campaign", choices=("short", "long"), default="short", help="how long campaigns run"
    )
    parser.addoption("--first", type=int, default=0, help="the first seed of a campaign")


def pytest_configure() -> None:
    """What a shell starts in the background ignores Ctrl-C, which some tests send."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def loops_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Numba would compile, as it stands: each function takes it a second."""
    numba = importlib.import_module("numba")
    monkeypatch.setattr(numba, "njit", lambda **options: lambda function: function)
