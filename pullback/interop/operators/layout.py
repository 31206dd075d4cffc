"""Where numbers stand: axes in another order, parts of an axis, axes put together and apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from pullback.errors import ConversionError, ShapeError
from pullback.interop.builder import Builder
from pullback.interop.operators.elementwise import mapped
from pullback.interop.rows import BATCH_SIZE, Batch, Held
from pullback.interop.values import PlacedNode, place_of
from pullback.ir import Axis, Constant, Contract, Node, Pattern, fn, rows, symbol
from pullback.ir.build import add

MOST = 64  # parts that axes are put together of; a pattern would be one


def transposed(b: Builder, input: Any, dim0: Any = None, dim1: Any = None) -> PlacedNode | Held:
    """Two axes in each other's place; by default the last two."""
    rank = _rank(input)
    order = list(range(rank))
    if dim0 is None and rank > 2:
        raise ConversionError(f"it turns {rank} axes round; name two of them")
    if rank > 1:
        one, two = (place_of(-2 if d is None else d, rank) for d in (dim0, dim1))
        two = place_of(-1 if dim1 is None else dim1, rank)
        order[one], order[two] = order[two], order[one]
    return permuted(b, input, tuple(order))


def permuted(b: Builder, input: Any, *dims: Any) -> PlacedNode | Held:
    """The axes in another order."""
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
    order = tuple(place_of(each, _rank(input)) for each in order)
    if isinstance(input, Held):
        return input.permuted(order)
    x = b.tensor(input)
    return x.seen(tuple(x.dims[at] for at in order))


def unsqueezed(b: Builder, input: Any, dim: int) -> PlacedNode:
    """A new length of one."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims) + 1)
    return x.seen((*x.dims[:at], None, *x.dims[at:]))


def squeezed(b: Builder, input: Any, dim: Any = None) -> PlacedNode:
    """Without the lengths of one, all or those named."""
    x = b.tensor(input)
    dims = (dim,) if isinstance(dim, int) else range(len(x.dims)) if dim is None else dim
    gone = [
        at
        for each in dims
        if (axis := x.dims[at := place_of(each, len(x.dims))]) != b.batch and b.known(axis) == 1
    ]
    node = Contract((x.node,), tuple(a for a in x.node.axes if a not in {x.dims[g] for g in gone}))
    kept = tuple(axis for at, axis in enumerate(x.dims) if at not in gone)
    return replace(x, node=x.node if node.axes == x.node.axes else node, dims=kept)


def expanded(b: Builder, input: Any, *sizes: Any) -> PlacedNode:
    """Lengths of one as long as told."""
    x = b.tensor(input)
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
    dims = list((None,) * (len(sizes) - len(x.dims)) + x.dims)
    new: list[Axis] = []
    for at, (axis, size) in enumerate(zip(list(dims), sizes, strict=True)):
        if isinstance(size, Batch) and axis != b.batch:
            dims[at] = b.batch
            new.append(b.batch)
        elif isinstance(size, int) and size not in (-1, 1) and b.size(axis) == 1:
            if axis is not None:
                raise ConversionError("it repeats an axis of length one")
            dims[at] = b.fresh("repeated", size)
            new.append(dims[at])  # type: ignore[arg-type]
    if not new:
        return x.seen(tuple(dims))
    node = Contract((Constant(1.0, tuple(new)), x.node), (*x.node.axes, *new))
    return PlacedNode(node, tuple(dims))


def reshaped(b: Builder, input: Any, *sizes: Any) -> PlacedNode:
    """The same numbers in the same order under another shape."""
    x = b.tensor(input)
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
    return regrouped(b, x, _complete(b, x, list(sizes)))


def flattened(b: Builder, input: Any, start_dim: int = 0, end_dim: int = -1) -> PlacedNode:
    """Some axes as one."""
    x = b.tensor(input)
    rank = len(x.dims)
    start, end = place_of(start_dim, rank), place_of(end_dim, rank)
    if start == 0 and x.dims[:1] == (b.batch,) and end > 0:
        raise ConversionError("it does not keep the batch, axis 0, as it is")
    if end <= start:
        return x
    inside = prod(b.known(axis) for axis in x.dims[start : end + 1])
    shape = b.shape_of(x)
    return regrouped(b, x, [*shape[:start], inside, *shape[end + 1 :]])


def unflattened(b: Builder, input: Any, dim: int, sizes: Any) -> PlacedNode:
    """One axis as several."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    shape = b.shape_of(x)
    return regrouped(b, x, _complete(b, x, [*shape[:at], *sizes, *shape[at + 1 :]]))


