"""Columns of numbers: what float64 and float32 cannot hold is refused, not rounded away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
_EXACT = 2**53  # up to here float64 holds every whole number
_LOOKED_AT = 10_000  # rows that tell whether float32 keeps values apart


def doubles(label: str, column: Array) -> Array:
    """Numbers in float64; raises DataError where different whole numbers would become equal.

    >>> doubles("id", np.array([2**53, 2**53 + 1]))
    Traceback (most recent call last):
    pullback.errors.DataError: id holds whole numbers beyond 2**53, ... cannot tell apart; ...
    """
    floats = column.astype(np.float64)
    large = column.dtype.kind in "iu" and np.abs(floats).max(initial=0) >= _EXACT
    if large and len(np.unique(floats)) < len(np.unique(column)):
        raise DataError(
            f"{label} holds whole numbers beyond 2**53, such as {column.flat[0]}, that float64 "
            "cannot tell apart; leave the column out, or subtract the smallest of them first"
        )
    return floats


def singles(label: str, column: Array) -> Array:
    """Numbers in float32, for training.

    Raises DataError where one becomes infinite, or where most of the different values become equal.

    >>> singles("time", 1.7e9 + np.arange(60.0))
    Traceback (most recent call last):
    pullback.errors.DataError: time has 60 different values, and 1 of them in float32; ...
    """
    with np.errstate(over="ignore"):
        held: Array = column.astype(np.float32)
    if column.dtype.itemsize <= held.dtype.itemsize and column.dtype.kind == "f":
        return held
    wrong = ~np.isfinite(held)
    if wrong.any():
        raise DataError(
            f"{label} holds {column[wrong][0]}, which is too large for float32; scale the column"
        )
    rows = slice(None, None, max(1, len(column) // _LOOKED_AT))
    before, after = len(np.unique(column[rows])), len(np.unique(held[rows]))
    if 2 * after < before:
        raise DataError(
            f"{label} has {before:,} different values, and {after:,} of them in float32; "
            "subtract their mean and divide by their deviation (pullback.data.Scaling), in float64"
        )
    return held


def checked_type(label: str, kind: Any, text: bool = True) -> None:
    """Raise DataError for an Arrow type that is no number, no truth value and no allowed text."""
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_null(kind):
        raise DataError(f"{label} holds no value at all; leave the column out")
    numbers = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    texts = (types.is_string, types.is_large_string) if text else ()
    if not any(is_one(kind) for is_one in (*numbers, *texts)):
        raise DataError(
            f"{label} holds {kind}; expected numbers{' or text' if text else ''}: write it as "
            "numbers, or leave the column out"
        )


def from_arrow(label: str, column: Any) -> Array:
    """A column of Arrow's without missing entries: bool, whole numbers, float64 or text (object).

    Raises DataError, with the row, for a missing entry or an infinity, and for other types.
    """
    import pyarrow as pa

    kind = column.type
    checked_type(label, kind)
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))) + 1
        raise DataError(missing(label, f"row {row}", column.null_count))
    if pa.types.is_dictionary(kind):
        if isinstance(column, pa.ChunkedArray):
            parts = [from_arrow(label, chunk) for chunk in column.chunks]
            return np.concatenate(parts) if parts else np.empty(0, object)
        decoded: Array = from_arrow(label, column.dictionary)[column.indices.to_numpy()]
        return decoded
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = np.empty(len(column), object)
        texts[:] = column.to_pylist()
        return texts
    if pa.types.is_decimal(kind):
        return _decimals(column)
    values: Array = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind != "f":
        return values
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise DataError(missing(label, f"row {int(np.argmax(wrong)) + 1}", int(wrong.sum())))
    return values.astype(np.float64)


def missing(label: str, place: str, count: int, cell: str = "") -> str:
    """What is said of entries that are missing or infinite: the first place, and the fix."""
    also = f" (nor in {count - 1:,} more)" if count > 1 else ""
    shown = f": {cell}" if cell else ""
    return (
        f"{label} has no finite value in {place}{also}{shown}; remove such rows, fill them in, "
        "or leave the column out"
    )


def _decimals(column: Any) -> Array:
    numbers = column.to_pylist()
    if column.type.scale <= 0 and all(abs(each) < 2**63 for each in numbers):
        return np.array([int(each) for each in numbers], np.int64)
    return np.array([float(each) for each in numbers])


def index_columns(schema: Any) -> list[str]:
    """The columns of an Arrow schema that pandas wrote as its index.

    >>> import pandas as pd, pyarrow as pa
    >>> table = pa.Table.from_pandas(pd.DataFrame({"x": [1, 2]}, index=[7, 8]))
    >>> index_columns(table.schema)
    ['__index_level_0__']
    """
    names = list(schema.names)
    try:
        told = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        listed = told.get("index_columns", []) if isinstance(told, Mapping) else []
        stored = [each for each in listed if isinstance(each, str)]
    except (ValueError, TypeError, RecursionError):  # not what pandas writes
        stored = []
    return [name for name in names if name in stored or name.startswith("__index_level_")]
