"""What a target is: classes with their names, or values. A guess is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pullback.data.cells import Column, as_text, is_number, looks_like_a_number, shown
from pullback.data.dataset import Array
from pullback.data.table import Table
from pullback.errors import DataError
from pullback.foreign.columns import doubles

MOST_CLASSES = 20


@dataclass(frozen=True)
class Targets:
    """Class numbers with the names of the classes, or values with none.

    ``note`` says what was guessed: the end of a sentence that begins with the column.
    """

    values: Array
    classes: tuple[str, ...] = ()
    note: str = ""


def targets_of(label: str, values: Array) -> Targets:
    """Numbers or text (samples,), or numbers (samples, outputs), as targets.

    Text makes classes, and so do at most 20 different whole numbers that come twice or more on
    average; other numbers are values. Raises DataError for text that differs in every row.
    """
    if values.ndim > 1:
        return Targets(values if values.dtype.kind == "f" else doubles(label, values))
    found, numbers = np.unique(values, return_inverse=True)
    few = len(found) <= MOST_CLASSES and 2 * len(found) <= len(values)
    if values.dtype.kind in "OU":
        if len(found) > MOST_CLASSES and 2 * len(found) > len(values):
            raise DataError(
                f"{label} holds {len(found):,} different texts in {len(values):,} rows, such as "
                f"{shown(str(found[0]))}: names, not classes; name another column as the target"
            )
        return Targets(numbers, tuple(map(str, found)))
    if values.dtype.kind == "f" and not np.array_equal(found, np.round(found)):
        return Targets(values)
    note = f"holds {len(found):,} different whole numbers, read as {'classes' if few else 'values'}"
    if few:
        return Targets(numbers, tuple(str(int(each)) for each in found), note)
    return Targets(values if values.dtype.kind == "f" else doubles(label, values), note=note)


def target_column(table: Table, name: str) -> Targets:
    """The targets in a column of a table; raises DataError, with the place, for missing entries."""
    table.refuse_missing(name)
    column, label = table.columns[name], table.label(name)
    if column.coded:
        found = targets_of(label, as_text(column.cells))
        return Targets(found.values, found.classes, "holds codes, read as classes")
    if column.values.dtype == bool and column.cells:
        return targets_of(label, as_text([cell.lower() for cell in column.cells]))
    if column.is_text and column.cells:
        return _words(table, name, column)
    found = targets_of(label, column.values)
    notes = [each for each in (column.note, found.note) if each]
    return Targets(found.values, found.classes, "; ".join(notes))


def _words(table: Table, name: str, column: Column) -> Targets:
    """Classes by the texts of a file that knows nothing but text: they may be numbers misread."""
    label, cells = table.label(name), column.cells
    plain = np.array(list(map(is_number, cells)))
    like = plain | np.array(list(map(looks_like_a_number, cells)))
    if like.all():
        odd = cells[int(np.argmin(plain))]
        raise DataError(
            f"{label} holds {shown(odd)} in {table.place(~plain)}, which is no plain number; write "
            "values as -1234.5, and classes with a letter in front"
        )
    different = len(set(cells))
    if like.any() and not (different <= MOST_CLASSES and 2 * different <= len(like)):
        raise DataError(
            f"{label} holds numbers, and text: first {shown(cells[int(np.argmin(like))])} in "
            f"{table.place(~like)}; correct it, or write classes as text throughout"
        )
    found = targets_of(label, column.values)
    mixed = "mixes numbers and text, read as classes" if like.any() else ""
    notes = [each for each in (column.note, mixed) if each]
    return Targets(found.values, found.classes, "; ".join(notes))
