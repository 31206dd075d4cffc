"""The functions over arrays, compiled for vectors: what a loop of training does with each."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir

from pullback.errors import unknown
from pullback.machine.blas.writer import WHOLE, Writer, whole
from pullback.machine.object.linked import linked
from pullback.machine.object.processor import optimised_code, vector_bytes
from pullback.vmath.functions import OWN, Functions
from pullback.vmath.real import Real

Array = np.ndarray[Any, np.dtype[Any]]
_NAME = "over"


def object_code(name: str, dtype: str) -> bytes:
    """Machine code of (x, y, n): y ← function of x, in vectors, for "float32" or "float64".

    Raises UnknownNameError for another function.
    """
    if name not in OWN:
        raise unknown("function", name, OWN)
    real: Any = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    lanes = vector_bytes() // (4 if dtype == "float32" else 8)
    module, place = ir.Module(name), real.as_pointer()
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), [place, place, WHOLE]), _NAME)
    x, y, n = made.args
    w, function = Writer(made, real, lanes), getattr(Functions(dtype), name)
    full = w.and_(n, whole(-lanes))
    with w.loop(whole(0), full, lanes) as at:
        w.write(function(Real(w, w.read(w.at(x, at)))).value, w.at(y, at))
    mask = w.lanes_below(w.sub(n, full))
    w.write(function(Real(w, w.read(w.at(x, full), mask))).value, w.at(y, full), mask)
    w.ret_void()
    return optimised_code(module)


@cache
def over(name: str, dtype: str) -> Callable[[Array, Array], None]:
    """The function from one array to another, both C-contiguous and of this dtype.

    >>> x, y = np.array([0.5, np.inf], np.float32), np.empty(2, np.float32)
    >>> over("tanh", "float32")(x, y)
    >>> [round(float(each), 4) for each in y]
    [0.4621, 1.0]
    """
    library = linked(object_code(name, dtype), _NAME)
    array = np.ctypeslib.ndpointer(dtype, flags="C_CONTIGUOUS")
    called: Any = ctypes.CFUNCTYPE(None, array, array, ctypes.c_int64)(library[_NAME])

    def run(x: Array, y: Array) -> None:
        called(x, y, x.size)

    run.library = library  # type: ignore[attr-defined]  # the code goes when this goes
    return run
