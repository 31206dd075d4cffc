"""Arrays of NumPy as compiled code finds them: where their numbers lie, and whether they fit.

What Python asks an array takes a µs a question: its address, shape and dtype are there in memory,
in the structures that every extension module of NumPy is compiled against (NumPy's C API,
"PyArrayObject" and "PyArray_Descr"). Whether they lie here as they should is looked at once.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
HEAD = object.__basicsize__  # an object's, at whose end its type is
DATA, RANK, SHAPE, DTYPE, FLAGS = (HEAD + at for at in (0, 8, 16, 40, 48))
ORDER, NUMBER = HEAD + 10, HEAD + 12  # of a dtype
ITEMS = tuple.__basicsize__
READY = 0x0001 | 0x0100  # in the order of C, and aligned
ROWS = -1  # in the place of a size: as many as the first array has
# a table begins with these numbers; addresses of arrays follow, then what is expected of each
ARRAYS, AT_ONCE, WORK, KIND, WRONG = range(5)
FIRST = 5


class ArraySpec(NamedTuple):
    """What an array has to be: its dtype, and its sizes, ``ROWS`` where only the call tells."""

    dtype: np.dtype[Any]
    sizes: tuple[int, ...]


def new_table(expected: Sequence[ArraySpec], at_once: int, work: Array) -> Array:
    """The numbers that compiled code knows of some arrays before it has seen them.

    ``at_once`` is up to how many rows a call does the work itself, ``work`` its room.
    """
    table = [len(expected), at_once, work.ctypes.data, id(np.ndarray), 0, *[0] * len(expected)]
    for each in expected:
        table += [each.dtype.num, len(each.sizes), *each.sizes]
    return np.array(table, np.int64)


@cache
def are_readable() -> bool:
    """Do arrays lie in this process's memory as compiled code takes them to?"""
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    if np.ndarray.__basicsize__ < FLAGS + 4 or np.dtype.__basicsize__ < NUMBER + 4:
        return False
    arrays = [
        np.zeros(sizes, dtype)
        for sizes in ((), (3,), (2, 0), (1, 5, 7))
        for dtype in (np.float32, np.float64, np.int64)
    ]
    arrays += [arrays[-1].T, arrays[-1][:, ::2], np.zeros(3, ">f4"), np.zeros(3, ">f8")]
    items = tuple(arrays)
    return all(map(_lies_as_expected, items)) and all(
        _at(id(items) + ITEMS + 8 * number) == id(array) for number, array in enumerate(items)
    )


def _lies_as_expected(array: Array) -> bool:
    here = id(array)
    flags = ctypes.c_int32.from_address(here + FLAGS).value
    outside = (
        _at(here + HEAD - 8) == id(np.ndarray)
        and _at(here + DATA) == array.ctypes.data
        and ctypes.c_int32.from_address(here + RANK).value == array.ndim
        and _at(here + DTYPE) == id(array.dtype)
        and (flags & READY == READY) == (array.flags.c_contiguous and array.flags.aligned)
    )
    if not outside:  # then no address in it is one to go to
        return False
    shape, dtype = _at(here + SHAPE), id(array.dtype)
    return (
        tuple(_at(shape + 8 * axis) for axis in range(array.ndim)) == array.shape
        and ctypes.c_int32.from_address(dtype + NUMBER).value == array.dtype.num
        and chr(ctypes.c_uint8.from_address(dtype + ORDER).value) == array.dtype.byteorder
    )


def _at(address: int) -> int:
    return ctypes.c_int64.from_address(address).value
