"""``read_csv``: the columns of a .csv file, their names, and what is an index and no feature."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from pullback.data.cells import is_number, typed
from pullback.data.delimited import read_rows
from pullback.data.header import has_header
from pullback.data.table import Table, without_index
from pullback.errors import DataError


def read_csv(
    path: Path,
    header: bool | None = None,
    missing: Collection[str] = (),
    expected: Sequence[str] = (),
) -> Table:
    """A .csv with commas, semicolons, tabs, bars or blanks between its columns.

    ``header`` says whether the first line names the columns; None compares it with those below.
    Columns of a file without names are called 1, 2, … A column without a name is left out where
    it is an index or empty. ``missing`` are more cells that say that there is no value. Where
    ``expected`` columns are named on the first line, it is the header. Raises DataError for what is
    not a table.
    """
    rows = read_rows(path)
    cells, lines, notes = rows.cells, rows.lines, list(rows.notes)
    first = [cell.strip() for cell in cells[0]]
    if header is None and expected and {*expected} <= {*first}:
        header = True
    if header is None:
        stripped = [[cell.strip() for cell in row] for row in cells[:1001]]
        header = has_header(path.name, stripped)
        if not header:
            notes.append("the first line is read as a sample; columns are called 1, 2, …")
        elif any(map(is_number, first)):
            notes.append(f"the first line is read as the names: {', '.join(first[:6])}")
    names = first if header else [str(at) for at in range(1, len(first) + 1)]
    cells, lines = cells[header:], lines[header:]
    if not cells:
        raise DataError(f"{path.name} has column names but no samples")
    found = [typed(column, missing) for column in zip(*cells, strict=True)]
    if any(column.comma for column in found):  # which says how the others are meant
        found = [typed(column, missing, comma=True) for column in zip(*cells, strict=True)]
    columns, said = without_index(path.name, list(zip(names, found, strict=True)))
    return Table(path.name, columns, lines, notes=(*notes, *said))
