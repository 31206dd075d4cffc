"""Data frames with categories and dates, as pandas, polars or Arrow hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.data.cells import Column
from pullback.data.encoders import CategoryColumn, DateColumn, Encoder, NumberColumn
from pullback.data.parquet_table import column_of
from pullback.data.table import Table
from pullback.errors import DataError, warn
from pullback.foreign.columns import Array, doubles


def mixed_table(X: Any) -> Table | None:
    """The table of a data frame that has texts, categories or dates in it; None for any other.

    Whatever speaks Arrow's interface is a data frame. Raises DataError for columns of other types.
    """
    if not hasattr(X, "__arrow_c_stream__") or not hasattr(X, "columns"):
        return None
    import pyarrow as pa

    try:
        held = pa.table(X)
    except (pa.ArrowException, TypeError, ValueError):  # no table: an array of objects, for one
        return None
    names = [str(each) for each in X.columns]
    own = [field for field in held.schema if field.name in names]
    if not any(_is_mixed(field.type) for field in own) or len(own) != len(names):
        return None
    label = "X"
    columns: dict[str, Column] = {
        name: column_of(f"{label}: column {name!r}", held[name]) for name in names
    }
    return Table(label, columns, range(1, held.num_rows + 1), "row")


def frame_encoders(table: Table) -> tuple[Encoder, ...]:
    """How the columns of a data frame become features: numbers as they are, texts one-hot, dates.

    Raises DataError for a column without any value.
    """
    found = []
    for name, column in table.columns.items():
        if column.missing.all():
            raise DataError(f"{table.label(name)} holds no value at all; leave the column out")
        kind = CategoryColumn if column.is_text else DateColumn if column.is_date else NumberColumn
        found.append(kind.fit(name, table))
    return tuple(found)


def encoded_frame(table: Table, encoders: Sequence[Encoder]) -> Array:
    """(rows, features) in float64; categories that were never seen are 0 in all, and warned of.

    Raises DataError, with the row, for a number or a date that is missing.
    """
    parts = []
    for each in encoders:
        if isinstance(each, NumberColumn):
            table.refuse_text(each.name)
            table.refuse(each.name, table[each.name].missing | table.infinite(each.name))
            parts.append(doubles(table.label(each.name), table[each.name].values)[:, None])
            continue
        columns, said = each.encode(table)
        if isinstance(each, DateColumn):
            table.refuse(each.name, table[each.name].missing)
        elif said:
            warn(f"{table.label(each.name)} {said}")
        parts.append(columns)
    return np.column_stack(parts)


def _is_mixed(kind: Any) -> bool:
    import pyarrow.types as types

    texts = (types.is_string, types.is_large_string, types.is_string_view)
    if types.is_dictionary(kind):
        return any(is_one(kind.value_type) for is_one in texts)
    return any(is_one(kind) for is_one in (*texts, types.is_date, types.is_timestamp))
