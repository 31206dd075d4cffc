"""Recurrence: cells that are called step by step, and layers of them along a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.noise import dropped
from pullback.interop.operators.order import unsqueezed
from pullback.interop.operators.parts import concatenated, selected, stacked
from pullback.interop.rows import Held
from pullback.interop.values import Dims, PlacedNode, axes_of
from pullback.ir import Axis, Constant, Node
from pullback.ir.build import spread, with_axes
from pullback.ir.layout import taken
from pullback.ir.pick import entry
from pullback.nn.gates import Cell, CellWeights, States, Turn, looped, stepped

Given = Sequence[PlacedNode | None]
_BACKWARD = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@dataclass(frozen=True)
class _RowEquations:
    """Those of a row, each with a name of its own however often its module is called."""

    b: Builder

    def z(self, node: Node, part: str = "") -> Node:
        return self.b.equation("z", node, part=part)

    def a(self, node: Node, part: str = "") -> Node:
        return self.b.equation("a", node, part=part)


def cell(
    b: Builder, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None,
    *, of: Cell,
) -> Any:  # fmt: skip
    """The states after one step, from those before, which are 0 where none are given."""
    x, _ = b.along(b.tensor(input), -1)
    given = _given(b, hx, of, len(x.dims))
    for start in given:
        x = x if start is None else b.wide(x, (*start.dims[:-1], None), len(x.dims))
    params = (w_ih, w_hh) if b_ih is None else (w_ih, w_hh, b_ih, b_hh)
    turn, weights = _of_params(b, x, params, "")
    before = _states(b, given, x.dims[:-1], turn.units)
    found = stepped(of, turn, weights, with_axes(x.node, axes_of(x.dims)), before)
    states = tuple(PlacedNode(each, (*x.dims[:-1], turn.units)) for each in found)
    return states if len(states) > 1 else states[0]


def layers(
    b: Builder, input: Any, hx: Any, params: Any, has_biases: Any = True, num_layers: int = 1,
    dropout: float = 0.0, train: bool = False, bidirectional: bool = False,
    batch_first: bool = False, *, of: Cell,
) -> tuple[PlacedNode, ...]:  # fmt: skip
    """h of the last layer after every step, and the last of each state, layer by layer."""
    if not isinstance(has_biases, bool):
        raise ConversionError("it runs along packed sequences, each as long as it is")
    each, ways = (4 if has_biases else 2), (2 if bidirectional else 1)
    if len(params) != each * num_layers * ways:
        raise ConversionError("it makes its states shorter (proj_size), which pullback does not")
    loops = _Loops(b, of, input, hx, batch_first)
    x = loops.x
    for layer in range(num_layers):
        outs = []
        for back in range(ways):
            at = each * (layer * ways + back)
            place = f"_l{layer}{'_reverse' if back else ''}" if num_layers * ways > 1 else ""
            turn, weights = _of_params(b, x, params[at : at + each], place)
            outs.append(loops.run(x, turn, weights, bool(back)))
        x = outs[0]
        if bidirectional:
            joined = concatenated(b, tuple(outs), 2)
            x = PlacedNode(b.equation("a", joined.node, part=f"both_l{layer}"), joined.dims)
        if layer < num_layers - 1:
            left = dropped(b, x, dropout, train, part=f"l{layer}")
            if left is not x:
                x = PlacedNode(b.equation("a", left.node, part=f"dropped_l{layer}"), left.dims)
    return x if batch_first else _turned(x), *loops.lasts()


def by_direction(
    b: Builder, input: Any, w: Any, r: Any, bias: Any, hx: Any, direction: str, batch_first: bool,
    *, of: Cell, order: tuple[int, ...] = (),
) -> tuple[PlacedNode, ...]:  # fmt: skip
    """One layer as ONNX has it, each weight (directions, gates, …), both biases in one.

    Every h is (time, directions, batch, units), the last states are (directions, batch, units);
    ``batch_first`` puts the batch in front of them all.
    """
    for tensor in (w, r) if bias is None else (w, r, bias):
        if not isinstance(tensor, Held):
            raise ConversionError("its weights are computed, which pullback cannot read yet")
    loops = _Loops(b, of, input, hx, batch_first, states_turned=batch_first)
    outs = []
    for at, back in enumerate(_BACKWARD[direction]):
        gates, units = b.fresh("gates", w.shape[1]), b.fresh("hidden", r.shape[2])
        biases: list[States] = [(), ()]
        if bias is not None:
            both = b.fresh("biases", bias.shape[1])
            row = _of_direction(b, bias, at, (both,))
            biases = [(taken(row, both, gates, first),) for first in (0, w.shape[1])]
        features = loops.x.dims[-1]
        of_x, of_h = (_of_direction(b, t, at, (gates, e)) for t, e in ((w, features), (r, units)))
        turn = Turn(_RowEquations(b), units, gates, f"_{at}" if at else "", order)
        outs.append(loops.run(loops.x, turn, CellWeights(of_x, of_h, *biases), back))
    every = stacked(b, tuple(outs), 2) if outs[1:] else unsqueezed(b, outs[0], 2)
    lasts = loops.lasts()
    if batch_first:
        return every, *(_turned(last) for last in lasts)
    return every.seen(tuple(every.dims[at] for at in (1, 2, 0, 3))), *lasts


class _Loops:
    """Loops along one sequence ``x``, (batch, time, features): how they start, where they end."""

    def __init__(
        self, b: Builder, of: Cell, input: Any, hx: Any, batch_first: bool,
        states_turned: bool = False,
    ) -> None:  # fmt: skip
        x = b.tensor(input)
        if len(x.dims) != 3:
            raise ConversionError("it runs along one sequence alone; expected a batch of them")
        if not batch_first and b.has_batch(x.dims[0]):
            raise ConversionError(
                "it runs along axis 0, where the samples stand, as batch_first is False; set it to "
                "True, or give it x.transpose(0, 1)"
            )
        x, self.time = b.along(x if batch_first else _turned(x), 1)
        self.b, self.of = b, of
        found = _given(b, hx, of, 3)
        self.given = [s if s is None or not states_turned else _turned(s) for s in found]
        for start in self.given:
            x = x if start is None else b.wide(x, (start.dims[1], None, None), 3)
        self.x, _ = b.along(x, 2)
        self.ends: list[list[PlacedNode]] = [[] for _ in range(of.states)]

    def run(self, x: PlacedNode, turn: Turn, weights: CellWeights, backward: bool) -> PlacedNode:
        """h after every step of one more loop."""
        b, lead, at = self.b, x.dims[:1], len(self.ends[0])
        given = [None if start is None else selected(b, start, 0, at) for start in self.given]
        starts = _states(b, given, lead, turn.units)
        node = with_axes(x.node, axes_of(x.dims))
        found = looped(self.of, turn, weights, node, self.time, starts, backward)
        for ends, state in zip(self.ends, found, strict=True):
            end = entry(state, self.time, 0 if backward else -1)
            ends.append(PlacedNode(end, (*lead, turn.units)))
        return PlacedNode(found[0], (*lead, self.time, turn.units))

    def lasts(self) -> list[PlacedNode]:
        """The last of each state, those of all loops beside each other."""
        found = []
        for ends, name in zip(self.ends, ("h_n", "c_n"), strict=False):
            alone = len(ends) == 1
            both = unsqueezed(self.b, ends[0], 0) if alone else stacked(self.b, tuple(ends), 0)
            found.append(PlacedNode(self.b.equation("a", both.node, part=name), both.dims))
        return found


def _turned(x: PlacedNode) -> PlacedNode:
    """The first two axes in each other's place."""
    one, other, *rest = x.dims
    return x.seen((other, one, *rest))


