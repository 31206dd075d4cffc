"""``read_parquet``: the columns of a .parquet file, without the index that pandas writes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from pullback.data.cells import Column, without
from pullback.data.table import Table, without_index
from pullback.errors import DataError, unknown
from pullback.foreign import reading, regular_file, room_for
from pullback.foreign.columns import checked_type, from_arrow, index_columns

_CELL = 24  # bytes: as Arrow holds a number, as NumPy does, as a row of X


def read_parquet(path: Path, drop: Collection[str] = (), missing: Collection[str] = ()) -> Table:
    """A .parquet file, less the columns to drop; ``missing`` are values that stand for none.

    Raises DataError, with the column, for what is no number, text or date; UnknownNameError for an
    unknown column to drop.
    """
    import pyarrow.parquet as parquet
    from pyarrow.types import is_large_string, is_null, is_string

    name = path.name
    with reading(name, "a .parquet file"):
        with parquet.ParquetFile(regular_file(path)) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
        names = list(schema.names)
        if twice := next((each for each in names if names.count(each) > 1), None):
            raise DataError(f"{name} has two columns called {twice!r}; rename one of them")
        for each in drop:
            if each not in names:
                raise unknown(f"column of {name} to drop:", each, names)
        if not rows:
            raise DataError(f"{name} is empty: it has no samples")
        index = index_columns(schema)
        wanted = [each for each in names if each not in {*index, *drop}]
        kinds = {each: schema.field(each).type for each in wanted}
        for each, kind in kinds.items():
            if not (_is_date(kind) or is_null(kind)):
                checked_type(f"{name}: column {each!r}", kind)
        room_for(
            _CELL * rows * len(wanted),
            f"{name} of {rows:,} rows and {len(wanted):,} columns",
            "train on it in parts, with fit(net, pyarrow.dataset.dataset(path), target)",
        )
        # texts as a dictionary: a long one that comes again and again is held once
        texts = [each for each, kind in kinds.items() if is_string(kind) or is_large_string(kind)]
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            table = file.read(wanted)
        found = [
            (each, without(column_of(f"{name}: column {each!r}", table[each]), missing))
            for each in wanted
        ]
    columns, notes = without_index(name, found)
    notes += [f"column {each!r} is left out: it is the index of a pandas table" for each in index]
    return Table(name, columns, range(1, rows + 1), "row", tuple(notes))


def _is_date(kind: Any) -> bool:
    from pyarrow.types import is_date, is_timestamp

    return bool(is_date(kind) or is_timestamp(kind))


def column_of(label: str, held: Any) -> Column:
    """A column of Arrow's with its entries that are null, or no number."""
    import pyarrow as pa

    kind = held.type
    texts = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string_view(texts):
        held = held.cast(pa.large_string())
    kind = held.type
    none = held.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if pa.types.is_null(kind):
        return Column(np.full(len(held), np.nan), none)
    if _is_date(kind):
        seconds = held.cast(pa.timestamp("s"), safe=False).to_numpy(zero_copy_only=False)
        return Column(seconds.astype("datetime64[s]"), none)
    if pa.types.is_floating(kind):
        return Column(held.to_numpy(zero_copy_only=False).astype(np.float64), none)
    if not none.any():
        return Column(from_arrow(label, held), none)
    present = from_arrow(label, held.filter(pa.array(~none)))
    values = np.zeros(len(held), present.dtype)
    if present.dtype == object:
        values[:] = ""
    values[~none] = present
    return Column(values, none)
