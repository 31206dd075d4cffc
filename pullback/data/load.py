"""``load``: a data set by its name or from a file."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np

from pullback.data.dataset import Array, Dataset
from pullback.data.table import Table, read_csv, read_parquet
from pullback.errors import ConfigError, DataError, UnknownNameError, nearest, unknown

_TABLES = {".csv": read_csv, ".parquet": read_parquet}
_ENDINGS = (".npz", *_TABLES)

MOST_CLASSES = 20


def load(source: str, target: str | None = None) -> Dataset:
    """The data set called ``digits``, or the one in a file that ends in .npz, .csv or .parquet.

    ``target`` names the column to be predicted; the last one if none is named. An .npz holds the
    arrays X (samples, …) and Y, or the one that ``target`` names; nothing in it is ever unpickled.
    A target of text, or of at most 20 different whole numbers that come twice or more on average,
    makes classes; any other one is a value.

    Raises UnknownNameError for a name, an ending, a column or an array that there is not, and
    DataError for a file that is missing, empty, not finite or not numeric, with the place.

    >>> data = load("digits")
    >>> data.X.shape, data.outputs, data.image_shape
    ((1797, 64), 10, (8, 8))
    """
    path = Path(source)
    ending = path.suffix.lower()
    if source == "digits":
        if target is not None:
            raise ConfigError(f"digits has one target, the digit; leave {target!r} out")
        return _digits()
    if not ending and not path.exists():
        raise unknown("data", source, ("digits", *(f"a file ending in {e}" for e in _ENDINGS)))
    if ending not in _ENDINGS:
        raise unknown(f"ending of {source!r}:", ending, _ENDINGS)
    if not path.is_file():
        beside = [each.name for each in path.parent.glob(f"*{ending}")]
        close = get_close_matches(path.name, beside, n=1)
        hint = f": did you mean {close[0]!r}?" if close else ""
        raise DataError(f"there is no file {source!r}{hint}")
    if ending == ".npz":
        return _npz(path, target or "Y")
    return _from_table(path.name, _TABLES[ending](path), target)


def _digits() -> Dataset:
    """The handwritten digits that come with scikit-learn, 8 by 8 pixels, scaled to [0, 1]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    X = (bunch.data / 16).astype(np.float32)
    names = tuple(map(str, bunch.target_names))
    return Dataset("digits", X, bunch.target, tuple(bunch.feature_names), "digit", names, (8, 8))


def _npz(path: Path, target: str) -> Dataset:
    if not is_zipfile(path):
        raise DataError(f"{path.name} is not an .npz archive; np.savez(…, X=X, Y=Y) writes one")
    with np.load(path, allow_pickle=False) as archive:
        for name in ("X", target):
            if name not in archive.files:
                held = nearest(name, archive.files)
                raise UnknownNameError(f"{path.name} has no array {name!r}: {held}")
        try:
            X, Y = archive["X"], archive[target]
        except (ValueError, BadZipFile, EOFError, OSError) as problem:
            raise DataError(f"{path.name} cannot be read: {problem}") from None
    if X.dtype.kind not in "fiub":
        raise DataError(f"{path.name}: X has dtype {X.dtype}; expected numbers")
    if X.ndim < 2:
        raise DataError(f"{path.name}: X has shape {X.shape}; expected (samples, features)")
    if Y.dtype.kind not in "fiubU" or Y.ndim not in (1, 2):
        raise DataError(
            f"{path.name}: {target} is {Y.dtype} {Y.shape}; expected numbers or text (samples,)"
        )
    if X.size == 0:
        raise DataError(f"{path.name} is empty: X has shape {X.shape}")
    features = X.reshape(len(X), -1).astype(np.float32)
    if X.dtype == np.uint8 and X.ndim > 2:
        features /= 255
    _finite(f"{path.name}: X", features)
    values, classes = _target(f"{path.name}: {target}", Y[:, 0] if Y.shape[1:] == (1,) else Y)
    names = tuple(f"x{i}" for i in range(features.shape[1]))
    image = (X.shape[1], X.shape[2]) if X.ndim == 3 else None
    return Dataset(path.name, features, values, names, target, classes, image)


def _from_table(name: str, table: Table, target: str | None) -> Dataset:
    names = list(table.columns)
    chosen = target if target is not None else names[-1]
    if chosen not in names:
        raise unknown(f"target column of {name}:", chosen, names)
    for each, column in table.columns.items():
        label = f"{name}: column {each!r}"
        if column.dtype.kind == "U":
            if each != chosen:
                raise DataError(f"{label} holds text, {table.first_text(each)}; expected numbers")
            missing = column == ""
        else:
            missing = ~np.isfinite(column)
        if missing.any():
            raise DataError(f"{label} has no finite value in {table.place(missing)}")
    features = [each for each in names if each != chosen]
    if not features:
        raise DataError(f"{name} has no column beside its target {chosen!r}")
    X = np.column_stack([table.columns[each] for each in features])
    Y, classes = _target(f"{name}: column {chosen!r}", table.columns[chosen])
    return Dataset(name, X.astype(np.float32), Y, tuple(features), chosen, classes)


def _target(label: str, column: Array) -> tuple[Array, tuple[str, ...]]:
    """The target as class numbers with their names, or as values without any."""
    if column.ndim == 1:
        found, numbers = np.unique(column, return_inverse=True)
        if column.dtype.kind == "U":
            return numbers, tuple(map(str, found))
        whole = column.dtype.kind in "iub" or np.array_equal(found, np.round(found))
        if whole and len(found) <= MOST_CLASSES and 2 * len(found) <= len(column):
            return numbers, tuple(str(int(each)) for each in found)
    values = column.astype(np.float32)
    _finite(label, values)
    return values, ()


def _finite(label: str, array: Array) -> None:
    wrong = ~np.isfinite(array)
    if wrong.any():
        at = tuple(map(int, np.argwhere(wrong)[0]))
        what = "NaN" if np.isnan(array).any() else "an infinity"
        raise DataError(f"{label} holds {what}, first at {list(at)}")
