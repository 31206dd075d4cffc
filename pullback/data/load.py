"""``load``: a data set by its name or from a file."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from pullback.data.archive import Archive
from pullback.data.csv_table import read_csv
from pullback.data.dataset import Array, Dataset
from pullback.data.parquet_table import read_parquet
from pullback.data.preprocessing import Preprocessing
from pullback.data.table import Table
from pullback.data.target import TargetColumn, target_of, targets_of
from pullback.errors import ConfigError, DataError, UnknownNameError, nearest, unknown
from pullback.foreign import regular_file
from pullback.foreign.columns import doubles

ENDINGS = (".npz", ".csv", ".tsv", ".txt", ".data", ".parquet")
_TABLES = ENDINGS[1:]
_PAIRS = (("X", "Y"), ("X", "y"), ("x", "y"), ("data", "target"), ("x_train", "y_train"),
          ("X_train", "y_train"), ("train_x", "train_y"), ("images", "labels"))  # fmt: skip


def load(
    source: str,
    target: str | None = None,
    *,
    header: bool | None = None,
    drop: Collection[str] = (),
    keep: Collection[str] = (),
    missing: Collection[str] = (),
    task: str | None = None,
    unlabelled: str = "refuse",
) -> Dataset:
    """The data set called ``digits``, or the one in a file: .npz, .csv (.tsv, .txt), .parquet.

    ``target`` names the column to be predicted; the last one if none is named. Numbers are
    features as they are, and missing ones the median; texts become one feature a value, dates the
    days since 1970 with the phase of year, week and day. What only names or numbers the rows is
    left out, unless it is to ``keep``; ``drop`` names more columns to leave out. ``missing`` are
    values that say that there is none, beside NA, ?, … and empty cells. ``header`` says whether the
    first line names the columns; None compares it with the lines below. ``task`` is
    "classification" or "regression"; None asks the target: text, and whole numbers that count from
    0 or 1 to at most 20 or are two, make classes. Rows without a target are refused, or left out
    with ``unlabelled="drop"``.

    An .npz holds the arrays X (samples, …) and Y, or x and y, data and target, x_train and y_train,
    …; ``target`` may name another. Nothing in it is ever unpickled. What was found, guessed and
    left out is in the ``notes``, the first of which tells the whole ``preprocessing``.

    Raises UnknownNameError for an unknown name, ending, column or array, ConfigError for options
    that do not fit the file, and DataError, with the place, for a file that is missing, damaged,
    empty or ambiguous, or that holds what cannot be learnt from.

    >>> data = load("digits")
    >>> data.X.shape, data.outputs, data.image_shape
    ((1797, 64), 10, (8, 8))
    """
    path = Path(source)
    ending = path.suffix.lower()
    drop, keep, missing = ([e] if isinstance(e, str) else list(e) for e in (drop, keep, missing))
    if unlabelled not in ("refuse", "drop"):
        raise ConfigError(f"unlabelled is {unlabelled!r}; expected 'refuse' or 'drop'")
    if header is not None and ending not in _TABLES[:-1]:
        raise ConfigError(f"header goes with a .csv file; leave it out for {source!r}")
    given = {"drop": drop, "keep": keep, "missing": missing, "unlabelled": unlabelled == "drop"}
    for name in (each for each, value in given.items() if value and ending not in _TABLES):
        what = "names columns of a table" if name in ("drop", "keep") else "is for tables"
        raise ConfigError(f"{name} {what}; leave it out for {source!r}")
    if source == "digits":
        if target is not None:
            raise ConfigError(f"digits has one target, the digit; leave {target!r} out")
        return _digits()
    if not ending and not os.path.exists(path):
        raise unknown("data", source, ("digits", *(f"a file ending in {e}" for e in ENDINGS)))
    if ending not in ENDINGS:
        raise unknown(f"ending of {source!r}:", ending, ENDINGS)
    regular_file(path)
    if ending == ".npz":
        return _npz(path, target, task)
    table = read_table(path, header, drop, missing)
    chosen = _chosen(table, target, drop)
    if unlabelled == "drop":
        table = _labelled(table, chosen)
    left = dict.fromkeys(drop, "")
    for each in keep:
        table[each]  # a misspelt one is found
    fitted, notes = Preprocessing.fit(table, target_of(table, chosen, task), left, keep)
    return _from_table(table, replace(fitted, missing=tuple(missing)), notes)


def read_table(
    path: Path,
    header: bool | None = None,
    drop: Collection[str] = (),
    missing: Collection[str] = (),
    expected: Collection[str] = (),
) -> Table:
    """The columns of a .csv or .parquet file, less those to drop; see ``read_csv``."""
    if path.suffix.lower() == ".parquet":
        return read_parquet(path, drop, missing)
    table = read_csv(path, header, missing, list(expected))
    for each in drop:
        if each not in table.columns:
            raise unknown(f"column of {table.name} to drop:", each, table.columns)
    return replace(table, columns={k: v for k, v in table.columns.items() if k not in drop})


def arrays_in(path: Path, target: str | None) -> tuple[Array, Array | None, str, str]:
    """X (samples, …) and the targets of an .npz file, with the names of both; None if it has none.

    Raises UnknownNameError where no array is called like samples, or ``target`` is not there.
    """
    archive = Archive(path)
    names = archive.names
    pairs = [pair for pair in _PAIRS if pair[0] in names]
    if not pairs:
        known = ", ".join(f"{x} and {y}" for x, y in _PAIRS[:5])
        raise UnknownNameError(
            f"{path.name} has no array 'X': {nearest('X', names)}; expected {known}, …"
        )
    x, y = next((pair for pair in pairs if pair[1] in names), pairs[0])
    if target is not None:
        return archive[x], archive[target], x, target
    return archive[x], archive[y] if y in names else None, x, y


def features_in(path: Path, name: str, X: Array) -> Array:
    """Samples (samples, …) as (samples, features), all finite; pictures of bytes between 0 and 1.

    Raises DataError for what are no numbers.
    """
    if X.dtype.kind not in "fiub":
        raise DataError(f"{path.name}: {name} has dtype {X.dtype}; expected numbers")
    if X.ndim < 2:
        raise DataError(f"{path.name}: {name} has shape {X.shape}; expected (samples, features)")
    if X.size == 0:
        raise DataError(f"{path.name} is empty: {name} has shape {X.shape}")
    features = _floats(f"{path.name}: {name}", X.reshape(len(X), -1))
    if X.dtype == np.uint8 and X.ndim > 2:
        features = (features / 255).astype(np.float32)
    return features


def _digits() -> Dataset:
    """The handwritten digits that come with scikit-learn, 8 by 8 pixels, scaled to [0, 1]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    X = (bunch.data / 16).astype(np.float32)
    names = tuple(map(str, bunch.target_names))
    digit = TargetColumn("digit", names, f"{len(names)} classes: classification")
    made = Preprocessing(digit, arrays=X.shape[1])
    features = tuple(bunch.feature_names)
    return Dataset("digits", X, bunch.target, features, "digit", names, (8, 8), (), made)


