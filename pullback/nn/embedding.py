"""Embedding: a table of vectors that whole numbers look up."""

from __future__ import annotations

from dataclasses import InitVar, dataclass

from pullback import ir
from pullback.errors import ConfigError, ShapeError, shown, whole
from pullback.ir import Contract, Detach, Node, OneHot
from pullback.ir.axis import show
from pullback.ir.build import pointwise
from pullback.ir.lookup import is_whole
from pullback.nn import init
from pullback.nn.block import Block
from pullback.nn.scope import Scope


@dataclass(frozen=True)
class Embedding(Block):
    """The rows of ``weight`` (num_embeddings, embedding_dim) that whole numbers (batch, …) say.

    The result is (batch, …, embedding_dim). Rows start at N(0, 1); the one of ``padding_idx``
    starts at 0 and has no gradient.
    Raises ConfigError for sizes below 1, a ``padding_idx`` that is no row and for what else torch
    can do to the rows, ShapeError for an input of other numbers than whole ones.

    >>> import numpy as np, pullback as pb
    >>> net = pb.Network(Embedding(5, 3), pb.SquaredError(), x="tokens:index")
    >>> net.predict(net.init(seed=0), np.array([[4, 0], [4, 1]])).shape
    (2, 2, 3)
    """

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None = None
    max_norm: InitVar[object] = None
    norm_type: InitVar[object] = 2.0
    scale_grad_by_freq: InitVar[object] = False
    sparse: InitVar[object] = False

    def __post_init__(
        self, max_norm: object, norm_type: object, scale_grad_by_freq: object, sparse: object
    ) -> None:
        if max_norm is not None:
            raise ConfigError(
                f"Embedding: max_norm is {shown(max_norm)}; expected None: it would change rows as "
                "they are read, which no gradient says; l2= in Network(…) keeps weights small"
            )
        for option, given in (("scale_grad_by_freq", scale_grad_by_freq), ("sparse", sparse)):
            if given is not False:
                raise ConfigError(
                    f"Embedding: {option} is {shown(given)}; expected False: the gradient is that "
                    "of the loss, of the whole table"
                )
        rows = whole("Embedding: num_embeddings", self.num_embeddings)
        whole("Embedding: embedding_dim", self.embedding_dim)
        if self.padding_idx is None:
            return
        row: object = self.padding_idx
        if isinstance(row, bool) or not isinstance(row, int) or not -rows <= row < rows:
            raise ConfigError(
                f"Embedding: padding_idx is {shown(row)}; expected the number of a row, from 0 "
                f"to {rows - 1}"
            )
        object.__setattr__(self, "padding_idx", range(rows)[row])

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
        chosen = pointwise(
            lambda z, held, row: ir.Piecewise((held, ir.Eq(row, self.padding_idx)), (z, True)),
            z, Detach(z), x,
        )  # fmt: skip
        return at.a(chosen)
