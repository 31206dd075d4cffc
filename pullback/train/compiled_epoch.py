"""The compiled program of a training: kept in memory, found on disk, or compiled now."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar

from pullback import emit
from pullback.emit.epoch.record import NAME, NUMBERS, Epoch, Variant
from pullback.emit.nest.refusal import refusal
from pullback.machine.blas.matmul import prepare
from pullback.machine.object.cache import Entry, cache_key, default_cache
from pullback.machine.object.load import load, uncollected
from pullback.net.network import Network
from pullback.train.optim import Optimizer, equations

if TYPE_CHECKING:
    from pullback.emit.epoch.code import EpochCode

Code = TypeVar("Code")
Shapes = Mapping[str, tuple[int, ...]]
_TYPES = [*[ctypes.c_int64] * len(NUMBERS), ctypes.c_double, ctypes.c_void_p]


@dataclass(frozen=True)
class EpochProgram:
    """A compiled epoch, and the record of what it takes."""

    epoch: Epoch
    run: Callable[..., int]

    @classmethod
    def load(cls, entry: Entry) -> EpochProgram:
        """The program in machine code. Raises ConfigError for code of something else."""
        return cls(Epoch.from_dict(entry.meta), load(entry.code, NAME, _TYPES))


@dataclass(frozen=True)
class WantedProgram(Generic[Code]):
    """A program by what tells it apart, and how it is written."""

    key: str
    written: Callable[[], Code] = field(compare=False)


def program(
    net: Network,
    optimizer: Optimizer,
    shapes: Shapes,
    dtype: str,
    variant: Variant = "training",
    strips: bool = False,
    compiling: Callable[[], object] = lambda: None,
) -> EpochProgram:
    """The program that trains a network by an optimiser, whatever the learning rate.

    In ``strips`` it takes some samples through the whole step before the next ones; raises
    NotApplicableError where samples wait for one another.

    It is told apart by the text of network and optimiser, or, where they have classes that are not
    ours, by the code that comes of them. ``compiling`` is called before it is written.
    """

    def written() -> EpochCode:
        check(net)
        compiling()
        prepare(dtype)
        return emit.training_code(
            net.training_roots,
            equations(optimizer),
            net.leaves,
            dtype,
            variant,
            net.update_keys,
            net.noise,
            strips,
        )

    model, update = net.signature(), optimizer.signature()
    if model is None or update is None:
        with uncollected():
            code = written()
        named = {"code": str(code.module)}
        return _program(WantedProgram(cache_key(named), lambda: code))
    named = {"network": model, "optimizer": update, "shapes": repr(dict(shapes)), "dtype": dtype}
    named |= {} if variant == "training" else {"variant": variant}
    named |= {"strips": "yes"} if strips else {}
    return _program(WantedProgram(cache_key(named), written))


@lru_cache(maxsize=64)
def _program(wanted: WantedProgram[EpochCode]) -> EpochProgram:
    def made() -> Entry:
        with uncollected():
            code = wanted.written()
            return Entry(code.object_code(), code.epoch.to_dict())

    return default_cache().obtain(wanted.key, EpochProgram.load, made)


def check(net: Network) -> None:
    """Raise NotApplicableError for what the compiled engine does not do yet."""
    for name, noise in net.noise.items():
        first, *others = (axis.size for axis in noise.leaf.axes)
        if first is not None or None in others:
            raise refusal(f"{name} is not drawn sample by sample")
    if net.criterion.is_scored and net.target.axes != net.output_axes:
        raise refusal(f"what is scored has the axes {net.target.axes}")
