"""Why there is no closed form, and what holds on average over initialisations."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from pullback.errors import ConfigError


def average_law(forecast: Any) -> str:
    """E‖δ‖² layer by layer as a product of factors, from what ``pb.forecast`` found.

    Raises ConfigError for what is no forecast.
    """
    layers = getattr(forecast, "layers", None)
    if not layers or not all(hasattr(each, "best") for each in layers):
        raise ConfigError(f"forecast is {forecast!r}; expected what pb.forecast(net, …) returns")
    norms = [each.n_out * float(each.best) for each in layers]
    if len(norms) < 2 or not all(norm > 0 for norm in norms):
        return "On average: E‖δ‖² is 0 or has one layer only; there are no factors to multiply."
    factors = [a / b for a, b in pairwise(norms)]
    mean = math.exp(sum(map(math.log, factors)) / len(factors))
    depth = abs(1 / math.log(mean)) if abs(math.log(mean)) > 1e-9 else math.inf
    trend = "grows" if mean > 1 else "shrinks"
    law = (
        "it stays as it is."
        if math.isinf(depth)
        else f"it {trend} like e^({'+' if mean > 1 else '-'}depth/ξ) with ξ = {depth:.3g} layers."
    )
    best = layers[0].best
    shown = " · ".join(f"{factor:.3g}" for factor in factors[:8])
    shown += " · …" if len(factors) > 8 else ""
    return (
        f"On average over initialisations there is one: E‖δ⁰‖² = ‖δ‖² · {shown} "
        f"= {norms[0] / norms[-1]:.3g} ‖δ‖², one factor a layer; {law} "
        f"({best.kind}, {best.method}; assumed: {best.assumption})"
    )
