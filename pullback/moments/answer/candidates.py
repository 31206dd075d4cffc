"""The initialisations that advice tries: what theory recommends, or what draws find."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy.optimize import brentq

from pullback.errors import NotApplicableError
from pullback.moments.law.growth import growth
from pullback.moments.law.setting import Setting
from pullback.moments.sampling.trial import Trial
from pullback.nn import init

NAMED = ((init.he, math.sqrt(2)), (init.lecun, 1.0))
_SEARCHED = np.geomspace(0.2, 12, 22)  # σ_w
_COARSE = np.geomspace(0.25, 8, 6)  # the same, where each is drawn
_LIMIT = 1e3  # of ln of a ratio
_CLOSE = math.log(2)  # a scheme with a name is taken if δ then stays within this factor


def candidates(
    setting: Setting, word: str, tried_by: Callable[[init.Scheme], Trial]
) -> Iterator[init.Scheme]:
    """Schemes for a network of a verdict, the best first; ``tried_by`` draws a few by a scheme."""
    if setting.laws is None:
        yield from (init.he(), init.lecun())
        yield init.normal(std=_root_by_draws(tried_by))
        yield init.orthogonal()
        return
    if word == "heavy-tailed":
        # orthogonal ReLU layers vary 3/5 as much as normal ones
        yield init.orthogonal(gain=float(f"{sigma(setting):.4g}"))
        return

    def log_ratio(std: float) -> float:
        try:
            return growth(setting.under(init.normal(std=std)).coarse())
        except NotApplicableError:
            return math.nan

    yield from (make() for make, std in NAMED if abs(log_ratio(std)) < _CLOSE)
    yield init.normal(std=_root(log_ratio))


def sigma(setting: Setting) -> float:
    """σ_w of the hidden layers: the median of std of a weight times √n_in."""
    if setting.laws is not None:
        laws = zip(setting.weights, setting.layers, strict=True)
        return float(np.median([math.sqrt(w.variance * a.n_in) for w, a in laws]))
    ensemble = setting.ensemble
    names = frozenset().union(*ensemble.weights)
    weights = [s for s in ensemble.drawn if s.kind == "weight" and (not names or s.name in names)]
    schemes = [(ensemble.scheme_of(spec, setting.scheme), spec) for spec in weights]
    found = [math.sqrt(s.variance_of(w) * w.n_in) for s, w in schemes]
    return float(np.median(found)) if found else 0.0


def _root(log_ratio: Callable[[float], float]) -> float:
    """The smallest σ_w at which δ keeps its size, else the one at which it changes least."""

    def within(std: float) -> float:
        value = log_ratio(std)
        return _LIMIT if math.isnan(value) else float(np.clip(value, -_LIMIT, _LIMIT))

    values: list[float] = []
    for at, std in enumerate(_SEARCHED):
        values.append(within(float(std)))
        if at and values[-2] < 0 <= values[-1]:
            found: float = brentq(within, _SEARCHED[at - 1], std, xtol=1e-4)
            return round(found, 4)
    return float(_SEARCHED[np.argmin(np.abs(values))])


def _root_by_draws(tried_by: Callable[[init.Scheme], Trial]) -> float:
    """The same by networks drawn at a few σ_w, between which ln of the ratio is a line in ln σ_w.

    The ratio is that of the layer at which it is furthest from 1.
    """
    values: list[float] = []
    for at, std in enumerate(_COARSE):
        tried = tried_by(init.normal(std=float(std)))
        values.append(float(np.clip(tried.extreme, -_LIMIT, _LIMIT)))
        if at and values[-2] < 0 <= values[-1]:
            share = values[-2] / (values[-2] - values[-1])
            low, high = np.log(_COARSE[at - 1]), np.log(std)
            return round(float(np.exp(low + share * (high - low))), 3)
    return round(float(_COARSE[np.argmin(np.abs(values))]), 3)
