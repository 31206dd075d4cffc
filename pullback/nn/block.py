"""What a user composes: a block builds nodes from nodes and states its parameters as it goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pullback.errors import ConfigError, ShapeError, finite, require, whole
from pullback.ir import Axis, Contract, Input, Node, Rename
from pullback.ir.axis import show
from pullback.ir.build import add, scale
from pullback.nn.scope import ParameterSpec, Scope


class Block(ABC):
    """A function from features to features with parameters of its own.

    What a model's parameters and widths are is read off what its blocks build.
    """

    keeps_axes: ClassVar[bool] = False  # has it no parameters, and the axes of what comes in?

    @abstractmethod
    def build(self, x: Node, at: Scope) -> Node:
        """The node of this block's output for x (batch, …, features), at a place in the model.

        ``at`` makes its parameters and gives its equations their names.
        """

    def parameters(self, path: str = "") -> Iterable[ParameterSpec]:
        """The parameters by name, in torch's order, as they are at a place in the model."""
        at = Scope.outline().at(path)
        x = Input("x", (Axis("batch"), Axis("features", self.n_in)))
        at.build(self, x)
        return at.specs

    def declared(self, at: Scope) -> Iterable[ParameterSpec]:
        """The parameters that a block lists by hand, in a ``parameters`` of its own."""
        listed = type(self).parameters is not Block.parameters
        return self.parameters(str(at)) if listed else ()

    @property
    def n_in(self) -> int | None:
        """How many features the block needs; None if it does not say."""
        return None

    def public(self) -> Block:
        """The block by which a person would write it: itself, unless it was read off a graph."""
        return self

    def __call__(self, x: Node) -> Node:
        return self.build(x, Scope())

    def __repr__(self) -> str:
        held = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({held})"


def joined(path: str, name: str | int) -> str:
    """The name of a part: ``2.block`` and ``0`` make ``2.block.0``."""
    return Scope(path).inside(name)


def features(x: Node) -> Axis:
    """The axis that a block transforms: the last one."""
    if not x.axes:
        raise ShapeError("a block needs an input with a feature axis, found a scalar")
    return x.axes[-1]


def numbered(block: Block, x: Node, dim: int, at: Scope) -> Axis:
    """The axis of x with a number as torch has it: 1 is the first after the batch, −1 the last.

    Raises ShapeError where there is none, or where it is the batch, which no block mixes.
    """
    count = len(x.axes)
    if not -count <= dim < count:
        raise ShapeError(
            f"{block!r} at {at.where}: there is no axis {dim} in {show(x.axes)}; expected a number "
            f"from 1 to {count - 1}, or from {1 - count} to -1 counted from the last"
        )
    if dim % count == 0:
        raise ShapeError(
            f"{block!r} at {at.where}: axis {dim} of {show(x.axes)} is the batch, and samples stay "
            "apart; expected an axis after it, such as -1, the last one"
        )
    return x.axes[dim]


@dataclass(frozen=True)
class Linear(Block):
    """z = W x + b, with weight (out, in) and bias (out,), named ``weight`` and ``bias``.

    x has any axes; the last one is summed over. ``name`` is what they are found under in place of
    where the block stands: ``fc1.weight``.
    Raises ConfigError for widths below 1 and ShapeError where the widths do not meet.

    >>> [(spec.name, spec.shape) for spec in Linear(3, 2).parameters("0")]
    [('0.weight', (2, 3)), ('0.bias', (2,))]
    """

    in_features: int
    out_features: int
    bias: bool = True
    name: str | None = None

    def __post_init__(self) -> None:
        for name in ("in_features", "out_features"):
            whole(f"Linear: {name}", getattr(self, name))
        if self.name is not None:
            require("Linear: name", self.name, str, "a string such as 'fc1'")

    @property
    def n_in(self) -> int:
        return self.in_features

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at) if self.name is None else Scope(at).at(self.name)
        inner, units = features(x), at.axis("units", self.out_features)
        weight = at.parameter("weight", (units, at.sized(inner, self.in_features, self)))
        z: Node = Contract((x, weight), (*x.axes[:-1], units))
        if self.bias:
            z = add(z, at.parameter("bias", (units,), "bias"))
        return at.z(z)

    def __repr__(self) -> str:
        bias = "" if self.bias else ", bias=False"
        name = "" if self.name is None else f", name={self.name!r}"
        return f"Linear({self.in_features}, {self.out_features}{bias}{name})"


class Sequential(Block):
    """One block after another; the parts are named by their place: ``0``, ``1``, …

    >>> Sequential(Linear(4, 3), Linear(3, 2))
    Sequential(Linear(4, 3), Linear(3, 2))
    """

    def __init__(self, *blocks: Block) -> None:
        if not blocks:
            raise ConfigError("Sequential needs at least one block")
        for at, block in enumerate(blocks):
            require(f"part {at} of Sequential", block, Block, "a block such as Tanh()")
        self.blocks = blocks

    @property
    def n_in(self) -> int | None:
        # behind a block that makes axes of its own, a width says nothing about x
        told = (b.n_in for b in self.blocks if b.n_in is not None or not b.keeps_axes)
        return next(told, None)

    def build(self, x: Node, at: Scope) -> Node:
        for part, block in enumerate(self.blocks):
            x = Scope(at).inside(part).build(block, x)
        return x

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.blocks))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequential) and self.blocks == other.blocks

    def __hash__(self) -> int:
        return hash(self.blocks)


@dataclass(frozen=True)
class Residual(Block):
    """x + scale · block(x); the block's parameters are named ``block.…``.

    Raises ShapeError if the block changes the number of features.

    >>> [spec.name for spec in Residual(Linear(3, 3)).parameters("1")]
    ['1.block.weight', '1.block.bias']
    """

    block: Block
    scale: float = 1.0

    def __post_init__(self) -> None:
        require("what Residual wraps", self.block, Block, "a block such as Linear(8, 8)")
        finite("scale", self.scale)

    @property
    def n_in(self) -> int | None:
        return self.block.n_in

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        inner = at.inside("block").build(self.block, x)
        # axes meet by name, and what a layer calls its own, such as units, is what x has instead
        gone = tuple(axis for axis in x.axes if axis not in inner.axes)
        new = tuple(axis for axis in inner.axes if axis not in x.axes)
        sizes = [at.sizes.get(axis, axis.size) for axis in gone]
        if len(gone) != len(new) or any(
            size not in (None, axis.size) for size, axis in zip(sizes, new, strict=True)
        ):
            before = tuple(Axis(axis.name, at.sizes.get(axis, axis.size)) for axis in x.axes)
            raise ShapeError(
                f"Residual at {at.where} adds {show(before)} and {show(inner.axes)}: "
                "its block must keep the number of features"
            )
        if new:
            inner = Rename(inner, tuple(zip(new, gone, strict=True)))
        return at.a(add(x, scale(float(self.scale), inner)))
