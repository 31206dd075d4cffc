"""Arrays from .npz and .npy files: looked at before they are inflated, and never unpickled."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.lib import format as npy

from pullback.data.dataset import Array
from pullback.errors import DataError, UnknownNameError, nearest
from pullback.foreign import reading, regular_file, room_for

_HEADERS = {(1, 0): (2, npy.read_array_header_1_0), (2, 0): (4, npy.read_array_header_2_0)}
_LONGEST = 10_000  # bytes of a header
_LAST_POINT = 0x10FFFF  # of Unicode


class Archive:
    """The arrays of an .npz file by name; each is checked and read when it is asked for.

    Raises DataError for a file that is damaged, and for arrays that are too large or no plain
    numbers or text.
    """

    def __init__(self, path: Path) -> None:
        self._path = regular_file(path)
        if not is_zipfile(path):
            raise DataError(
                f"{path.name} cannot be read: it is not an .npz archive; np.savez(…, X=X, Y=Y) "
                "writes one"
            )
        with reading(path.name, "an .npz archive"), ZipFile(path) as file:
            members = file.namelist()
        self._members = {each.removesuffix(".npy"): each for each in members}
        if len(self._members) < len(members):
            twice = next(e for e in self._members if sum(m in (e, f"{e}.npy") for m in members) > 1)
            raise DataError(f"{path.name} has two arrays called {twice!r}")

    @property
    def names(self) -> Sequence[str]:
        return list(self._members)

    def __getitem__(self, name: str) -> Array:
        if name not in self._members:
            held = nearest(name, self._members)
            raise UnknownNameError(f"{self._path.name} has no array {name!r}: {held}")
        label = f"{self._path.name}: {name}"
        with _parsing(label), ZipFile(self._path) as file:
            member = file.getinfo(self._members[name])
            with file.open(member) as stream:
                return _read(label, stream, member.file_size)


def read_npy(path: Path) -> Array:
    """The array of an .npy file; raises DataError as ``Archive`` does."""
    size = regular_file(path).stat().st_size
    with _parsing(path.name), path.open("rb") as file:
        return _read(path.name, file, size)


@contextmanager
def _parsing(label: str) -> Iterator[None]:
    """NumPy parses headers as Python's text, and warns of what Python 2 or a fault made of it."""
    with reading(label, "an array of NumPy's"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read(label: str, file: IO[bytes], size: int) -> Array:
    """The array in a file of so many bytes, whose header has to promise what is there."""
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise DataError(f"{label} has a header of version {version}; expected numbers or text")
    width, read_header = _HEADERS[version]
    begin = file.tell()
    length = int.from_bytes(file.read(width), "little")
    if length > _LONGEST:  # it would be read, and parsed, before it is looked at
        raise DataError(f"{label} is damaged: its header has {length:,} bytes")
    file.seek(begin)
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise DataError(f"{label} cannot be read: it holds Python objects, which are not unpickled")
    if dtype.names or dtype.subdtype or not dtype.itemsize:
        raise DataError(f"{label} has dtype {dtype}; expected plain numbers or text")
    if any(isinstance(length, bool) or length < 0 for length in shape):
        raise DataError(f"{label} is damaged: its shape is {shape}")
    promised, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if promised != there:
        raise DataError(
            f"{label} is damaged: its shape {shape} of {dtype} takes {promised:,} bytes, and "
            f"{max(there, 0):,} follow"
        )
    room_for(4 * promised, f"{label} of shape {shape}", "take fewer samples, or map a file")
    file.seek(0)
    found: Array = npy.read_array(file, allow_pickle=False)
    native = found.astype(dtype.newbyteorder("="), copy=False)
    if dtype.kind == "U" and native.size:
        points = np.ascontiguousarray(native).view(np.uint32)
        if points.max() > _LAST_POINT or ((points >= 0xD800) & (points < 0xE000)).any():
            raise DataError(f"{label} is damaged: it holds text that is not Unicode")
    return native
