"""Blocks side by side, whose results are joined: along an axis, or by their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

from pullback.errors import ConfigError, ShapeError, require
from pullback.ir import Axis, Node, Rename
from pullback.ir.axis import show
from pullback.ir.build import add
from pullback.ir.layout import placed
from pullback.nn.block import Block, numbered
from pullback.nn.scope import Scope


class Parallel(Block):
    """Blocks side by side, their results joined along the last axis or, by "sum", added up.

    Blocks that are given by name read the input of that name each, and their parameters are found
    under it; without names all read the same x, and are named by their place: ``0``, ``1``, …
    Raises ConfigError for inputs that are not these, ShapeError for results that do not fit.

    >>> import pullback as pb
    >>> model = pb.Parallel(a=pb.Linear(3, 8), b=pb.Linear(2, 8), join="sum")
    >>> net = pb.Network(model, loss=pb.MSELoss(), x={"a": "left", "b": "right"})
    >>> [spec.name for spec in net.specs], net.n_out
    (['a.weight', 'a.bias', 'b.weight', 'b.bias'], 8)
    """

    def __init__(
        self, *blocks: Block, join: Literal["concat", "sum"] = "concat", **branches: Block
    ) -> None:
        if bool(blocks) == bool(branches):
            raise ConfigError(
                "Parallel needs blocks that read the same x, or blocks by the names of the inputs "
                "that they read, as Parallel(a=Linear(3, 8), b=Linear(2, 8))"
            )
        if join not in ("concat", "sum"):
            raise ConfigError(f"Parallel: join is {join!r}; expected 'concat' or 'sum'")
        named = branches or {str(at): block for at, block in enumerate(blocks)}
        for name, block in named.items():
            require(f"part {name!r} of Parallel", block, Block, "a block such as Linear(3, 8)")
        self.blocks, self.join = tuple(named.values()), join
        self.names = tuple(branches)

    @property
    def branches(self) -> dict[str, Block]:
        """The blocks by the names of the inputs that they read, where they have names."""
        return dict(zip(self.names, self.blocks, strict=True)) if self.names else {}

    @property
    def n_in(self) -> int | None:
        widths = (block.n_in for block in self.blocks if block.n_in is not None)
        return None if self.names else next(widths, None)

    def build(self, x: Any, at: Scope) -> Node:
        at = Scope(at)
        parts = [
            at.inside(name).build(block, each)
            for (name, each), block in zip(self._read(x, at), self.blocks, strict=True)
        ]
        if self.join == "sum":
            return at.a(_summed(self, parts, at))
        return at.a(_concatenated(self, parts, -1, at))

    def _read(self, x: Any, at: Scope) -> list[tuple[str, Any]]:
        """The name of each part, and what it reads."""
        if not self.names:
            return [(str(place), x) for place in range(len(self.blocks))]
        given = list(x) if isinstance(x, Mapping) else None
        if given is None or set(given) != set(self.names):
            found = "one input" if given is None else f"the inputs {', '.join(given)}"
            like = ", ".join(f"{name!r}: 'features=3'" for name in self.names)
            raise ConfigError(
                f"Parallel at {at.where} reads the inputs {', '.join(self.names)}, found {found}; "
                f"say them as in Network(…, x={{{like}}})"
            )
        return [(name, x[name]) for name in self.names]

    def __repr__(self) -> str:
        parts = [repr(block) for block in self.blocks]
        if self.names:
            parts = [f"{name}={part}" for name, part in zip(self.names, parts, strict=True)]
        join = "" if self.join == "concat" else f", join={self.join!r}"
        return f"Parallel({', '.join(parts)}{join})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parallel) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.blocks, self.names, self.join))


class Concat(Block):
    """Blocks that read the same x, their results one after another along an axis.

    ``dim`` counts the axes with the batch as 0, from the end where it is negative; the parts are
    named by their place: ``0``, ``1``, … Raises ShapeError for the batch, and for results whose
    other axes differ in length.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Concat(pb.Linear(4, 3), pb.Linear(4, 2)), loss=pb.MSELoss())
    >>> net.n_out, [spec.name for spec in net.specs]
    (5, ['0.weight', '0.bias', '1.weight', '1.bias'])
    """

    def __init__(self, *blocks: Block, dim: int = -1) -> None:
        if not blocks:
            raise ConfigError("Concat needs at least one block")
        for place, block in enumerate(blocks):
            require(f"part {place} of Concat", block, Block, "a block such as Linear(4, 3)")
        require("Concat: dim", dim, int, "the number of an axis, such as -1")
        self.blocks, self.dim = blocks, dim

    @property
    def n_in(self) -> int | None:
        return next((block.n_in for block in self.blocks if block.n_in is not None), None)

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        parts = [at.inside(place).build(block, x) for place, block in enumerate(self.blocks)]
        return at.a(_concatenated(self, parts, self.dim, at))

    def __repr__(self) -> str:
        dim = "" if self.dim == -1 else f", dim={self.dim}"
        return f"Concat({', '.join(map(repr, self.blocks))}{dim})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Concat) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.blocks, self.dim))


def _concatenated(block: Block, parts: Sequence[Node], dim: int, at: Scope) -> Node:
    """The parts one after another along an axis: each in its place among zeros, and added."""
    ends = [numbered(block, part, dim, at) for part in parts]
    sizes = [_size(block, axis, at) for axis in ends]
    whole, starts = at.axis("joined", sum(sizes)), accumulate(sizes, initial=0)
    each = zip(parts, ends, starts, strict=False)
    return _summed(block, [placed(part, axis, whole, start) for part, axis, start in each], at)


def _summed(block: Block, parts: Sequence[Node], at: Scope) -> Node:
    """The sum of parts whose axes meet by their place, under the names of the first."""
    first, *others = parts
    return add(first, *(_beside(block, part, first, at) for part in others))


def _beside(block: Block, part: Node, first: Node, at: Scope) -> Node:
    pairs = tuple(zip(part.axes, first.axes, strict=False))
    sizes = [{at.sizes.get(axis, axis.size) for axis in pair} - {None} for pair in pairs]
    if len(part.axes) != len(first.axes) or any(len(size) > 1 for size in sizes):
        raise ShapeError(
            f"{block!r} at {at.where} joins {show(first.axes)} and {show(part.axes)}: the parts "
            "must have the same number of axes, of the same lengths"
        )
    moved = tuple((old, new) for old, new in pairs if old != new)
    return Rename(part, moved) if moved else part


def _size(block: Block, axis: Axis, at: Scope) -> int:
    size = at.sizes.get(axis, axis.size)
    if size is None:
        raise ShapeError(
            f"{block!r} at {at.where} joins along the axis {axis.name!r}, whose size is not known "
            "here; say the input's sizes, as in Network(…, x='features=8')"
        )
    return size
