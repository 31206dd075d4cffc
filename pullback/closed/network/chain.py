"""A network as a chain of factors, read off its graph: what each stretch of it does to a change."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod

from pullback.calculus import LinearMap, Routes
from pullback.closed.network.items import (
    Item,
    Label,
    LocalItem,
    ScaleItem,
    SkipItem,
    SlopeItem,
    WeightItem,
    every,
)
from pullback.closed.network.pieces import pieces
from pullback.closed.network.rivals import Rivals
from pullback.closed.power.recurrence import Recurrence
from pullback.errors import ConfigError, NotApplicableError
from pullback.ir import Axes, Graph, Input, Named, Node, flow, inside, walk
from pullback.ir.axis import show
from pullback.ir.forms import Affine, Form, Join, Pointwise
from pullback.ir.graph import Path
from pullback.ir.node import depending_on
from pullback.ir.source import bare
from pullback.net.inputs import BATCH, free
from pullback.net.together import Together


@dataclass(frozen=True)
class DeltaPlace:
    """Where δ of a layer stands: what follows up to the next cut, then the chain from ``start``.

    ``axes`` are those of δ, flattened in this order; ``node`` is the layer's equation.
    """

    name: str
    axes: Axes
    inside: tuple[Item, ...]
    start: int
    node: Node | None = None

    @property
    def width(self) -> int:
        """How many entries δ has there."""
        return size(self.axes)


@dataclass(frozen=True)
class Chain:
    """What a network applies one after the other, up to the place where ``delta_out`` comes in.

    That is the last layer, or the first equation behind it that every way to the output passes.
    """

    items: tuple[Item, ...]
    places: tuple[DeltaPlace, ...]
    axes: Axes
    top: Node | None = None

    @classmethod
    def of(cls, net: Together) -> Chain:
        """The chain of a network from its one input on; its layers are its equations z.

        Raises ConfigError for one without a layer, NotApplicableError for axes without a size, or
        samples that depend on each other.
        """
        # as it was built: a layer whose influence cancels has a δ, too
        found = _chain(net.leaf, net.built)
        if found is None:
            raise ConfigError(
                "the network has no Linear block and no other equation z, so there is no "
                "recursion of δ"
            )
        return found

    @classmethod
    def unrolled(cls, recurrence: Recurrence) -> Chain:
        """The steps of a recurrence as layers of their own; its places are the states."""
        n, f, items = recurrence.units, recurrence.function, list[Item]()
        for t in range(recurrence.steps):
            items += [
                WeightItem(f"{t + 1}", t, n, n, "W"),
                SlopeItem(f"{t + 1}", f, t + 1),
            ]
        axes = recurrence.axes
        places = tuple(DeltaPlace(f"h.{t}", axes, (), 2 * t) for t in range(recurrence.steps + 1))
        return cls(tuple(items), places, axes)

    def behind(self, layer: int) -> tuple[Item, ...]:
        """The items between δ of a layer and ``delta_out``, input side first."""
        place = self.places[layer]
        return (*place.inside, *self.items[place.start :])

    @property
    def outputs(self) -> int:
        """How many entries ``delta_out`` has."""
        return size(self.axes)

    @cached_property
    def slopes(self) -> tuple[SlopeItem, ...]:
        """Every elementwise item, input side first."""
        return tuple(item for item in every(self.items) if isinstance(item, SlopeItem))

    @cached_property
    def factors(self) -> tuple[Item, ...]:
        """Every item that δ of some layer goes through, those behind the first one first."""
        return (*self.behind(0), *(item for place in self.places[1:] for item in place.inside))

    @cached_property
    def varying(self) -> tuple[Item, ...]:
        """Those of the factors that are another map for another x."""
        return tuple(item for item in dict.fromkeys(every(self.factors)) if item.varies)

    @property
    def is_kinked(self) -> bool:
        """Is all that varies, from the input on, piecewise linear and on the way to the top?"""
        bent = {item for item in every(self.items) if item.varies}
        return bool(self.varying) and set(self.varying) <= bent and all(map(is_kink, bent))

    @cached_property
    def kinks(self) -> tuple[SlopeItem | LocalItem, ...]:
        """Every item that bends, input side first."""
        return tuple(
            item
            for item in every(self.items)
            if isinstance(item, SlopeItem | LocalItem) and item.varies and is_kink(item)
        )


@lru_cache(maxsize=32)
def _chain(x: Input, output: Node) -> Chain | None:
    """The chain from an input to the last layer; None without a layer."""
    graph = Graph({"output": output}, BATCH)
    whole = graph.between(x, output)
    layers = [each for each in whole.equations if each.role == "z"]
    if not layers:
        return None
    _check(whole)
    parts = whole.parts
    at = {node: k for k, part in enumerate(parts) for node in part.nodes if node is not part.start}
    moving = depending_on((output,), (n for n in walk((output,)) if isinstance(n, Input)))
    reader = _Reader(flow(graph), {layer: k for k, layer in enumerate(layers)}, moving)
    below = parts[: at[layers[-1]] + 1]
    places = tuple(reader.place(layer, parts[at[layer]], at[layer] + 1) for layer in layers)
    top = below[-1].end
    return Chain(tuple(map(reader.item, below)), places, free(top.axes), top)


@dataclass(frozen=True)
class _Reader:
    """What the stretches of a graph are, from the forms of its equations."""

    forms: Mapping[Named, Form]
    layers: Mapping[Node, int]
    moving: Container[Node]  # what depends on an input

    def place(self, layer: Named, part: Path, start: int) -> DeltaPlace:
        """Where δ of a layer stands, given the stretch that holds it."""
        rest = () if layer is part.end else self.items(part.between(layer, part.end))
        return DeltaPlace(layer.label.place, free(layer.axes), rest, start, layer)

    def items(self, path: Path) -> tuple[Item, ...]:
        """One for each stretch between cuts."""
        return tuple(map(self.item, path.parts))

    def item(self, part: Path) -> Item:
        """What a stretch between two cuts does: what the form of its end says, or its Jacobian."""
        start, end = part.start, part.end
        if isinstance(end, Named) and (known := self._known(part, end)) is not None:
            return known
        ways, n, m = Routes.of(part), size(free(start.axes)), size(free(end.axes))
        varies = any(map(self._varies, ways.maps))
        form = self.forms[end] if isinstance(end, Named) else None
        alone = form is not None and form.args == (start,)
        rivals = Rivals.of(end, start) if isinstance(end, Named) and alone else None
        return LocalItem(self._name(start), self._name(end), n, m, ways, varies, form, rivals)

    def _varies(self, link: LinearMap) -> bool:
        """Is it another map for another input?"""
        assert link.tensor is not None
        return any(each in self.moving for each in inside(Named("tensor", link.tensor)))

    def _known(self, part: Path, end: Named) -> Item | None:
        start = part.start
        match self.forms[end]:
            case Join() as join:
                return self._met(part, end, join)
            case Affine(arg=arg, weight=W, n_in=n, n_out=m, scale=scale) as form:
                if arg is start and end in self.layers and _turns_last(form, start, end):
                    places, at = size(free(end.axes)) // m, self.layers[end]
                    return WeightItem(end.label.place, at, n, m, W.name, scale, places)
            case Pointwise(arg=arg, function=f) if arg is start and _keeps(end, start):
                label = self._name(start if start in self.layers else end)
                return SlopeItem(end.label.place, f, label, start)
        return None

    def _met(self, part: Path, end: Named, join: Join) -> ScaleItem | SkipItem | None:
        """A skip, or the one branch that leads here, of a sum with numbers for weights."""
        held = set(part.nodes)
        weights = dict(zip(join.args, join.weights or (), strict=False))
        met = {arg: weight for arg, weight in weights.items() if arg in held}
        start = part.start
        if start not in met or not all(_keeps(end, arg) for arg in met):
            return None
        by = met.pop(start)
        if not met:
            return ScaleItem(by)
        if by != 1 or len(met) > 1:
            return None
        ((other, weight),) = met.items()
        return SkipItem((*self.items(part.between(start, other)), ScaleItem(weight)))

    def _name(self, node: Node) -> Label:
        if node in self.layers:
            return self.layers[node] + 1
        return str(getattr(node, "name", "output"))


def is_kink(item: Item) -> bool:
    """Is it piecewise linear: by its function, or as the largest of some entries?"""
    match item:
        case SlopeItem(function=function):
            return pieces(function) is not None
        case LocalItem(rivals=rivals):
            return rivals is not None
    return False


def size(axes: Axes) -> int:
    """How many entries there are."""
    return prod(axis.size or 1 for axis in axes)


def _turns_last(form: Affine, start: Node, end: Node) -> bool:
    """Is it a matrix that turns the last axis into another, and leaves those before alone?"""
    same = end.axes[:-1] == start.axes[:-1] and BATCH in end.axes[:-1]
    return form.is_matrix and same and end.axes[-1:] == form.rows


def _keeps(end: Named, source: Node) -> bool:
    """Do the axes of an equation stand where its argument has them, whatever they are called?"""
    return any(node.axes == end.axes for node in inside(end) if bare(node) is source)


def alone(path: Path) -> None:
    """Raises NotApplicableError where samples meet on the way."""
    if any(BATCH not in node.axes for node in path.nodes):
        raise NotApplicableError(
            "a sample's δ depends on other samples, over which this network sums: there is no "
            "product of Jacobians at one x"
        )


def _check(path: Path) -> None:
    alone(path)
    for node in (path.start, *path.equations):
        for axis in free(node.axes):
            if axis.size is None:
                raise NotApplicableError(
                    f"the axis {axis.name!r} has no size, so the Jacobians have none: say it, as "
                    f"in Network(…, x='{axis.name}=3'); found {show(node.axes)}"
                )
