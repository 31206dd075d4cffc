"""``Expectation``: a mean or second moments as a formula, with the way to it, and as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.derive.derivation import Derivation, Step
from pullback.derive.expectation.integrals import GaussianIntegral
from pullback.derive.expectation.law import RandomTensor
from pullback.derive.expectation.monomial import FunctionEntry, TensorEntry
from pullback.derive.expectation.sampling import (
    SIMULATED,
    Simulation,
    average_of,
    drawing,
)
from pullback.errors import NonFiniteError, ShapeError, unknown, whole
from pullback.ir import Axis, Contract, Input, Map, Node
from pullback.ir.axis import PRIME, bind, show
from pullback.ir.normal.contraction import renaming
from pullback.ir.scalar.primitives import Array
from pullback.net.arrays import checked_arrays
from pullback.net.expression import Expression, compile_nodes

_SEED = 20_000  # of what is simulated inside a value: not that of a simulation beside it


@dataclass(frozen=True, repr=False)
class Expectation:
    """E of an expression over Gaussian tensors: the formula, its steps, and numbers.

    ``order`` is 1 for the mean and 2 for second moments, whose axes are those of the expression
    twice; ``central`` ones are covariances.
    """

    expression: Expression
    laws: Mapping[Node, RandomTensor]
    order: int
    central: bool
    node: Node  # over what is not random, and the integrals
    integrals: tuple[GaussianIntegral, ...]
    derivation: Derivation

    def __repr__(self) -> str:
        return f"<{self.formula}>"

    def __str__(self) -> str:
        return self.text()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps from the expression to the formula, each with its reason."""
        return self.derivation.steps

    @property
    def formula(self) -> str:
        """The last line: the expectation itself.

        >>> import pullback as pb
        >>> e = pb.expr("W@A@W.T", W="m n", A="n n")
        >>> pb.expect(e, {"W": pb.normal(0, "sigma")}).formula
        'E[W A Wᵀ] = σ² tr(A) I'
        """
        return self.derivation.lines[-1].text()

    def text(self, width: int = 100) -> str:
        """The whole derivation in Unicode; its last equation is the result."""
        return self.derivation.text(width)

    def latex(self) -> str:
        """The same as one ``aligned`` environment."""
        return self.derivation.latex()

    def _repr_html_(self) -> str:
        return self.derivation.html()

    @property
    def method(self) -> str:
        """How ``value`` finds its number: "closed form", "quadrature" or, in part, "simulation".

        >>> import pullback as pb
        >>> pb.expect(pb.expr("logsumexp(x)", x="n"), {"x": pb.normal(0, 1)}).method
        'simulation'
        """
        used = {integral.method for integral in self.integrals}
        if "simulation" in used:
            return "simulation"
        return "quadrature" if used else "closed form"

    @property
    def random(self) -> tuple[str, ...]:
        """The variables that are averaged over."""
        return tuple(law.leaf.name for law in self.laws.values())

    @cached_property
    def leaves(self) -> tuple[Input, ...]:
        """What ``value`` takes: variables that are not random, and parameters by name."""
        own = {name for law in self.laws.values() for name in law.arrays}
        read = [leaf for leaf in self.expression.leaves if leaf not in self.laws]
        read += [leaf for law in self.laws.values() for leaf in law.parameters]
        return tuple(leaf for leaf in dict.fromkeys(read) if leaf.name not in own)

    def value(self, /, **arrays: Any) -> Any:
        """The number or array, for arrays of what is not random and for the parameters by name.

        The length of an axis that none of them carries is given by its name, as ``m=3``, or by an
        array for the random variable that carries it, of which only the shape is read. What has no
        closed form is integrated by quadrature to about 1e-8, or simulated where ``integrals`` says
        so, with a fixed seed.
        Raises UnknownNameError, ShapeError, DTypeError and DataError for arrays that do not fit,
        NonFiniteError where a number does not come of it.

        >>> import pullback as pb
        >>> e = pb.expr("tanh(w@x)", w="n", x="n")
        >>> round(pb.expect(e, {"w": pb.normal(0.5, "s")}).value(x=[1, 2], s=0.1), 6)
        0.896797
        """
        found, shapes, dtype = self._arrays(arrays)
        # what is random is read for its lengths alone
        found |= {name: np.broadcast_to(0.0, shape) for name, shape in shapes.items()}
        leaves = (*self._leaves, *(law.leaf for law in self.laws.values()))
        for integral in self.integrals:
            if integral.function is None:
                value = self._simulated(integral, found, shapes)
            else:
                value = integral.value(leaves, found)
            found = {**found, integral.leaf.name: value}
        extra = (*leaves, *(each.leaf for each in self.integrals))
        compute = compile_nodes(extra, (self.node,))
        result = compute(found)[0]
        if np.isnan(result).any() and all(np.isfinite(each).all() for each in found.values()):
            raise NonFiniteError(
                "the expectation is no number here: something in the formula is divided by 0, as "
                "by the variance of what a function that jumps is a function of"
            )
        return result.astype(dtype, copy=False) if self.node.axes else float(result)

    def simulate(self, /, *, draws: int = 10_000, seed: int = 0, **arrays: Any) -> Simulation:
        """The same by so many draws of the random variables: its ``value`` and standard ``error``.

        >>> import pullback as pb
        >>> e = pb.expr("sum(x**2)", x="n")
        >>> found = pb.expect(e, {"x": pb.normal(0, 1)}).simulate(n=4, draws=4000)
        >>> abs(found.value - 4) < 4 * found.error
        np.True_
        """
        count = whole("draws", draws, 2)
        whole("seed", seed, 0)
        found, shapes, _ = self._arrays(arrays)
        sampled = drawing(self.expression.node, self.laws, self._leaves, found, shapes, int(seed))
        size = int(np.prod([np.prod(shape) for shape in shapes.values()], dtype=float))
        return average_of(sampled, count, max(size, 1), self.order, self.central)

    @property
    def _leaves(self) -> tuple[Input, ...]:
        """Everything that is not random, the arrays of laws included."""
        own = [leaf for law in self.laws.values() for leaf in law.parameters]
        return tuple(dict.fromkeys([*self.leaves, *own]))

    def _arrays(
        self, given: Mapping[str, Any]
    ) -> tuple[dict[str, Array], dict[str, tuple[int, ...]], Any]:
        """Arrays of all that is not random, the shapes of what is, and the dtype of the result."""
        names = {leaf.name: leaf for leaf in self.leaves}
        random = {law.leaf.name: law for law in self.laws.values()}
        axes = {axis.unprimed.name for law in random.values() for axis in law.leaf.axes}
        axes |= {axis.unprimed.name for leaf in self.leaves for axis in leaf.axes}
        lengths = {name: value for name, value in given.items() if name in axes - {*names}}
        for name in given:
            if name not in names and name not in random and name not in axes:
                raise unknown("variable", name, {*names, *random, *axes})
        values = {name: value for name, value in given.items() if name in names}
        found, dtype = checked_arrays(self.leaves, values, self.expression.meetings)
        sizes: dict[Axis, int] = {Axis(n): whole(n, value) for n, value in lengths.items()}
        for axis, size in sizes.items():
            for meeting in self.expression.meetings:
                meeting.check(f"{axis.name}={size} is given", (axis,), (size,))
        for law in random.values():
            found |= {name: np.asarray(array, float) for name, array in law.arrays.items()}
        for leaf in self._leaves:
            bind(leaf.name, found[leaf.name].shape, leaf.axes, sizes)
        for name, law in random.items():
            if name in given:
                shape = given[name] if isinstance(given[name], tuple) else np.shape(given[name])
                for meeting in self.expression.meetings:
                    meeting.check(f"{name} has shape {shape}", law.leaf.axes, tuple(shape))
                bind(name, tuple(shape), law.leaf.axes, sizes)
        for law in random.values():
            law.check(found)
        return found, {name: self._shape(law.leaf, sizes) for name, law in random.items()}, dtype

    def _shape(self, leaf: Input, sizes: Mapping[Axis, int]) -> tuple[int, ...]:
        known = {axis.name.rstrip(PRIME): size for axis, size in sizes.items()}
        shape = []
        for axis in leaf.axes:
            size = sizes.get(axis, known.get(axis.unprimed.name, axis.size))
            if size is None:
                raise ShapeError(
                    f"the size of axis {axis.unprimed.name!r} of {leaf.name} {show(leaf.axes)} is "
                    f"not known: give it by name, as {axis.unprimed.name}=3"
                )
            shape.append(size)
        return tuple(shape)

    def _simulated(
        self,
        integral: GaussianIntegral,
        arrays: Mapping[str, Array],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> Array:
        factors = [
            Map(each.function, tuple(_node(arg) for arg in each.args))
            if isinstance(each, FunctionEntry)
            else _node(each)
            for each in integral.factors
        ]
        node = Contract(tuple(factors), integral.leaf.axes)
        leaves = tuple(leaf for leaf in self._leaves if leaf.name in arrays)
        sampled = drawing(node, self.laws, leaves, arrays, shapes, _SEED)
        return np.asarray(average_of(sampled, SIMULATED, 100, 1, False).value)


def _node(entry: TensorEntry) -> Node:
    return renaming(entry.node, tuple(zip(entry.node.axes, entry.at, strict=True)))
