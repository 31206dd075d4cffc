"""Entries that whole numbers pick: those of an input, or places that the model holds."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.grouping import regrouped, reshaped
from pullback.interop.operators.lookups import hits
from pullback.interop.operators.order import unsqueezed
from pullback.interop.operators.parts import gathered, runs_of, selected, sliced
from pullback.interop.rows import Array, Batch, Held
from pullback.interop.values import CountedPlaces, Labels, PlacedNode, axes_of, place_of
from pullback.ir import Contract

_BY_TENSOR = (
    "it picks entries by a tensor; pullback reads constants, and x.gather(dim, index) and "
    "x[torch.arange(len(x)), index] by the whole numbers of an input"
)


def indexed(b: Builder, input: Any, key: Any) -> Any:
    """x[…] by whole numbers, slices, lists, tensors of places, None and …; an entry of a tuple."""
    if isinstance(input, tuple):
        if not isinstance(key, (int, slice)):
            raise ConversionError("it picks entries of several values as if they were one")
        found = input[key]
        if found is None and not isinstance(key, slice):
            raise ConversionError("it reads the place of an extreme, which pullback has not")
        return found
    x = b.tensor(input)
    keys = list(key) if isinstance(key, tuple) else [key]
    taken = sum(each is not None and each is not ... for each in keys)
    if any(each is ... for each in keys):
        at = next(at for at, each in enumerate(keys) if each is ...)
        keys[at : at + 1] = [slice(None)] * (len(x.dims) - taken)
    lists: list[tuple[int, Any]] = []
    dim = 0
    for each in keys:
        if each is None:
            x, dim = unsqueezed(b, x, dim), dim + 1
        elif isinstance(each, slice):
            x, dim = sliced(b, x, dim, each.start, each.stop, each.step or 1), dim + 1
        elif isinstance(each, (tuple, Held, PlacedNode, CountedPlaces)):
            lists.append((dim, each))
            dim += 1
        elif isinstance(each, int) and not isinstance(each, bool):
            x = selected(b, x, dim, each)
        else:
            raise ConversionError("it picks entries by something else than numbers and slices")
    return _by_lists(b, x, lists)


def by_tensors(b: Builder, input: Any, indices: Any) -> PlacedNode:
    """aten's index: a tensor of places, or None, for each of the first axes."""
    keys = tuple(slice(None) if each is None else each for each in indices)
    found: PlacedNode = indexed(b, input, keys)
    return found


def _by_lists(b: Builder, x: PlacedNode, lists: list[tuple[int, Any]]) -> PlacedNode:
    """The entries at places that some axes have lists of, which are read side by side."""
    if not lists:
        return x
    if len(lists) == 2 and lists[0][0] == 0 and _counts_samples(lists[0][1]):
        return _of_each_sample(b, x, *lists[1])
    if len(lists) == 1 and isinstance(lists[0][1], PlacedNode):
        return _looked_up(b, x, *lists[0])
    at = lists[0][0]
    if [dim for dim, _ in lists] != list(range(at, at + len(lists))):
        raise ConversionError("it picks entries by lists for axes that are not side by side")
    sizes = [b.known(x.dims[dim]) for dim, _ in lists]
    arrays = [_places(held, n) for (_, held), n in zip(lists, sizes, strict=True)]
    places = np.zeros((), int)
    for array, n in zip(np.broadcast_arrays(*arrays), sizes, strict=True):
        places = places * n + array
    if len(lists) > 1:
        shape = b.shape_of(x)
        x = regrouped(b, x, [*shape[:at], prod(sizes), *shape[at + len(lists) :]])
    found = gathered(b, x, at, runs_of(places.ravel().tolist()))
    if places.ndim == 1:
        return found
    shape = b.shape_of(found)
    return reshaped(b, found, *shape[:at], *places.shape, *shape[at + 1 :])


def _counts_samples(key: Any) -> bool:
    return isinstance(key, CountedPlaces) and isinstance(key.numbers, Batch)


def _places(held: Any, n: int) -> Array:
    """A constant list of places, as whole numbers from 0."""
    if isinstance(held, CountedPlaces) and isinstance(held.numbers, range):
        array = np.array(held.numbers).reshape((1,) * held.before + (-1,))
    elif isinstance(held, Held) and held.constant and not isinstance(held.law, str):
        array = np.asarray(held.law).reshape(held.own_shape).transpose(held.order)
        array = np.flatnonzero(array) if held.truth else array
    elif isinstance(held, tuple):
        array = np.asarray(held)
    else:
        raise ConversionError(_BY_TENSOR)
    array = np.asarray(array, np.float64)
    if array.dtype.kind not in "iuf" or (array != np.round(array)).any():
        raise ConversionError("it picks entries by something else than whole numbers")
    whole = array.astype(np.int64)
    whole = np.where(whole < 0, whole + n, whole)
    if whole.size == 0 or whole.min() < 0 or whole.max() >= n:
        raise ConversionError(f"it picks entries that are not there, of {n}")
    return np.asarray(whole)


