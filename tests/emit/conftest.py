"""What the tests of emitted code have in common."""

from __future__ import annotations

import importlib

import pytest


@pytest.fixture
def loops_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Numba would compile, as it stands: each function takes it a second."""
    numba = importlib.import_module("numba")
    monkeypatch.setattr(numba, "njit", lambda **options: lambda function: function)
