"""How well a network does on some samples, by compiled code: their loss, and how many are right.

The program is kept in memory, found on disk, or compiled now, as that of training is; what it needs
of the network's equations is not loaded where it is found.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback import emit
from pullback.emit.forward.record import SCORE, Scoring
from pullback.errors import NotApplicableError
from pullback.machine.arrays import FIRST, WORK
from pullback.machine.barrier import meeting_room
from pullback.machine.blas.matmul import prepare
from pullback.machine.object.cache import Entry, cache_key, default_cache
from pullback.machine.object.load import load, uncollected
from pullback.machine.threads import Workers, processors
from pullback.net.modes import drawn
from pullback.net.network import Network, Parameters
from pullback.net.program import Array
from pullback.train.compiled_epoch import WantedProgram, check
from pullback.train.metrics import scores, threshold
from pullback.train.samples import Samples

if TYPE_CHECKING:
    from pullback.emit.forward.scores import ScoreCode

_TYPES = [ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
_GRAIN = 30_000_000  # multiplications, some ms, that are worth another thread


@dataclass(frozen=True)
class ScoreProgram:
    """A compiled function of (worker, workers, rows, table), and the record of what it takes."""

    scoring: Scoring
    run: Callable[..., int]

    @classmethod
    def load(cls, entry: Entry) -> ScoreProgram:
        """The program in machine code. Raises ConfigError for code of something else."""
        return cls(Scoring.from_dict(entry.meta), load(entry.code, SCORE, _TYPES))


class CompiledScores:
    """The scores of samples by the compiled program of a network in one precision.

    ``workers`` threads share the samples; None takes as many as these are worth. No bit of the
    result depends on how many there are. Raises NotApplicableError for a network that cannot be
    compiled, as one in which samples meet.
    """

    def __init__(self, net: Network, dtype: np.dtype[Any], workers: int | None = None) -> None:
        self._net, self._dtype, self._given = net, dtype, workers
        self._program = _program(_wanted(net, dtype.name))
        self._most, self._pool = processors(), Workers(1)
        self._room = np.zeros(0, dtype)

    def __call__(self, params: Parameters, samples: Samples) -> dict[str, float]:
        """The loss of samples and, where they are classified, the share that is right."""
        scoring, rows = self._program.scoring, len(samples)
        blocks, workers = -(-rows // scoring.block), self._workers(rows)
        inputs = {**samples.arrays, **drawn(self._net, samples.arrays)}
        given = [self._as_read(inputs[name]) for name in scoring.inputs]
        given += [self._as_read(params[name]) for name in scoring.parameters]
        total, parts = np.zeros(1, self._dtype), np.empty(blocks * scoring.sums, self._dtype)
        right, meeting = np.empty(blocks, np.int64), np.zeros(meeting_room(workers), np.int64)
        if len(self._room) < workers * scoring.room:
            self._room = np.zeros(workers * scoring.room, self._dtype)
        head = [0] * FIRST
        head[WORK] = self._room.ctypes.data
        lie = (each.ctypes.data for each in (*given, total, parts, right, meeting))
        table = np.array([*head, *lie], np.int64)
        if self._pool.count != workers:
            self._pool = Workers(workers)
        self._pool.run(self._program.run, (workers, rows, table.ctypes.data))
        scored = self._net.criterion.is_scored
        accuracy = {"accuracy": int(right.sum()) / samples.places} if scored else {}
        return {"loss": float(total[0]), **accuracy}

    def _workers(self, rows: int) -> int:
        scoring = self._program.scoring
        most = min(self._most, -(-rows // scoring.block), rows * scoring.work // _GRAIN)
        return self._given or max(1, most)

    def _as_read(self, array: Array) -> Array:
        """An array as the function reads it."""
        kind = self._dtype if array.dtype.kind == "f" else np.dtype(np.int64)
        return np.ascontiguousarray(array, kind)


def compiled_scores(net: Network, params: Parameters, samples: Samples) -> dict[str, float]:
    """The scores of samples by compiled code; by NumPy's where the network cannot be compiled."""
    try:
        return CompiledScores(net, samples.dtype)(params, samples)
    except NotApplicableError:
        return scores(net, params, samples)


def _wanted(net: Network, dtype: str) -> WantedProgram[ScoreCode]:
    """The program of a network, which is told apart as that of training is."""

    def written() -> ScoreCode:
        check(net)
        prepare(dtype)
        roots = {"output": net.output, "loss": net.total}
        counted = threshold(net.criterion) if net.criterion.is_scored else None
        return emit.score_code(roots, net.leaves, dtype, counted)

    signature = net.signature()
    if signature is not None:
        return WantedProgram(cache_key({"scores": signature, "dtype": dtype}), written)
    code = written()
    named = {"code": str(code.module), "scores": repr(code.scoring)}  # other names, the same code
    return WantedProgram(cache_key(named), lambda: code)


@lru_cache(maxsize=64)
def _program(wanted: WantedProgram[ScoreCode]) -> ScoreProgram:
    def made() -> Entry:
        with uncollected():
            code = wanted.written()
            return Entry(code.object_code(), code.scoring.to_dict())

    return default_cache().obtain(wanted.key, ScoreProgram.load, made)
