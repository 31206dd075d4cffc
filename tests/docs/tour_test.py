"""The tour runs from top to bottom; its assertions are its claims."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

TOUR = Path(__file__).parents[2] / "docs" / "tour.py"


def test_the_tour_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_path(str(TOUR))
    printed = capsys.readouterr().out
    assert names["verdict"].ok
    assert "delta2 = " in printed  # the emitted program was shown
