"""Parts of axes: slices, entries, what is joined, moved along, put among zeros or written over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.elementwise import mapped
from pullback.interop.operators.order import unsqueezed
from pullback.interop.rows import BATCH_SIZE, Batch, Held
from pullback.interop.values import PlacedNode, axes_of, place_of
from pullback.ir import Axis, Constant, Contract, Node, fn, layout, rows, symbol

MOST = 64  # parts that are named one by one
_LAST = 2**63 - 1

# entries of an axis: the first, the step to the next, and how many
Run = tuple[int, int, int]


def narrowed(b: Builder, input: Any, dim: int, start: int, length: int) -> PlacedNode:
    """So many entries of an axis, from a place on."""
    return sliced(b, input, dim, start, start + length)


def sliced(
    b: Builder, input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> PlacedNode:
    """Some entries of an axis, as Python slices."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    if step == 1 and start in (0, None) and end in (None, _LAST):
        return x
    picked = range(b.known(x.dims[at]))[start:end:step]
    if not picked:
        raise ConversionError("it takes no entries")
    return gathered(b, x, at, [(picked.start, picked.step, len(picked))])


def gathered(b: Builder, x: PlacedNode, at: int, runs: Sequence[Run]) -> PlacedNode:
    """Runs of entries of an axis one behind the other."""
    x, axis = b.along(x, at)
    if list(runs) == [(0, 1, b.known(axis))]:
        return x
    parts = []
    for start, step, count in runs:
        row = Axis(f"{axis.name}:{count}", count)
        if row in x.dims or len(runs) > 1:
            row = b.fresh("part", count)
        parts.append((layout.taken(x.node, axis, row, start, step), row))
    node, both = parts[0]
    if len(parts) > 1:
        both = b.fresh("joined", sum(count for _, _, count in runs))
        node = layout.joined(parts, both)
    return replace(x, node=node, dims=(*x.dims[:at], both, *x.dims[at + 1 :]))


def selected(b: Builder, input: Any, dim: int, index: int) -> PlacedNode:
    """One entry along an axis, which is then gone."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    if not isinstance(index, int):
        raise ConversionError("it takes an entry that depends on the data")
    rest = (*x.dims[:at], *x.dims[at + 1 :])
    if x.dims[at] is None:
        place_of(index, 1)
        return x.seen(rest)
    x, axis = b.along(x, at)
    return replace(x, node=_entry(x.node, axis, place_of(index, b.known(axis))), dims=rest)


def _entry(node: Node, axis: Axis, at: int) -> Node:
    row = Axis(f"{axis.name}[{at}]", 1)
    over = tuple(each for each in node.axes if each != axis)
    return Contract((node, rows(row, axis, at, at + 1)), over)


def runs_of(places: list[int]) -> list[Run]:
    """A list of places as runs of equal steps."""
    found: list[list[int]] = []
    for place in places:
        run = found[-1] if found else []
        if len(run) == 1 or (len(run) > 1 and place - run[-1] == run[1] - run[0]):
            run.append(place)
        else:
            found.append([place])
    if len(found) > MOST:
        raise ConversionError(f"it picks entries in {len(found)} runs; pullback reads {MOST}")
    return [(run[0], run[1] - run[0] if run[1:] else 1, len(run)) for run in found]


def split(b: Builder, input: Any, size: Any, dim: int = 0) -> tuple[PlacedNode, ...]:
    """Parts of an axis, each so long, or as long as told."""
    x = b.tensor(input)
    first = x.dims[at := place_of(dim, len(x.dims))]
    if size == BATCH_SIZE and isinstance(first, tuple) and first[1:] == (b.batch,):
        apart = x.seen((*x.dims[:at], *first, *x.dims[at + 1 :]))
        return unbound(b, apart, at)
    n = b.known(x.dims[at])
    sizes = (size,) * -(-n // size) if isinstance(size, int) else tuple(size)
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    return tuple(sliced(b, x, dim, at, at + k) for at, k in zip(starts, sizes, strict=True))


def chunked(b: Builder, input: Any, chunks: int, dim: int = 0) -> tuple[PlacedNode, ...]:
    """An axis in so many parts."""
    x = b.tensor(input)
    n = b.known(x.dims[place_of(dim, len(x.dims))])
    return split(b, x, -(-n // chunks), dim)


def unbound(b: Builder, input: Any, dim: int = 0) -> tuple[PlacedNode, ...]:
    """Every entry along an axis."""
    x = b.tensor(input)
    n = b.known(x.dims[place_of(dim, len(x.dims))])
    return tuple(selected(b, x, dim, at) for at in range(n))


def concatenated(b: Builder, tensors: Any, dim: int = 0) -> PlacedNode:
    """Values one after the other along an axis."""
    parts = [b.tensor(each) for each in tensors]
    rank = len(parts[0].dims)
    at = place_of(dim, rank)
    if any(len(each.dims) != rank for each in parts):
        raise ConversionError("it joins values with different numbers of axes")
    if b.batch in axes_of(parts[0].dims[at : at + 1]):
        return _samples_of_all(b, parts, at)
    parts = [b.real(each, at) for each in parts]
    rest = [(*each.dims[:at], *each.dims[at + 1 :]) for each in parts]
    lead = tuple(next((a for a in axes if a is not None), None) for axes in zip(*rest, strict=True))
    both = b.fresh("joined", sum(b.known(each.dims[at]) for each in parts))
    found = []
    for part in parts:
        row = b.fresh("part", b.known(part.dims[at]))
        found.append((b.brought(part, (*lead[:at], row, *lead[at:])), row))
    return PlacedNode(layout.joined(found, both), (*lead[:at], both, *lead[at:]))


def _samples_of_all(b: Builder, parts: list[PlacedNode], at: int) -> PlacedNode:
    """The samples of several values one after the other: those of each value stay together."""
    if at or any(each.dims[0] != b.batch for each in parts):
        raise ConversionError("it works along the batch, so that samples would mix")
    both = stacked(b, tuple(parts), 0)
    (which, _, *rest) = both.dims
    assert isinstance(which, Axis)
    return both.seen(((which, b.batch), *rest))


def stacked(b: Builder, tensors: Any, dim: int = 0) -> PlacedNode:
    """Values beside each other along a new axis."""
    parts = [b.tensor(each) for each in tensors]
    at = place_of(dim, len(parts[0].dims) + 1)
    return concatenated(b, tuple(unsqueezed(b, each, at) for each in parts), at)


def side_by_side(b: Builder, tensors: Any) -> PlacedNode:
    """torch.hstack: along axis 1."""
    return concatenated(b, tensors, 1)


def overwritten(
    b: Builder, input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None
) -> PlacedNode:
    """The value with other numbers in some entries of an axis, from one place to another."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    if start in (0, None) and end in (None, _LAST):
        return b.tensor(src)
    size = b.known(x.dims[at])
    places = range(size)[start:end]
    parts = [
        sliced(b, x, at, 0, places.start) if places.start else None,
        b.tensor(src),
        sliced(b, x, at, places.stop, size) if places.stop < size else None,
    ]
    return concatenated(b, tuple(each for each in parts if each is not None), at)


