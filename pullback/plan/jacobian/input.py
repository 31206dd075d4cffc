"""The Jacobian with respect to the input: one chain of factors for each sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from pullback.errors import ShapeError, whole
from pullback.plan.chain.consumers import check_consumer
from pullback.plan.chain.cost import Costs
from pullback.plan.chain.plan import Plan
from pullback.plan.chain.planner import plan_links
from pullback.plan.jacobian import decompose
from pullback.plan.jacobian.base import Jacobian
from pullback.plan.jacobian.operators import (
    Array,
    IdentityOperator,
    MatrixOperator,
    Operator,
    as_array,
    links_of,
    run,
)


@dataclass(frozen=True, eq=False, repr=False)
class InputJacobian(Jacobian):
    """A stack of products, one a sample; ``factors`` stand input first."""

    factors: tuple[Operator, ...]
    output: Array
    lead: tuple[int, ...]  # () for one sample given as a vector, else (batch,)
    plans: dict[Any, Any] = field(default_factory=dict)
    side: str = ""  # "ᵀ" for a transpose: its plans are other ones

    @classmethod
    def of(
        cls,
        factors: tuple[Operator, ...],
        output: Array,
        x: Array,
        alone: bool,
        plans: dict[Any, Any],
    ) -> InputJacobian:
        """The product of some factors at points x (batch, …)."""
        chain = factors or (IdentityOperator(prod(x.shape[1:])),)
        return cls(chain, output[0] if alone else output, () if alone else x.shape[:1], plans)

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (*self.lead, self.factors[-1].rows, self.factors[0].cols)

    @property
    def T(self) -> InputJacobian:
        turned = tuple(factor.T for factor in reversed(self.factors))
        side = "" if self.side else "ᵀ"
        return InputJacobian(turned, self.output, self.lead, self.plans, side)

    def plan(self, consumer: str = "dense") -> Plan:
        """The plan of an operation, ranked by predicted time."""
        key = check_consumer(consumer), self.lead, self.output.dtype, self.side
        if key not in self.plans:
            costs = Costs(itemsize=self.output.dtype.itemsize, by_time=True)
            self.plans[key] = plan_links(links_of(self.factors), consumer, costs)
        found: Plan = self.plans[key]
        return found

    def __matmul__(self, V: Any) -> Array:
        columns, vector = self._columns(V, self.shape[-1], "J @ V: V")
        link = MatrixOperator(columns)
        chain = (link, *self.factors)
        key = "@", columns.shape, self.lead, self.output.dtype, self.side
        if key not in self.plans:
            costs = Costs(itemsize=self.output.dtype.itemsize, by_time=True)
            self.plans[key] = plan_links(links_of(chain), "dense", costs)
        out = self._stacked(as_array(run(self.plans[key].optimal, chain)), 2)
        return out[..., 0] if vector else out

    def dense(self) -> Array:
        return self._stacked(self._made("dense"), 2)

    def gram(self) -> Array:
        return self._stacked(self._made("gram"), 2)

    def solve(self, r: Any, damping: float | None = None) -> Array:
        columns, vector = self._columns(r, self.shape[-2], "solve: r", each_first=True)
        amount = decompose.as_damping(damping)
        out = self._stacked(decompose.solve(self._parts("solve"), columns, amount), 2)
        return out[..., 0] if vector else out

    def svd(self, k: int | None = None) -> tuple[Array, Array, Array]:
        U, s, Vt = decompose.svd(self._parts("svd"))
        most = s.shape[-1] if k is None else whole("k", k)
        if most > min(self.shape[-2:]):
            raise ShapeError(f"k is {k}; a Jacobian {self.shape} has {min(self.shape[-2:])} values")
        return (
            self._stacked(U[..., :most], 2),
            self._stacked(s[..., :most], 1),
            self._stacked(Vt[..., :most, :], 2),
        )

    def logdet(self) -> Any:
        plan = self.plan("logdet").optimal
        if not plan.parts:  # narrower somewhere than at both ends
            total: Any = np.full((), -np.inf, self.output.dtype)
        else:
            parts = (as_array(run(part, self.factors)) for part in plan.parts)
            total = sum(decompose.log_volume(part) for part in parts)
        return self._stacked(np.asarray(total), 0)[()]

    def diagonal(self) -> Array:
        return self._stacked(decompose.column_norms(self._parts("diagonal")), 1)

    def _made(self, consumer: str) -> Array:
        found = as_array(run(self.plan(consumer).optimal, self.factors))
        return found.astype(self.output.dtype, copy=False)

    def _parts(self, consumer: str) -> tuple[Array, ...]:
        parts = self.plan(consumer).optimal.parts
        return tuple(as_array(run(part, self.factors)) for part in parts)

    def _stacked(self, values: Array, axes: int) -> Array:
        """The result of every sample, where it is computed once for all, or for one."""
        shape = (*self.lead, *values.shape[values.ndim - axes :])
        if values.shape == shape:
            return values
        if values.size == int(np.prod(shape)):
            return values.reshape(shape)
        return np.array(np.broadcast_to(values, shape))

    def _columns(
        self, value: Any, size: int, what: str, each_first: bool = False
    ) -> tuple[Array, bool]:
        """An argument as columns ([batch,] size, k), and whether it was a vector for each sample.

        Where batch = size, (batch, size) could be either: numpy's @ takes it as columns for all
        samples, a residual is one for each.
        """
        array = np.asarray(value)
        if each_first and array.shape == self.output.shape and array.size == prod(self.lead) * size:
            array = array.reshape(*self.lead, size)
        if array.dtype.kind not in "fiu":
            raise ShapeError(f"{what} has dtype {array.dtype}; expected real numbers")
        if array.dtype.kind != "f":
            array = array.astype(self.output.dtype)
        each = (*self.lead, size)
        as_columns = array.shape == each == (size, size) and not each_first
        vector = array.shape in ((size,), each) and not as_columns
        columns = array[..., None] if vector else array
        stacks = ((), (1,), self.lead)
        if columns.ndim < 2 or columns.shape[-2] != size or columns.shape[:-2] not in stacks:
            raise ShapeError(
                f"{what} has shape {array.shape}; expected ({size}), ({size}, k)"
                + (
                    f", ({self.lead[0]}, {size}) or ({self.lead[0]}, {size}, k)"
                    if self.lead
                    else ""
                )
            )
        if columns.ndim == 3 and len(columns) == 1:
            columns = columns[0]
        return columns, vector