def _npz(path: Path, target: str | None, task: str | None) -> Dataset:
    X, Y, x, y = arrays_in(path, target)
    if Y is None:
        raise UnknownNameError(f"{path.name} has no array {y!r} to predict; name one with --target")
    features = features_in(path, x, X)
    if Y.dtype.kind not in "fiubU" or Y.ndim not in (1, 2) or (Y.dtype.kind == "U" and Y.ndim > 1):
        raise DataError(
            f"{path.name}: {y} is {Y.dtype} {Y.shape}; expected numbers or text (samples,)"
        )
    if Y.size == 0:
        raise DataError(f"{path.name} is empty: {y} has shape {Y.shape}")
    if Y.dtype.kind == "f":
        Y = _floats(f"{path.name}: {y}", Y)
    label = f"{path.name}: {y}"
    found, values = targets_of(label, Y[:, 0] if Y.shape[1:] == (1,) else Y, task)
    image = (X.shape[1], X.shape[2]) if X.ndim == 3 else None
    made = Preprocessing(replace(found, name=y), arrays=features.shape[1])
    return Dataset(
        path.name, features, values, made.features, y, found.classes, image, (made.text(),), made
    )


def _chosen(table: Table, target: str | None, drop: Collection[str]) -> str:
    """The column to predict; raises ConfigError or UnknownNameError where it is not there."""
    if target in drop:
        raise ConfigError(f"{target!r} is the target, and among the columns to drop")
    if not table.columns:
        raise DataError(f"{table.name} has no column left")
    chosen = target if target is not None else list(table.columns)[-1]
    if chosen not in table.columns:
        raise unknown(f"target column of {table.name}:", chosen, table.columns)
    if len(table.columns) == 1:
        raise DataError(
            f"{table.name} has no column beside its target {chosen!r}; columns are separated by "
            "commas, semicolons, tabs, bars or blanks"
        )
    return chosen


def _labelled(table: Table, target: str) -> Table:
    """The rows in which the target is there."""
    none = table[target].missing
    if not none.any():
        return table
    count = int(none.sum())
    note = f"{count:,} row{'s' * (count > 1)} without {target!r} left out"
    return replace(table.take(~none), notes=(*table.notes, note))


def _from_table(table: Table, made: Preprocessing, guessed: Collection[str]) -> Dataset:
    if not made.columns:
        left: Mapping[str, str] = made.left
        why = ", ".join(f"{name} ({reason or 'dropped'})" for name, reason in left.items())
        raise DataError(
            f"{table.name} has no column to learn from; left out: {why}; keep= (--keep)"
        )
    X, _ = made.encode(table)
    target = table[made.target.name]
    own = f"column {made.target.name!r} {target.note}" if target.note and not target.coded else ""
    notes = (made.text(), *table.notes, *guessed, *filter(None, [own]))
    names = {each.name for each in made.columns} | {made.target.name}
    held = {
        name: replace(column, cells=column.cells if column.is_text or column.is_date else ())
        for name, column in table.columns.items()
        if name in names
    }
    return Dataset(
        table.name,
        X,
        made.target.encode(table),
        made.features,
        made.target.name,
        made.target.classes,
        notes=notes,
        fitted=made,
        table=replace(table, columns=held),
    )


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
