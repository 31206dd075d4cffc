"""Programs that keep below a limit of memory: some values are computed again, in one arena.

What counts is all that a step makes: the arrays of its batch and its noise, activations,
cotangents, gradients, and the arrays that an operation works in. Parameters, data and what an
optimiser remembers are there before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from pullback import emit
from pullback.emit import recompute
from pullback.errors import ConfigError
from pullback.ir import Input, Node, Parameter, walk
from pullback.ir.sizes import axis_sizes
from pullback.net.limit import as_bytes
from pullback.net.program import Compiled, compiled_from

_HELD = 8  # plans and programs that are remembered
Shapes = Mapping[str, tuple[int, ...]]


class LimitedPrograms:
    """The programs of some roots under limits of memory, planned for batches of given shapes.

    What only the roots ``backward`` need is run once.
    """

    def __init__(
        self,
        roots: Mapping[str, Node],
        what: str,
        leaves: Sequence[Input | Parameter],
        backward: Collection[str],
    ) -> None:
        self._roots, self._what, self._leaves, self._backward = roots, what, leaves, backward
        self._program = emit.lower(roots, emit.inplace.RESERVED, leaves, direct=True)
        self._planners: dict[Any, recompute.Planner] = {}
        self._compiled: dict[Any, tuple[recompute.Arrangement, Compiled]] = {}

    def planner(self, shapes: Shapes, dtype: Any) -> recompute.Planner:
        """The plans for leaves of these shapes by name and numbers of this dtype."""
        key = (tuple(sorted(shapes.items())), np.dtype(dtype))
        if key not in self._planners:
            sizes = axis_sizes((*self._leaves, *walk(self._roots.values())), shapes)
            lengths = {axis: sizes.of(axis) for axis in self._program.sizes}
            self._program.measure(lengths)
            costs = recompute.StepCosts(self._program, lengths, key[1].itemsize)
            _trim(self._planners)
            self._planners[key] = recompute.Planner(
                recompute.ProgramWork(self._program, costs, self._backward)
            )
        return self._planners[key]

    def compiled(
        self, shapes: Shapes, dtype: Any, limit: int, besides: int = 0
    ) -> tuple[recompute.Arrangement, Compiled]:
        """The plan for a limit of which ``besides`` bytes are taken, and its program.

        Raises ConfigError for a limit below the least that a plan needs.
        """
        planner = self.planner(shapes, dtype)
        found = planner.within(limit - besides)
        if found is None:
            least = planner.least.peak + besides
            raise ConfigError(
                f"memory is {as_bytes(limit)}; a step on this batch needs at least "
                f"{as_bytes(least)} ({least:,} bytes): raise it, or make the batch smaller"
            )
        key = (tuple(sorted(shapes.items())), np.dtype(dtype), id(found))
        if key not in self._compiled:
            itemsize = planner.work.costs.itemsize
            title = f"{self._what}\n\nPlanned for at most {limit - besides:,} bytes."
            source = emit.within.emit(found.program, found.buffers, title, itemsize)
            made = compiled_from(found.program, source, self._roots, self._leaves)
            _trim(self._compiled)
            self._compiled[key] = found, made
        return self._compiled[key]


def _trim(kept: dict[Any, Any]) -> None:
    while len(kept) >= _HELD:
        kept.pop(next(iter(kept)))
