"""Tables with named columns, as the readers of .csv and .parquet files hand them over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pullback.data.cells import Column, shown
from pullback.errors import DataError, unknown
from pullback.foreign.columns import Array, doubles, missing

_UNNAMED = re.compile(r"Unnamed: \d+")  # pandas' name of a column that has none


@dataclass(frozen=True)
class Table:
    """Columns by name, where in the file each row stands, and what was guessed about them."""

    name: str
    columns: Mapping[str, Column]
    lines: Sequence[int]
    unit: str = "line"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, name: str) -> Column:
        if name not in self.columns:
            raise unknown(f"column of {self.name}:", name, self.columns)
        return self.columns[name]

    def take(self, rows: Array) -> Table:
        """The rows at these places, or where this is True."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        return replace(self, columns=columns, lines=np.asarray(self.lines)[rows].tolist())

    def label(self, column: str) -> str:
        """What a column is called in messages."""
        return f"{self.name}: column {column!r}"

    def place(self, wanted: Array) -> str:
        """Where in the file the first of the rows stands for which ``wanted`` holds."""
        return f"{self.unit} {self.lines[int(np.argmax(wanted))]}"

    def numbers(self, names: Sequence[str]) -> Array:
        """Columns of numbers as (rows, columns) in float64.

        Raises DataError, with the place, for text, for missing entries and for what float64 cannot
        tell apart.
        """
        for name in names:
            self.refuse_text(name)
            self.refuse(name, self[name].missing | self.infinite(name))
        return np.column_stack([doubles(self.label(n), self[n].values) for n in names])

    def infinite(self, name: str) -> Array:
        """Which entries of a column are infinite."""
        values = self[name].values
        return np.isinf(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)

    def refuse(self, name: str, wrong: Array, fix: str = "") -> None:
        """Raise DataError, with the first place, if entries of the column are no finite values."""
        if not wrong.any():
            return
        column = self[name]
        at, count = int(np.argmax(wrong)), int(wrong.sum())
        cell = shown(column.cells[at]) if column.cells and column.cells[at] else ""
        text = missing(self.label(name), f"{self.unit} {self.lines[at]}", count, cell)
        also = ", or rename it if it is a class" if cell and column.is_text else ""
        raise DataError(text + also + fix)

    def refuse_text(self, name: str) -> None:
        """Raise DataError, with the place and the value, if the column holds text."""
        column = self[name]
        if not (column.is_text or column.is_date):
            return
        at = column.first_word() if column.is_text else int(np.argmin(column.missing))
        kind = "text" if column.is_text else "dates"
        raise DataError(
            f"{self.name}: column {name!r} holds {kind}, first {shown(column.texts()[at])} in "
            f"{self.unit} {self.lines[at]}; expected numbers: write them as numbers, or leave the "
            f"column out with {dropping(name)}"
        )


def without_index(
    name: str, named: Sequence[tuple[str, Column]]
) -> tuple[dict[str, Column], list[str]]:
    """Columns by name, less those without a name that are an index or empty; and what was left out.

    Raises DataError for two columns of one name.
    """
    columns: dict[str, Column] = {}
    notes = []
    for at, (given, column) in enumerate(named):
        unnamed = not given or _UNNAMED.fullmatch(given)
        if unnamed and (what := _no_feature(at, column)):
            notes.append(f"column {at + 1}, which has no name, is left out: it is {what}")
            continue
        own = given or str(at + 1)
        if own in columns:
            raise DataError(f"{name} has two columns called {own!r}; rename one of them")
        columns[own] = column
    return columns, notes


def counts_rows(column: Column) -> bool:
    """Does the column only number its rows, from 0 or 1?"""
    values = column.values
    if values.dtype.kind not in "iu" or len(values) < 3 or values[0] not in (0, 1):
        return False
    return bool((values[1:] == values[:-1] + 1).all())


def dropping(name: str) -> str:
    """How to leave a column out, in Python and on the command line."""
    return f"drop={[name]!r} (--drop {name!r} on the command line)"


def _no_feature(at: int, column: Column) -> str:
    """What a column without a name is, if it is no feature."""
    if column.missing.all():
        return "empty"
    if at == 0:
        return "row names" if column.is_text else "an index"
    return "an index" if counts_rows(column) else ""
