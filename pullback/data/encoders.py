"""How one column becomes features: numbers, categories and dates, each fitted on training rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pullback.data.cells import shown
from pullback.data.dates import by_pattern
from pullback.data.table import Table
from pullback.errors import DataError, unknown
from pullback.foreign.columns import Array, doubles

MOST_CATEGORIES = 50  # columns that one category becomes; the rarest share one
_OTHER = "other"
_DAY = np.timedelta64(1, "D") / np.timedelta64(1, "s")
_PERIODS = {"year": 365.2425, "week": 7.0, "day": 1.0}  # days


@dataclass(frozen=True)
class Encoder(ABC):
    """A column by its name, with what was learnt of it; ``filled`` entries were missing then."""

    kind: ClassVar[str]
    name: str
    filled: int

    @classmethod
    @abstractmethod
    def fit(cls, name: str, table: Table) -> Self:
        """What the column of a table asks for."""

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """What the columns of X that it becomes are called."""

    @abstractmethod
    def encode(self, table: Table) -> tuple[Array, str]:
        """(rows, features) in float64, and what is to be said of entries: the end of a sentence.

        Raises DataError, with the place and the value, for what is of another kind.
        """


@dataclass(frozen=True)
class NumberColumn(Encoder):
    """A number, or truth values as 0 and 1; what is missing becomes the median."""

    kind: ClassVar[str] = "number"
    median: float

    @classmethod
    def fit(cls, name: str, table: Table) -> Self:
        values, missing = _numbers(name, table), table[name].missing
        median = float(np.median(values[~missing])) if not missing.all() else 0.0
        return cls(name, int(missing.sum()), median)

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name,)

    def encode(self, table: Table) -> tuple[Array, str]:
        values, missing = _numbers(self.name, table), table[self.name].missing
        filled = np.where(missing, self.median, values)
        count = int(missing.sum())
        said = f"has {count:,} missing, filled with the median {self.median:.6g}" if count else ""
        return filled[:, None], said


@dataclass(frozen=True)
class CategoryColumn(Encoder):
    """One feature a value, 1 where it is that one; a missing entry is a value of its own.

    ``other`` says that rare values share the last feature. A value that was never seen has no
    feature, or that of the rare ones.
    """

    kind: ClassVar[str] = "category"
    values: tuple[str, ...]
    other: bool = False

    @classmethod
    def fit(cls, name: str, table: Table) -> Self:
        counts = Counter(_texts(name, table))
        common = [value for value, _ in counts.most_common(MOST_CATEGORIES)]
        filled = int(table[name].missing.sum())
        return cls(name, filled, tuple(sorted(common)), len(counts) > len(common))

    @property
    def features(self) -> tuple[str, ...]:
        shown = [f"{self.name}={value or 'missing'}" for value in self.values]
        return (*shown, *([f"{self.name}={_OTHER}"] if self.other else []))

    def encode(self, table: Table) -> tuple[Array, str]:
        texts = _texts(self.name, table)
        places = {value: at for at, value in enumerate(self.values)}
        width = len(self.features)
        at = np.array([places.get(text, len(places)) for text in texts], int)
        one_hot = np.eye(len(places) + 1)[at][:, :width]
        unseen = at == len(places)
        if self.other or not unseen.any():
            return one_hot, ""
        first = texts[int(np.argmax(unseen))]
        what = shown(first) if first else "a missing entry"
        return one_hot, (
            f"holds values that were not there in training, first {what} in {table.place(unseen)} "
            f"({int(unseen.sum()):,} rows): all its features are 0 there"
        )


@dataclass(frozen=True)
class DateColumn(Encoder):
    """Days since 1970, and the phase of the periods that come at least twice; gaps: the median."""

    kind: ClassVar[str] = "date"
    median: float
    periods: tuple[str, ...]
    pattern: str = ""

    def __post_init__(self) -> None:
        for each in self.periods:
            if each not in _PERIODS:
                raise unknown("period", each, _PERIODS)

    @classmethod
    def fit(cls, name: str, table: Table) -> Self:
        pattern, missing = table[name].pattern, table[name].missing
        days = _days(name, table, pattern)
        present = days[~missing]
        span = float(np.ptp(present))
        within = bool((present % 1 != 0).any())
        periods = tuple(
            each
            for each, length in _PERIODS.items()
            if span >= 2 * length and (within or length > 1)
        )
        return cls(name, int(missing.sum()), float(np.median(present)), periods, pattern)

    @property
    def features(self) -> tuple[str, ...]:
        phases = [f"{self.name}: {f} of {each}" for each in self.periods for f in ("sin", "cos")]
        return (self.name, *phases)

    def encode(self, table: Table) -> tuple[Array, str]:
        days, missing = _days(self.name, table, self.pattern), table[self.name].missing
        days = np.where(missing, self.median, days)
        columns = [days]
        for each in self.periods:
            angle = 2 * np.pi * (days % _PERIODS[each]) / _PERIODS[each]
            columns += [np.sin(angle), np.cos(angle)]
        count = int(missing.sum())
        said = f"has {count:,} missing, filled with the median" if count else ""
        return np.column_stack(columns), said


ENCODERS: Mapping[str, type[Encoder]] = {
    each.kind: each for each in (NumberColumn, CategoryColumn, DateColumn)
}


def _numbers(name: str, table: Table) -> Array:
    """Finite numbers; any number where one is missing."""
    column = table[name]
    if not column.missing.all():
        table.refuse_text(name)
        table.refuse(name, table.infinite(name))
    return doubles(table.label(name), column.values) if not column.is_text else np.zeros(len(table))


def _texts(name: str, table: Table) -> Any:
    """The texts of a column, "" where one is missing."""
    column = table[name]
    texts = column.texts()
    texts[column.missing] = ""
    return texts


def _days(name: str, table: Table, pattern: str) -> Array:
    """Days since 1970, read by the pattern of the training data and by no other."""
    column = table[name]
    if column.missing.all():
        return np.zeros(len(table))
    values: Array | None = column.values if column.is_date and not column.cells else None
    if column.cells:
        values = by_pattern([str(each) for each in _texts(name, table)], pattern)
    if values is None:
        at = int(np.argmin(column.missing))
        as_before = f"{pattern} (as %d is a day, %m a month)" if pattern else "2020-01-31"
        raise DataError(
            f"{table.label(name)} holds {shown(str(column.texts()[at]))} in "
            f"{table.place(~column.missing)}; expected dates as in training: write all of them as "
            f"{as_before}"
        )
    seconds = (values - np.datetime64(0, "s")) / np.timedelta64(1, "s")
    return np.asarray(seconds / _DAY)