def entry_overwritten(b: Builder, input: Any, src: Any, dim: int, index: int) -> PlacedNode:
    """The value with other numbers in one entry of an axis."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    index = place_of(index, b.known(x.dims[at]))
    return overwritten(b, x, unsqueezed(b, b.tensor(src), at), at, index, index + 1)


def put_back(b: Builder, grad: Any, sizes: Any, dim: int, index: int) -> PlacedNode:
    """The pullback of an entry: it stands at its place among zeros."""
    x = b.tensor(grad)
    at = place_of(dim, len(x.dims) + 1)
    whole = unsqueezed(b, x, at)
    return slice_put_back(b, whole, sizes, at, place_of(index, sizes[at]))


def slice_put_back(
    b: Builder, grad: Any, sizes: Any, dim: int, start: Any = 0, end: Any = None, step: int = 1
) -> PlacedNode:
    """The pullback of a slice: its entries stand at their places among zeros."""
    x = b.tensor(grad)
    at = place_of(dim, len(x.dims))
    if isinstance(sizes[at], Batch):
        return x
    x, axis = b.along(x, at)
    into = b.fresh("whole", sizes[at])
    node = layout.placed(x.node, axis, into, start or 0, step)
    return replace(x, node=node, dims=(*x.dims[:at], into, *x.dims[at + 1 :]))


def flipped(b: Builder, input: Any, *dims: Any) -> PlacedNode:
    """Axes turned round."""
    x = b.tensor(input)
    for dim in dims[0] if isinstance(dims[0], tuple) else dims:
        at = place_of(dim, len(x.dims))
        n = b.known(x.dims[at])
        x = gathered(b, x, at, [(n - 1, -1, n)]) if n > 1 else x
    return x


def rolled(b: Builder, input: Any, shifts: Any, dims: Any = None) -> PlacedNode:
    """Axes moved along; what leaves at the end comes in at the front."""
    x = b.tensor(input)
    if dims is None:
        raise ConversionError("it moves all entries along as one axis")
    steps = (shifts,) if isinstance(shifts, int) else shifts
    for shift, dim in zip(steps, (dims,) if isinstance(dims, int) else dims, strict=True):
        at = place_of(dim, len(x.dims))
        n = b.known(x.dims[at])
        if k := shift % n:
            x = gathered(b, x, at, [(n - k, 1, k), (0, 1, n - k)])
    return x


def padded(
    b: Builder, input: Any, pad: Any, mode: str = "constant", value: Any = None
) -> PlacedNode:
    """More entries before and behind the last axes: a number, or entries that are there."""
    x = b.tensor(input)
    for place, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        at = len(x.dims) - 1 - place
        if not (before or after):
            continue
        n = b.known(x.dims[at])
        if mode != "constant":
            x = gathered(b, x, at, [run for run in _around(mode, n, before, after) if run[2]])
            continue
        x, axis = b.along(x, at)
        into = b.fresh("padded", n + before + after)
        node = layout.placed(x.node, axis, into, before)
        found = replace(x, node=node, dims=(*x.dims[:at], into, *x.dims[at + 1 :]))
        x = found if not value else _filled(b, found, axis, into, before, value)
    return x


def _around(mode: str, n: int, before: int, after: int) -> list[Run]:
    """Which entries stand before, in and behind an axis of n."""
    match mode:
        case "reflect":
            return [(before, -1, before), (0, 1, n), (n - 2, -1, after)]
        case "replicate":
            return [(0, 0, before), (0, 1, n), (n - 1, 0, after)]
        case "circular":
            return [(n - before, 1, before), (0, 1, n), (0, 1, after)]
    raise ConversionError(f"it pads by {mode!r}")


def _filled(
    b: Builder, x: PlacedNode, axis: Axis, into: Axis, before: int, value: float
) -> PlacedNode:
    """A number where nothing has been placed."""
    inside = PlacedNode(layout.placed(Constant(1.0, (axis,)), axis, into, before), (into,))
    at = x.dims.index(into)
    inside = inside.seen((into, *(None,) * (len(x.dims) - at - 1)))
    named = PlacedNode(b.equation("stat", inside.node, part="inside"), inside.dims)
    return mapped(b, symbol(0) + value * (1 - symbol(1)), (x, named))


def gated(b: Builder, input: Any, dim: int = -1) -> PlacedNode:
    """The first half of an axis times σ of the second."""
    x = b.named(b.tensor(input))
    one, other = chunked(b, x, 2, dim)
    parts = [
        PlacedNode(b.equation("a", each.node, part=name), each.dims)
        for each, name in ((one, "value"), (other, "gate"))
    ]
    return mapped(b, symbol(0) * fn("sigmoid")(symbol(1)), tuple(parts))


def cumulated(b: Builder, input: Any, dim: int) -> PlacedNode:
    """The sums of what stands before and here, along an axis."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    x, axis = b.along(x, at)
    until = b.fresh("until", b.known(axis))
    over = tuple(until if each == axis else each for each in x.node.axes)
    node = Contract((x.node, layout.earlier(axis, until)), over)
    return replace(x, node=node, dims=(*x.dims[:at], until, *x.dims[at + 1 :]))


