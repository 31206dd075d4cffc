"""The verdict: is δ healthy at each layer? Theory proposes it, real networks have to agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pullback.errors import NotApplicableError
from pullback.moments.answer.record import LayerForecast
from pullback.moments.law.growth import LARGE, SMALL
from pullback.moments.law.scales import Scale
from pullback.moments.sampling.trial import FORMATS, Trial

HEAVY = 3.0  # Var ln‖δ‖² that the layers add: one seed in ten is then 9× below the median ‖δ‖²
DRIFT = 100.0  # by which q may change from the first layer on while χ_q > 1
DEAD = 0.05  # the share of networks that may have a layer without any gradient
_MOSTLY = 0.25  # of the networks: fewer that die are the tail of a wide distribution
_APART = 2.0  # the factor by which theory may lie outside of 95 % of what was drawn
UNJUDGED = "no weights"
_WORST_FIRST = ("dead", "symmetric", "exploding", "vanishing", "unstable", "heavy-tailed")


@dataclass(frozen=True)
class Verdict:
    """One word for the network and one for each layer; RMS ‖δ‖ by layer over the output's.

    A layer that has no weights, as the scores of attention, is not judged. ``first`` is the first
    that has. ``confirmed``: is that ratio theory's, and borne out by the networks that were tried?
    """

    word: str
    layers: tuple[str, ...]
    relative: tuple[float, ...]
    confirmed: bool
    first: int = 0

    @property
    def ratio(self) -> float:
        """RMS ‖δ‖ at the first layer with weights over the output's."""
        return self.relative[self.first]

    @property
    def lowest(self) -> int:
        """The layer with weights at which that is smallest."""
        return min(self._judged, key=self.relative.__getitem__)

    @property
    def highest(self) -> int:
        """The layer with weights at which that is largest."""
        return max(self._judged, key=self.relative.__getitem__)

    @property
    def _judged(self) -> list[int]:
        return [at for at, word in enumerate(self.layers) if word not in ("idle", UNJUDGED)]


def ratios(layers: Sequence[LayerForecast]) -> list[float]:
    """RMS ‖δ‖ at each Linear, as a multiple of that at the output; NaN if δ is 0 there.

    Raises NotApplicableError if no method says what δ is.
    """
    norms = [layer.n_out * float(layer.best) for layer in layers]
    if not norms[-1] > 0:
        return [math.nan] * len(norms)
    return [math.sqrt(norm / norms[-1]) for norm in norms]


def judge(
    layers: Sequence[LayerForecast], tried: Trial, scales: Sequence[Scale], known: bool = True
) -> Verdict:
    """Words for the layers, and the worst of them for the network; ``known``: is there a law?

    The ratios are theory's where 95 % of the networks drawn bear it out, at the first layer, and
    within a factor of two at the others; else, and for a module as it is, those of the networks.
    """
    theory = _theory(layers) if known else None
    agrees = theory is not None and not tried.held and _agrees(theory, tried)
    if theory is not None and agrees and tried.spread <= HEAVY:
        relative = theory
    else:
        relative = [float(each) for each in tried.ranges[1]]
    means = relative if theory is None or tried.held else theory
    words = tuple(_word(layers, at, relative[at], means[at], tried) for at in range(len(layers)))
    chance = "heavy-tailed" if _is_wide(layers, 0) and tried.dead_share < _MOSTLY else "dead"
    for word in (chance if each == "dead" else each for each in _WORST_FIRST):
        if word in words or ("dead" in words and word == chance):
            return Verdict(word, words, tuple(relative), agrees, tried.first)
    word = next((each.word for each in scales), "healthy")
    return Verdict(word, words, tuple(relative), agrees, tried.first)


def _theory(layers: Sequence[LayerForecast]) -> list[float] | None:
    try:
        return ratios(layers)
    except NotApplicableError:
        return None


def _agrees(theory: Sequence[float], tried: Trial) -> bool:
    low, _, high = tried.ranges
    first = bool(low[tried.first] <= theory[tried.first] <= high[tried.first])
    return first and all(
        low[at] / _APART <= each <= high[at] * _APART for at, each in enumerate(theory)
    )


def _word(layers: Sequence[LayerForecast], at: int, ratio: float, mean: float, tried: Trial) -> str:
    if not tried.weighted[at]:
        return UNJUDGED
    if tried.dead[at] >= DEAD:
        return "dead"
    if tried.idle[:, at].mean() > 0.5:
        return "idle"
    layer, first = layers[at], layers[tried.first]
    if layer.n_out > 1 and (tried.distinct[:, at] <= layer.n_out / 2).mean() >= DEAD:
        return "symmetric"
    if not tried.sizes[at] <= FORMATS[tried.format][1]:
        return "exploding"
    heavy = _is_heavy(layers, at, tried)
    if not SMALL <= ratio <= LARGE:
        if heavy and SMALL <= mean <= LARGE:
            return "heavy-tailed"
        return "vanishing" if ratio < SMALL else "exploding"
    growing = layer.chi_q is not None and layer.chi_q > 1
    if growing and layer.q and first.q and not 1 / DRIFT < layer.q / first.q < DRIFT:
        return "unstable"
    return "heavy-tailed" if heavy else "healthy"


def _is_heavy(layers: Sequence[LayerForecast], at: int, tried: Trial) -> bool:
    return (at == tried.first and tried.spread > HEAVY) or _is_wide(layers, at)


def _is_wide(layers: Sequence[LayerForecast], at: int) -> bool:
    """Does depth/width spread ln‖δ‖² far, from the output to a layer?"""
    spread, own = (each.log_var.get("finite_width") for each in (layers[at], layers[-1]))
    return spread is not None and own is not None and spread - own > HEAVY
