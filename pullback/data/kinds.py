"""Which columns of a table are features, of which kind, and why the others are left out."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from pullback.data.cells import Column, is_number, looks_like_a_number, plain_form, shown
from pullback.data.encoders import CategoryColumn, DateColumn, Encoder, NumberColumn
from pullback.data.table import Table, counts_rows, dropping
from pullback.errors import DataError
from pullback.foreign.columns import Array

_FEW = 20  # different texts that are categories even if they look like numbers
_NAMES = 10  # so many texts and more, most of them different, name the rows
_ROWS = 5  # and so do different ones in so many rows
_COUNTS, _AN_ID, _LONG_ID = "numbers the rows", "an id", "an id of 64 bits"
IDS = (_COUNTS, _AN_ID, _LONG_ID)  # why a column is left out that names its row
_EXACT = 2**53  # up to here float64 holds every whole number
_ID = re.compile(r"(?:.*[\W_])?(?:id|uid|uuid|guid|key|serial)|.*[a-z](?:Id|ID)", re.DOTALL)
_COUNTER = re.compile(
    r"(?:index|idx|row|rownames?|row_?num(?:ber)?|instant|no|nr|num|obs|observation|record|case|"
    r"s_?no|sr_?no|#|unnamed.*)\.?"
)
_MARKS = (-999.0, -9999.0, -99.0, -200.0, -9.0, -1.0, 99.0, 999.0, 9999.0, 99999.0)
_FAR = 1.0  # a mark is further from all other values than they are wide, so many times


@dataclass(frozen=True)
class Kinds:
    """Encoders by column, reasons by column that is left out, and what may be otherwise."""

    encoders: dict[str, type[Encoder]]
    left: dict[str, str]
    notes: tuple[str, ...]


def kinds_of(table: Table, names: Collection[str], keep: Collection[str] = ()) -> Kinds:
    """What the columns of these names are; those to keep are no ids, whatever they look like.

    Raises DataError for a column that mixes numbers and text, with the place.
    """
    encoders: dict[str, type[Encoder]] = {}
    left: dict[str, str] = {}
    notes = []
    for name in names:
        column = table[name]
        reason = "" if name in keep else _no_feature(name, column)
        if reason:
            left[name] = reason
        else:
            encoders[name] = _kind(table, name, column)
            notes += [f"column {name!r} {note}" for note in (column.note, _marked(column)) if note]
            if counts_rows(column) and name == next(iter(names)):
                notes.append(f"column {name!r} numbers the rows; drop it if it is no feature")
    if not encoders:  # x = 1, 2, 3, … may be all that there is
        counted = [name for name, reason in left.items() if reason == _COUNTS]
        encoders = dict.fromkeys(counted, NumberColumn)
        left = {name: reason for name, reason in left.items() if name not in counted}
    return Kinds(encoders, left, tuple(notes))


def _no_feature(name: str, column: Column) -> str:
    """Why a column is no feature, if it is none."""
    if column.missing.all():
        return "empty"
    present = column.values[~column.missing]
    different = len(set(present.tolist()))
    if different == 1 and len(column.values) > 1 and not column.missing.any():
        return "one value"
    unique = different == len(present)
    numbers = (
        name in ("X", "1") or _COUNTER.fullmatch(name.lower()) or _is_id(name)
    )  # R's X, and no name
    if counts_rows(column) and numbers:
        return _COUNTS
    if unique and (column.is_text or present.dtype.kind in "iu") and _is_id(name):
        return _AN_ID
    if _merges(present) and unique:
        return _LONG_ID
    if column.is_text and (
        (unique and different >= _ROWS and not column.missing.any())
        or (different > _NAMES and 2 * different > len(present))
    ):
        return "" if _mostly_numbers(column) else "names: most texts differ"
    return ""


def _is_id(name: str) -> bool:
    return bool(_ID.fullmatch(name) or _ID.fullmatch(name.lower()))


def _kind(table: Table, name: str, column: Column) -> type[Encoder]:
    present = column.values[~column.missing]
    if column.is_date:
        return DateColumn
    if not column.is_text:
        return CategoryColumn if _merges(present) else NumberColumn
    different = len(set(present.tolist()))
    few = different <= _FEW and 2 * different <= len(present)
    if not few and _mostly_numbers(column):
        plain = np.array([is_number(str(each)) for each in column.values]) | column.missing
        at = int(np.argmin(plain))
        cell = str(column.values[at])
        if not any(is_number(str(each)) for each in present):
            raise DataError(
                f"{table.label(name)} holds {shown(cell)} in {table.place(~plain)}, which "
                f"{plain_form(cell)}, or leave the column out with {dropping(name)}"
            )
        raise DataError(
            f"{table.label(name)} holds numbers, and text: first {shown(cell)} in "
            f"{table.place(~plain)}; correct it, or call it missing with missing={[cell[:40]]!r} "
            f"(--missing {cell[:40]!r}), or leave the column out with {dropping(name)}"
        )
    return CategoryColumn


def _mostly_numbers(column: Column) -> bool:
    """Would a person call most of these texts numbers?"""
    present = column.values[~column.missing]
    return bool(2 * sum(looks_like_a_number(str(each)) for each in present) > len(present))


def _merges(present: Array) -> bool:
    """Are there whole numbers that float64 cannot tell apart?"""
    if present.dtype.kind not in "iu" or np.abs(present.astype(float)).max(initial=0) < _EXACT:
        return False
    return len(np.unique(present.astype(float))) < len(np.unique(present))


def _marked(column: Column) -> str:
    """A number that may say that there is none, where it stands far from all others."""
    if column.values.dtype.kind not in "iuf":
        return ""
    present = column.values[~column.missing & np.isfinite(column.values.astype(float))]
    for mark in _MARKS:
        count = int((present == mark).sum())
        rest = present[present != mark].astype(float)
        if count < 2 or len(rest) < 2:
            continue
        low, high = rest.min(), rest.max()
        gap = low - mark if mark < low else mark - high
        if gap > _FAR * (high - low) > 0:
            return (
                f"holds {mark:g} in {count:,} rows, far from all others: "
                f"--missing {mark:g} if it says that there is no value"
            )
    return ""
