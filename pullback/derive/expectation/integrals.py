"""What is left of an expectation when the algebra is done: integrals over few Gaussians.

One or two Gaussians are integrated numerically; exp, sin and cos have closed forms; anything else
is simulated, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import sympy as sp

from pullback.calculus.quadrature import REACH, adaptive, grid
from pullback.derive.expectation.average import Average, NoPairingError
from pullback.derive.expectation.behaviour import is_odd, jumps, undefined
from pullback.derive.expectation.closed_forms import (
    DETERMINANT,
    ODD,
    POWERS,
    WAVES,
    absolute_power,
    wave,
)
from pullback.derive.expectation.expansion import Expansion, axes_of
from pullback.derive.expectation.monomial import (
    Monomial,
    RandomFactor,
    TensorEntry,
    carried,
    node_of,
)
from pullback.errors import NonFiniteError, NotApplicableError
from pullback.ir import (
    Add,
    Axes,
    Axis,
    Constant,
    Determinant,
    Input,
    Inverse,
    Map,
    Node,
    Rename,
    Scalar,
    symbol,
)
from pullback.ir.build import with_axes
from pullback.ir.language.text import as_text
from pullback.ir.scalar.primitives import Array
from pullback.net.expression import compile_nodes

_CLOSE = 1e-8  # two grids of one integral, relative
_FINEST = 4


@dataclass(frozen=True, eq=False)
class GaussianIntegral:
    """E of a product of functions at jointly normal arguments, as a leaf with a value to find."""

    leaf: Input
    factors: tuple[RandomFactor, ...]  # at the axes of the leaf, and perhaps more
    function: Scalar | None = None  # of the arguments, random ones first; None is simulated
    means: tuple[Node, ...] = ()
    covariances: Mapping[tuple[int, int], Node] = field(default_factory=dict)
    fixed: tuple[Node, ...] = ()  # arguments that are not random

    @property
    def method(self) -> str:
        """How its value is found."""
        if self.function is None:
            return "simulation"
        return "quadrature" if len(self.means) == 1 else "quadrature in two dimensions"

    def value(self, leaves: tuple[Input, ...], arrays: Mapping[str, Array]) -> Array:
        """The integral by quadrature, for the arrays of all that is not random.

        Raises NonFiniteError where it has no finite value.
        """
        assert self.function is not None
        axes = self.leaf.axes
        pairs = list(self.covariances)
        roots = (*self.means, *(self.covariances[pair] for pair in pairs), *self.fixed)
        found = compile_nodes(leaves, roots)(arrays)
        result: Array
        sizes = dict[Axis, int]()
        for node, array in zip(roots, found, strict=True):
            sizes |= dict(zip(node.axes, array.shape, strict=True))
        shape = tuple(sizes[axis] for axis in axes)
        flat = [
            np.broadcast_to(_laid(array, node.axes, axes), shape).reshape(-1)
            for node, array in zip(roots, found, strict=True)
        ]
        count = len(self.means)
        means, fixed = flat[:count], flat[count + len(pairs) :]
        covariances = dict(zip(pairs, flat[count : count + len(pairs)], strict=True))
        evaluate = _compiled(self.function)

        def at(*values: Array) -> Array:
            spare = (np.broadcast_to(each[:, None], values[0].shape) for each in fixed)
            return np.asarray(evaluate(*values, *spare))

        if count == 1:
            result = _line(at, means[0], np.sqrt(covariances[0, 0]))
        else:
            result = np.array(
                [
                    _plane(
                        self.function,
                        [float(each[row]) for each in means],
                        {pair: float(each[row]) for pair, each in covariances.items()},
                        [float(each[row]) for each in fixed],
                    )
                    for row in range(means[0].size)
                ]
            )
        if not np.isfinite(result).all():
            raise NonFiniteError(f"{self.leaf.name} is not finite: no number comes of the integral")
        return np.asarray(result).reshape(shape)


class Integrals:
    """The integrals of one expectation, each once."""

    def __init__(self, average: Average) -> None:
        self.average, self.expansion = average, average.expansion
        self.found: dict[tuple[Any, ...], tuple[GaussianIntegral, Axes]] = {}
        self.reasons: dict[str, None] = {}  # of closed forms, each once

    def __call__(self, factors: list[RandomFactor]) -> list[Monomial]:
        """E of a product of factors that nothing tells apart, at their indices.

        Raises NotApplicableError where it has no mean.
        """
        whole = Monomial(random=tuple(factors), bound=axes_of(factors))
        labels = whole.canonical[1]
        at = whole.renumbered(())
        names = dict(zip(at.bound, labels, strict=True))
        if whole.key not in self.found:
            closed = self._read(at.random, whole.key)
            if closed is not None:
                return [self.average.apart(each.moved(names)) for each in closed]
        integral, axes = self.found[whole.key]
        return [Monomial(entries=(TensorEntry(integral.leaf, axes).moved(names),))]

    def _read(self, factors: tuple[RandomFactor, ...], key: tuple[Any, ...]
              ) -> list[Monomial] | None:  # fmt: skip
        """The closed form, or None and the integral is noted."""
        for factor in factors:
            _refuse(factor, self.expansion)
        if (mean := self._determinant(factors)) is not None:
            entry = Monomial(entries=(TensorEntry(mean, ()),))
            is_zero = mean.arg == Constant(0.0, mean.arg.axes)
            return self._for(DETERMINANT, [] if is_zero else [entry])
        name = f"E {len(self.found) + 1}"
        try:
            function, args, count = self._merged(factors)
            means = [self.average.mean(arg) for arg in args[:count]]
            pairs = list(combinations_with_replacement(range(count), 2))
            spread = {(i, j): self.average.covariance(args[i], args[j]) for i, j in pairs}
        except NoPairingError:
            self._simulated(name, factors, key)
            return None
        if not any(means) and is_odd(function, count):
            return self._for(ODD, [])
        if not any(means) and (count, len(args)) == (1, 1):
            stds = {law.std for law in self.expansion.laws.values() if law.std is not None}
            found = absolute_power(function, spread[0, 0], stds, self.average.apart)
            if found is not None:
                return self._for(POWERS, found)
        fixed = args[count:]
        have = carried([m for each in (*means, *spread.values()) for m in each])
        have |= {axis for arg in fixed for axis in arg.at}
        axes = tuple(axis for axis in axes_of(factors) if axis in have)

        def node(monomials: Sequence[Monomial]) -> Node:
            on = carried(monomials)
            return node_of(monomials, tuple(axis for axis in axes if axis in on))

        mean_nodes = tuple(node(each) for each in means)
        covariances = {pair: node(each) for pair, each in spread.items()}
        fixed_nodes = tuple(node([Monomial(entries=(each,))]) for each in fixed)
        closed = wave(function, mean_nodes, covariances, fixed_nodes)
        if closed is not None:
            return self._for(WAVES, [Monomial(entries=(TensorEntry(closed, closed.axes),))])
        if count > 2:
            self._simulated(name, factors, key)
            return None
        leaf = Input(name, axes)
        self.found[key] = (
            GaussianIntegral(leaf, factors, function, mean_nodes, covariances, fixed_nodes),
            axes,
        )
        return None

    def _for(self, reason: str, found: list[Monomial]) -> list[Monomial]:
        self.reasons[reason] = None
        return found

    def _determinant(self, factors: tuple[RandomFactor, ...]) -> Determinant | None:
        """det E[X], of a random matrix with a std, or rows and columns, and what is given added."""
        if len(factors) > 1 or not isinstance(factors[0].nodes[0], Determinant):
            return None
        arg = factors[0].nodes[0].arg
        terms = arg.terms if isinstance(arg, Add) else (arg,)
        moving = [term for term in terms if self.expansion.random(term)]
        inner = [term.arg if isinstance(term, Rename) else term for term in moving]
        if len(inner) != 1 or inner[0] not in self.expansion.laws:
            return None
        if self.expansion.laws[inner[0]].cov is not None:
            return None
        mean = self.expansion.mean(arg)
        return Determinant(with_axes(mean, arg.axes))

    def _simulated(
        self, name: str, factors: tuple[RandomFactor, ...], key: tuple[Any, ...]
    ) -> None:
        axes = axes_of(factors)
        self.found[key] = GaussianIntegral(Input(name, axes), factors), axes

    def _merged(
        self, factors: Sequence[RandomFactor]
    ) -> tuple[Scalar, tuple[TensorEntry, ...], int]:
        """The product as one function of all arguments, random ones first, and how many these are.

        Raises NoPairingError where an argument is not affine in the Gaussians.
        """
        args: list[TensorEntry] = []
        for factor in factors:
            if isinstance(factor, TensorEntry):
                if not self.expansion.is_gaussian(factor):
                    raise NoPairingError
                args.append(factor)
            else:
                args += factor.args
        every = list(dict.fromkeys(args))
        random = [arg for arg in every if self.expansion.random(arg.node)]
        if any(self.expansion.affine(arg) is None for arg in random):
            raise NoPairingError
        order = [*random, *(arg for arg in every if arg not in random)]
        places = {arg: symbol(at) for at, arg in enumerate(order)}
        expr: Any = sp.Integer(1)
        for factor in factors:
            if isinstance(factor, TensorEntry):
                expr *= places[factor]
            else:
                inner = {symbol(at): places[arg] for at, arg in enumerate(factor.args)}
                expr *= factor.function.expr.xreplace(inner)
        function = Scalar.of(expr, len(order))
        part = undefined(function, len(random))
        if part is not None:
            raise NotApplicableError(_no_mean(part, [as_text(arg.node) for arg in order]))
        return function, tuple(order), len(random)


def _refuse(factor: RandomFactor, expansion: Expansion) -> None:
    """Raise where a factor is the inverse of a Gaussian matrix, which has no mean."""
    for node in factor.nodes:
        if not isinstance(node, Inverse) or not expansion.is_affine(node.arg):
            continue
        stds = [expansion.laws[leaf].std for leaf in expansion.random(node.arg)]
        if any(std != Constant(0.0) for std in stds):
            raise NotApplicableError(
                f"the inverse of a matrix of normal entries, {as_text(node)}, has no mean: its "
                "determinant comes too near to 0"
            )


def _no_mean(part: Any, args: Sequence[str]) -> str:
    text = str(part)
    for at, name in reversed(list(enumerate(args))):
        text = text.replace(str(symbol(at)), name if name.isidentifier() else f"({name})")
    if isinstance(part, sp.log) or (part.is_Pow and not part.exp.is_Integer):
        return (
            f"{text} has no mean: a normal variable takes every value, and it is not defined for "
            "those below 0"
        )
    if isinstance(part, sp.tan):
        return f"{text} has no mean: a normal variable is too often near a pole of it"
    return (
        f"{text} has no mean: a normal variable is near 0 too often, and the integral of 1/|x| "
        "over these places is infinite"
    )


@lru_cache(maxsize=64)
def _compiled(function: Scalar) -> Any:
    """The function at arrays of one shape, as an emitted program."""
    axis = Axis("nodes")
    inputs = tuple(Input(f"x{at}", (axis,)) for at in range(function.arity))
    compute = compile_nodes(inputs, (Map(function, inputs),))

    def evaluate(*values: Array) -> Array:
        flat = {f"x{at}": np.ascontiguousarray(each).ravel() for at, each in enumerate(values)}
        return compute(flat)[0].reshape(values[0].shape)

    return evaluate


def _line(function: Any, mean: Array, std: Array) -> Array:
    """E f(u) for u of these means and standard deviations (cases,)."""

    def at(x: Array) -> Array:
        values = np.asarray(function(mean[:, None] + std[:, None] * x))
        return np.where(np.isfinite(values), values, _far(values, x))

    places = np.linspace(-REACH, REACH, 481)
    sizes = np.abs(at(places)) * np.exp(-(places**2) / 2)
    found = adaptive(at)
    if (sizes[:, [0, -1]].max(axis=1) > 1e-8 * sizes.sum(axis=1)).any():
        raise NonFiniteError(
            f"the integral grows too fast: {REACH:.0f} standard deviations out its integrand is "
            "not small, so that the mean is infinite or beyond quadrature"
        )
    return found


def _far(values: Array, x: Array) -> Array:
    """What stands in for a value that has overflowed."""
    return np.where(np.isnan(values), np.nan, np.sign(values) * 1e300)


def _plane(
    function: Scalar,
    means: Sequence[float],
    covariances: Mapping[tuple[int, int], float],
    fixed: Sequence[float],
) -> float:
    """E f(u, v) for a pair, v given u by a grid that is refined until it changes nothing."""
    evaluate = _compiled(function)
    std = np.sqrt(covariances[0, 0])
    slope = covariances[0, 1] / std if std > 0 else 0.0
    rest = max(covariances[1, 1] - slope**2, 0.0)

    def at(x: Array, level: int) -> Array:
        inner = grid(means[1] + slope * x, np.full(x.shape, rest), level=level)
        u = np.broadcast_to((means[0] + std * x)[:, None], inner.z.shape)
        values = evaluate(u, inner.z, *(np.full(u.shape, each) for each in fixed))
        return np.asarray(inner.expect(values))[None]

    rough = jumps(function, 0) or jumps(function, 1)
    before = np.nan
    for level in range(_FINEST + 1):
        if rough:
            now = float(adaptive(partial(at, level=level), 1e-8)[0])
        else:
            outer = grid([0.0], [1.0], level=level)
            now = float(outer.expect(at(outer.x[0], level))[0])
        if abs(now - before) <= _CLOSE * abs(now) + 1e-14:
            break
        before = now
    return now


def _laid(array: Array, have: Axes, axes: Axes) -> Array:
    order = [have.index(axis) for axis in axes if axis in have]
    places = [at for at, axis in enumerate(axes) if axis not in have]
    return np.expand_dims(array.transpose(order), places)
