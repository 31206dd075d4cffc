"""``load``: a data set by its name or from a file."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from pullback.data.archive import Archive
from pullback.data.csv_table import read_csv
from pullback.data.dataset import Array, Dataset
from pullback.data.parquet_table import read_parquet
from pullback.data.table import Table, counts_rows
from pullback.data.target import target_column, targets_of
from pullback.errors import ConfigError, DataError, unknown
from pullback.foreign import regular_file
from pullback.foreign.columns import doubles

_ENDINGS = (".npz", ".csv", ".parquet")


def load(
    source: str,
    target: str | None = None,
    *,
    header: bool | None = None,
    drop: Collection[str] = (),
) -> Dataset:
    """The data set called ``digits``, or the one in a file that ends in .npz, .csv or .parquet.

    ``target`` names the column to be predicted; the last one if none is named. ``drop`` names
    columns to leave out. ``header`` says whether the first line of a .csv names the columns; None
    compares it with the lines below. An .npz holds the arrays X (samples, …) and Y, or the one that
    ``target`` names; nothing in it is ever unpickled. A target of text, or of at most 20 different
    whole numbers that come twice or more on average, makes classes; any other one is a value. What
    was guessed, and which index was left out, is in the ``notes``.

    Raises UnknownNameError for an unknown name, ending, column or array, ConfigError for options
    that do not fit the file, and DataError, with the place, for a file that is missing, damaged,
    empty, ambiguous, not finite or not numeric.

    >>> data = load("digits")
    >>> data.X.shape, data.outputs, data.image_shape
    ((1797, 64), 10, (8, 8))
    """
    path = Path(source)
    ending = path.suffix.lower()
    drop = [drop] if isinstance(drop, str) else list(drop)
    if header is not None and ending != ".csv":
        raise ConfigError(f"header goes with a .csv file; leave it out for {source!r}")
    if drop and ending not in (".csv", ".parquet"):
        raise ConfigError(f"drop names columns of a table; leave it out for {source!r}")
    if source == "digits":
        if target is not None:
            raise ConfigError(f"digits has one target, the digit; leave {target!r} out")
        return _digits()
    if not ending and not os.path.exists(path):
        raise unknown("data", source, ("digits", *(f"a file ending in {e}" for e in _ENDINGS)))
    if ending not in _ENDINGS:
        raise unknown(f"ending of {source!r}:", ending, _ENDINGS)
    regular_file(path)
    if ending == ".npz":
        return _npz(path, target or "Y")
    table = read_csv(path, header) if ending == ".csv" else read_parquet(path, drop)
    return _from_table(table, target, drop)


def _digits() -> Dataset:
    """The handwritten digits that come with scikit-learn, 8 by 8 pixels, scaled to [0, 1]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    X = (bunch.data / 16).astype(np.float32)
    names = tuple(map(str, bunch.target_names))
    return Dataset("digits", X, bunch.target, tuple(bunch.feature_names), "digit", names, (8, 8))


def _npz(path: Path, target: str) -> Dataset:
    archive = Archive(path)
    X, Y = archive["X"], archive[target]
    if X.dtype.kind not in "fiub":
        raise DataError(f"{path.name}: X has dtype {X.dtype}; expected numbers")
    if X.ndim < 2:
        raise DataError(f"{path.name}: X has shape {X.shape}; expected (samples, features)")
    if Y.dtype.kind not in "fiubU" or Y.ndim not in (1, 2) or (Y.dtype.kind == "U" and Y.ndim > 1):
        raise DataError(
            f"{path.name}: {target} is {Y.dtype} {Y.shape}; expected numbers or text (samples,)"
        )
    if X.size == 0 or Y.size == 0:
        empty = "X" if X.size == 0 else target
        raise DataError(f"{path.name} is empty: {empty} has shape {archive[empty].shape}")
    features = _floats(f"{path.name}: X", X.reshape(len(X), -1))
    if X.dtype == np.uint8 and X.ndim > 2:
        features = (features / 255).astype(np.float32)
    label = f"{path.name}: {target}"
    if Y.dtype.kind == "f":
        Y = _floats(label, Y)
    targets = targets_of(label, Y[:, 0] if Y.shape[1:] == (1,) else Y)
    names = tuple(f"x{i}" for i in range(features.shape[1]))
    image = (X.shape[1], X.shape[2]) if X.ndim == 3 else None
    notes = (f"{target} {targets.note}",) if targets.note else ()
    return Dataset(
        path.name, features, targets.values, names, target, targets.classes, image, notes
    )


def _from_table(table: Table, target: str | None, drop: Collection[str]) -> Dataset:
    name, columns = table.name, dict(table.columns)
    for each in drop:
        if each not in columns and table.unit == "line":
            raise unknown(f"column of {name} to drop:", each, columns)
        columns.pop(each, None)
    if target in drop:
        raise ConfigError(f"{target!r} is the target, and among the columns to drop")
    if not columns:
        raise DataError(f"{name} has no column left")
    chosen = target if target is not None else list(columns)[-1]
    if chosen not in columns:
        raise unknown(f"target column of {name}:", chosen, columns)
    features = tuple(each for each in columns if each != chosen)
    if not features:
        raise DataError(
            f"{name} has no column beside its target {chosen!r}; columns are separated by commas, "
            "semicolons, tabs or bars"
        )
    X = table.numbers(features)
    targets = target_column(table, chosen)
    said = {each: columns[each].note for each in features} | {chosen: targets.note}
    notes = [*table.notes, *(f"column {each!r} {note}" for each, note in said.items() if note)]
    if counts_rows(columns[features[0]]):
        notes.append(f"column {features[0]!r} numbers the rows; drop it if it is no feature")
    return Dataset(name, X, targets.values, features, chosen, targets.classes, notes=tuple(notes))


def _floats(label: str, array: Array) -> Array:
    """Numbers in float32 or float64, all finite."""
    if array.dtype in (np.float32, np.float64):
        floats = array
    elif array.dtype == np.float16:
        floats = array.astype(np.float32)
    else:
        with np.errstate(over="ignore"):
            floats = doubles(label, array)
    wrong = ~np.isfinite(floats)
    if wrong.any():
        at = tuple(map(int, np.argwhere(wrong)[0]))
        what = "NaN" if np.isnan(floats).any() else "an infinity"
        raise DataError(f"{label} holds {what}, first at {list(at)}")
    return floats
