"""The verdict: is δ healthy at each layer, and which ingredient is to blame if not?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pullback.errors import NonFiniteError, NotApplicableError
from pullback.moments.growth import LARGE, SMALL, gains, growth, is_fair
from pullback.moments.record import LayerForecast
from pullback.moments.theory import Setting

HEAVY = 3.0  # Var ln‖δ‖² that the layers add: one seed in ten is then 9× below the median ‖δ‖²
DRIFT = 100.0  # by which q may change from the first layer on while χ_q > 1
CONFLICT = 2.0  # between the gains that forward and backward want
_WORST_FIRST = ("exploding", "vanishing", "unstable", "heavy-tailed")


@dataclass(frozen=True)
class Verdict:
    """One word for the network and one for each layer, and the first layer's ratio."""

    word: str
    layers: tuple[str, ...]
    ratio: float


def ratios(layers: Sequence[LayerForecast]) -> list[float]:
    """RMS ‖δ‖ at each Linear, as a multiple of that at the output; NaN if δ is 0 there."""
    norms = [layer.n_out * float(layer.best) for layer in layers]
    if not norms[-1] > 0:
        return [math.nan] * len(norms)
    return [math.sqrt(norm / norms[-1]) for norm in norms]


def judge(layers: Sequence[LayerForecast]) -> Verdict:
    """Words for the layers, and the worst of them for the network."""
    relative = ratios(layers)
    words = tuple(_word(layers, at, ratio) for at, ratio in enumerate(relative))
    for word in _WORST_FIRST:
        if word in words:
            return Verdict(word, words, relative[0])
    return Verdict("healthy", words, relative[0])


def _word(layers: Sequence[LayerForecast], at: int, ratio: float) -> str:
    if ratio < SMALL or ratio > LARGE:
        return "vanishing" if ratio < SMALL else "exploding"
    layer, first = layers[at], layers[0]
    growing = layer.chi_q is not None and layer.chi_q > 1
    if growing and layer.q and first.q and not 1 / DRIFT < layer.q / first.q < DRIFT:
        return "unstable"
    spread, own = (each.log_var.get("finite_width") for each in (layer, layers[-1]))
    if spread is not None and own is not None and spread - own > HEAVY:
        return "heavy-tailed"
    return "healthy"


def culprit_of(word: str, setting: Setting) -> str:
    """The ingredient whose repair alone mends it, tried in this order."""
    if word in ("healthy", "unknown"):
        return "none"
    if word == "heavy-tailed":
        return "depth/width"
    coarse = setting.coarse()
    try:
        if word != "unstable" and is_fair(growth(coarse, coupled=False)):
            return "outputs/width"
        for name, mended in (
            ("weight mean", tuple(replace(w, mean=0.0) for w in setting.weights)),
            ("bias", tuple(replace(w, bias_variance=0.0) for w in setting.weights)),
        ):
            usable = mended != setting.weights and all(w.variance for w in mended)
            if usable and is_fair(growth(replace(coarse, weights=mended))):
                return name
        conflict = max((each.conflict for each in gains(setting)), default=1.0)
    except (NotApplicableError, NonFiniteError):
        return "gain"
    return "activation" if conflict > CONFLICT else "gain"
