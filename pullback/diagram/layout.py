"""Where everything in the picture of one product stands, in pixels around a base line.

Tensors stand on the line; an edge to a neighbour is straight, one to somebody further goes over
their heads in a lane of its own, and an axis of the result leaves at a side or downwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pullback.diagram.order import Edge, InnerEdge, Items, OpenEdge
from pullback.diagram.tensor_network import DiagramTensor, TensorNetwork, Wire
from pullback.ir import Axes

TALL, DOT, GAP, BESIDE = 30.0, 3.5, 20.0, 6.0
NARROW = 12.0  # a gap beside a dot
HANGING = 20.0  # how far below its dot a vector hangs
NEAR, ROW = 10.0, 15.0  # between edges that leave at one side; with names at their ends
LANE, STEM, DROP = 11.0, 14.0, 16.0
SIZE, SMALL = 14.0, 12.0  # of letters in nodes, and of names of axes

Point = tuple[float, float]


@dataclass(frozen=True)
class NodeBox:
    """Where a tensor stands, or a dot; ``mark`` is where its first axis leaves, and which way."""

    left: float
    top: float
    width: float
    height: float
    tensor: DiagramTensor | None
    mark: tuple[Point, Point] | None = None


@dataclass(frozen=True)
class Strand:
    """The line of an edge through some points."""

    wire: Wire
    points: tuple[Point, ...]


@dataclass(frozen=True)
class EndName:
    """The name of an axis at its free end; ``anchor`` is the end of the text that stands there."""

    text: str
    at: Point
    anchor: str

    @property
    def left(self) -> float:
        """Where it begins, at most."""
        wide = width_of(self.text, SMALL)
        return self.at[0] - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor]


@dataclass(frozen=True)
class PlacedNetwork:
    """A product as it stands, its left end at 0 and its base line at height 0."""

    boxes: tuple[NodeBox, ...]
    strands: tuple[Strand, ...]
    names: tuple[EndName, ...]
    width: float
    up: float
    down: float


def width_of(text: str, size: float) -> float:
    """How wide a text is, rather more than less."""
    wide = sum(1.0 if ord(each) > 0x2400 else 0.8 if each in "MWmw" else 0.6 for each in text)
    return size * wide


def placed(network: TensorNetwork, axes: Axes) -> tuple[PlacedNetwork, ...]:
    """The layout of a product whose result has these axes, part by part: what hangs together."""
    items = Items(network, len(axes))
    return tuple(_Layout(network, axes, items, group).result for group in items.components())


class _Layout:
    """One group of items that hang together, in order on the line."""

    def __init__(
        self, network: TensorNetwork, axes: Axes, items: Items, group: Sequence[int]
    ) -> None:
        self._network, self._axes, self._items, self._group = network, axes, items, group
        self._place = {item: at for at, item in enumerate(group)}
        self._hung = {dot: items.hung[dot] for dot in group if dot in items.hung}
        self._all = [*group, *(item for several in self._hung.values() for item in several)]
        self._left: dict[int, list[Edge]] = defaultdict(list)
        self._right: dict[int, list[Edge]] = defaultdict(list)
        self._below: dict[int, list[OpenEdge]] = defaultdict(list)
        self._above: dict[int, list[OpenEdge]] = defaultdict(list)
        self._arcs: list[InnerEdge] = []
        self._hanging: list[InnerEdge] = []
        self._sort_edges()
        self._x: dict[int, float] = {}
        self._wide = {item: self._width(item) for item in self._all}
        self._high = {item: self._height(item) for item in self._all}
        self._marks: dict[int, tuple[Point, Point]] = {}
        self._strands: list[Strand] = []
        self._names: list[EndName] = []
        self._sums: list[NodeBox] = []
        width = self._spread()
        self._top = max(self._high[item] for item in group) / 2
        self._draw()
        boxes = (*(self._box(item) for item in self._all if self._seen(item)), *self._sums)
        heights = [y for strand in self._strands for _, y in strand.points]
        heights += [y for box in boxes for y in (box.top, box.top + box.height)]
        heights += [each.at[1] + d for each in self._names for d in (-SMALL / 2, SMALL / 2)]
        up, down = -min(heights, default=0.0), max(heights, default=0.0)
        self.result = PlacedNetwork(
            boxes, tuple(self._strands), tuple(self._names), width, max(up, 15.0), max(down, 15.0)
        )

    def _seen(self, item: int) -> bool:
        """An identity is an edge without a dot."""
        return not (self._items.is_dot(item) and self._wire(item).is_edge)

    def _wire(self, item: int) -> Wire:
        return self._items.dots[item - self._items.tensors]

    def _sort_edges(self) -> None:
        """At which side of its item each edge leaves."""
        for link in self._items.links:
            if link.start not in self._place:
                continue
            if link.end in self._hung.get(link.start, ()):
                self._hanging.append(link)
                continue
            one, other = self._place[link.start], self._place[link.end]
            if abs(one - other) == 1:
                left, right = (link.start, link.end) if one < other else (link.end, link.start)
                self._right[left].append(link)
                self._left[right].append(link)
            else:
                self._arcs.append(link)
        last = len(self._group) - 1
        for stub in self._items.stubs:
            at = self._place.get(stub.item)
            if at is None:
                continue
            if stub.leftward and at == 0:
                self._left[stub.item].append(stub)
            elif not stub.leftward and at == last:
                self._right[stub.item].append(stub)
            elif stub.item in self._hung:
                self._above[stub.item].append(stub)
            else:
                self._below[stub.item].append(stub)

    def _name(self, stub: OpenEdge) -> str:
        return "" if stub.place is None else self._axes[stub.place].name

    def _ended(self, stub: OpenEdge, strand: tuple[Point, Point], at: Point, anchor: str) -> None:
        """A stub with its name, or with a dot where it is summed."""
        self._strands.append(Strand(stub.wire, strand))
        if stub.place is None:
            x, y = strand[1]
            self._sums.append(NodeBox(x - DOT, y - DOT, 2 * DOT, 2 * DOT, None))
        else:
            self._names.append(EndName(self._name(stub), at, anchor))

    def _on_top(self, item: int) -> list[tuple[InnerEdge, bool]]:
        """The arcs that leave an item, from left to right, each with whether it is its end.

        Those to the left come first, the farthest of them last, so that none crosses another here.
        """
        if self._items.is_dot(item) or item not in self._place:  # it hangs below a dot
            return []
        here = self._place[item]
        inner: list[tuple[InnerEdge, bool]] = []
        left: list[tuple[int, InnerEdge, bool]] = []
        right: list[tuple[int, InnerEdge, bool]] = []
        for link in self._arcs:
            if link.start == link.end == item:
                inner += [(link, False), (link, True)]
            elif item in (link.start, link.end):
                is_end = link.end == item
                there = self._place[link.start if is_end else link.end]
                (left if there < here else right).append((abs(there - here), link, is_end))
        near_first = [(link, end) for _, link, end in sorted(left, key=lambda each: each[0])]
        far_first = [(link, end) for _, link, end in sorted(right, key=lambda each: -each[0])]
        return [*near_first, *inner, *far_first]

    def _width(self, item: int) -> float:
        if self._items.is_dot(item):
            return 2 * DOT
        label = self._network.tensors[item].label
        below = sum(width_of(self._name(s), SMALL) + 8 for s in self._below[item])
        over = NEAR * len(self._on_top(item)) + 10
        return max(TALL, width_of(label, SIZE) + 14, below, over)

    def _height(self, item: int) -> float:
        if self._items.is_dot(item):
            return 2 * DOT
        sides = [_spacing(side) * len(side) for side in (self._left[item], self._right[item])]
        return max(TALL, *(8 + each for each in sides))

    def _column(self, item: int) -> float:
        """The room that an item needs, with what hangs below it and the names of its stubs."""
        hung = [self._wide[each] + BESIDE for each in self._hung.get(item, ())]
        names = [
            width_of(self._name(stub), SMALL) + 8
            for stub in (*self._below[item], *self._above[item])
        ]
        return max(self._wide[item], sum(hung), sum(names))

    def _spread(self) -> float:
        """The middles of all items; returns the whole width."""
        x = self._reach(self._left[self._group[0]])
        for place, item in enumerate(self._group):
            room = self._column(item)
            beside = {item, self._group[place - 1]} if place else set()
            x += 0.0 if not place else NARROW if any(map(self._items.is_dot, beside)) else GAP
            self._x[item] = x + room / 2
            x += room
        for dot, items in self._hung.items():
            at = self._x[dot] - sum(self._wide[each] + BESIDE for each in items) / 2
            for each in items:
                self._x[each] = at + (self._wide[each] + BESIDE) / 2
                at += self._wide[each] + BESIDE
        return x + self._reach(self._right[self._group[-1]])

    def _reach(self, side: Sequence[Edge]) -> float:
        """How far stubs and their names go out."""
        names = [width_of(self._name(s), SMALL) for s in side if isinstance(s, OpenEdge)]
        return STEM + 4 + max(names) if names else 0.0

    def _draw(self) -> None:
        for item in self._place:
            for edge in self._right[item]:
                if isinstance(edge, InnerEdge):
                    other = edge.end if edge.start == item else edge.start
                    start = self._port(item, edge, self._right[item], 1.0)
                    end = self._port(other, edge, self._left[other], -1.0)
                    self._strands.append(Strand(edge.wire, (start, end)))
            for side, sign in ((self._left[item], -1.0), (self._right[item], 1.0)):
                self._stubs(item, side, sign)
            self._downward(item)
        top = self._lanes()
        for item, stubs in self._above.items():
            for stub in stubs:
                x, y = self._x[item], -top - DROP
                self._ended(stub, ((x, -DOT), (x, y)), (x, y - 8), "middle")
        for link in self._hanging:
            end = (self._x[link.end], HANGING)
            self._strands.append(Strand(link.wire, ((self._x[link.start], 0.0), end)))

    def _port(
        self,
        item: int,
        edge: Edge,
        side: Sequence[Edge],
        sign: float,
    ) -> Point:
        """Where an edge leaves at the left or the right of an item."""
        if self._items.is_dot(item):  # an identity has none, and no gap in its place
            return self._x[item], 0.0
        x = self._x[item] + sign * self._wide[item] / 2
        y = (side.index(edge) - (len(side) - 1) / 2) * _spacing(side)
        self._mark(item, edge, (x, y), (-sign, 0.0))
        return x, y

    def _mark(self, item: int, edge: Edge, at: Point, inward: Point, end: bool = False) -> None:
        """Note where the first axis of a tensor with several leaves."""
        if isinstance(edge, OpenEdge):
            leg = edge.leg
        else:
            leg = edge.start_leg if edge.start == item and not end else edge.end_leg
        tensor = self._network.tensors[item]
        if leg == 0 and len(tensor.legs) > 1 and tensor.kind != "pattern":
            self._marks[item] = (at, inward)

    def _stubs(self, item: int, side: Sequence[Edge], sign: float) -> None:
        stubs = [edge for edge in side if isinstance(edge, OpenEdge)]
        for stub in stubs:
            x, y = self._port(item, stub, side, sign)
            if self._items.is_dot(item):  # several names at one dot fan out
                y = (stubs.index(stub) - (len(stubs) - 1) / 2) * ROW
            end = self._x[item] + sign * (self._wide[item] / 2 + STEM)
            start = (x, 0.0 if self._items.is_dot(item) else y)
            anchor = "start" if sign > 0 else "end"
            self._ended(stub, (start, (end, y)), (end + 4 * sign, y), anchor)

    def _downward(self, item: int) -> None:
        stubs = self._below[item]
        rooms = [width_of(self._name(stub), SMALL) + 8 for stub in stubs]
        x = self._x[item] - sum(rooms) / 2
        for stub, room in zip(stubs, rooms, strict=True):
            at, y = x + room / 2, self._high[item] / 2
            start = (self._x[item] if self._items.is_dot(item) else at, y)
            low = self._top + DROP
            if not self._items.is_dot(item):
                self._mark(item, stub, start, (0.0, -1.0))
            self._ended(stub, (start, (at, low)), (at, low + 9), "middle")
            x += room

    def _lanes(self) -> float:
        """The arcs, those within others below them; returns how high they go."""
        spans: list[tuple[InnerEdge, Point, Point]] = []
        for link in self._arcs:
            one, other = self._upward(link, False), self._upward(link, True)
            spans.append((link, min(one, other), max(one, other)))
        levels: list[tuple[float, float, int]] = []
        top = self._top
        for link, start, end in sorted(spans, key=lambda s: s[2][0] - s[1][0]):
            under = [level for a, b, level in levels if a <= end[0] + 2 and start[0] - 2 <= b]
            level = 1 + max(under, default=0)
            levels.append((start[0], end[0], level))
            y = -self._top - LANE * level
            top = max(top, -y)
            self._strands.append(Strand(link.wire, (start, (start[0], y), (end[0], y), end)))
        return top

    def _upward(self, link: InnerEdge, end: bool) -> Point:
        """Where an arc leaves at the top of its item."""
        item = link.end if end else link.start
        y = -self._high[item] / 2
        if self._items.is_dot(item):
            return self._x[item], y
        several = self._on_top(item)
        at = several.index((link, end))
        x = self._x[item] + (at - (len(several) - 1) / 2) * NEAR
        self._mark(item, link, (x, y), (0.0, 1.0), end)
        return x, y

    def _box(self, item: int) -> NodeBox:
        wide, high = self._wide[item], self._high[item]
        top = -high / 2 if item in self._place else HANGING
        tensor = None if self._items.is_dot(item) else self._network.tensors[item]
        return NodeBox(self._x[item] - wide / 2, top, wide, high, tensor, self._marks.get(item))


def _spacing(side: Sequence[Edge]) -> float:
    return ROW if any(isinstance(edge, OpenEdge) for edge in side) else NEAR
