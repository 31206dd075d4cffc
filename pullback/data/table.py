"""Tables with named columns, from .csv and .parquet files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pullback.data.dataset import Array
from pullback.errors import ConfigError, DataError


@dataclass(frozen=True)
class Table:
    """Columns by name, float64 or text, and where in the file each of their rows stands."""

    columns: Mapping[str, Array]
    lines: Sequence[int]
    unit: str = "line"

    def place(self, wanted: Array) -> str:
        """Where in the file the first of the rows stands for which ``wanted`` holds."""
        return f"{self.unit} {self.lines[int(np.argmax(wanted))]}"

    def first_text(self, name: str) -> str:
        """The first entry of a column that is not a number, with its place."""
        text = np.array([not _is_number(cell or "0") for cell in self.columns[name]])
        return f"first {str(self.columns[name][text][0])!r} in {self.place(text)}"


def read_csv(path: Path) -> Table:
    """A .csv with commas, semicolons or tabs; the first line names the columns if it has no number.

    Columns of a file without names are called 1, 2, …
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows, lines = _csv_rows(text)
    except (UnicodeDecodeError, csv.Error) as problem:
        raise DataError(f"{path.name} is not a text file with columns: {problem}") from None
    if not rows:
        raise DataError(f"{path.name} is empty")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(rows[0]):
            raise DataError(
                f"{path.name}: line {line} has {len(row)} columns; expected {len(rows[0])}"
            )
    if any(_is_number(cell) for cell in rows[0]):
        names = [str(at) for at in range(1, len(rows[0]) + 1)]
    else:
        names = [cell or str(at) for at, cell in enumerate(rows.pop(0), 1)]
        lines.pop(0)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path.name} has two columns called {twice!r}")
    if not rows:
        raise DataError(f"{path.name} has column names but no samples")
    cells = zip(*rows, strict=True)
    columns = {name: _parsed(column) for name, column in zip(names, cells, strict=True)}
    return Table(columns, lines)


def _csv_rows(text: str) -> tuple[list[list[str]], list[int]]:
    """The rows that are not blank, and the line of each."""
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    rows, lines = [], []
    for row in reader:
        cells = [cell.strip() for cell in row]
        if any(cells):
            rows.append(cells)
            lines.append(reader.line_num)
    return rows, lines


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _parsed(cells: Sequence[str]) -> Array:
    """A column as numbers, an empty cell as NaN; as text if any other cell is not a number."""
    try:
        return np.array([float(cell or "nan") for cell in cells])
    except ValueError:
        return np.array(cells)


def read_parquet(path: Path) -> Table:
    """A .parquet file; raises ConfigError where pyarrow is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        raise ConfigError(
            "reading .parquet needs pyarrow, which is not installed: "
            "pip install 'pullback[parquet]'"
        ) from None
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as problem:
        first_line = str(problem).partition("\n")[0]
        raise DataError(f"{path.name} is not a readable .parquet file: {first_line}") from None
    if not table.num_rows:
        raise DataError(f"{path.name} is empty: it has no samples")
    columns = {
        name: _arrow(f"{path.name}: column {name!r}", column)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return Table(columns, range(1, table.num_rows + 1), unit="row")


def _arrow(label: str, column: Any) -> Array:
    """A column of Arrow's as float64, a missing entry as NaN, or as text, a missing one empty."""
    values = np.array(column.to_pylist(), dtype=object)
    missing = np.array([value is None for value in values])
    if all(isinstance(value, str) for value in values[~missing]):
        values[missing] = ""
        return values.astype(str)
    values[missing] = np.nan
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{label} has type {column.type}; expected numbers or text") from None
