"""What a user composes: a block builds nodes from nodes and says which parameters it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pullback.errors import ConfigError, ShapeError, finite, require, whole
from pullback.ir import Axis, Contract, Input, Named, Node, Parameter, Rename
from pullback.ir.build import add, scale


@dataclass(frozen=True)
class ParameterSpec:
    """One array of the state dict; its shape is torch's, weights are (out, in)."""

    name: str
    shape: tuple[int, ...]
    kind: Literal["weight", "bias"]
    n_in: int
    n_out: int

    @property
    def axes(self) -> tuple[tuple[str, int], ...]:
        """The axes by name with their sizes: (out, in) or (out)."""
        return tuple(zip(("out", "in"), self.shape, strict=False))


class Block(ABC):
    """A function from features to features with parameters of its own."""

    @abstractmethod
    def build(self, x: Node, path: str) -> Node:
        """The node of this block's output for x (axes batch, features), at a place in the model."""

    def out_axis(self, axis: Axis, path: str) -> Axis:
        """The axis of features that comes out, at a place in the model.

        Raises ShapeError where widths do not meet. Blocks that know it do not build to tell it.
        """
        return features(self.build(Input("x", (Axis("batch"), axis)), path))

    def parameters(self, path: str) -> Iterator[ParameterSpec]:
        """The parameters by name, in torch's order."""
        return iter(())

    @property
    def n_in(self) -> int | None:
        """How many features the block needs; None if any number will do."""
        return None

    def __call__(self, x: Node) -> Node:
        return self.build(x, "")


def joined(path: str, name: str | int) -> str:
    """The name of a part: ``2.block`` and ``0`` make ``2.block.0``."""
    return f"{path}.{name}" if path else str(name)


def features(x: Node) -> Axis:
    """The axis that a block transforms: the last one."""
    if not x.axes:
        raise ShapeError("a block needs an input with a feature axis, found a scalar")
    return x.axes[-1]


@dataclass(frozen=True)
class Linear(Block):
    """z = W x + b, with weight (out, in) and bias (out,), named ``weight`` and ``bias``.

    ``name`` is what they are found under in place of where the block stands: ``fc1.weight``.
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

    def called(self, path: str) -> str:
        """What the block is called at a place in the model: its name, if it has one."""
        return path if self.name is None else self.name

    def out_axis(self, axis: Axis, path: str) -> Axis:
        path = self.called(path)
        if axis.size not in (None, self.in_features):
            raise ShapeError(
                f"{self} at {path or 'the top'!r} takes {self.in_features} features, "
                f"but what comes in has the axis {axis!r}"
            )
        return Axis(f"units.{path}" if path else "units", self.out_features)

    def build(self, x: Node, path: str) -> Node:
        path, axis_in, axis_out = self.called(path), features(x), self.out_axis(features(x), path)
        weight = Parameter(joined(path, "weight"), (axis_out, axis_in))
        z: Node = Contract((x, weight), (*x.axes[:-1], axis_out))
        if self.bias:
            z = add(z, Parameter(joined(path, "bias"), (axis_out,)))
        return Named(f"z.{path}", z, "z")

    def parameters(self, path: str) -> Iterator[ParameterSpec]:
        path, n_in, n_out = self.called(path), self.in_features, self.out_features
        yield ParameterSpec(joined(path, "weight"), (n_out, n_in), "weight", n_in, n_out)
        if self.bias:
            yield ParameterSpec(joined(path, "bias"), (n_out,), "bias", n_in, n_out)

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
        return next((b.n_in for b in self.blocks if b.n_in is not None), None)

    def build(self, x: Node, path: str) -> Node:
        for at, block in enumerate(self.blocks):
            x = block.build(x, joined(path, at))
        return x

    def out_axis(self, axis: Axis, path: str) -> Axis:
        for at, block in enumerate(self.blocks):
            axis = block.out_axis(axis, joined(path, at))
        return axis

    def parameters(self, path: str) -> Iterator[ParameterSpec]:
        for at, block in enumerate(self.blocks):
            yield from block.parameters(joined(path, at))

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

    def build(self, x: Node, path: str) -> Node:
        inner = self.block.build(x, joined(path, "block"))
        before, after = features(x), features(inner)
        if before != self._kept(before, after, path):
            inner = Rename(inner, ((after, before),))
        return Named(f"a.{path}", add(x, scale(float(self.scale), inner)), "a")

    def out_axis(self, axis: Axis, path: str) -> Axis:
        self._kept(axis, self.block.out_axis(axis, joined(path, "block")), path)
        return axis

    def _kept(self, before: Axis, after: Axis, path: str) -> Axis:
        """The axis that comes out of the block, if it is as long as the one that goes in."""
        if before.size is not None and before.size != after.size:
            raise ShapeError(
                f"Residual at {path!r} adds {before!r} and {after!r}: "
                "its block must keep the number of features"
            )
        return after

    def parameters(self, path: str) -> Iterator[ParameterSpec]:
        yield from self.block.parameters(joined(path, "block"))
