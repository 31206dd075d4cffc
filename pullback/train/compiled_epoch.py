"""The compiled program of a training: kept in memory, found on disk, or compiled now."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from types import FunctionType
from typing import Any

import numpy as np

from pullback import emit
from pullback.emit.epoch.arguments import Epoch
from pullback.emit.epoch.profile import Variant
from pullback.errors import NotApplicableError
from pullback.machine.barrier import helpers
from pullback.machine.blas.matmul import prepare, products
from pullback.machine.object.arrays import array_at
from pullback.machine.object.cache import Entry, cache_key, default_cache
from pullback.machine.object.compile import compile_object, load, uncollected
from pullback.machine.object.jit import FASTMATH, inner
from pullback.machine.object.views import views, with_views
from pullback.net.network import Network
from pullback.net.program import execute
from pullback.train.optim import Optimizer, equations
from pullback.vmath.compiled import functions

NAME = "pullback_epoch"
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class EpochProgram:
    """A compiled epoch, and the record of what it takes."""

    epoch: Epoch
    run: Callable[..., int]

    @classmethod
    def load(cls, epoch: Epoch, code: bytes, dtype: str) -> EpochProgram:
        """The program in machine code. Raises ConfigError for code of something else."""
        return cls(epoch, load(code, NAME, _c_types(epoch, dtype), by_address=True))


@dataclass(frozen=True)
class _Wanted:
    """A program by what tells it apart, and what it can be made of."""

    key: str
    dtype: str
    made: Callable[[], Epoch] = field(compare=False)


def program(
    net: Network,
    optimizer: Optimizer,
    shapes: Shapes,
    dtype: str,
    variant: Variant = "training",
) -> EpochProgram:
    """The program that trains a network by an optimiser, whatever the learning rate.

    It is told apart by the text of network and optimiser, or, where they have classes that are not
    ours, by the source that comes of them and what it takes.
    """

    def made() -> Epoch:
        if net.noise:
            raise NotApplicableError(
                f"the compiled engine draws no noise, and this network has {next(iter(net.noise))}"
                ": engine='numpy' runs it, and engine='auto' finds that out by itself"
            )
        if frozen := [spec for spec in net.specs if not spec.trained]:
            kind = "a state" if frozen[0].kind == "state" else "frozen"
            raise NotApplicableError(
                f"the compiled engine is for weights that are all trained, but {frozen[0].name} is "
                f"{kind}: engine='numpy' runs it, and engine='auto' finds that out by itself"
            )
        return emit.training_epoch(net.training_roots, equations(optimizer), net.leaves, variant)

    model, update = net.signature(), optimizer.signature()
    if model is None or update is None:
        epoch = made()
        key = cache_key({"epoch": repr(epoch.to_dict()), "dtype": dtype})
        return _program(_Wanted(key, dtype, lambda: epoch))
    named = {"network": model, "optimizer": update, "shapes": repr(dict(shapes)), "dtype": dtype}
    named |= {} if variant == "training" else {"variant": variant}
    return _program(_Wanted(cache_key(named), dtype, made))


@lru_cache(maxsize=64)
def _program(wanted: _Wanted) -> EpochProgram:
    def loaded(entry: Entry) -> EpochProgram:
        return EpochProgram.load(Epoch.from_dict(entry.meta), entry.code, wanted.dtype)

    def compiled() -> Entry:
        prepare(wanted.dtype)
        with uncollected():
            epoch = wanted.made()
            return Entry(compile_epoch(epoch, wanted.dtype), epoch.to_dict())

    return default_cache().obtain(wanted.key, loaded, compiled)


def compile_epoch(epoch: Epoch, dtype: str) -> bytes:
    """Machine code of an epoch in single or double precision; Numba loads here."""
    names = namespace(epoch.functions, dtype) | views()
    run = execute(epoch.source, names, with_views(epoch.source))["run"]
    return compile_object(run, _c_types(epoch, dtype), NAME, FASTMATH)


def namespace(wanted: Iterable[str], dtype: str) -> dict[str, Any]:
    """What the source of an epoch names without defining it, with the functions that it wants.

    Numba loads here.
    """
    known, multiply = functions(dtype), products()
    return {
        **{name: known[name] for name in wanted},
        **helpers(),
        "matmul": multiply.matmul,
        "gemm": multiply.gemm,
        "real": np.dtype(dtype).type,
        "inf": np.inf,
        "isfinite": math.isfinite,
        "carray": array_at(),
        "njit": inner(FASTMATH),
    }


def by_arrays(run: FunctionType) -> Callable[..., int]:
    """The ``run`` of an epoch's source for Python to call, with an array for each address.

    Numba compiles it when it is called.
    """
    numba: Any = import_module("numba")
    itself = numba.njit(lambda array, shape: array)
    function = FunctionType(run.__code__, {**run.__globals__, "carray": itself}, run.__name__)
    made: Callable[..., int] = numba.njit(error_model="numpy", fastmath=set(FASTMATH))(function)
    return made


def _c_types(epoch: Epoch, dtype: str) -> tuple[str, ...]:
    return tuple(argument.c_type(dtype) for argument in epoch.arguments)
