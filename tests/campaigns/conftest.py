"""Campaigns: seeded random and hostile runs; seconds as tests, as long as wanted by name."""

from collections.abc import Callable

import pytest


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """How many tries: the first number in a test run, the second under ``--campaign=long``."""
    wanted = request.config.getoption("--campaign")
    return lambda short, long: long if wanted == "long" else short


@pytest.fixture
def first(request: pytest.FixtureRequest) -> int:
    """The first seed: ``--first=300`` goes on where a run of 300 has ended."""
    return int(request.config.getoption("--first"))
