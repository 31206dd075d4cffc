"""The product of the local Jacobians: one matrix where nothing depends on the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pullback.closed import notation
from pullback.closed.network.chain import Chain
from pullback.closed.network.items import Item, LocalItem, SkipItem, SlopeItem, WeightItem, plain
from pullback.closed.network.paths import PathSum, count_paths, path_sum
from pullback.closed.network.point import ChainPoint
from pullback.closed.record import Array, ClosedForm, Cost
from pullback.errors import ConfigError, NotApplicableError, whole
from pullback.ir.axis import show
from pullback.ir.forms import Form, Normalise

Recursion = Callable[[Array, int], Array]
_NORM = (
    " Rectifiers alone would leave one matrix on the region of x, but a norm is not piecewise "
    "linear: it divides by a deviation that depends on x, so no region has one matrix."
)


@dataclass(frozen=True, eq=False, repr=False)
class ChainForm(ClosedForm):
    """δ of a layer = the transposed Jacobian of what follows it, times δ at the end.

    ``point`` holds the weights and slopes where they are known, ``recursion`` is what the form is
    compared with.
    """

    chain: Chain
    point: ChainPoint | None = None
    recursion: Recursion | None = None
    _held: dict[int, Array] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return len(self.chain.places) - 1

    @property
    def outputs(self) -> int:
        return self.chain.outputs

    @property
    def _formula(self) -> str:
        return " ".join(["δ₁ =", notation.plain(self.chain.behind(0)), "δ_out"]).replace("  ", " ")

    @property
    def form(self) -> str:
        return self._formula

    def latex(self) -> str:
        product = notation.latex(self.chain.behind(0))
        return rf"\delta_1 = {product}\, \delta_{{\text{{out}}}}"

    def paths(self, layer: int = 0, unit: int = 0) -> PathSum:
        """δ of one unit as a sum over all paths to the outputs.

        Their number is exact; the formula is written out for small networks.
        Raises ConfigError for an unknown layer or unit.
        """
        at = self._layer(layer)
        width = self.chain.places[at].width
        if whole("unit", unit, 0, f" to {width - 1}") >= width:
            raise ConfigError(f"unit is {unit}; layer {at} has {width}: 0 to {width - 1}")
        return path_sum(self.chain.behind(at), at, unit, self.outputs, self.point)

    def path_count(self, layer: int = 0) -> int:
        """How many paths lead from the units of a layer to the outputs, exactly."""
        at = self._layer(layer)
        return self.chain.places[at].width * count_paths(self.chain.behind(at))

    def _delta(self, delta: Array, layer: int) -> Array:
        return self._through(delta, self._matrix(layer))

    def _matrix(self, layer: int) -> Array:
        if layer not in self._held:
            self._held[layer] = self._known.product(self.chain.behind(layer))
        return self._held[layer]

    def _through(self, rows: Array, matrix: Array) -> Array:
        return rows @ matrix if matrix.ndim == 2 else rows * matrix

    def _numbers(self) -> dict[str, str]:
        ends = {"layer 0": self.chain.places[0].axes, "δ_out": self.chain.axes}
        shown = ", ".join(f"{name} {show(axes)}" for name, axes in ends.items())
        several = any(len(axes) > 1 for axes in ends.values())
        return super()._numbers() | ({"flattened": shown} if several else {})

    @property
    def _known(self) -> ChainPoint:
        if self.point is None:
            raise NotApplicableError(f"numbers need {self._missing}")
        return self.point

    @property
    def _missing(self) -> str:
        return "params, as in pb.closed_form(net, params)"

    @cached_property
    def condition(self) -> float:
        """∏‖J_l‖ / ‖∏ J_l‖ in the 2-norm: how much the factors cancel in the product."""
        if self.point is None:
            return float("nan")
        held = self.point.held  # I ⊗ W has the norm of W
        norms = [
            _norm(held[item] if isinstance(item, WeightItem) else self.point.matrix(item))
            for item in self.chain.behind(0)
        ]
        together = _norm(self.point.product(self.chain.behind(0)))
        if not together:
            return float("inf") if all(norms) else 1.0  # a factor that is 0 makes an exact 0
        with np.errstate(over="ignore"):  # beyond float64 it is infinite
            return float(np.exp(np.sum(np.log(norms)) - np.log(together)))

    @cached_property
    def error(self) -> float:
        if self.recursion is None or self.point is None:
            return float("nan")
        delta = np.random.default_rng(0).standard_normal((1, self.outputs))
        expected = self.recursion(delta, 0)
        apart = float(np.linalg.norm(self._delta(delta, 0) - expected))
        return apart / (float(np.linalg.norm(expected)) or 1.0)

    @property
    def cost(self) -> Cost:
        behind = self.chain.behind(0)
        dense = self.outputs * self.chain.places[0].width
        if not any(isinstance(item, (WeightItem, SkipItem, LocalItem)) for item in behind):
            return Cost(self.outputs, self.outputs)
        return Cost(dense, _fma(behind, self.outputs), _dense_fma(behind, self.outputs))


@dataclass(frozen=True, eq=False, repr=False)
class LinearForm(ChainForm):
    """Layers of their own without any nonlinearity: one matrix."""

    @property
    def exists(self) -> bool:
        return True

    @property
    def method(self) -> str:
        return "one matrix"

    @property
    def form(self) -> str:
        return f"{self._formula}, one matrix for all x"

    @property
    def reason(self) -> str:
        differ = (
            "Were all weights equal, it would be a power; that shows with params."
            if self.point is None
            else "The weights differ from layer to layer, so there is no power to take."
        )
        return (
            "Every f' is a constant, so the product is one matrix, the same for all x. It is "
            f"multiplied in the cheapest order (numpy's multi_dot). {differ}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class ProductForm(ChainForm):
    """A nonlinear network: the product at one x, and nothing beyond it."""

    @property
    def exists(self) -> bool:
        return False

    @property
    def method(self) -> str:
        return "product"

    @property
    def conditions(self) -> tuple[str, ...]:
        return ("at the x that was given only; another x is another product",)

    def _delta(self, delta: Array, layer: int) -> Array:
        # nothing is worth multiplying out: the next x has another product
        point = self._known
        for item in reversed(self.chain.behind(layer)):
            delta = point.pulled(delta, item)
        return delta

    @property
    def cost(self) -> Cost:
        same = _fma(self.chain.behind(0), self.outputs)
        return Cost(same, same)

    @property
    def _missing(self) -> str:
        return "params and one x, as in pb.closed_form(net, params, x)"

    @property
    def reason(self) -> str:
        bent = self.chain.varying
        return (
            "δ is linear in δ_out, and for one x it is the product of "
            f"{len(self.chain.behind(0))} factors. The first factor that depends on the data is "
            f"{_dependence(bent[0])}. "
            f"{_many(len(bent))} of x through all the layers before it. So the factors are neither "
            "the same at each step, as Fibonacci's are, nor known before the forward pass: there "
            "is no power to take and no eigenvalue, and no formula in the depth alone."
            + _NORM
            * any(isinstance(_form(item), Normalise) for item in bent)
        )


def _form(item: Item) -> Form | None:
    return item.form if isinstance(item, LocalItem) else None


def _dependence(item: Item) -> str:
    """What the factor is, and what of it depends on x."""
    if isinstance(item, LocalItem):
        return f"{item.name}: it depends on x"
    assert isinstance(item, SlopeItem)  # no other item varies by itself
    z = plain(item.label)
    source = z if isinstance(item.label, int) else f"what comes into {item.path}"
    return f"diag f′({z}) with f′(z) = {notation.derivative(item)}: {source} depends on x"


def _many(count: int) -> str:
    return "It is a function" if count == 1 else f"It is one of {count:,}, each a function"


def _norm(matrix: Array) -> float:
    if matrix.ndim < 2:
        return float(np.max(np.abs(matrix)))
    return float(np.linalg.norm(matrix, 2))


def _fma(items: Iterable[Item], width: int) -> int:
    """The fma of one δ through the items, from the output side."""
    total = 0
    for item in items:
        match item:
            case WeightItem(fma=fma) | LocalItem(fma=fma):
                total += fma
            case SlopeItem():
                total += width
            case SkipItem(items=inner):
                total += _fma(inner, width) + width
    return total


def _dense_fma(items: tuple[Item, ...], outputs: int) -> int:
    """The fma of the whole matrix from the output side; the cheapest order costs no more."""
    weights = [item for item in reversed(items) if isinstance(item, (WeightItem, LocalItem))]
    total = sum(outputs * each.fma for each in weights[1:])
    for item in items:
        if isinstance(item, SkipItem):
            inner = (w.into for w in item.items if isinstance(w, (WeightItem, LocalItem)))
            width = next(inner, outputs)
            total += _dense_fma(item.items, width) + outputs * width * width
    return total
