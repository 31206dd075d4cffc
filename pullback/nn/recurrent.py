"""Recurrent blocks, with torch's names and order of gates: a state that each step changes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, fields
from typing import Literal

from pullback.errors import ConfigError, ShapeError, finite, require, whole
from pullback.ir import Axis, Constant, Node
from pullback.ir.axis import show
from pullback.ir.layout import joined
from pullback.ir.pick import entry
from pullback.nn.block import Block
from pullback.nn.dropout import Dropout
from pullback.nn.gates import GRU_CELL, LSTM_CELL, Cell, CellWeights, Turn, looped, rnn
from pullback.nn.scope import Scope


class Recurrent(Block):
    """Layers of one kind of cell, one over the other; each runs along the axis before the last."""

    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    output: Literal["sequence", "last"]

    def __post_init__(self) -> None:
        name = type(self).__name__
        for each in ("input_size", "hidden_size", "num_layers"):
            whole(f"{name}: {each}", getattr(self, each))
        for each in ("bias", "batch_first", "bidirectional"):
            require(f"{name}: {each}", getattr(self, each), bool, "True or False")
        if not self.batch_first:
            raise ConfigError(
                f"{name}: batch_first is False; the batch always comes first here, as "
                "(batch, time, features): turn x round and leave it True"
            )
        finite(f"{name}: dropout", self.dropout)
        if not 0 <= self.dropout <= 1:
            raise ConfigError(
                f"{name}: dropout is {self.dropout!r}; expected a probability from 0 to 1"
            )
        if self.output not in ("sequence", "last"):
            raise ConfigError(f"{name}: output is {self.output!r}; expected 'sequence' or 'last'")

    @property
    def n_in(self) -> int:
        return self.input_size

    @property
    @abstractmethod
    def cell(self) -> Cell:
        """What one step does."""

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        if len(x.axes) < 3:
            raise ShapeError(
                f"{self} at {at.where} takes (batch, time, features), found {show(x.axes)}; say "
                f"the network's x, as x='time=7 features={self.input_size}'"
            )
        at.sized(x.axes[-1], self.input_size, self)
        time, last = x.axes[-2], self.num_layers - 1
        for layer in range(self.num_layers):
            ways = [self._layer(x, time, at, layer, back) for back in (False, True)[: self.ways]]
            if self.output == "last" and layer == last:
                ends = [entry(h, time, 0 if back else -1) for back, h in enumerate(ways)]
                return at.a(self._joined(ends, at, layer))
            x = ways[0]
            if self.bidirectional:
                x = at.a(self._joined(ways, at, layer), "" if layer == last else f"l{layer}")
            if layer < last:
                x = at.inside(f"dropout_l{layer}").build(Dropout(self.dropout), x)
        return x

    @property
    def ways(self) -> int:
        """How many directions a layer runs in."""
        return 2 if self.bidirectional else 1

    def _layer(self, x: Node, time: Axis, at: Scope, layer: int, backward: bool) -> Node:
        """h after every step, the axes in the order of x."""
        place = f"l{layer}{'_reverse' if backward else ''}"
        features, size = x.axes[-1], self.hidden_size
        turn = Turn(
            at,
            at.axis(f"hidden_{place}", size),
            at.axis(f"gates_{place}", self.cell.gates * size),
            "" if self.num_layers == self.ways == 1 else f"_{place}",
        )
        lead = tuple(axis for axis in x.axes[:-1] if axis != time)
        of_x = at.parameter(f"weight_ih_{place}", (turn.stacked, features))
        of_h = at.parameter(f"weight_hh_{place}", (turn.stacked, turn.units))
        biases = [
            (at.parameter(f"bias_{of}_{place}", (turn.stacked,), "bias"),) if self.bias else ()
            for of in ("ih", "hh")
        ]
        starts = (Constant(0.0, (*lead, turn.units)),) * self.cell.states
        weights = CellWeights(of_x, of_h, *biases)
        return looped(self.cell, turn, weights, x, time, starts, backward)[0]

    def _joined(self, ways: list[Node], at: Scope, layer: int) -> Node:
        """The directions beside each other along one axis."""
        if len(ways) == 1:
            return ways[0]
        both = at.axis(f"both_l{layer}", 2 * self.hidden_size)
        return joined([(each, each.axes[-1]) for each in ways], both)

    def __repr__(self) -> str:
        said = [
            f"{each.name}={getattr(self, each.name)!r}"
            for each in fields(self)  # type: ignore[arg-type]
            if each.name not in ("input_size", "hidden_size")
            and getattr(self, each.name) != each.default
        ]
        sizes = [repr(self.input_size), repr(self.hidden_size)]
        return f"{type(self).__name__}({', '.join([*sizes, *said])})"


@dataclass(frozen=True, repr=False)
class RNN(Recurrent):
    """h_t = tanh(W x_t + b + U h_{t−1} + c) along time, from h_0 = 0; ``relu`` in place of tanh.

    x is (batch, time, features); the output is (batch, time, hidden), or with output="last" the
    last h (batch, hidden), of both directions side by side; ``dropout`` is between layers. The
    state dict is torch's.
    Raises ConfigError for sizes below 1, batch_first=False or a dropout that is no probability.

    >>> import pullback as pb
    >>> net = pb.Network(RNN(3, 2, bias=False), pb.MSELoss(), x="time=4 features=3")
    >>> [(spec.name, spec.shape) for spec in net.specs]
    [('weight_ih_l0', (2, 3)), ('weight_hh_l0', (2, 2))]
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    bias: bool = True
    batch_first: bool = True
    dropout: float = 0.0
    bidirectional: bool = False
    output: Literal["sequence", "last"] = field(default="sequence", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nonlinearity not in ("tanh", "relu"):
            raise ConfigError(
                f"RNN: nonlinearity is {self.nonlinearity!r}; expected 'tanh' or 'relu'"
            )

    @property
    def cell(self) -> Cell:
        return rnn(self.nonlinearity)


@dataclass(frozen=True, repr=False)
class _Gated(Recurrent):
    """Those whose options are torch's of a GRU; an RNN has one more between them."""

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = True
    dropout: float = 0.0
    bidirectional: bool = False
    output: Literal["sequence", "last"] = field(default="sequence", kw_only=True)


@dataclass(frozen=True, repr=False)
class GRU(_Gated):
    """h_t = (1 − z) n + z h_{t−1} along time, with n = tanh(W x_t + b + r (U h_{t−1} + c)).

    x is (batch, time, features); the output is (batch, time, hidden), or with output="last" the
    last h (batch, hidden), of both directions side by side; ``dropout`` is between layers. The
    state dict is torch's, its gates r, z, n (Cho et al. 2014; r after the product, as in torch).
    Raises ConfigError for sizes below 1, batch_first=False or a dropout that is no probability.

    >>> import pullback as pb
    >>> net = pb.Network(GRU(3, 2, bias=False), pb.MSELoss(), x="time=4 features=3")
    >>> [(spec.name, spec.shape) for spec in net.specs]
    [('weight_ih_l0', (6, 3)), ('weight_hh_l0', (6, 2))]
    """

    @property
    def cell(self) -> Cell:
        return GRU_CELL


@dataclass(frozen=True, repr=False)
class LSTM(_Gated):
    """c_t = f c_{t−1} + i g and h_t = o tanh c_t along time, each gate of x_t and h_{t−1}.

    x is (batch, time, features); the output is (batch, time, hidden), or with output="last" the
    last h (batch, hidden), of both directions side by side; ``dropout`` is between layers. The
    state dict is torch's, its gates i, f, g, o (Hochreiter and Schmidhuber 1997, with the forget
    gate of Gers et al. 2000).
    Raises ConfigError for sizes below 1, batch_first=False, a dropout that is no probability or a
    ``proj_size``.

    >>> import pullback as pb
    >>> net = pb.Network(LSTM(3, 2, bias=False), pb.MSELoss(), x="time=4 features=3")
    >>> [(spec.name, spec.shape) for spec in net.specs]
    [('weight_ih_l0', (8, 3)), ('weight_hh_l0', (8, 2))]
    """

    proj_size: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.proj_size != 0:
            raise ConfigError(
                f"LSTM: proj_size is {self.proj_size!r}; expected 0: put a Linear behind it for a "
                "projection of the output"
            )

    @property
    def cell(self) -> Cell:
        return LSTM_CELL
