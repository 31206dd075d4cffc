"""The compiled forward pass of a network: found on disk, or compiled now."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pullback.emit.forward.code import ForwardCode
from pullback.emit.forward.record import CALL, RUN, Forward
from pullback.emit.forward.scores import ScoreCode
from pullback.emit.forward.step import ForwardStep
from pullback.emit.nest.kernel import prepare_kernels
from pullback.ir import Input, Node, Parameter
from pullback.machine.blas.matmul import prepare
from pullback.machine.object.cache import Entry, cache_key, default_cache
from pullback.machine.object.load import load_with_reader, uncollected
from pullback.machine.object.processor import vector_bytes

_TYPES = [ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]


@dataclass(frozen=True)
class ForwardProgram:
    """A compiled forward pass, and the record of what it takes.

    ``run`` takes (worker, workers, rows, table) and lets the GIL go; ``call`` takes a tuple of the
    table and the arrays, looks at these, and does a small work at once.
    """

    forward: Forward
    run: Callable[..., int]
    call: Callable[[Any], int]

    @classmethod
    def load(cls, entry: Entry) -> ForwardProgram:
        """The program in machine code. Raises ConfigError for code of something else."""
        run, call = load_with_reader(entry.code, RUN, _TYPES, CALL)
        return cls(Forward.from_dict(entry.meta), run, call)


def forward_code(
    output: Node, leaves: Sequence[Input | Parameter], dtype: str, limits: Mapping[str, int]
) -> ForwardCode:
    """A network's output (batch, …) as functions in LLVM, of its ``leaves``.

    ``limits`` are those of the whole numbers in an input. Raises NotApplicableError for what cannot
    be compiled: where samples meet, or a length is unknown.
    """
    return ForwardCode(_step({"output": output}, leaves, dtype), dtype, limits)


def score_code(
    roots: Mapping[str, Node],
    leaves: Sequence[Input | Parameter],
    dtype: str,
    threshold: float | None,
) -> ScoreCode:
    """The "loss" of samples, and how many of them the "output" gets right, as a function in LLVM.

    ``threshold`` is from which output on a sample counts as positive, NaN where the largest output
    decides, None where none is right or wrong. Raises NotApplicableError for what cannot be
    compiled.
    """
    return ScoreCode(_step(roots, leaves, dtype), dtype, threshold)


def _step(
    roots: Mapping[str, Node], leaves: Sequence[Input | Parameter], dtype: str
) -> ForwardStep:
    """The step of roots; the kernels that it calls are made while its code is written."""
    lanes = vector_bytes() // (4 if dtype == "float32" else 8)
    step = ForwardStep.of(roots, leaves, lanes)
    prepare_kernels(step.units, dtype)
    return step


def forward_program(
    output: Callable[[], Node],
    leaves: Sequence[Input | Parameter],
    dtype: str,
    limits: Mapping[str, int],
    signature: str | None,
) -> ForwardProgram:
    """The program of an output, which equal networks share by their ``signature``.

    Where there is none, it is told apart by the code that comes of it.
    """

    def written() -> ForwardCode:
        prepare(dtype)
        return forward_code(output(), leaves, dtype, limits)

    def made(code: ForwardCode) -> Entry:
        return Entry(code.object_code(), code.forward.to_dict())

    with uncollected():
        if signature is None:
            code = written()
            named = {"code": str(code.module), "forward": repr(code.forward)}  # with other names
            key = cache_key(named)
            return default_cache().obtain(key, ForwardProgram.load, lambda: made(code))
        key = cache_key({"forward": signature, "dtype": dtype})
        return default_cache().obtain(key, ForwardProgram.load, lambda: made(written()))
