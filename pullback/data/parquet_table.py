"""``read_parquet``: the columns of a .parquet file, without the index that pandas writes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from pullback.data.cells import Column
from pullback.data.table import Table, without_index
from pullback.errors import DataError, unknown
from pullback.foreign import reading, regular_file, room_for
from pullback.foreign.columns import checked_type, from_arrow, index_columns

_CELL = 24  # bytes: as Arrow holds a number, as NumPy does, as a row of X


def read_parquet(path: Path, drop: Collection[str] = ()) -> Table:
    """A .parquet file, less the columns to drop.

    Raises DataError, with the column and the row, for what is no number or text, and for missing
    entries; UnknownNameError for an unknown column to drop.
    """
    import pyarrow.parquet as parquet
    from pyarrow.types import is_large_string, is_string

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
        found = {each: from_arrow(f"{name}: column {each!r}", table[each]) for each in wanted}
    none = np.zeros(rows, bool)
    columns, notes = without_index(name, [(k, Column(v, none)) for k, v in found.items()])
    notes += [f"column {each!r} is left out: it is the index of a pandas table" for each in index]
    return Table(name, columns, range(1, rows + 1), "row", tuple(notes))
