"""The whole numbers of a kernel as its code reads them."""

from __future__ import annotations

from pullback.machine.blas.writer import Value, Writer, whole
from pullback.machine.window.geometry import Fields


class TableReader:
    """Fields by name, each read once, where the function begins; runs by index."""

    def __init__(self, w: Writer, table: Value, layout: Fields) -> None:
        self.w, self.table = w, table
        self._fields = {
            name: w.load(w.at(table, whole(at)), name=name) for name, at in layout.place.items()
        }

    def __getitem__(self, name: str) -> Value:
        return self._fields[name]

    def run(self, name: str, index: Value) -> tuple[Value, Value, Value]:
        """Where an index begins on two sides, and how often it goes on."""
        row = self.w.at(self.table, self[name], (index, whole(3)))
        first, second, count = (self.w.load(self.w.at(row, whole(at))) for at in range(3))
        return first, second, count