def _complete(b: Builder, x: PlacedNode, sizes: list[Any]) -> list[Any]:
    """The shape with what -1 stands for."""
    if not all(isinstance(size, (int, Batch)) for size in sizes):
        raise ConversionError("the shape that it makes is not known")
    old = list(b.shape_of(x))
    open_ = [at for at, size in enumerate(sizes) if size == -1]
    if len(old) == len(sizes) == 2 and sizes[0] in (BATCH_SIZE, -1) and old[0] == BATCH_SIZE:
        if old[1] is None and sizes[1] != -1:
            b.meet(x.dims[1] or b.batch, sizes[1])
        if sizes[1] in (-1, old[1], None) or old[1] is None:
            return old
    if not open_:
        return sizes
    if len(open_) > 1:
        raise ConversionError("two lengths of its shape are open")
    rest = [size for size in old if size != BATCH_SIZE]
    asked = [size for size in sizes if size not in (-1, BATCH_SIZE)]
    if None in rest:
        b.known(next(axis for axis in x.dims if axis != b.batch and b.size(axis) is None))
    n, m = prod(rest), prod(asked)
    if BATCH_SIZE in old and BATCH_SIZE not in sizes:
        if n != m:
            raise ShapeError(f"{b.row.place} takes {m} features, but {n} come in")
        sizes[open_[0]] = BATCH_SIZE
    elif m and n % m == 0:
        sizes[open_[0]] = n // m
    else:
        raise ShapeError(f"{b.row.place} takes {m} features, but {n} come in")
    return sizes


def regrouped(b: Builder, x: PlacedNode, sizes: Sequence[Any]) -> PlacedNode:
    """Axes put together and apart until they are as long as asked, in order.

    Raises ConversionError where that mixes the batch with another axis.
    """
    old, new = list(b.shape_of(x)), list(sizes)
    dims: list[Axis | None] = []
    at = 0
    for size in new:
        if size == 1:
            # an old length of one is passed over where it stands
            if at < len(old) and old[at] == 1:
                x, at = _dropped(b, x, at), at + 1
            dims.append(None)
            continue
        while at < len(old) and old[at] == 1:
            x, at = _dropped(b, x, at), at + 1
        if at >= len(old):
            raise ConversionError(f"it makes the shape {_shown(new)} of {_shown(b.shape_of(x))}")
        if old[at] == size:
            dims.append(x.dims[at])
            at += 1
            continue
        if BATCH_SIZE in (old[at], size) or None in (old[at], size):
            raise ConversionError(
                f"it makes the shape {_shown(new)} of {_shown(old)}, and mixes samples with others"
            )
        while old[at] < size and at + 1 < len(old) and isinstance(old[at + 1], int):
            if old[at + 1] == 1:
                x = _dropped(b, x, at + 1)
                x = x.seen((*x.dims[: at + 1], *x.dims[at + 2 :]))
            else:
                x = _merged(b, x, at)
            old = list(b.shape_of(x))
        if old[at] != size:
            if old[at] % size:
                raise ConversionError(f"it makes the shape {_shown(new)} of {_shown(old)}")
            x = _split(b, x, at, size)
            old = list(b.shape_of(x))
        dims.append(x.dims[at])
        at += 1
    while at < len(old) and old[at] == 1:
        x, at = _dropped(b, x, at), at + 1
    if at < len(old):
        raise ConversionError(f"it makes the shape {_shown(new)} of {_shown(old)}")
    return replace(x, dims=tuple(dims))


