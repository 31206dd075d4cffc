"""The forms that an equation can have: what it does to the equations and inputs that it reads.

``Opaque`` is as legal an answer as any: whoever reads it then uses the equation's Jacobian.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from pullback.ir.axis import Axes, Axis
from pullback.ir.kinds import Named, Parameter
from pullback.ir.node import Node
from pullback.ir.scalar.function import Scalar, symbol
from pullback.ir.source import sources
from pullback.ir.window import Window


@dataclass(frozen=True)
class Affine:
    """z = scale · W a + b: a matrix, a convolution over one place, or a diagonal.

    ``summed`` are the axes of W and a that disappear, ``shared`` those that both have and z keeps.
    ``names`` says what W's own axes are called in this equation, where that is something else.
    """

    weight: Parameter
    bias: Parameter | None
    arg: Node
    summed: Axes
    shared: Axes = ()
    scale: float = 1.0
    names: tuple[tuple[Axis, Axis], ...] = ()

    @property
    def args(self) -> tuple[Node, ...]:
        """What it reads."""
        return (self.arg,)

    @property
    def columns(self) -> Axes:
        """The axes of W, by its own names, that are summed."""
        return tuple(axis for axis in self.weight.axes if self._here(axis) in self.summed)

    @property
    def rows(self) -> Axes:
        """The axes of W, by its own names, that z has and a has not."""
        held = {*self.summed, *self.shared}
        return tuple(axis for axis in self.weight.axes if self._here(axis) not in held)

    @property
    def units(self) -> Axes:
        """The axes of z along which W differs; along the others, such as tokens, it is one W."""
        here = (self._here(axis) for axis in self.weight.axes)
        return tuple(axis for axis in here if axis not in self.summed)

    @property
    def n_in(self) -> int:
        """How many numbers of a go into one of z."""
        return prod(axis.size or 1 for axis in self.columns)

    @property
    def n_out(self) -> int:
        """How many numbers of z each number of a goes into."""
        return prod(axis.size or 1 for axis in self.rows)

    @property
    def is_matrix(self) -> bool:
        """Is W a plain matrix (out, in)?"""
        w = self.weight.axes
        return len(w) == 2 and self.rows == w[:1] and self.columns == w[1:] and not self.shared

    def _here(self, axis: Axis) -> Axis:
        return dict(self.names).get(axis, axis)


@dataclass(frozen=True)
class Pointwise:
    """a = f(z), each entry by itself."""

    function: Scalar
    arg: Node

    @property
    def args(self) -> tuple[Node, ...]:
        """What it reads."""
        return (self.arg,)


@dataclass(frozen=True)
class Rescale:
    """a = scale · x + shift, each entry by itself: a diagonal map, as batch norm in evaluation.

    ``scale`` and ``shift`` are functions of the parameters and states ``given``, which no data
    change.
    """

    arg: Node
    given: tuple[Parameter, ...]
    scale: Scalar
    shift: Scalar

    @property
    def args(self) -> tuple[Node, ...]:
        """What it reads."""
        return (self.arg,)


@dataclass(frozen=True)
class Join:
    """One function of several equations, each entry by itself: where branches meet."""

    args: tuple[Node, ...]
    function: Scalar

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The numbers c of Σ c·a, where it is such a sum, else None."""
        slopes = [self.function.partial(at).expr for at in range(len(self.args))]
        offset = self.function.expr - sum(s * symbol(at) for at, s in enumerate(slopes))
        plain = all(slope.is_number for slope in slopes) and offset.expand() == 0
        return tuple(map(float, slopes)) if plain else None


@dataclass(frozen=True)
class Gate:
    """A product of functions of several equations, each entry by itself: u · σ(v)."""

    args: tuple[Node, ...]
    function: Scalar


@dataclass(frozen=True)
class Reduce:
    """One number for each line along some axes: their sum times a number, or their largest.

    Only what ``where`` leaves counts, if there is one.
    """

    arg: Node
    axes: Axes
    kind: Literal["sum", "max", "logsumexp"]
    scale: float = 1.0
    where: Node | None = None

    @property
    def args(self) -> tuple[Node, ...]:
        """What it reads."""
        return (self.arg, *sources(self.where))


@dataclass(frozen=True)
class Softmax:
    """exp z / Σ exp z along one axis, or its logarithm, over what ``where`` leaves if there is one.

    ``total`` is log Σ exp z where that has a name of its own.
    """

    arg: Node
    axis: Axis
    total: Named | None = None
    is_log: bool = False
    where: Node | None = None

    @property
    def args(self) -> tuple[Node, ...]:
        """What it reads."""
        total = () if self.total is None else (self.total,)
        return (self.arg, *total, *sources(self.where))


@dataclass(frozen=True)
class Lookup:
    """The rows of a table that the places in ``index`` say: table[index]."""

    table: Node
    index: Node
    axis: Axis

    @property
    def args(self) -> tuple[Node, ...]:
        """What it reads."""
        return (*sources(self.table), *sources(self.index))


@dataclass(frozen=True)
class Normalise:
    """(x − mean) · factor · gain + bias: made alike along ``axes``, over which both statistics are.

    ``mean``, ``gain`` and ``bias`` are None where there are none.
    """

    arg: Node
    axes: Axes
    factor: Named
    mean: Named | None = None
    gain: Parameter | None = None
    bias: Parameter | None = None

    @property
    def args(self) -> tuple[Node, ...]:
        """What it reads."""
        return tuple(n for n in (self.arg, self.mean, self.factor) if n is not None)


@dataclass(frozen=True)
class Recursion:
    """A value of every turn of a loop, whose ``equations`` are those of one turn."""

    args: tuple[Node, ...]
    over: Axis
    equations: tuple[Named, ...]


@dataclass(frozen=True)
class Opaque:
    """Anything else."""

    args: tuple[Node, ...]


Form = (
    Affine
    | Pointwise
    | Rescale
    | Join
    | Gate
    | Normalise
    | Reduce
    | Softmax
    | Lookup
    | Window
    | Recursion
    | Opaque
)
