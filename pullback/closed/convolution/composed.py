"""Windows one after the other without a nonlinearity: one convolution with a wider window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

import numpy as np

from pullback.closed.convolution.steps import ChainStep, steps, together
from pullback.closed.network.chain import Chain
from pullback.closed.network.items import LocalItem
from pullback.closed.network.point import ChainPoint
from pullback.closed.network.product import ChainForm, Recursion
from pullback.closed.record import Array, Cost


@dataclass(frozen=True, eq=False)
class Kernel:
    """y[o, p] = Σ K[o, i, t] x[i, s p + t], with as many places as fit: no border is special.

    ``weight`` is K (out, in, …taps), ``stride`` s along each axis, ``places`` those of y.
    """

    weight: Array
    stride: tuple[int, ...]
    places: tuple[int, ...]
    into: tuple[int, ...]

    @classmethod
    def of(cls, point: ChainPoint, step: ChainStep) -> Kernel | None:
        """That of a step, if it is a convolution; else None.

        It is read off the first place and its neighbours, and compared on a random δ.
        """
        (_, *places), (_, *held) = step.sizes
        if len(places) != len(held):
            return None
        first = step.row(point, [0] * len(places))
        met = np.argwhere(first.any((0, 1)))
        if not len(met):
            return None
        taps = tuple(int(last) + 1 for last in met.max(0))
        strides = []
        for axis, count in enumerate(places):
            at = [int(axis == other) for other in range(len(places))]
            shift = None if count == 1 else _shift(first, step.row(point, at), axis + 2)
            if count > 1 and not shift:
                return None
            strides.append(shift or 1)
        window: Any = (..., *(slice(tap) for tap in taps))
        weight = first[window]
        kernel = cls(weight, tuple(strides), tuple(places), tuple(held))
        if any(s * (n - 1) + t > m for s, n, t, m in zip(strides, places, taps, held, strict=True)):
            return None
        return kernel if step.agrees(point, kernel.pulled) else None

    @property
    def taps(self) -> tuple[int, ...]:
        """How wide the window is along each axis."""
        return tuple(self.weight.shape[2:])

    def pulled(self, delta: Array) -> Array:
        """δ (rows, out · places) before the convolution, (rows, in · places)."""
        rows = delta.reshape(len(delta), -1, *self.places)
        found = np.zeros((len(delta), self.weight.shape[1], *self.into))
        for tap, window in self._windows():
            found[window] += np.einsum("oi,ro...->ri...", self.weight[tap], rows)
        return found.reshape(len(delta), -1)

    def _windows(self) -> Iterator[tuple[Any, Any]]:
        """Each tap of the weight, and which places of x it meets."""
        for tap in product(*map(range, self.taps)):
            met = (
                slice(t, t + s * (n - 1) + 1, s)
                for t, s, n in zip(tap, self.stride, self.places, strict=True)
            )
            yield (..., *tap), (..., *met)

    @property
    def fma(self) -> int:
        """What one δ costs."""
        return int(self.weight.size * prod(self.places))


@dataclass(frozen=True, eq=False, repr=False)
class WindowForm(ChainForm):
    """Convolutions and mean pools without a nonlinearity: one convolution."""

    kernel: Kernel = field(kw_only=True)
    fma: int = field(kw_only=True)

    @classmethod
    def found(
        cls, chain: Chain, point: ChainPoint, recursion: Recursion | None
    ) -> WindowForm | None:
        """The form of a linear network, if what follows its first layer is one convolution."""
        held = steps(chain)
        if not held or not any(isinstance(item, LocalItem) for item in chain.behind(0)):
            return None
        each = [Kernel.of(point, step) for step in held]
        kernel = Kernel.of(point, together(held)) if None not in each else None
        if kernel is None:
            return None
        fma = sum(one.fma for one in each if one is not None)
        return cls(chain, point, recursion, kernel=kernel, fma=fma)

    @property
    def exists(self) -> bool:
        return True

    @property
    def method(self) -> str:
        return "one convolution"

    @property
    def form(self) -> str:
        taps, stride = ("×".join(map(str, each)) for each in (self.kernel.taps, self.kernel.stride))
        return f"{self._formula}, one convolution with a window of {taps} and stride {stride}"

    @property
    def reason(self) -> str:
        return (
            "Every f' is a constant and every step takes the same sums at each place, without "
            "padding, so the product is one convolution: windows of k₁ and k₂ behind a stride of "
            "s₁ make one of k₁ + s₁(k₂ − 1), and strides are multiplied. A scale for each channel, "
            "as of batch normalisation in evaluation mode, goes into its weights."
        )

    def _delta(self, delta: Array, layer: int) -> Array:
        return self.kernel.pulled(delta) if layer == 0 else super()._delta(delta, layer)

    @property
    def cost(self) -> Cost:
        return Cost(self.kernel.fma, self.fma)


def _shift(first: Array, second: Array, axis: int) -> int | None:
    """By how many places the second row lies behind the first along an axis; else None."""
    length = first.shape[axis]
    for shift in range(1, length):
        kept = [slice(None)] * first.ndim
        kept[axis] = slice(length - shift)
        moved = np.zeros_like(first)
        into = [slice(None)] * first.ndim
        into[axis] = slice(shift, None)
        moved[tuple(into)] = first[tuple(kept)]
        if np.allclose(moved, second, rtol=1e-9, atol=1e-12 * np.abs(first).max()):
            return shift
    return None
