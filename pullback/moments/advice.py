"""Advice: an initialisation under which the same forecast is healthy, or the nearest to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import brentq

from pullback.errors import NotApplicableError
from pullback.interop.measured import Measured
from pullback.interop.torch.tensors import initialise
from pullback.moments.growth import gains, growth
from pullback.moments.theory import Setting
from pullback.nn import ParameterSpec, init
from pullback.notebook import headline, paragraph

_SEARCHED = np.geomspace(0.2, 12, 22)  # σ_w
_CLOSE = math.log(2)  # a scheme with a name is taken if δ then stays within this factor
_NAMED = ((init.he, math.sqrt(2)), (init.lecun, 1.0))


@dataclass(frozen=True)
class Advice:
    """A scheme ready for ``net.init(scheme=advice.scheme)``, and what the forecast says of it.

    ``before`` and ``after`` are RMS ‖δ‖ at the first layer over the output's; ``verdict`` is the
    forecast's word under the new scheme.
    """

    scheme: init.Scheme
    sentence: str
    before: float
    after: float
    verdict: str
    trade_offs: tuple[str, ...] = ()
    specs: tuple[ParameterSpec, ...] = field(default=(), repr=False)

    @property
    def init(self) -> init.Scheme:
        """The scheme."""
        return self.scheme

    def apply_(self, module: Any, seed: int = 0) -> Any:
        """Draw a torch module's parameters by the scheme, in place; a healthy one stays as it is.

        Raises UnknownNameError or ShapeError for a module that is not the one forecast, ConfigError
        for one with a frozen parameter.
        """
        if isinstance(self.scheme, Measured):
            return module
        return initialise(module, self.specs, self.scheme, seed)

    def text(self) -> str:
        """The advice in plain sentences, with its numbers."""
        return "\n".join([self.sentence, *self.trade_offs])

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return headline(self.sentence) + "".join(map(paragraph, self.trade_offs))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        plain = {name: value for name, value in vars(self).items() if name != "specs"}
        return plain | {"scheme": repr(self.scheme)}


def advise(
    setting: Setting,
    word: str,
    ratio: float,
    verdict_of: Callable[[init.Scheme], tuple[str, float]],
) -> Advice:
    """The advice for a network with this verdict; ``verdict_of`` forecasts another scheme."""
    trades = tuple(each.text() for each in gains(setting) if each.conflict > 1.02)
    if word == "healthy":
        kept = f"Keep this initialisation: δ at the first layer is {ratio:.3g}× the output's."
        return Advice(setting.scheme, kept, ratio, ratio, word, trades, setting.net.specs)
    sigma = _sigma(setting)
    scheme, found = _scheme(setting, word)
    after_word, after = verdict_of(scheme)
    sentence = (
        f"Use {_named(scheme)}: σ_w {sigma:.3g} → {found:.3g}; RMS ‖δ‖ at the first layer, over "
        f"the output's, {ratio:.3g} → {after:.3g} ({after_word})."
    )
    if after_word == "heavy-tailed":
        sentence += " No initialisation mends depth/width: widen the layers, or add skips."
    elif after_word != "healthy":
        sentence += " No gain makes it healthy: change the activation, or add skips."
    return Advice(scheme, sentence, ratio, after, after_word, trades, setting.net.specs)


def _scheme(setting: Setting, word: str) -> tuple[init.Scheme, float]:
    if word == "heavy-tailed":
        # orthogonal ReLU layers vary 3/5 as much as normal ones
        return init.orthogonal(gain=_sigma(setting)), _sigma(setting)

    def log_ratio(sigma: float) -> float:
        try:
            return growth(setting.under(init.normal(std=sigma)).coarse())
        except NotApplicableError:
            return math.nan

    for make, sigma in _NAMED:
        if abs(log_ratio(sigma)) < _CLOSE:
            return make(), sigma
    sigma = _root(log_ratio)
    return init.normal(std=sigma), sigma


def _root(log_ratio: Callable[[float], float]) -> float:
    """The smallest σ_w at which δ keeps its size, else the one at which it changes least."""
    values = np.array([log_ratio(float(s)) for s in _SEARCHED])
    values = np.where(np.isnan(values), np.inf, np.clip(values, -1e3, 1e3))
    turns = np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0))
    if not len(turns):
        return float(_SEARCHED[np.argmin(np.abs(values))])
    low, high = _SEARCHED[turns[0]], _SEARCHED[turns[0] + 1]
    found: float = brentq(lambda s: float(np.clip(log_ratio(s), -1e3, 1e3)), low, high, xtol=1e-4)
    return round(found, 4)


def _sigma(setting: Setting) -> float:
    """σ_w of the hidden layers: the median of std of a weight times √n_in."""
    laws = zip(setting.weights, setting.structure.affines, strict=True)
    return float(np.median([math.sqrt(w.variance * a.n_in) for w, a in laws]))


def _named(scheme: init.Scheme) -> str:
    if isinstance(scheme, init.Normal):
        return f"init.normal(std={scheme.std:.4g})"
    if isinstance(scheme, init.Orthogonal):
        return f"init.orthogonal(gain={scheme.gain:.4g})"
    return next(f"init.{make.__name__}()" for make, _ in _NAMED if make() == scheme)
