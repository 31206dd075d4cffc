"""Tables with named columns, as the readers of .csv and .parquet files hand them over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pullback.data.cells import Column, shown
from pullback.data.dataset import Array
from pullback.errors import DataError
from pullback.foreign.columns import doubles, missing

_UNNAMED = re.compile(r"Unnamed: \d+")  # pandas' name of a column that has none


@dataclass(frozen=True)
class Table:
    """Columns by name, where in the file each row stands, and what was guessed about them."""

    name: str
    columns: Mapping[str, Column]
    lines: Sequence[int]
    unit: str = "line"
    notes: tuple[str, ...] = ()

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
        self._refuse_text([name for name in names if self.columns[name].is_text])
        for name in names:
            self.refuse_missing(name)
        return np.column_stack([doubles(self.label(n), self.columns[n].values) for n in names])

    def refuse_missing(self, name: str) -> None:
        """Raise DataError if an entry of the column is missing."""
        column = self.columns[name]
        if not column.missing.any():
            return
        at, count = int(np.argmax(column.missing)), int(column.missing.sum())
        cell = shown(column.cells[at]) if column.cells and column.cells[at] else ""
        text = missing(self.label(name), f"{self.unit} {self.lines[at]}", count, cell)
        raise DataError(
            text + (", or rename it if it is a class" if cell and column.is_text else "")
        )

    def _refuse_text(self, names: Sequence[str]) -> None:
        if not names:
            return
        column = self.columns[names[0]]
        at = column.first_word()
        columns = f"columns {', '.join(map(repr, names))} hold"
        if len(names) == 1:
            columns = f"column {names[0]!r} holds"
        raise DataError(
            f"{self.name}: {columns} text, first {shown(column.values[at])} in {self.unit} "
            f"{self.lines[at]}; expected numbers: write them as numbers, or leave them out "
            f"with {_dropping(names)}"
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


def _no_feature(at: int, column: Column) -> str:
    """What a column without a name is, if it is no feature."""
    if column.missing.all():
        return "empty"
    if at == 0:
        return "row names" if column.is_text else "an index"
    return "an index" if counts_rows(column) else ""


def _dropping(names: Sequence[str]) -> str:
    """How to leave columns out, in Python and on the command line."""
    options = " ".join(f"--drop {name!r}" for name in names)
    return f"drop={list(names)!r} ({options} on the command line)"