def _dropped(b: Builder, x: PlacedNode, at: int) -> PlacedNode:
    """The value with a length of one that has no axis."""
    axis = x.dims[at]
    if axis is None:
        return x
    node = Contract((x.node,), tuple(each for each in x.node.axes if each != axis))
    return replace(x, node=node, dims=(*x.dims[:at], None, *x.dims[at + 1 :]))


def _merged(b: Builder, x: PlacedNode, at: int) -> PlacedNode:
    """Two neighbouring axes as one."""
    outer, inner = x.dims[at], x.dims[at + 1]
    assert outer is not None
    assert inner is not None
    many, few = b.known(outer), b.known(inner)
    _check(many)
    both = b.fresh("merged", many * few)
    terms = []
    for i in range(many):
        place = rows(Axis(f"{inner.name}", few), both, i * few, (i + 1) * few)
        terms.append(_placed(entry(b, x.node, outer, i), inner, place, both))
    return replace(x, node=add(*terms), dims=(*x.dims[:at], both, *x.dims[at + 2 :]))


def _split(b: Builder, x: PlacedNode, at: int, outer_size: int) -> PlacedNode:
    """One axis as two, the first so long."""
    axis = x.dims[at]
    assert axis is not None
    few = b.known(axis) // outer_size
    _check(outer_size)
    outer, inner = b.fresh("outer", outer_size), b.fresh("inner", few)
    terms = []
    for i in range(outer_size):
        part = _picked(x.node, axis, inner, i * few, (i + 1) * few)
        one = Axis(f"{outer.name}[{i}]", 1)
        here = rows(one, outer, i, i + 1)
        terms.append(Contract((part, here), (*part.axes, outer)))
    return replace(x, node=add(*terms), dims=(*x.dims[:at], outer, inner, *x.dims[at + 1 :]))


def _check(parts: int) -> None:
    if parts > MOST:
        raise ConversionError(
            f"it puts together axes of {parts} parts; pullback reads at most {MOST} so far"
        )


def entry(b: Builder, node: Node, axis: Axis, at: int) -> Node:
    """One entry along an axis, which is then gone."""
    size = b.known(axis)
    at = place_of(at, size)
    row = Axis(f"{axis.name}[{at}]", 1)
    over = tuple(each for each in node.axes if each != axis)
    return Contract((node, rows(row, axis, at, at + 1)), over)


def _picked(node: Node, axis: Axis, row: Axis, start: int, stop: int) -> Node:
    over = tuple(row if each == axis else each for each in node.axes)
    return Contract((node, rows(row, axis, start, stop)), over)


def _placed(node: Node, axis: Axis, place: Pattern, into: Axis) -> Node:
    over = tuple(into if each == axis else each for each in node.axes)
    return Contract((node, place), over)


def narrowed(b: Builder, input: Any, dim: int, start: int, length: int) -> PlacedNode:
    """So many entries of an axis, from a place on."""
    return sliced(b, input, dim, start, start + length)


