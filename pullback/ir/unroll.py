"""Loops for those who have none: turn by turn, or all turns at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pullback.ir.axis import Axis
from pullback.ir.build import spread
from pullback.ir.kinds import Named
from pullback.ir.layout import joined
from pullback.ir.lift import lifted
from pullback.ir.node import Node, walk
from pullback.ir.pick import entry
from pullback.ir.scan import Scan


def unrolled(*roots: Node) -> tuple[Node, ...]:
    """The same nodes without loops, but for those of which only the data tell how often they turn.

    >>> from pullback.ir import Input
    >>> from pullback.ir.build import add
    >>> from pullback.ir.scan import scan
    >>> t = Axis("t", 2)
    >>> x, start = Input("x", (t,)), Input("start", ())
    >>> (sums,) = scan(t, (start,), (x,), lambda states, now: (add(states[0], now[0]),))
    >>> unrolled(sums)
    (Add((t=2)),)
    """
    done: dict[Node, Node] = {}
    for node in walk(roots):
        made = node.rebuild(tuple(done[arg] for arg in node.args))
        if isinstance(made, Scan) and made.over.size is not None:
            made = _turns(made, made.over.size)
        done[node] = made
    return tuple(done[root] for root in roots)


def _turns(loop: Scan, count: int) -> Node:
    """Every turn's value, each in its place along the axis."""
    body, over, states = loop.body, loop.over, loop.starts
    values: dict[int, Node] = {}
    for turn in range(count)[:: -1 if loop.backward else 1]:
        now = [entry(arg, over, turn) if over in arg.axes else arg for arg in loop.reads]
        instead: dict[Node, Node] = dict(zip(body.placeholders, (*states, *now), strict=True))
        *after, values[turn] = lifted((*body.nexts, loop.of), instead)
        states = tuple(after)
    parts = [(values[turn], Axis(f"{over.name}:{turn}", 1)) for turn in range(count)]
    at = loop.axes.index(over)
    return joined([(spread(v, (*v.axes[:at], one, *v.axes[at:])), one) for v, one in parts], over)


def opened(*roots: Node) -> tuple[Node, ...]:
    """The same nodes with the equations of a turn for all turns at once.

    All that is left of a loop are its states before each turn: z = W h before + x is an equation
    like any other.
    """
    done: dict[Node, Node] = {}
    for node in walk(roots):
        made = node.rebuild(tuple(done[arg] for arg in node.args))
        if isinstance(made, Scan) and made.of not in made.body.states:
            made = _all_turns(made)
        if isinstance(made, Named) and isinstance(made.arg, Named) and made.label == made.arg.label:
            made = made.arg  # it was the values of this equation
        done[node] = made
    return tuple(done[root] for root in roots)


def after(state: Scan) -> Node:
    """What a turn leaves of a state that is held before each, for all turns at once."""
    at = state.body.states.index(state.of)
    return opened(state.at(state.body.nexts[at]))[0]


def is_told(state: Scan) -> bool:
    """Can a state be told by what turns leave, without end? There are equations in every circle."""
    return all((node.body, node.of) != (state.body, state.of) for node in told_of(after(state)))


def told_of(node: Node) -> Iterator[Scan]:
    """The states that a node is told by, and those that these are told by; equations have names."""
    seen: set[Any] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        # what a loop reads may be written in more than one way
        key = (node.body, node.of) if isinstance(node, Scan) else node
        if key in seen or isinstance(node, Named):
            continue
        seen.add(key)
        if isinstance(node, Scan):
            yield node
            waiting.append(after(node))
        else:
            waiting += node.args


def _all_turns(loop: Scan) -> Node:
    body, over = loop.body, loop.over
    done: dict[Node, Node] = dict(zip(body.reads, loop.reads, strict=True))
    done |= {state: loop.at(state) for state in body.states}
    for node in walk((loop.of,)):
        if node not in done:
            args = tuple(done[arg] for arg in node.args)
            if isinstance(node, Named) and over in args[0].axes:
                args = (spread(args[0], loop.at(node).axes),)
            done[node] = node.lift(args, (over,), last=False)
    return spread(done[loop.of], loop.axes)
