"""``read_again``: new data for a trained network, read as its training data were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pullback.data.kinds import IDS
from pullback.data.load import ENDINGS, arrays_in, features_in, load, read_table
from pullback.data.preprocessing import Preprocessing
from pullback.data.table import Table
from pullback.data.target import labels_of
from pullback.errors import DataError, ShapeError, unknown
from pullback.foreign import regular_file
from pullback.foreign.columns import Array


@dataclass(frozen=True)
class Again:
    """X (rows, features) in float64, unscaled, and Y (rows,) where the target is there.

    ``labelled`` says for which rows it is, ``Y`` holds those alone; ``ids`` are columns that only
    name the rows, by name.
    """

    X: Array
    Y: Array | None = None
    labelled: Array | None = None
    ids: dict[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_again(source: str | Path, made: Preprocessing, header: bool | None = None) -> Again:
    """The file of that name, or ``digits``, with features as in training; the target may be absent.

    Columns are found by name, in a file without names by their place. Raises the errors of
    ``load``, DataError, with the place, for a column that is absent or of another kind, ShapeError
    for arrays of another width.
    """
    path = Path(source)
    ending = path.suffix.lower()
    if str(source) == "digits":
        data = load("digits")
        return _arrays(made, data.X, data.Y, "digits")
    if ending not in ENDINGS:
        raise unknown(f"ending of {str(source)!r}:", ending, ENDINGS)
    regular_file(path)
    if ending == ".npz":
        X, Y, x, _ = arrays_in(path, None)
        return _arrays(made, features_in(path, x, X), Y, path.name)
    if made.arrays:
        raise DataError(
            f"{path.name} is a table, and the network was trained on arrays of {made.arrays:,} "
            "features; expected an .npz file with X"
        )
    names = [each.name for each in made.columns]
    table = _placed(read_table(path, header, (), made.missing, names), made)
    X, notes = made.encode(table)
    more = [n for n in table.columns if n not in {*names, *made.left, made.target.name}]
    if more:
        notes = (*notes, f"not looked at, as not there in training: {', '.join(more[:6])}")
    Y, labelled = _target(table, made)
    ids = {
        name: labels_of(replace(table[name], coded=bool(table[name].cells)))
        for name, reason in made.left.items()
        if name in table.columns and reason in IDS
    }
    return Again(X, Y, labelled, ids, (*table.notes, *notes))


def _arrays(made: Preprocessing, X: Array, Y: Array | None, name: str) -> Again:
    if X.shape[1] != len(made.features):
        raise ShapeError(
            f"{name} has {X.shape[1]:,} features; the network was trained on {len(made.features):,}"
        )
    if Y is None or not made.target.classes:
        return Again(X, Y)
    places = {each: at for at, each in enumerate(made.target.classes)}
    values = Y if Y.dtype.kind == "U" else [f"{each:g}" for each in Y.tolist()]
    numbers = np.array([places.get(str(each), -1) for each in values], int)
    if (numbers < 0).any():
        odd = Y[int(np.argmax(numbers < 0))]
        raise DataError(f"{name} holds the class {odd}, which was not there in training")
    return Again(X, numbers)


def _placed(table: Table, made: Preprocessing) -> Table:
    """Columns of a file without names by their places in training, where the target is left out."""
    known = [each.name for each in made.columns] + list(made.left) + [made.target.name]
    every = [str(at) for at in range(1, len(known) + 1)]
    without = [name for name in every if name != made.target.name]
    found: Sequence[str] = list(table.columns)
    if sorted(known) != sorted(every) or list(found) != every[:-1] or list(found) == without:
        return table
    pairs = zip(without, table.columns.values(), strict=True)
    return replace(table, columns=dict(pairs))


def _target(table: Table, made: Preprocessing) -> tuple[Array | None, Array | None]:
    """The target of the rows that have one, and which these are; None where none has."""
    name = made.target.name
    if name not in table.columns or table[name].missing.all():
        return None, None
    labelled = ~table[name].missing
    return made.target.encode(table.take(labelled)), labelled
