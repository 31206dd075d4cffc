"""What a user composes: a block builds nodes from nodes and says which parameters it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pullback.errors import ConfigError, ShapeError, finite, require, whole
from pullback.ir import Axis, Contract, Named, Node, Parameter, Rename
from pullback.ir.axis import show
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

    Raises ConfigError for widths below 1 and ShapeError where the widths do not meet.

    >>> [(spec.name, spec.shape) for spec in Linear(3, 2).parameters("0")]
    [('0.weight', (2, 3)), ('0.bias', (2,))]
    """

    in_features: int
    out_features: int
    bias: bool = True

    def __post_init__(self) -> None:
        for name in ("in_features", "out_features"):
            whole(f"Linear: {name}", getattr(self, name))

    @property
    def n_in(self) -> int:
        return self.in_features

    def build(self, x: Node, path: str) -> Node:
        axis_in = features(x)
        if axis_in.size not in (None, self.in_features):
            raise ShapeError(
                f"{self} at {path or 'the top'!r} takes {self.in_features} features, "
                f"but what comes in has axes {show(x.axes)}"
            )
        axis_out = Axis(f"units.{path}" if path else "units", self.out_features)
        weight = Parameter(joined(path, "weight"), (axis_out, axis_in))
        z: Node = Contract((x, weight), (*x.axes[:-1], axis_out))
        if self.bias:
            z = add(z, Parameter(joined(path, "bias"), (axis_out,)))
        return Named(f"z.{path}", z, "z")

    def parameters(self, path: str) -> Iterator[ParameterSpec]:
        n_in, n_out = self.in_features, self.out_features
        yield ParameterSpec(joined(path, "weight"), (n_out, n_in), "weight", n_in, n_out)
        if self.bias:
            yield ParameterSpec(joined(path, "bias"), (n_out,), "bias", n_in, n_out)

    def __repr__(self) -> str:
        bias = "" if self.bias else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias})"


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
        if before.size is not None and before.size != after.size:
            raise ShapeError(
                f"Residual at {path!r} adds {show(x.axes)} and {show(inner.axes)}: "
                "its block must keep the number of features"
            )
        if before != after:
            inner = Rename(inner, ((after, before),))
        return Named(f"a.{path}", add(x, scale(float(self.scale), inner)), "a")

    def parameters(self, path: str) -> Iterator[ParameterSpec]:
        yield from self.block.parameters(joined(path, "block"))