def _given(b: Builder, hx: Any, of: Cell, axes: int) -> Given:
    """The states that are given, or None for each."""
    if hx is None:
        return (None,) * of.states
    found = tuple(map(b.tensor, hx if isinstance(hx, tuple) else (hx,)))
    if len(found) != of.states or any(len(each.dims) != axes for each in found):
        raise ConversionError("it starts at states of other axes than its input's")
    return found


def _states(b: Builder, given: Given, lead: Dims, units: Axis) -> States:
    dims = (*lead, units)
    over = axes_of(dims)
    return tuple(
        Constant(0.0, over) if each is None else spread(b.brought(each, dims), over)
        for each in given
    )


def _of_params(
    b: Builder, x: PlacedNode, params: Sequence[Any], suffix: str
) -> tuple[Turn, CellWeights]:
    """The axes and the weights of a cell: called again, it stands on the same axes."""
    if not all(isinstance(each, Held) for each in params):
        raise ConversionError("its weights are computed, which pullback cannot read yet")
    w_ih, w_hh, *biases = params
    beside = axes_of(x.dims[:-1])
    gates, units = (
        b.fresh(name, axis.size or 1) if axis in beside else axis
        for name, axis in (("gates", b.own_axes(w_ih)[0]), ("hidden", b.own_axes(w_hh)[1]))
    )
    of_x, of_h = b.fitted(w_ih, (gates, x.dims[-1])), b.fitted(w_hh, (gates, units))
    added: list[States] = [(b.fitted(each, (gates,)),) for each in biases] or [(), ()]
    return Turn(_RowEquations(b), units, gates, suffix), CellWeights(of_x, of_h, *added)


def _of_direction(b: Builder, tensor: Held, at: int, axes: Dims) -> Node:
    """What a tensor holds for one direction."""
    way = b.own_axes(tensor)[0]
    return entry(b.fitted(tensor, (way, *axes)), way, at)
