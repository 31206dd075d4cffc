"""Circular convolutions one after the other: diagonal in frequency, whatever the depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, reduce
from math import log2, prod

import numpy as np

from pullback.closed.convolution.steps import ChainStep, steps
from pullback.closed.network.chain import Chain
from pullback.closed.network.items import LocalItem, below
from pullback.closed.network.point import ChainPoint
from pullback.closed.network.product import ChainForm, Recursion
from pullback.closed.record import Array, Cost
from pullback.errors import NonFiniteError


@dataclass(frozen=True, eq=False)
class FrequencySymbol:
    """A map that commutes with every shift: a matrix (out, in) for each frequency.

    ``transposed`` (…frequencies, in, out) is what takes δ back; the frequencies are those of
    ``places``, the lengths of the axes along which it shifts.
    """

    transposed: Array
    places: tuple[int, ...]

    @classmethod
    def of(cls, point: ChainPoint, step: ChainStep) -> FrequencySymbol | None:
        """That of a step, found by one pull of each channel at one place; None if it has none.

        Whether it commutes with shifts shows on a random δ.
        """
        (_, *places), (_, *held) = step.sizes
        if places != held:
            return None
        rows = step.row(point, [0] * len(places))
        axes = tuple(range(2, rows.ndim))
        found = np.moveaxis(np.fft.fftn(rows, axes=axes), (1, 0), (-2, -1))
        symbol = cls(found, tuple(places))
        return symbol if step.agrees(point, symbol.pulled) else None

    def pulled(self, delta: Array) -> Array:
        """δ (rows, out · places) before the map, (rows, in · places)."""
        rows = delta.reshape(len(delta), -1, *self.places)
        axes = tuple(range(2, rows.ndim))
        waves = np.moveaxis(np.fft.fftn(rows, axes=axes), 1, -1)[..., None]
        found = np.moveaxis((self.transposed @ waves)[..., 0], -1, 1)
        return np.fft.ifftn(found, axes=axes).real.reshape(len(delta), -1)

    def after(self, other: FrequencySymbol) -> FrequencySymbol:
        """The symbol of this map behind another one."""
        return FrequencySymbol(other.transposed @ self.transposed, self.places)

    def power(self, count: int) -> FrequencySymbol:
        """The symbol of the map so many times."""
        return FrequencySymbol(np.linalg.matrix_power(self.transposed, count), self.places)

    @cached_property
    def singular_values(self) -> Array:
        """All of the map's, the largest first: those of the matrices of all frequencies.

        Sedghi, Gupta and Long 2019, "The singular values of convolutional layers", theorem 6.
        """
        found: Array = np.sort(np.linalg.svd(self.transposed, compute_uv=False).ravel())[::-1]
        return found

    @property
    def cost(self) -> int:
        """Multiplications of one δ: the transforms there and back, and a matrix a frequency."""
        into, out = self.transposed.shape[-2:]
        waves = 2 * (into + out) * log2(max(prod(self.places), 2))
        return int((waves + 4 * into * out) * prod(self.places))


@dataclass(frozen=True, eq=False, repr=False)
class FourierForm(ChainForm):
    """Circular convolutions without a nonlinearity: a product of small matrices a frequency."""

    symbols: tuple[FrequencySymbol, ...] = field(kw_only=True)
    starts: tuple[int, ...] = field(kw_only=True)

    @classmethod
    def found(
        cls, chain: Chain, point: ChainPoint, recursion: Recursion | None
    ) -> FourierForm | None:
        """The form of a linear network, if every step from layer to layer commutes with shifts."""
        if not any(isinstance(item, LocalItem) for item in chain.behind(0)):
            return None
        symbols, starts = list[FrequencySymbol](), list[int]()
        for step in steps(chain):
            symbol = FrequencySymbol.of(point, step)
            if symbol is None:
                return None
            symbols.append(symbol)
            starts.append(step.start)
        if not symbols:
            return None
        return cls(chain, point, recursion, symbols=tuple(symbols), starts=tuple(starts))

    @property
    def exists(self) -> bool:
        return True

    @property
    def method(self) -> str:
        return "fourier"

    @property
    def form(self) -> str:
        if self._same:
            factors = f"(Ŵ(ω)ᴴ)^{len(self.symbols)}"
        else:
            factors = " ".join(f"Ŵ{below(at + 2)}(ω)ᴴ" for at in range(len(self.symbols)))
        return f"δ₁ = F⁻¹ {factors} F δ_out, a matrix {self._matrix_size} for each frequency ω"

    def latex(self) -> str:
        if self._same:
            factors = rf"\left(\hat W(\omega)^{{\mathsf H}}\right)^{{{len(self.symbols)}}}"
        else:
            each = range(2, 2 + len(self.symbols))
            factors = r"\,".join(rf"\hat W_{{{k}}}(\omega)^{{\mathsf H}}" for k in each)
        return rf"\delta_1 = F^{{-1}}\,{factors}\,F\,\delta_{{\text{{out}}}}"

    @property
    def reason(self) -> str:
        how = (
            "All steps are alike, so it is a power of that matrix."
            if self._same
            else "The steps differ, so it is a product of those matrices."
        )
        return (
            "Every step is the same at each place and wraps round at the border, so Fourier's "
            "transform along the places makes it a matrix of channels for each frequency. "
            f"{how} The largest singular value of the whole is {self.singular_values[0]:.3g}."
        )

    @cached_property
    def singular_values(self) -> Array:
        """All those of the Jacobian behind the first layer, the largest first."""
        return self._symbol(0).singular_values

    @cached_property
    def condition(self) -> float:
        norms = [symbol.singular_values[0] for symbol in self.symbols]
        whole = self.singular_values[0]
        with np.errstate(over="ignore", divide="ignore"):
            return float(np.exp(np.sum(np.log(norms)) - np.log(whole))) if all(norms) else 1.0

    @property
    def cost(self) -> Cost:
        (into, out), count = self.symbols[0].transposed.shape[-2:], prod(self.symbols[0].places)
        one_by_one = sum(symbol.cost for symbol in self.symbols)
        before = (len(self.symbols) - 1) * 4 * into * out**2 * count
        return Cost(self._symbol(0).cost, one_by_one, before)

    @property
    def _same(self) -> bool:
        first, *others = (symbol.transposed for symbol in self.symbols)
        square = first.shape[-1] == first.shape[-2]
        return square and bool(others) and all(np.array_equal(first, other) for other in others)

    @property
    def _matrix_size(self) -> str:
        into, out = self._symbol(0).transposed.shape[-2:]
        return f"{out}×{into}"

    def _symbol(self, step: int) -> FrequencySymbol:
        """That of a step and of all behind it."""
        if self._same:
            return self.symbols[0].power(len(self.symbols) - step)
        return reduce(lambda before, after: after.after(before), self.symbols[step:])

    def _delta(self, delta: Array, layer: int) -> Array:
        place = self.chain.places[layer]
        if place.inside:  # within a skip
            return super()._delta(delta, layer)
        if place.start == len(self.chain.items):
            return delta
        found = self._symbol(self.starts.index(place.start)).pulled(delta)
        if not np.isfinite(found).all():
            raise NonFiniteError(f"δ at layer {layer} leaves float64, which ends at 10^308")
        return found
