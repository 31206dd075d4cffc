"""Dates and times of day in text: of the spellings that fit all cells, the one that keeps order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from pullback.foreign.columns import Array

_DAYS = (
    "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y",
    "%b %d, %Y", "%B %d, %Y", "%b %Y", "%Y-%m",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_OF_DAY = ("%H:%M", "%H:%M:%S", "%H.%M.%S", "%I:%M %p", "%I:%M:%S %p")
_HOUR = 3600.0


@dataclass(frozen=True)
class Dates:
    """Moments (datetime64, NaT where there is none), by which pattern ("" is ISO 8601), a guess."""

    values: Array
    pattern: str
    note: str = ""


def dates(cells: Sequence[str]) -> Dates | None:
    """Text as moments in seconds, and how it was read where another reading fits too.

    Empty cells become NaT; a time with a zone becomes that of UTC. None where they are no dates.

    >>> dates(["31/01/2020", "01/02/2020"]).values
    array(['2020-01-31T00:00:00', '2020-02-01T00:00:00'], dtype='datetime64[s]')
    >>> dates(["2020-01-31", "soon"])
    """
    different = sorted(set(cells) - {""})
    if not different or not all(each[:1].isalnum() and len(each) > 5 for each in different):
        return None
    patterns = ["", *(day + time for day in _DAYS for time in _TIMES)]
    found = [
        (pattern, _placed(cells, different, moments))
        for pattern in patterns
        if (moments := _read(different, pattern)) is not None
    ]
    if not found:
        return None
    pattern, values = max(found, key=lambda each: _in_order(each[1]))
    others = " or ".join(each for each, _ in found if each != pattern)
    note = f"holds {different[0]!r}, read as {pattern} and not as {others}" if others else ""
    return Dates(values, pattern, note)


def by_pattern(cells: Sequence[str], pattern: str) -> Array | None:
    """Text as moments by one pattern; empty cells become NaT, None where a cell does not fit."""
    different = sorted(set(cells) - {""})
    moments = _read(different, pattern)
    return None if moments is None else _placed(cells, different, moments)


def hours(cells: Sequence[str]) -> Array | None:
    """Times of the day as hours from midnight; empty cells become NaN, None where they are none.

    >>> hours(["18.30.00", "06.00.00"])
    array([18.5,  6. ])
    """
    different = sorted(set(cells) - {""})
    for pattern in _OF_DAY:
        moments = _read(different, pattern) if different else None
        if moments is not None:
            since = np.datetime64("1900-01-01", "s")
            spent: Array = (_placed(cells, different, moments) - since) / np.timedelta64(1, "s")
            return spent / _HOUR
    return None


def _read(texts: Sequence[str], pattern: str) -> list[datetime] | None:
    """All texts by one pattern, or by ISO 8601; None where one does not fit."""
    try:
        if pattern:
            return [datetime.strptime(each, pattern) for each in texts]
        return [_naive(datetime.fromisoformat(each)) for each in texts]
    except ValueError:
        return None


def _naive(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _placed(cells: Sequence[str], texts: Sequence[str], moments: Sequence[datetime]) -> Array:
    known = dict(zip(texts, np.array(moments, "datetime64[s]"), strict=True))
    none = np.datetime64("NaT", "s")
    return np.array([known.get(cell, none) for cell in cells])


def _in_order(values: Array) -> float:
    """The larger share of steps that go the same way: what was written down in order has 1."""
    steps = np.diff(values[~np.isnat(values)].astype(np.int64))
    return max((steps >= 0).mean(), (steps <= 0).mean()) if len(steps) else 1.0
