"""Recurrence: cells that are called step by step, and layers of them along a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.order import unsqueezed
from pullback.interop.operators.parts import concatenated, selected, stacked
from pullback.interop.rows import Held
from pullback.interop.values import Dims, PlacedNode, axes_of
from pullback.ir import Axis, Constant, Node
from pullback.ir.build import spread, with_axes
from pullback.ir.pick import entry
from pullback.nn.gates import Cell, CellWeights, States, Turn, looped, stepped

Given = Sequence[PlacedNode | None]
_NAMES = ("h", "c")


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
    for each in given:
        x = x if each is None else b.wide(x, (*each.dims[:-1], None), len(x.dims))
    params = (w_ih, w_hh) if b_ih is None else (w_ih, w_hh, b_ih, b_hh)
    turn, weights = _of_params(b, x, params, "")
    before = _states(given, b, x.dims[:-1], turn.units)
    found = stepped(of, turn, weights, with_axes(x.node, axes_of(x.dims)), before)
    states = tuple(PlacedNode(each, (*x.dims[:-1], turn.units)) for each in found)
    return states if len(states) > 1 else states[0]


def layers(
    b: Builder, input: Any, hx: Any, params: Any, has_biases: Any = True, num_layers: int = 1,
    dropout: float = 0.0, train: bool = False, bidirectional: bool = False,
    batch_first: bool = False, *, of: Cell,
) -> tuple[PlacedNode, ...]:  # fmt: skip
    """h of the last layer after every step, and the last of each state, layer by layer."""
    x = b.tensor(input)
    if not isinstance(has_biases, bool):
        raise ConversionError("it runs along packed sequences, each as long as it is")
    if len(x.dims) != 3:
        raise ConversionError("it runs along one sequence alone; expected a batch of them")
    if train and dropout and num_layers > 1:
        raise ConversionError("it draws at random in training; call module.eval() first")
    each, ways = (4 if has_biases else 2), (2 if bidirectional else 1)
    if len(params) != each * num_layers * ways:
        raise ConversionError("it makes its states shorter (proj_size), which pullback does not")
    if not batch_first:
        if b.has_batch(x.dims[0]):
            raise ConversionError(
                "it runs along axis 0, where the samples stand, as batch_first is False; set it to "
                "True, or give it x.transpose(0, 1)"
            )
        x = x.seen((x.dims[1], x.dims[0], x.dims[2]))
    x, time = b.along(x, 1)
    given = _given(b, hx, of, 3)
    for start in given:
        x = x if start is None else b.wide(x, (start.dims[1], None, None), 3)
    lasts: list[list[PlacedNode]] = [[] for _ in range(of.states)]
    for layer in range(num_layers):
        x, _ = b.along(x, 2)
        outs = []
        for back in range(ways):
            at = layer * ways + back
            place = f"_l{layer}{'_reverse' if back else ''}" if num_layers * ways > 1 else ""
            turn, weights = _of_params(b, x, params[each * at : each * (at + 1)], place)
            starts = _states(_layer(b, given, at), b, x.dims[:1], turn.units)
            node = with_axes(x.node, axes_of(x.dims))
            found = looped(of, turn, weights, node, time, starts, bool(back))
            outs.append(PlacedNode(found[0], (x.dims[0], time, turn.units)))
            for ends, state in zip(lasts, found, strict=True):
                end = entry(state, time, 0 if back else -1)
                ends.append(PlacedNode(end, (x.dims[0], turn.units)))
        x = outs[0]
        if bidirectional:
            joined = concatenated(b, tuple(outs), 2)
            x = PlacedNode(b.equation("a", joined.node, part=f"both_l{layer}"), joined.dims)
    output = x if batch_first else x.seen((x.dims[1], x.dims[0], x.dims[2]))
    return output, *(_last(b, ends, name) for ends, name in zip(lasts, _NAMES, strict=False))


def _given(b: Builder, hx: Any, of: Cell, axes: int) -> Given:
    """The states that are given, or None for each."""
    if hx is None:
        return (None,) * of.states
    found = tuple(map(b.tensor, hx if isinstance(hx, tuple) else (hx,)))
    if len(found) != of.states or any(len(each.dims) != axes for each in found):
        raise ConversionError("it starts at states of other axes than its input's")
    return found


def _layer(b: Builder, given: Given, at: int) -> Given:
    return tuple(None if each is None else selected(b, each, 0, at) for each in given)


def _states(given: Given, b: Builder, lead: Dims, units: Axis) -> States:
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
    taken = axes_of(x.dims[:-1])
    stacked, units = (
        b.fresh(name, axis.size or 1) if axis in taken else axis
        for name, axis in (("gates", b.own_axes(w_ih)[0]), ("hidden", b.own_axes(w_hh)[1]))
    )
    of_x, of_h = b.fitted(w_ih, (stacked, x.dims[-1])), b.fitted(w_hh, (stacked, units))
    beside: list[States] = [(b.fitted(each, (stacked,)),) for each in biases] or [(), ()]
    return Turn(_RowEquations(b), units, stacked, suffix), CellWeights(of_x, of_h, *beside)


def _last(b: Builder, ends: Sequence[PlacedNode], name: str) -> PlacedNode:
    """The last states beside each other, one a layer and direction."""
    found = unsqueezed(b, ends[0], 0) if len(ends) == 1 else stacked(b, tuple(ends), 0)
    return PlacedNode(b.equation("a", found.node, part=f"{name}_n"), found.dims)