def split_into(b: Builder, input: Any, sections: Any, dim: int = 0) -> tuple[PlacedNode, ...]:
    """Parts as torch.tensor_split has them: so many, the first ones longer, or cut at places."""
    x = b.tensor(input)
    n = b.known(x.dims[place_of(dim, len(x.dims))])
    if isinstance(sections, int):
        sizes = [n // sections + (at < n % sections) for at in range(sections)]
    else:
        ends = [0, *sections, n]
        sizes = [stop - start for start, stop in pairwise(ends)]
    return split(b, x, tuple(sizes), dim)


def differences(b: Builder, input: Any, n: int = 1, dim: int = -1) -> PlacedNode:
    """Each entry of an axis less the one before it."""
    x = b.named(b.tensor(input))
    if n != 1:
        raise ConversionError("it takes differences of differences")
    x2 = symbol(0) - symbol(1)
    return mapped(b, x2, (sliced(b, x, dim, 1), sliced(b, x, dim, 0, -1)))


def added_at(b: Builder, input: Any, dim: int, index: Any, source: Any, alpha: Any = 1) -> Any:
    """The value with others added at the places of an axis that a constant list says."""
    x, src = b.tensor(input), b.tensor(source)
    at = place_of(dim, len(x.dims))
    src, row = b.along(src, at)
    if not isinstance(index, Held) or isinstance(index.law, str):
        raise ConversionError("it adds at places that are not constant")
    n = b.known(x.dims[at])
    places = np.asarray(index.law).ravel().astype(int)
    out = b.fresh("places", n)
    hit = b.constant("places", (out, row), (np.arange(n)[:, None] == places).astype(float))
    over = tuple(out if each == row else each for each in src.node.axes)
    moved = Contract((src.node, hit), over)
    dims = (*src.dims[:at], out, *src.dims[at + 1 :])
    named = PlacedNode(b.equation("a", moved, part="added"), dims)
    return mapped(b, symbol(0) + alpha * symbol(1), (x, named))
