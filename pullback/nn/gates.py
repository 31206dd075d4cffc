"""The gates of recurrent cells, with torch's order of them, and the loop of a layer of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pullback import ir
from pullback.ir import Axis, Contract, Node
from pullback.ir.build import add, multiply, pointwise
from pullback.ir.layout import taken
from pullback.ir.scan import scan

States = tuple[Node, ...]


class Equations(Protocol):
    """What names equations: a block's place, for one."""

    def z(self, node: Node, part: str = "") -> Node: ...
    def a(self, node: Node, part: str = "") -> Node: ...


@dataclass(frozen=True)
class Turn:
    """One step of a layer in the making: its gates' axis, its units', and the names of its parts.

    Only what is made of the states is inside the loop. ``order`` says where each gate of torch's
    stands among those of the weights, if not in torch's order.
    """

    at: Equations
    units: Axis
    stacked: Axis
    suffix: str = ""
    order: tuple[int, ...] = ()

    def gate(self, number: int, *of: Node) -> States:
        """The rows of one gate in each node that has those of all gates."""
        first = (self.order[number] if self.order else number) * (self.units.size or 1)
        return tuple(taken(each, self.stacked, self.units, first) for each in of)

    def z(self, part: str, *terms: Node) -> Node:
        """A gate before its function."""
        return self.at.z(add(*terms), part + self.suffix)

    def a(self, part: str, node: Node) -> Node:
        """A gate, or a new state."""
        return self.at.a(node, part + self.suffix)

    def opened(self, part: str, function: str, *terms: Node) -> Node:
        """The function of a gate's sum, both as equations."""
        return self.a(part, pointwise(lambda x: ir.fn(function)(x), self.z(part, *terms)))


# the next states from those before, and from what x and h give to all gates
Step = Callable[[Turn, States, Node, Node], States]


@dataclass(frozen=True)
class Cell:
    """How many gates a cell has, how many states (h, and c where there is one), and its step."""

    gates: int
    states: int
    step: Step


def rnn(function: str) -> Cell:
    """h' = f(W x + b + U h + c)."""

    def step(turn: Turn, before: States, now: Node, hidden: Node) -> States:
        return (turn.opened("h", function, *turn.gate(0, now, hidden)),)

    return Cell(1, 1, step)


def _gru(turn: Turn, before: States, now: Node, hidden: Node) -> States:
    r = turn.opened("r", "sigmoid", *turn.gate(0, now, hidden))
    z = turn.opened("z", "sigmoid", *turn.gate(1, now, hidden))
    from_x, from_h = turn.gate(2, now, hidden)
    n = turn.opened("n", "tanh", from_x, multiply(r, from_h))
    (h,) = before
    mixed = pointwise(lambda z, n, h: (1 - z) * n + z * h, z, n, h)
    return (turn.a("h", mixed),)


def _lstm(turn: Turn, before: States, now: Node, hidden: Node) -> States:
    def gate(number: int, part: str, function: str) -> Node:
        return turn.opened(part, function, *turn.gate(number, now, hidden))

    i, f = gate(0, "i", "sigmoid"), gate(1, "f", "sigmoid")
    g, o = gate(2, "g", "tanh"), gate(3, "o", "sigmoid")
    c = turn.a("c", add(multiply(f, before[1]), multiply(i, g)))
    return turn.a("h", multiply(o, pointwise(lambda x: ir.fn("tanh")(x), c))), c


GRU_CELL = Cell(3, 1, _gru)
LSTM_CELL = Cell(4, 2, _lstm)


@dataclass(frozen=True)
class CellWeights:
    """What x and h are multiplied with, (gates, …), and the biases of the gates, none or one each.

    A bias beside x is outside of the loop, one beside h inside: r of a GRU multiplies the latter.
    """

    of_x: Node
    of_h: Node
    biases_x: States = ()
    biases_h: States = ()


def stepped(cell: Cell, turn: Turn, weights: CellWeights, x: Node, before: States) -> States:
    """The states after one step of x, whose features come last, as the units do in each state."""
    return _after(cell, turn, weights, before, _input(turn, weights, x))


def looped(
    cell: Cell,
    turn: Turn,
    weights: CellWeights,
    x: Node,
    time: Axis,
    starts: States,
    backward: bool = False,
) -> States:
    """The states after every step along the time of x, each stacked along it."""

    def step(before: States, now: States) -> States:
        given, of_h, *biases = now
        held = CellWeights(weights.of_x, of_h, biases_h=tuple(biases))
        return _after(cell, turn, held, before, given)

    lead = len(starts[0].axes) - 1
    reads = (_input(turn, weights, x), weights.of_h, *weights.biases_h)
    return scan(time, starts, reads, step, backward, lead)


def _input(turn: Turn, weights: CellWeights, x: Node) -> Node:
    product = Contract((x, weights.of_x), (*x.axes[:-1], turn.stacked))
    return turn.z("input", product, *weights.biases_x)


def _after(cell: Cell, turn: Turn, weights: CellWeights, before: States, now: Node) -> States:
    h = before[0]
    product = Contract((h, weights.of_h), (*h.axes[:-1], turn.stacked))
    return cell.step(turn, before, now, turn.z("hidden", product, *weights.biases_h))
