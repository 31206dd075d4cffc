"""The local Jacobians of a chain at one x: numbers from a program that the calculus derived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial, reduce

import numpy as np

from pullback.calculus import LinearMap
from pullback.closed.network.chain import Chain, size
from pullback.closed.network.items import (
    Item,
    LocalItem,
    ScaleItem,
    SkipItem,
    SlopeItem,
    WeightItem,
    below,
    every,
    plain,
)
from pullback.closed.power.recurrence import Recurrence, slopes
from pullback.closed.record import Array
from pullback.errors import NonFiniteError, NotApplicableError
from pullback.ir import Input, Node, Parameter
from pullback.ir.sizes import Sizes
from pullback.net.inputs import free
from pullback.net.maps import MapProgram, Values, along

MOST = 1 << 24  # entries of one Jacobian that are written out
ORDERED = 100  # matrices whose cheapest order is looked for


@dataclass(frozen=True, eq=False)
class ChainPoint:
    """The local Jacobians at one x by item, and the argument z of all that bends by path.

    ``values`` are those of the linear maps that other items are made of, whose matrices are built
    when asked for; ``again`` finds the point of another x.
    """

    x: Array
    held: dict[Item, Array]
    z: Mapping[str, Array]
    again: Callable[[Array], ChainPoint]
    values: Values = field(default_factory=dict)

    def matrix(self, item: Item) -> Array:
        """The local Jacobian of an item: (out, in), (units,) if diagonal, () if a number."""
        match item:
            case ScaleItem(factor=factor):
                return np.asarray(factor)
            case SkipItem(items=inner):
                found = self.product(inner)
                return found + np.eye(len(found)) if found.ndim == 2 else found + 1.0
            case LocalItem(out=out) if item not in self.held:
                self.held[item] = self.pulled(np.eye(out), item)
            case WeightItem(places=places) if places > 1:
                return np.kron(np.eye(places), self.held[item])
        return self.held[item]

    def pulled(self, rows: Array, item: Item) -> Array:
        """Rows (k, out) times the local Jacobian of an item: nothing is written out for that."""
        match item:
            case WeightItem(places=places):
                each = rows.reshape(len(rows), places, -1) @ self.held[item]
                return each.reshape(len(rows), -1)
            case LocalItem(ways=ways) if item not in self.held:
                return along(ways, self.values, rows, Sizes())
            case SkipItem(items=inner):
                return rows + reduce(self.pulled, reversed(inner), rows)
        matrix = self.matrix(item)
        return rows @ matrix if matrix.ndim == 2 else rows * matrix

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
            elif matrices:
                matrices[-1] = (each[:, None] if each.ndim else each) * matrices[-1]
            else:
                diagonal = diagonal * each
        if not matrices:
            return diagonal
        if len(matrices) == 1:
            return matrices[0]
        # to plan the order takes as many steps as the cube of the number
        few = len(matrices) <= ORDERED
        found: Array = (np.linalg.multi_dot if few else partial(reduce, np.matmul))(matrices[::-1])
        return found

    def arriving(self, items: Iterable[Item]) -> dict[Item, Array]:
        """For each item, those inside skips too, the Jacobian (in, features) of what comes in."""
        met: dict[Item, Array] = {}
        self._through(items, np.eye(self.x.size), met)
        return met

    def _through(self, items: Iterable[Item], G: Array, met: dict[Item, Array]) -> Array:
        for item in items:
            met[item] = G
            if isinstance(item, SkipItem):
                G = G + self._through(item.items, G, met)
            else:
                J = self.matrix(item)
                G = J @ G if J.ndim == 2 else J[..., None] * G
        return G


@dataclass(frozen=True, eq=False)
class Sampler:
    """Makes the points of a network with given parameters, all by one program.

    ``items`` are those whose Jacobians are wanted, the first of the ``leaves`` is x; ``beside``
    holds the other inputs (1, …).
    """

    items: tuple[Item, ...]
    params: Mapping[str, Array]
    leaves: tuple[Input | Parameter, ...]
    beside: Mapping[str, Array]

    def at(self, x: Array) -> ChainPoint:
        """The Jacobians at one x.

        Raises NonFiniteError, naming the first place, where one of them would be no number.
        """
        held: dict[Item, Array] = {}
        for item in every(self.items):
            match item:
                case WeightItem(parameter=name, scale=scale, places=places):
                    _few(f"W{below(item.layer + 1)} at {places} places", item.fma * places)
                    held[item] = self.params[name] if scale == 1 else scale * self.params[name]
                case SlopeItem(slope=float(slope)):
                    held[item] = np.asarray(slope)
        program, bent = _program(tuple(every(self.items)), self.leaves)
        with np.errstate(all="ignore"):
            found, values = program(self.params, {**self.beside, self.leaves[0].name: x[None]})
        z = {item.path: found[key].reshape(-1) for item, key in bent.items()}
        held |= {
            item: slopes(item.function, z[item.path][None])[0]
            for item in bent
            if isinstance(item, SlopeItem)
        }
        _check(held, z)
        _check_maps(self.items, values)
        return ChainPoint(x, held, z, self.at, values)


@lru_cache(maxsize=32)
def _program(
    items: tuple[Item, ...], leaves: tuple[Input | Parameter, ...]
) -> tuple[MapProgram, dict[SlopeItem | LocalItem, str]]:
    """The program of what the items are made of, and what the arguments that bend are called."""
    maps: list[LinearMap] = []
    bent: dict[SlopeItem | LocalItem, str] = {}
    roots: dict[str, Node] = {}
    for item in dict.fromkeys(items):
        match item:
            case SlopeItem(argument=Node() as z, slope=None):
                bent[item] = f"z.{len(bent)}"
                roots[bent[item]] = z
            case LocalItem(ways=ways, rivals=rivals):
                _few(item.name, item.fma)
                if rivals is not None:
                    bent[item] = f"z.{len(bent)}"
                    roots[bent[item]] = ways.start
                for link in ways.maps:
                    assert link.tensor is not None
                    _few(item.name, size(free(link.tensor.axes)))
                    maps.append(link)
    return MapProgram.of(maps, roots, "The local Jacobians at one x.", leaves), bent


def unrolled(chain: Chain, recurrence: Recurrence) -> ChainPoint:
    """The Jacobians of the steps of a recurrence, by its states; x is the first of them."""
    W = np.diag(recurrence.W) if recurrence.W.ndim == 1 else recurrence.W
    held: dict[Item, Array] = {}
    z: dict[str, Array] = {}
    for item in chain.items:
        if isinstance(item, SlopeItem):
            at = len(z)
            held[item], z[item.path] = recurrence.slopes[at], recurrence.arguments[at]
        else:
            held[item] = W
    return ChainPoint(
        recurrence.states[0], held, z, lambda state: unrolled(chain, recurrence.starting(state))
    )


def _few(name: str, entries: int) -> None:
    if entries > MOST:
        raise NotApplicableError(
            f"the matrix of {name} has {entries:,} entries; up to {MOST:,} are written out: "
            "net.trace(params, X, Y) has δ of every layer"
        )


def _check(held: Mapping[Item, Array], z: Mapping[str, Array]) -> None:
    for item, value in held.items():
        match item:
            case SlopeItem(label=label) if not np.isfinite(value).all():
                raise NonFiniteError(f"f′ at {plain(label)} is not finite at this x")
            case SlopeItem(label=label, path=path) if path in z and not np.isfinite(z[path]).all():
                raise NonFiniteError(
                    f"{plain(label)} is not finite at this x: the weights are large"
                )


def _check_maps(items: Iterable[Item], values: Values) -> None:
    wrong = {tensor for tensor, (value, _) in values.items() if not np.isfinite(value).all()}
    for item in every(items) if wrong else ():
        if isinstance(item, LocalItem) and any(link.tensor in wrong for link in item.ways.maps):
            raise NonFiniteError(f"{item.name} is not finite at this x")
