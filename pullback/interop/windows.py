"""Convolutions and pooling with windows as other libraries have them, read from nodes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from pullback.interop.grouping import grouping
from pullback.ir import (
    Add,
    Axes,
    Axis,
    Constant,
    Contract,
    Index,
    Max,
    Named,
    Node,
    Parameter,
    Pattern,
    Range,
)
from pullback.ir.source import bare


@dataclass(frozen=True)
class Way:
    """Windows along one axis: index on the long one = stride · short + dilation · tap − before.

    The long axis is what comes in, for a transposed convolution what goes out.
    """

    long: Axis
    short: Axis
    tap: Axis
    stride: int
    dilation: int
    before: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How long the three axes are."""
        return self.long.size or 0, self.short.size or 0, self.tap.size or 0

    @property
    def reach(self) -> int:
        """From the first tap to the last."""
        return self.dilation * ((self.tap.size or 0) - 1) + 1

    @property
    def even(self) -> bool:
        """Is there as much padding behind as before, as far as windows reach there?"""
        return self.before >= 0 and self.count(self.before) == self.sizes[1]

    @property
    def after(self) -> int:
        """How far the last window reaches beyond the end; below 0 where it ends before."""
        long, short, _ = self.sizes
        return (short - 1) * self.stride + self.reach - long - self.before

    def count(self, after: int, ceil: bool = False) -> int:
        """How many windows there are with so much padding behind, as all libraries count them."""
        room = (self.long.size or 0) + self.before + after - self.reach
        found = (-(-room // self.stride) if ceil else room // self.stride) + 1
        late = (found - 1) * self.stride >= (self.long.size or 0) + self.before
        return found - 1 if ceil and late else found


@dataclass(frozen=True)
class Convolution:
    """z = Σ over channels and taps of windows of x times a weight, and a bias for each channel.

    The weight is (out, in / groups, taps), of a transposed one (in, out / groups, taps).
    """

    arg: Node
    weight: Parameter
    bias: Parameter | None
    ways: tuple[Way, ...]
    groups: int
    transposed: bool
    order: Axes
    out: Axes

    @property
    def channels(self) -> tuple[int, int]:
        """How many come in, and how many go out."""
        return self.order[1].size or 0, self.out[1].size or 0


@dataclass(frozen=True)
class Pool:
    """The largest entry, or the mean, of each window; padding counts as zeros in a mean."""

    arg: Node
    ways: tuple[Way, ...]
    largest: bool
    order: Axes
    out: Axes


@dataclass(frozen=True)
class _Side:
    """A tensor whose channels may be numbered group by group: ``one`` axis is ``many`` together."""

    node: Node
    one: Axis | None = None
    many: Axes = ()


def convolution(named: Named) -> Convolution | None:
    """The convolution that an equation is, if it is one."""
    product, bias = _biased(named.arg)
    merged = _side(product)
    inside = merged.node if merged else product
    if not isinstance(inside, Contract):
        return None
    factors = [f for f in inside.factors if not isinstance(f, Pattern)]
    sides = [_side(factor) if merged else _Side(factor) for factor in factors]
    weights = [at for at, side in enumerate(sides) if side and _parameter(side.node)]
    if len(factors) != 2 or len(weights) != 1:
        return None
    x, weight = factors[1 - weights[0]], factors[weights[0]]
    x_side, w_side = sides[1 - weights[0]], sides[weights[0]]
    ways = _ways(inside, x.axes, inside.over)
    if not ways or x_side is None or w_side is None:
        return None
    transposed = ways[0].long not in x.axes
    group = merged.many[0] if merged else None
    rest = [a for a in x.axes if a != group and not any(a in (w.long, w.short) for w in ways)]
    lead = tuple(axis for axis in rest if axis not in weight.axes)
    came = tuple(axis for axis in rest if axis in weight.axes and axis not in inside.over)
    goes = tuple(a for a in inside.over if a in weight.axes and a != group)
    if not len(lead) == len(came) == len(goes) == 1 or len(rest) != 2:
        return None
    first, second = (came, goes) if transposed else (goes, came)
    if merged and (x_side.many, merged.many, w_side.many) != (
        (group, *came), (group, *goes), (group, *first)
    ):  # fmt: skip
        return None
    held, taps = _parameter(w_side.node), tuple(way.tap for way in ways)
    own = (*((w_side.one,) if w_side.one else first), *second, *taps)
    channels = x_side.one or came[0], (merged.one if merged else None) or goes[0]
    if held is None or w_side.node.axes != own or (bias and bias.axes != channels[1:]):
        return None
    longer, shorter = (tuple(w.long for w in ways), tuple(w.short for w in ways))
    spatial = (shorter, longer) if transposed else (longer, shorter)
    order, out = ((*lead, c, *axes) for c, axes in zip(channels, spatial, strict=True))
    if {*order} != {*x_side.node.axes} or {*out} != {*named.axes}:
        return None
    groups = (group.size or 1) if group else 1
    bare_bias = _parameter(bias) if bias else None
    return Convolution(x_side.node, held, bare_bias, ways, groups, transposed, order, out)


def pool(named: Named) -> Pool | None:
    """The pooling that an equation is, if it is one."""
    node, masks, gone = named.arg, list[Node](), set[Axis]()
    while isinstance(node, Max) and node.ties == "first":
        gone.add(node.axis)
        masks += [] if node.where is None else [node.where]
        node = node.arg
    largest = bool(gone)
    scale, node = (1.0, node) if largest else _scaled(node)
    if not isinstance(node, Contract):
        return None
    (x, *others) = [f for f in node.factors if not isinstance(f, Pattern)] or [node]
    kept = tuple(axis for axis in node.over if axis not in gone)
    ways = _ways(node, x.axes, kept)
    if others or not ways or len(ways) != len(x.axes) - 2 or ways[0].long not in x.axes:
        return None
    if {way.tap for way in ways} & {*node.over} != gone or not _as_padding(
        masks, ways if largest else ()
    ):
        return None
    if not largest and abs(scale * prod(way.sizes[2] for way in ways) - 1) > 1e-12:
        return None
    order = (*(a for a in x.axes if all(a != w.long for w in ways)), *(w.long for w in ways))
    out = (*order[:2], *(way.short for way in ways))
    if not {*kept} == {*out} == {*named.axes}:
        return None
    return Pool(x, ways, largest, order, out)


def _as_padding(masks: list[Node], ways: tuple[Way, ...]) -> bool:
    """Do the masks say that padding does not count, and nothing else?"""
    wanted = set[Range]()
    for way in ways:
        place = way.stride * Index.on(way.short) + way.dilation * Index.on(way.tap) - way.before
        inside = Range(place, 0, way.sizes[0] - 1)
        if not inside.always:
            wanted.add(inside)
    ranges = [mask.ranges for mask in masks if isinstance(mask, Pattern) and not mask.equations]
    return len(ranges) == len(masks) and {each for some in ranges for each in some} == wanted


def _ways(product: Contract, ins: Axes, outs: Axes) -> tuple[Way, ...] | None:
    """How the patterns of a product slide along axes; None if one of them does not, or is none."""
    found = []
    for pattern in (f for f in product.factors if isinstance(f, Pattern)):
        here = [axis for axis in pattern.axes if axis in ins and axis not in outs]
        there = [axis for axis in pattern.axes if axis in outs and axis not in ins]
        taps = [axis for axis in pattern.axes if axis not in (*here, *there)]
        if not len(here) == len(there) == len(taps) == 1 or pattern.ranges:
            return None
        (came,), (goes,), (tap,) = here, there, taps
        way = _way(pattern, came, goes, tap) or _way(pattern, goes, came, tap)
        if way is None:
            return None
        found.append(way)
    one_sided = len({way.long in ins for way in found}) == 1
    rank = {axis: at for at, axis in enumerate(ins)}
    ordered = sorted(found, key=lambda way: rank[way.long if way.long in rank else way.short])
    return tuple(ordered) if one_sided else None


def _way(pattern: Pattern, long: Axis, short: Axis, tap: Axis) -> Way | None:
    place = pattern.solved(long)
    if place is None or place.lengths or None in (long.size, short.size, tap.size):
        return None
    stride, dilation, before = place.of(short), place.of(tap), -place.offset
    return Way(long, short, tap, stride, dilation, before) if min(stride, dilation) > 0 else None


def _side(node: Node) -> _Side | None:
    """A tensor with one of its axes as two, or two as one."""
    found = grouping(node)
    return None if found is None else _Side(found.arg, found.one, found.many)


def _biased(node: Node) -> tuple[Node, Node | None]:
    """A sum of a product and a parameter, as both; any other node alone."""
    if isinstance(node, Add) and len(node.terms) == 2:
        products = [term for term in node.terms if _parameter(term) is None]
        if len(products) == 1:
            return products[0], next(term for term in node.terms if term is not products[0])
    return node, None


def _parameter(node: Node) -> Parameter | None:
    """The parameter that a node is, under whatever axes."""
    held = bare(node)
    return held if isinstance(held, Parameter) else None


def _scaled(node: Node) -> tuple[float, Node]:
    """A number and what it multiplies."""
    scale = 1.0
    while isinstance(node, Contract):
        numbers = [f for f in node.factors if isinstance(f, Constant) and not f.over]
        rest = [factor for factor in node.factors if factor not in numbers]
        if not numbers and len(rest) > 1:
            break
        scale *= prod(number.value for number in numbers)
        if len(rest) != 1 or {*rest[0].axes} != {*node.over}:
            node = Contract(tuple(rest), node.over)
            break
        node = rest[0]
    return scale, node
