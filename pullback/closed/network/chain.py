"""A network as a chain of weights, slopes and skips, and its values at one point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from pullback.closed.power.recurrence import Recurrence
from pullback.closed.record import Array
from pullback.errors import ConfigError, NonFiniteError
from pullback.ir.scalar.function import Scalar
from pullback.nn.activation import Elementwise
from pullback.nn.block import Block, Linear, Residual, Sequential, joined


@dataclass(frozen=True)
class Weight:
    """W x + b; ``layer`` counts the Linear blocks from 0."""

    path: str
    layer: int
    n_in: int
    n_out: int


@dataclass(frozen=True)
class Slope:
    """f, elementwise; ``label`` names its argument: z^{1} behind the first Linear."""

    path: str
    function: Scalar
    label: str

    @property
    def slope(self) -> float | None:
        """f' where it is one number for all z, else None."""
        found = self.function.partial(0).expr
        return float(found) if found.is_number else None


@dataclass(frozen=True)
class Scale:
    """s · x, behind the block of a Residual."""

    factor: float


@dataclass(frozen=True)
class Skip:
    """x + (items)(x), the items' last one being the scale."""

    path: str
    items: tuple[Item, ...]


Item = Weight | Slope | Scale | Skip


@dataclass(frozen=True)
class Place:
    """Where δ of a layer stands: what follows inside a Residual, then the chain from ``start``."""

    name: str
    width: int
    inside: tuple[Item, ...]
    start: int


@dataclass(frozen=True)
class Chain:
    """What a network applies one after the other, up to the place where ``delta_out`` comes in.

    That is z of the last Linear, or, where a Residual holds that Linear, what comes out of it.
    ``items`` is everything, ``top`` counts what lies below that place.
    """

    items: tuple[Item, ...]
    places: tuple[Place, ...]
    top: int
    n_in: int

    outputs: int

    @classmethod
    def of(cls, model: Block) -> Chain:
        """The chain of a model; raises ConfigError for one without a Linear block."""
        items = _labelled(tuple(_items(model, "", count())))
        holding = [at for at, item in enumerate(items) if any(_weights((item,)))]
        if not holding:
            raise ConfigError(f"{model!r} has no Linear block, so there is no recursion of δ")
        top = 1 + holding[-1]
        n_in = width = next(_weights(items)).n_in
        for item in items[:top]:
            width = item.n_out if isinstance(item, Weight) else width
        return cls(items, tuple(_places(items)), top, n_in, width)

    @classmethod
    def unrolled(cls, recurrence: Recurrence) -> Chain:
        """The steps of a recurrence as layers of their own; its places are the states."""
        n, f, items = recurrence.units, recurrence.function, list[Item]()
        for t in range(recurrence.steps):
            items += [Weight(f"{t + 1}", t, n, n), Slope(f"{t + 1}", f, f"z^{{{t + 1}}}")]
        places = tuple(Place(f"h.{t}", n, (), 2 * t) for t in range(recurrence.steps + 1))
        return cls(tuple(items), places, len(items), n, n)

    def behind(self, layer: int) -> tuple[Item, ...]:
        """The items between δ of a layer and ``delta_out``, input side first."""
        place = self.places[layer]
        return (*place.inside, *self.items[place.start : self.top])

    @property
    def slopes(self) -> tuple[Slope, ...]:
        """Every elementwise item below the top, input side first."""
        return tuple(_slopes(self.items[: self.top]))


def _items(block: Block, path: str, layers: Iterator[int]) -> Iterator[Item]:
    match block:
        case Linear():
            yield Weight(block.called(path), next(layers), block.in_features, block.out_features)
        case Elementwise():
            yield Slope(path, block.function, f"a.{path}")
        case Sequential():
            for at, part in enumerate(block.blocks):
                yield from _items(part, joined(path, at), layers)
        case Residual():
            inner = tuple(_items(block.block, joined(path, "block"), layers))
            yield Skip(path, (*inner, Scale(float(block.scale))))
        case _:
            raise ConfigError(f"{block!r} is a block whose recursion of δ is not known here")


