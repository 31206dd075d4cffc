"""A body graph repeated along an axis: recurrence.

The body is written over placeholders, which are named by their place, so that equal loops are one
object. It is no argument of its node: whatever walks a graph sees a loop as one step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pullback.errors import AxisError
from pullback.ir.axis import Axes, Axis, show
from pullback.ir.build import spread, without
from pullback.ir.kinds import Input, Named, Parameter
from pullback.ir.lift import lifted
from pullback.ir.lookup import is_whole
from pullback.ir.node import Node, walk

Step = Callable[[tuple[Node, ...], tuple[Node, ...]], tuple[Node, ...]]


@dataclass(frozen=True)
class Body:
    """One turn of a loop: what each state is next, from the states and from what is read."""

    states: tuple[Input, ...]
    nexts: tuple[Node, ...]
    reads: tuple[Input, ...]

    @property
    def placeholders(self) -> tuple[Input, ...]:
        """The leaves that the loop gives values to."""
        return self.states + self.reads

    def equations(self) -> tuple[Named, ...]:
        """The named equations of one turn, in an order in which they can be computed."""
        return tuple(node for node in walk(self.nexts) if isinstance(node, Named))


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Scan(Node):
    """The values of one node of a loop's body at every turn, stacked along the axis ``over``.

    ``starts`` are the states before the first turn. What is read is one entry a turn where it has
    the axis ``over``, and the same at every turn where it has not. ``of`` is any node of the body:
    a next state, a named equation, or a state's placeholder, which is the state before each turn.
    The last turn comes first if it runs ``backward``. Of a value's own axes, the first ``lead``
    stand before the axis of the turns: the batch, for one.
    """

    body: Body
    starts: tuple[Node, ...]
    reads: tuple[Node, ...]
    over: Axis
    of: Node
    backward: bool = False
    lead: int = 0

    @property
    def args(self) -> tuple[Node, ...]:
        return self.starts + self.reads

    @property
    def family(self) -> tuple[Any, ...]:
        """All values of one loop: what they are of, and where it ends, are their own."""
        return (self.body, self.starts, self.reads, self.over, self.backward)

    def described(self) -> tuple[Any, ...]:
        turn = (self.body.states, self.body.nexts, self.body.reads)
        return (*turn, self.starts, self.reads, self.over, self.of, self.backward, self.lead)

    def result_axes(self) -> Axes:
        return (*self.of.axes[: self.lead], self.over, *self.of.axes[self.lead :])

    def at(self, of: Node) -> Scan:
        """The values of another node of the same loop."""
        return replace(self, of=of)

    def stacked(self, of: Node) -> Node:
        """The same, under the name of the equation that it is of, if any."""
        return Named(of.label, self.at(of)) if isinstance(of, Named) else self.at(of)

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        count = len(self.starts)
        return replace(self, starts=args[:count], reads=args[count:])

    def lift(self, args: tuple[Node, ...], more: Axes, last: bool) -> Node:
        """Every state has each new axis that an argument has: a draw of W is one of the states."""
        carried = {axis for arg in args for axis in arg.axes}
        new = tuple(axis for axis in more if axis in carried)
        if not new:
            return self.rebuild(args)

        def wider(axes: Axes) -> Axes:
            return (*axes, *new) if last else (*new, *axes)

        count, body = len(self.starts), self.body
        states = tuple(Input(each.name, wider(each.axes)) for each in body.states)
        reads = tuple(
            Input(each.name, without(arg.axes, (self.over,)), each.whole)
            for each, arg in zip(body.reads, args[count:], strict=True)
        )
        instead: Mapping[Node, Node] = dict(zip(body.placeholders, states + reads, strict=True))
        *nexts, of = lifted((*body.nexts, self.of), instead, last=last)
        nexts = [spread(each, state.axes) for each, state in zip(nexts, states, strict=True)]
        starts = tuple(
            spread(arg, state.axes) for arg, state in zip(args[:count], states, strict=True)
        )
        return replace(
            self,
            body=Body(states, tuple(nexts), reads),
            starts=starts,
            reads=args[count:],
            of=of,
            lead=self.lead + (0 if last else len(set(new) & set(of.axes))),
        )

    def fault(self) -> str | None:
        body = self.body
        if not len(body.states) == len(body.nexts) == len(self.starts):
            return "every state needs a start and a next value"
        if len(body.reads) != len(self.reads):
            return f"the body reads {len(body.reads)} nodes, and {len(self.reads)} are given"
        for state, start, after in zip(body.states, self.starts, body.nexts, strict=True):
            for what, node in (("starts", start), ("goes on", after)):
                if set(node.axes) != set(state.axes):
                    return f"a state {show(state.axes)} {what} with the axes {show(node.axes)}"
        if any(self.over in node.axes for node in walk((*body.nexts, self.of))):
            return f"the axis {self.over} stands in the body, which has one turn of it"
        for read, arg in zip(body.reads, self.reads, strict=True):
            if set(read.axes) != set(arg.axes) - {self.over}:
                return f"the body reads {show(read.axes)}, and {show(arg.axes)} is given"
        for node in walk((*body.nexts, self.of)):
            if isinstance(node, (Input, Parameter)) and node not in body.placeholders:
                return f"the body reads {node.name!r}, which it is not given"
        return None


def scan(
    over: Axis,
    starts: tuple[Node, ...],
    reads: tuple[Node, ...],
    step: Step,
    backward: bool = False,
    lead: int = 0,
) -> tuple[Node, ...]:
    """The states after every turn along an axis, each stacked along it, under its name if any.

    ``step`` gives the next states from those before and from one turn of what is read; what else
    it uses of parameters and inputs is the same at every turn. The first ``lead`` axes of a state
    stand before the loop's.
    Raises AxisError where nothing is read along the axis, or a state changes its axes.

    >>> from pullback.ir import Axis, Contract, Input
    >>> from pullback.ir.build import add
    >>> from pullback.ir.evaluate import evaluate
    >>> t = Axis("t")
    >>> x, start = Input("x", (t,)), Input("start", ())
    >>> (sums,) = scan(t, (start,), (x,), lambda states, now: (add(states[0], now[0]),))
    >>> evaluate(sums, {"x": [1.0, 2.0, 3.0], "start": 10.0}).tolist()
    [11.0, 13.0, 16.0]
    """
    if not any(over in each.axes for each in reads):
        raise AxisError(f"nothing that the loop reads has the axis {over} that it runs along")
    outline = any(each.outlined for each in (*starts, *reads))
    states = tuple(Input(f"state.{k}", each.axes, outline=outline) for k, each in enumerate(starts))
    now = tuple(
        Input(f"read.{k}", without(each.axes, (over,)), is_whole(each), outline=outline)
        for k, each in enumerate(reads)
    )
    nexts = tuple(step(states, now))
    used = [n for n in walk(nexts) if isinstance(n, (Input, Parameter)) and n not in states + now]
    beside: dict[Node, Input] = {
        n: Input(f"read.{len(now) + k}", n.axes, is_whole(n)) for k, n in enumerate(used)
    }
    body = Body(states, lifted(nexts, beside), (*now, *beside.values()))
    first = Scan(body, starts, (*reads, *beside), over, body.nexts[0], backward, lead)
    return tuple(map(first.stacked, body.nexts))
