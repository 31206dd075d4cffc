"""Half precision: which share of δ underflows in fp16 and bf16, and the loss scale that helps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.special import erf, ndtri

from pullback.moments.answer.record import LayerForecast
from pullback.moments.sampling.trial import FLOAT32

FORMATS = {  # smallest normal number, smallest number at all, largest
    "fp16": (2.0**-14, 2.0**-24, 65504.0),
    "bf16": (2.0**-126, 2.0**-133, 3.3895e38),
}
_TAIL = 0.01  # the share of entries that may lie below the smallest normal number


@dataclass(frozen=True)
class Underflow:
    """One format: the share of entries that becomes 0 at the worst layer, and the loss scale.

    ``scale`` is a power of two, 1 if none is needed and None if no scale serves all layers.
    """

    format: str
    layer: int
    lost: float
    scale: float | None
    assumption: str = "δ of the reduced loss, normal at each layer with the forecast RMS"

    def text(self) -> str:
        """One sentence."""
        if self.scale == 1:
            return f"{self.format}: no loss scale needed ({self.lost:.1%} of δ lost at worst)."
        if self.scale is None:
            return f"{self.format}: no single loss scale serves all layers; fix the init first."
        return (
            f"{self.format}: {self.lost:.1%} of δ underflows at layer {self.layer}; "
            f"scale the loss by 2^{round(math.log2(self.scale))} = {self.scale:.6g}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def underflows(layers: Sequence[LayerForecast], batch: int) -> tuple[Underflow, ...]:
    """fp16 and bf16, for δ of a loss that is divided by ``batch``.

    >>> underflows((), 1)
    ()
    """
    sizes = [layer.rms / batch for layer in layers]
    if not sizes or not 0 < max(sizes) <= FLOAT32[1]:
        return ()
    return tuple(_underflow(name, sizes) for name in FORMATS)


def _underflow(name: str, sizes: Sequence[float]) -> Underflow:
    normal, least, largest = FORMATS[name]
    worst = min(range(len(sizes)), key=lambda at: sizes[at])
    smallest = sizes[worst]
    lost = float(erf(least / 2 / smallest / math.sqrt(2))) if smallest else 1.0
    if not smallest:
        return Underflow(name, worst, lost, None)
    quantile = float(ndtri(0.5 + _TAIL / 2)) * smallest
    scale = 2.0 ** max(0, math.ceil(math.log2(normal / quantile)))
    fits = 6 * max(sizes) * scale < largest
    return Underflow(name, worst, lost, scale if fits else None)
