"""``Accumulation``: a Jacobian's order of elimination as a record to print, run and emit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pullback.errors import ShapeError, unknown
from pullback.ir import Input
from pullback.net.arrays import checked_arrays
from pullback.net.inputs import free
from pullback.net.program import execute
from pullback.notebook import headline, paragraph, table
from pullback.plan.elimination.code import Module
from pullback.plan.elimination.orders import Found
from pullback.plan.elimination.program import StraightLine
from pullback.plan.elimination.tape import Leaf

_EXACT = "the least of all orders"


@dataclass(frozen=True, repr=False)
class Accumulation:
    """The Jacobian of a straight-line program, and the order in which its vertices go.

    ``fma`` counts a multiplication and an addition for every pair of edges at a vertex that goes.
    What the local derivatives cost is not in it: it is the same for all orders.
    """

    title: str
    program: StraightLine
    tried: tuple[Found, ...]  # the best one last
    wrt: tuple[Leaf, ...]
    leaves: tuple[Leaf, ...]
    outputs: tuple[int, ...]  # the shape of the result

    @property
    def found(self) -> Found:
        """The order that was chosen."""
        return self.tried[-1]

    @property
    def fma(self) -> int:
        """What the order costs."""
        return self.found.fma

    @property
    def proven(self) -> bool:
        """Is it known that no order costs less?"""
        return any(each.how == "exact" for each in self.tried)

    @property
    def order(self) -> tuple[str, ...]:
        """The numbers that are eliminated, by their names in the code, in this order."""
        return tuple(f"v{at}" for at in self._vertices)

    @property
    def _vertices(self) -> tuple[int, ...]:
        return tuple(self.program.changing[at] for at in self.found.order)

    def table(self) -> dict[str, int]:
        """The fma of each order that was tried; "optimal" is the one that was chosen."""
        return {each.how: each.fma for each in reversed(self.tried)} | {"optimal": self.fma}

    def code(self, target: str = "numpy") -> str:
        """A module with ``jacobian``: every variable in, an array by each of ``wrt`` out.

        The targets are numpy, numba, jax and torch; it is of one point, and ``jax.vmap`` and
        ``torch.func.vmap`` make it one of many. Raises UnknownNameError for another target.
        """
        module = Module(self.title, self.program, self.wrt, self.leaves, self.outputs)
        return module.source(self._vertices, target)

    def __call__(self, params: Any = None, /, **arrays: Any) -> dict[str, Any]:
        """The Jacobian at one point, by what it is differentiated by (outputs…, entries…).

        ``params`` are those of a network. Raises UnknownNameError for variables too many or too
        few, ShapeError, DTypeError and DataError for what does not fit.
        """
        inputs = [leaf for leaf in self.leaves if isinstance(leaf, Input)]
        alone = [replace(leaf, over=free(leaf.axes)) for leaf in inputs]
        checked, _ = checked_arrays(alone, arrays)
        held = {**(params or {}), **checked}
        for leaf, shape in self.program.shapes.items():
            if leaf.name not in held:
                raise unknown("parameter", leaf.name, held)
            if np.shape(held[leaf.name]) != shape:
                given = np.shape(held[leaf.name])
                raise ShapeError(f"{leaf.name} has shape {given}; expected {shape}, as unrolled")
        first = [params] if len(inputs) < len(self.leaves) else []
        found: dict[str, Any] = self._compiled(*first, *(checked[leaf.name] for leaf in inputs))
        return found

    @cached_property
    def _compiled(self) -> Any:
        return execute(self.code(), {})["jacobian"]

    @property
    def verdict(self) -> str:
        """One sentence: how much the order is worth, and whether it is the best one."""
        table = self.table()
        modes = min(table["forward"], table["reverse"])
        better = "forward" if table["forward"] < table["reverse"] else "reverse"
        best = _EXACT if self.proven else "the best that was found, which proves nothing"
        if self.fma == modes:
            return f"{better} mode costs {modes} fma, {best}."
        gain = f"{modes / max(self.fma, 1):.2f}x"
        return f"{self.fma} fma instead of {modes} in {better} mode ({gain}): {best}."

    def text(self) -> str:
        """The verdict, every order that was tried, and the order itself."""
        rows = [f"  {how:<12}{fma:>10,}" for how, fma in self.table().items()]
        order = " ".join(self.order) or "nothing"
        return "\n".join([self.verdict, "", "order         fma", *rows, "", f"eliminated: {order}"])

    def __repr__(self) -> str:
        return f"<accumulation: {self.verdict}>"

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        rows = [[how, f"{fma:,}"] for how, fma in self.table().items()]
        orders = table(["order", "fma"], rows)
        return f"{headline(self.verdict)}{orders}{paragraph(' '.join(self.order))}"
