"""What one turn of a loop does, read from its body: wide products, and functions of single units.

A sum of products with weights, of biases and of what is read is Gaussian over the units: a drive.
Everything between drives and states acts on each unit by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod

from pullback.calculus import local_map
from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir.axis import Axis
from pullback.ir.build import multiply, spread, without
from pullback.ir.kinds import Add, Constant, Contract, Input, Map, Named, Parameter, Rename
from pullback.ir.node import Node, walk
from pullback.ir.normal.regions import is_elementwise
from pullback.ir.normal.simplify import simplify
from pullback.ir.pattern import Pattern
from pullback.ir.scan import Scan
from pullback.ir.source import bare
from pullback.net.program import compile_program

UNITS = Axis("units")
Leaves = Mapping[str, Array]  # states and drives, each (units,)
Rows = range | None  # of a weight, a bias or what is read: all, or one gate's


@dataclass(frozen=True)
class Wide:
    """scale · W a, with rows of a weight; ``read`` is what the loop reads that it is a part of."""

    weight: Parameter
    rows: Rows
    axis: int  # of the weight, on which its rows are
    arg: Node
    n_in: int
    scale: float = 1.0
    read: Node | None = None


@dataclass(frozen=True)
class Bias:
    """scale · rows of a vector of parameters, the same at every turn."""

    bias: Parameter
    rows: Rows
    scale: float = 1.0
    read: Node | None = None


@dataclass(frozen=True)
class Given:
    """scale · something from outside, whose law is given."""

    node: Node
    rows: Rows
    scale: float = 1.0
    read: Node | None = None


Term = Wide | Bias | Given


@dataclass(frozen=True)
class Drive:
    """A sum that is Gaussian over ``size`` units; ``names`` are those of equations that it is."""

    terms: tuple[Term, ...]
    size: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class UnitCell:
    """A turn as functions of single units.

    ``order`` are the drives, by number, and the arguments of wide products, in an order in which
    they can be computed. ``values`` computes an argument or a next state from states and drives,
    ``slopes`` the derivatives by them that are not 0, each (units,) or a number.
    """

    drives: tuple[Drive, ...]
    order: tuple[int | Node, ...]
    nexts: tuple[Node, ...]
    values: Mapping[Node, Callable[[Leaves], Array]]
    slopes: Callable[[Leaves], Mapping[tuple[Node, str], Array]]

    @property
    def inner(self) -> tuple[Node, ...]:
        """The arguments of wide products that are made in the loop."""
        return tuple(each for each in self.order if isinstance(each, Node))


def cell(loop: Scan, known: Iterable[Node]) -> UnitCell:
    """The turn of a loop; ``known`` are the nodes outside of it whose law is given.

    Raises NotApplicableError for a step that is neither a wide product nor a function of single
    units, such as a norm, a convolution or attention, and for a node outside that is not known.
    """
    reading = _Reading(loop, frozenset(known), whole=True)
    nexts = reading.read()
    used = [term for drive in reading.drives for term in drive.terms]
    if len(set(used)) < len(used):  # one product in two sums: then each term is drawn by itself
        reading = _Reading(loop, frozenset(known), whole=False)
        nexts = reading.read()
    roots = {each: spread(reading.unit(each), (UNITS,)) for each in (*reading.inner, *nexts)}
    values = {node: _value(root, reading.leaves) for node, root in roots.items()}
    slopes = _slopes(roots, reading.leaves)
    return UnitCell(tuple(reading.drives), tuple(reading.order), nexts, values, slopes)


def _value(root: Node, leaves: tuple[Input, ...]) -> Callable[[Leaves], Array]:
    program = compile_program({"value": root}, "One turn, unit by unit.", leaves=leaves[:1])

    def value(at: Leaves) -> Array:
        return program({}, at)["value"]  # type: ignore[no-any-return]

    return value


def _slopes(
    roots: Mapping[Node, Node], leaves: tuple[Input, ...]
) -> Callable[[Leaves], Mapping[tuple[Node, str], Array]]:
    found = {
        (node, leaf.name): spread(local_map(root, leaf).tensor, (UNITS,))
        for node, root in roots.items()
        for leaf in leaves
        if leaf in walk((root,))
    }
    plain = dict(zip(found, simplify(*found.values()), strict=True))
    kept = {key: node for key, node in plain.items() if not _is_zero(node)}
    names = {f"slope.{k}": key for k, key in enumerate(kept)}
    named = dict(zip(names, kept.values(), strict=True))
    program = compile_program(named, "Slopes of one turn, unit by unit.", leaves=leaves)

    def slopes_at(at: Leaves) -> Mapping[tuple[Node, str], Array]:
        values = program({}, at)
        return {key: values[name] for name, key in names.items()}

    return slopes_at


def _is_zero(node: Node) -> bool:
    return isinstance(node, Constant) and node.value == 0


class _Reading:
    """The body of a loop with its drives as leaves."""

    def __init__(self, loop: Scan, known: frozenset[Node], whole: bool) -> None:
        self.loop, self.known, self.whole = loop, known, whole
        self._given = dict(zip(loop.body.reads, loop.reads, strict=True))
        self._made_outside = frozenset(walk(loop.reads))
        self.drives: list[Drive] = []
        self.order: list[int | Node] = []
        self._units: dict[Node, Node] = {
            state: Input(f"state.{k}", (UNITS,)) for k, state in enumerate(loop.body.states)
        }
        self._numbers: dict[tuple[Term, ...], int] = {}

    @property
    def inner(self) -> tuple[Node, ...]:
        return tuple(each for each in self.order if isinstance(each, Node))

    @property
    def leaves(self) -> tuple[Input, ...]:
        """The states and the drives, each (units,)."""
        drives = (Input(f"drive.{k}", (UNITS,)) for k in range(len(self.drives)))
        return (*(self._units[s] for s in self.loop.body.states), *drives)  # type: ignore[arg-type]

    def read(self) -> tuple[Node, ...]:
        for each in self.loop.body.nexts:
            self.unit(each)
        return self.loop.body.nexts

    def unit(self, node: Node) -> Node:
        """The node as a function of one unit's states and drives."""
        if node not in self._units:
            self._units[node] = self._unit(node)
        return self._units[node]

    def _unit(self, node: Node) -> Node:
        terms = self.terms(node, None)
        if terms and (self.whole or len(terms) == 1):
            return self._drive(node, terms)
        if isinstance(node, (Named, Rename)):
            return self.unit(node.args[0])
        if isinstance(node, Constant):
            return Constant(node.value)
        if isinstance(node, (Map, Add, Contract)) and is_elementwise(node):
            args = tuple(self.unit(each) for each in node.args)
            return multiply(*args) if isinstance(node, Contract) else node.rebuild(args)
        raise NotApplicableError(f"{self._place(node)} is not a function of single units")

    def _drive(self, node: Node, terms: tuple[Term, ...]) -> Node:
        for term in terms:
            if isinstance(term, Wide) and not self._is_outside(term.arg):
                self._inner(term.arg)
        name = (node.name,) if isinstance(node, Named) else ()
        if terms not in self._numbers:
            self._numbers[terms] = len(self.drives)
            self.order.append(len(self.drives))
            lead = self.loop.body.states[0].axes[: self.loop.lead]
            size = prod(axis.size or 0 for axis in without(node.axes, lead))
            self.drives.append(Drive(terms, size, name))
        number = self._numbers[terms]
        return Input(f"drive.{number}", (UNITS,))

    def _inner(self, arg: Node) -> None:
        if arg not in self.order:
            self.unit(arg)
            self.order.append(arg)

    def terms(self, node: Node, rows: Rows) -> tuple[Term, ...] | None:
        """What the node is a sum of, where it is Gaussian over its units."""
        origin = self._origin(node)
        found = self._terms(origin, rows)
        if found is None or not all(self._is_known(each) for each in found):
            found = (Given(origin, rows),) if origin in self.known else None
        if found and bare(node) in self._given:
            found = tuple(replace(term, read=origin) for term in found)
        return found

    def _terms(self, node: Node, rows: Rows) -> tuple[Term, ...] | None:
        if isinstance(node, Named):
            return self.terms(node.arg, rows)
        if isinstance(node, Parameter):
            return (Bias(node, rows),) if len(node.axes) == 1 else None
        if isinstance(node, Add):
            parts = [self.terms(each, rows) for each in node.terms]
            return None if None in parts else tuple(t for part in parts for t in part or ())
        return self._product(node, rows) if isinstance(node, Contract) else None

    def _product(self, node: Contract, rows: Rows) -> tuple[Term, ...] | None:
        numbers = [f for f in node.factors if isinstance(f, Constant)]
        patterns = [f for f in node.factors if isinstance(f, Pattern)]
        rest = [f for f in node.factors if f not in numbers and f not in patterns]
        scale = prod(number.value for number in numbers)
        weights = [f for f in rest if isinstance(self._origin(f), Parameter) and len(f.axes) == 2]
        args = [f for f in rest if f not in weights]
        if len(args) != 1 or len(weights) > 1 or len(patterns) > 1:
            return None
        (arg,) = args
        for part in (each.slice for each in patterns):
            if part is None or not part.column.size:
                return None
            if not part.is_whole:
                if part.row not in node.axes:  # it puts rows among zeros
                    return None
                picked = part.picked(part.column.size)
                rows = picked if rows is None else picked[rows.start : rows.stop]
        if not weights:
            if set(node.summed) - {axis for each in patterns for axis in each.axes}:
                return None
            found = self.terms(arg, rows)
            return found and tuple(replace(t, scale=scale * t.scale) for t in found)
        (weight,) = weights
        columns = [axis for axis in weight.axes if axis in arg.axes]
        if len(columns) != 1 or columns[0] not in node.summed or columns[0].size is None:
            return None
        axis = 1 - weight.axes.index(columns[0])
        held = self._origin(weight)
        assert isinstance(held, Parameter)
        source = self._origin(arg)
        return (Wide(held, rows, axis, source, columns[0].size, scale),)

    def _origin(self, node: Node) -> Node:
        """The node itself: without other names for axes, and what a loop reads from outside."""
        node = bare(node)
        while isinstance(node, Input) and node in self._given:
            node = bare(self._given[node])
        return node

    def _is_outside(self, node: Node) -> bool:
        """Is it made outside of the loop?"""
        return node in self._made_outside

    def _is_known(self, term: Term) -> bool:
        """Has everything outside that it reads a law?"""
        return (
            not isinstance(term, Wide) or not self._is_outside(term.arg) or term.arg in self.known
        )

    def _place(self, node: Node) -> str:
        inside = [each.name for each in self.loop.body.equations()]
        where = f" among {', '.join(inside)}" if inside else ""
        return f"{node!r} in the loop along {self.loop.over}{where}"