def _looked_up(b: Builder, x: PlacedNode, at: int, index: PlacedNode) -> PlacedNode:
    """x at the places that an input says: the axis is gone, those of the index stand there."""
    x, axis = b.along(x, at)
    if b.batch in axes_of(index.dims) and b.batch in axes_of(x.dims):
        raise ConversionError(_BY_TENSOR)
    rest = (*x.dims[:at], *index.dims, *x.dims[at + 1 :])
    return PlacedNode(Contract((x.node, hits(index.node, axis)), axes_of(rest)), rest)


def _of_each_sample(b: Builder, x: PlacedNode, at: int, index: Any) -> PlacedNode:
    """x[arange(batch), index]: of each sample the entry that is said for it."""
    if not isinstance(index, PlacedNode) or index.dims != (b.batch,) or at != 1:
        raise ConversionError(_BY_TENSOR)
    x, axis = b.along(x, at)
    rest = (*x.dims[:at], *x.dims[at + 1 :])
    return PlacedNode(Contract((x.node, hits(index.node, axis)), axes_of(rest)), rest)


def picked(b: Builder, input: Any, dim: int, index: Any) -> PlacedNode:
    """Entries of an axis by a list of places."""
    x = b.tensor(input)
    return _by_lists(b, x, [(place_of(dim, len(x.dims)), index)])


def gathered_by(b: Builder, input: Any, dim: Any, index: Any, **_: Any) -> PlacedNode:
    """The entries along one axis that whole numbers say at every other place."""
    if isinstance(dim, (Labels, PlacedNode, Held)):  # take_along_dim has its index first
        dim, index = index, dim
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    if isinstance(index, Labels):
        return _of_class(b, x, at, index)
    if isinstance(index, Held):
        return _gathered_at(b, x, at, index)
    if not isinstance(index, PlacedNode) or len(index.dims) != len(x.dims):
        raise ConversionError(_BY_TENSOR)
    x, axis = b.along(x, at)
    own = index.dims[at]
    if isinstance(own, type(axis)) and own in axes_of(x.dims):
        fresh = b.fresh("picked", b.known(own))
        index = PlacedNode(
            b.brought(index, (*index.dims[:at], fresh, *index.dims[at + 1 :])),
            (*index.dims[:at], fresh, *index.dims[at + 1 :]),
        )
        own = fresh
    rest = (*x.dims[:at], own, *x.dims[at + 1 :])
    if any(b.size(i) != b.size(d) for i, d in zip(index.dims, rest, strict=True)):
        raise ConversionError("it picks entries at some places only of the other axes")
    places = b.brought(index, rest)
    return PlacedNode(Contract((x.node, hits(places, axis)), axes_of(rest)), rest)


def _gathered_at(b: Builder, x: PlacedNode, at: int, index: Held) -> PlacedNode:
    """The same by constants, which have to be the same at all places of the other axes."""
    array = np.moveaxis(_places(index, b.known(x.dims[at])), at, 0)
    flat = array.reshape(len(array), -1)
    if (flat != flat[:, :1]).any():
        raise ConversionError("it picks entries by a constant that differs along other axes")
    return gathered(b, x, at, runs_of(flat[:, 0].tolist()))


def _of_class(b: Builder, x: PlacedNode, at: int, index: Labels) -> PlacedNode:
    """The entries that class numbers pick along the last axis, one a sample."""
    if at != len(x.dims) - 1 or x.dims[at] is None:
        raise ConversionError("it picks entries along another axis than the last")
    rest = x.dims[:-1]
    classes = b.brought(PlacedNode(index.rows, index.rows.axes), (*rest, x.dims[at]))
    return PlacedNode(Contract((x.node, classes), axes_of(rest)), (*rest, None))


def one_hot(b: Builder, input: Any, num_classes: int = -1) -> PlacedNode:
    """Whole numbers as rows of zeros with a one."""
    if isinstance(input, Labels):
        return PlacedNode(input.rows, input.rows.axes)
    x = b.tensor(input)
    if num_classes < 1:
        raise ConversionError("its number of classes depends on the data; give num_classes")
    axis = b.fresh("classes", num_classes)
    dims = (*x.dims, axis)
    return replace(x, node=Contract((hits(x.node, axis),), axes_of(dims)), dims=dims)
