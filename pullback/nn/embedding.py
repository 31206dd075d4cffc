"""Embedding: a table of vectors that whole numbers look up."""

from __future__ import annotations

from dataclasses import dataclass

from pullback import ir
from pullback.errors import ConfigError, ShapeError, shown, whole
from pullback.ir import Contract, Detach, Node, OneHot
from pullback.ir.axis import show
from pullback.ir.build import scalar_map
from pullback.ir.lookup import is_whole
from pullback.nn import init
from pullback.nn.block import Block
from pullback.nn.scope import Scope


@dataclass(frozen=True)
class Embedding(Block):
    """The rows of ``weight`` (num_embeddings, embedding_dim) that whole numbers (batch, …) say.

    The result is (batch, …, embedding_dim). Rows start at N(0, 1); the one of ``padding_idx``
    starts at 0 and has no gradient.
    Raises ConfigError for sizes below 1 and a ``padding_idx`` that is no row, ShapeError for an
    input of other numbers than whole ones.

    >>> import numpy as np, pullback as pb
    >>> net = pb.Network(Embedding(5, 3), pb.SquaredError(), x="tokens:index")
    >>> net.predict(net.init(seed=0), np.array([[4, 0], [4, 1]])).shape
    (2, 2, 3)
    """

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None = None

    def __post_init__(self) -> None:
        rows = whole("Embedding: num_embeddings", self.num_embeddings)
        whole("Embedding: embedding_dim", self.embedding_dim)
        if self.padding_idx is None:
            return
        given: object = self.padding_idx
        if isinstance(given, bool) or not isinstance(given, int) or not -rows <= given < rows:
            raise ConfigError(
                f"Embedding: padding_idx is {shown(given)}; expected the number of a row, from 0 "
                f"to {rows - 1}"
            )
        object.__setattr__(self, "padding_idx", range(rows)[given])

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        if not is_whole(x):
            raise ShapeError(
                f"{self!r} at {at.where} looks up whole numbers, but what comes in, "
                f"{show(x.axes)}, are real ones; declare the input as in x='tokens:index'"
            )
        row, units = at.axis("rows", self.num_embeddings), at.axis("units", self.embedding_dim)
        weight = at.parameter("weight", (row, units), init.rows(self.padding_idx))
        z = at.z(Contract((weight, OneHot(x, row)), (*x.axes, units)))
        if self.padding_idx is None:
            return z
        # the same values, but no cotangent goes back where the row is that of the padding
        is_padding = ir.Eq(ir.symbol(2), self.padding_idx)
        chosen = ir.Piecewise((ir.symbol(1), is_padding), (ir.symbol(0), True))
        return at.a(scalar_map(chosen, z, Detach(z), x))