def sliced(
    b: Builder, input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> PlacedNode:
    """Some entries of an axis, as Python slices."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    if step == 1 and start in (0, None) and end in (None, 2**63 - 1):
        return x
    x = b.real(x, at)
    axis = x.dims[at]
    assert axis is not None
    picked = range(b.known(axis))[start:end:step]
    if not picked or picked.step != 1:
        raise ConversionError(f"it takes {len(picked)} entries in steps of {picked.step}")
    if len(picked) == b.known(axis):
        return x
    row = Axis(f"{axis.name}:{len(picked)}", len(picked))
    if row in x.dims:
        row = b.fresh(row.name, len(picked))
    node = _picked(x.node, axis, row, picked.start, picked.stop)
    return replace(x, node=node, dims=(*x.dims[:at], row, *x.dims[at + 1 :]))


def selected(b: Builder, input: Any, dim: int, index: int) -> PlacedNode:
    """One entry along an axis, which is then gone."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    axis = x.dims[at]
    if not isinstance(index, int):
        raise ConversionError("it takes an entry that depends on the data")
    rest = (*x.dims[:at], *x.dims[at + 1 :])
    if axis is None:
        place_of(index, 1)
        return x.seen(rest)
    return replace(x, node=entry(b, x.node, axis, index), dims=rest)


def indexed(b: Builder, input: Any, key: Any) -> Any:
    """x[…] by whole numbers, slices, None and …; an entry of a tuple."""
    if isinstance(input, tuple):
        found = input[key]
        if found is None and not isinstance(key, slice):
            raise ConversionError("it reads the place of an extreme, which pullback has not")
        return found
    x = b.tensor(input)
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(isinstance(each, (PlacedNode, Held)) for each in keys):
        raise ConversionError("it picks entries by a tensor, which pullback cannot read yet")
    taken = sum(each is not None and each is not ... for each in keys)
    if ... in keys:
        at = keys.index(...)
        keys[at : at + 1] = [slice(None)] * (len(x.dims) - taken)
    dim = 0
    for each in keys:
        if each is None:
            x, dim = unsqueezed(b, x, dim), dim + 1
        elif isinstance(each, slice):
            x, dim = sliced(b, x, dim, each.start, each.stop, each.step or 1), dim + 1
        elif isinstance(each, int) and not isinstance(each, bool):
            x = selected(b, x, dim, each)
        else:
            raise ConversionError("it picks entries by something else than numbers and slices")
    return x


def split(b: Builder, input: Any, size: Any, dim: int = 0) -> tuple[PlacedNode, ...]:
    """Parts of an axis, each so long, or as long as told."""
    x = b.tensor(input)
    n = b.known(x.dims[place_of(dim, len(x.dims))])
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
    parts = [b.real(each, at) for each in parts]
    rest = [(*each.dims[:at], *each.dims[at + 1 :]) for each in parts]
    lead = tuple(next((a for a in axes if a is not None), None) for axes in zip(*rest, strict=True))
    sizes = [b.known(each.dims[at]) for each in parts]
    both = b.fresh("joined", sum(sizes))
    terms, start = [], 0
    for part, size in zip(parts, sizes, strict=True):
        row = b.fresh("part", size)
        node = b.brought(part, (*lead[:at], row, *lead[at:]))
        terms.append(_placed(node, row, rows(row, both, start, start + size), both))
        start += size
    return PlacedNode(add(*terms), (*lead[:at], both, *lead[at:]))


def stacked(b: Builder, tensors: Any, dim: int = 0) -> PlacedNode:
    """Values beside each other along a new axis."""
    parts = [b.tensor(each) for each in tensors]
    at = place_of(dim, len(parts[0].dims) + 1)
    return concatenated(b, tuple(unsqueezed(b, each, at) for each in parts), at)


def overwritten(
    b: Builder, input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None
) -> PlacedNode:
    """The value with other numbers in some entries of an axis, from one place to another."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    if start in (0, None) and end in (None, 2**63 - 1):
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


def side_by_side(b: Builder, tensors: Any) -> PlacedNode:
    """torch.hstack: along axis 1."""
    return concatenated(b, tensors, 1)


def gated(b: Builder, input: Any, dim: int = -1) -> PlacedNode:
    """The first half of an axis times σ of the second."""
    x = b.named(b.tensor(input))
    one, other = chunked(b, x, 2, dim)
    parts = [
        PlacedNode(b.equation("a", each.node, part=name), each.dims)
        for each, name in ((one, "value"), (other, "gate"))
    ]
    return mapped(b, symbol(0) * fn("sigmoid")(symbol(1)), tuple(parts))


def _rank(input: Any) -> int:
    if not isinstance(input, (PlacedNode, Held)):
        raise ConversionError("it does not read the model's input")
    return len(input.shape if isinstance(input, Held) else input.dims)


def _shown(shape: Sequence[Any]) -> str:
    return f"({', '.join('batch' if size == BATCH_SIZE else str(size) for size in shape)})"