def _labelled(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The same items, where a slope behind a Linear says which z it takes."""
    found: list[Item] = []
    for item in items:
        before = found[-1] if found else None
        if isinstance(item, Skip):
            item = replace(item, items=_labelled(item.items))
        elif isinstance(item, Slope) and isinstance(before, Weight):
            item = replace(item, label=f"z^{{{before.layer + 1}}}")
        found.append(item)
    return tuple(found)


def _weights(items: Iterable[Item]) -> Iterator[Weight]:
    for item in items:
        if isinstance(item, Weight):
            yield item
        elif isinstance(item, Skip):
            yield from _weights(item.items)


def _slopes(items: Iterable[Item]) -> Iterator[Slope]:
    for item in items:
        if isinstance(item, Slope):
            yield item
        elif isinstance(item, Skip):
            yield from _slopes(item.items)


def _places(items: tuple[Item, ...]) -> Iterator[Place]:
    """One place for each Linear, in the order of the layers."""
    for at, item in enumerate(items):
        if isinstance(item, Weight):
            yield Place(item.path, item.n_out, (), at + 1)
        elif isinstance(item, Skip):
            for weight, rest in _inside(item.items):
                yield Place(weight.path, weight.n_out, rest, at + 1)


def _inside(items: tuple[Item, ...]) -> Iterator[tuple[Weight, tuple[Item, ...]]]:
    for at, item in enumerate(items):
        if isinstance(item, Weight):
            yield item, items[at + 1 :]
        elif isinstance(item, Skip):
            for weight, rest in _inside(item.items):
                yield weight, (*rest, *items[at + 1 :])


@dataclass(frozen=True, eq=False)
class Point:
    """The weights, and at one x the argument z of every f and the slope f'(z), by path."""

    weights: Mapping[str, Array]
    biases: Mapping[str, Array]
    x: Array
    z: dict[str, Array] = field(default_factory=dict)
    slopes: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def at(
        cls, chain: Chain, weights: Mapping[str, Array], biases: Mapping[str, Array], x: Array
    ) -> Point:
        """One forward pass up to the top.

        Raises NonFiniteError, naming the first place, where a slope would be taken at no number.
        """
        point = cls(weights, biases, x)
        with np.errstate(over="ignore", invalid="ignore"):
            point._through(chain.items[: chain.top], x)
        for item in chain.slopes:
            if not np.isfinite(point.slopes[item.path]).all():
                raise NonFiniteError(f"f' at {item.label} is not finite at this x")
            if item.slope is None and not np.isfinite(point.z[item.path]).all():
                raise NonFiniteError(f"{item.label} is not finite at this x: the weights are large")
        return point

    def _through(self, items: Iterable[Item], x: Array) -> Array:
        for item in items:
            match item:
                case Weight(path=path):
                    x = self.weights[path] @ x
                    if path in self.biases:
                        x = x + self.biases[path]
                case Slope(path=path, function=f):
                    self.z[path] = x
                    self.slopes[path] = np.broadcast_to(f.partial(0)(x), x.shape)
                    x = f(x)
                case Scale(factor=factor):
                    x = factor * x
                case Skip(items=inner):
                    x = x + self._through(inner, x)
        return x

    def matrix(self, item: Item) -> Array:
        """The local Jacobian of an item: (out, in), (units,) if diagonal, () if a number."""
        match item:
            case Weight(path=path):
                return self.weights[path]
            case Slope(path=path):
                return self.slopes[path]
            case Scale(factor=factor):
                return np.asarray(factor)
            case Skip(items=inner):
                found = self.product(inner)
                return added_to_one(found)
        raise TypeError(f"{item!r} is no item")

    def product(self, items: Iterable[Item]) -> Array:
        """The Jacobian of several items, input side first: a matrix, a diagonal or a number.

        Diagonals go into the matrix beside them, and the matrices are multiplied in the cheapest
        order (``numpy.linalg.multi_dot``).
        """
        matrices: list[Array] = []
        diagonal: Array = np.asarray(1.0)
        for each in map(self.matrix, items):
            if each.ndim == 2:
                matrices.append(each * diagonal)
                diagonal = np.asarray(1.0)
            elif matrices and each.ndim < 2:
                matrices[-1] = (each[:, None] if each.ndim else each) * matrices[-1]
            else:
                diagonal = diagonal * each
        if not matrices:
            return diagonal
        found: Array = np.linalg.multi_dot(matrices[::-1]) if matrices[1:] else matrices[0]
        return found


def added_to_one(found: Array) -> Array:
    """I + J for a matrix, a diagonal or a number."""
    return found + np.eye(len(found)) if found.ndim == 2 else found + 1.0
