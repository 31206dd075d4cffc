"""Advice: an initialisation under which the same forecast is healthy, or the nearest to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import brentq

from pullback.errors import NotApplicableError
from pullback.interop.torch.tensors import initialise
from pullback.moments.answer.record import number
from pullback.moments.answer.verdict import DEAD
from pullback.moments.law.growth import gains, growth
from pullback.moments.law.scales import Scale
from pullback.moments.law.setting import Setting
from pullback.moments.law.theory import attempt
from pullback.moments.sampling.trial import Trial, in_print
from pullback.nn import ParameterSpec, init
from pullback.notebook import headline, paragraph

_SEARCHED = np.geomspace(0.2, 12, 22)  # σ_w
_LIMIT = 1e3  # of ln of a ratio
_CLOSE = math.log(2)  # a scheme with a name is taken if δ then stays within this factor
_WORTHWHILE = math.log(1.5)  # what advice has to gain in the ratio
_MOST = 0.9  # of the networks drawn have to be better off
_RANKS = {
    "heavy-tailed": 1, "unstable": 1, "vanishing": 2, "exploding": 2, "symmetric": 3, "dead": 3,
}  # fmt: skip
_REMEDIES = {
    "depth/width": "No initialisation fixes depth/width: widen the layers, or add skips.",
    "width": "Widen the narrow layers, or use an activation that is never flat, as LeakyReLU; "
    "after the last Linear none is needed.",
    "output error": "The loss is flat at every sample: look at the outputs and at Y.",
}
_OTHERWISE = "Change the activation, or add skips."
_NAMED = ((init.he, math.sqrt(2)), (init.lecun, 1.0))


@dataclass(frozen=True)
class Advice:
    """A scheme ready for ``net.init(scheme=advice.scheme)``, and what the forecast says of it.

    ``before`` and ``after`` are RMS ‖δ‖ at the first layer over the output's, ``interval`` is where
    95 % of the networks lie that were drawn by the scheme on the given data, as ``confirmation``
    says; ``verdict`` is the forecast's word under it. Where no scheme is any better ``offered`` is
    False and ``scheme`` is the present one, as it is for a module that is healthy.
    """

    scheme: init.Scheme
    sentence: str
    before: float
    after: float
    verdict: str
    trade_offs: tuple[str, ...] = ()
    specs: tuple[ParameterSpec, ...] = field(default=(), repr=False)
    offered: bool = False
    interval: tuple[float, float] | None = None
    confirmation: str = ""

    @property
    def init(self) -> init.Scheme:
        """The scheme."""
        return self.scheme

    def apply_(self, module: Any, seed: int = 0) -> Any:
        """Draw a torch module's parameters by the scheme, in place.

        A module for which no scheme is offered stays as it is.
        Raises UnknownNameError or ShapeError for a module that is not the one forecast, ConfigError
        for one with a frozen parameter.
        """
        if not self.offered:
            return module
        return initialise(module, self.specs, self.scheme, seed)

    def text(self) -> str:
        """The advice in plain sentences, with its numbers."""
        return "\n".join(self._lines)

    @property
    def _lines(self) -> list[str]:
        return [self.sentence, *filter(None, [self.confirmation]), *self.trade_offs]

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return headline(self.sentence) + "".join(map(paragraph, self._lines[1:]))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        plain = {name: value for name, value in vars(self).items() if name != "specs"}
        sizes = {"before": number(self.before), "after": number(self.after)}
        held = self.interval
        interval = None if held is None else [number(each) for each in held]
        return plain | sizes | {"scheme": repr(self.scheme), "interval": interval}


@dataclass(frozen=True)
class Outlook:
    """What the forecast says under one scheme, with the networks that confirm it."""

    word: str
    ratio: float
    tried: Trial

    @property
    def rank(self) -> tuple[int, float]:
        """The smaller, the better."""
        if self.tried.dead_share >= DEAD:
            return _RANKS["dead"], math.log(self.tried.dead_share)
        return _RANKS.get(self.word, 0), self._distance

    @property
    def _distance(self) -> float:
        return abs(math.log(self.ratio)) if 0 < self.ratio < math.inf else math.inf

    def beats(self, now: Outlook) -> bool:
        """Is it better, with most of its networks nearer to 1 where δ vanishes or explodes?"""
        if not self.rank < (now.rank[0], now.rank[1] - _WORTHWHILE):
            return False
        if now.word not in ("vanishing", "exploding"):
            return True
        with np.errstate(divide="ignore"):
            apart = np.abs(np.log(self.tried.relative[:, 0]))
        return bool(np.mean(apart < now._distance) >= _MOST)


def advise(
    setting: Setting,
    now: Outlook,
    cause: str,
    scales: Sequence[Scale],
    outlook_of: Callable[[init.Scheme], Outlook],
) -> Advice:
    """The advice for a network; ``outlook_of`` forecasts another scheme and draws networks by it.

    A scheme is offered only if the networks drawn by it, on the same data, are better off.
    """
    activations = attempt(lambda: gains(setting)) or ()
    trades = tuple(each.text() for each in activations if each.conflict > 1.02)
    # what is frozen stays as it is
    specs = tuple(spec for spec in setting.net.specs if spec.trained)

    def kept(sentence: str, offered: bool = False) -> Advice:
        same = setting.scheme, sentence, now.ratio, now.ratio, now.word
        return Advice(*same, trades, specs, offered, now.tried.interval)

    if now.word == "healthy":
        size = f"δ at the first layer is {now.ratio:.3g}× the output's"
        return kept(f"Keep this initialisation: {size}.", offered=setting.held is None)
    rescale = " ".join(each.text() for each in scales)
    if scales and cause == scales[0].name:
        return kept(f"{rescale} Then forecast again.")
    best: tuple[init.Scheme, Outlook] | None = None
    tried: list[str] = []
    remedy = _REMEDIES.get(cause, _OTHERWISE)
    for scheme in _candidates(setting, now.word):
        found = outlook_of(scheme)
        tried.append(f"{_named(scheme)} ({_what(found)})")
        if found.beats(now) and (best is None or found.rank < best[1].rank):
            best = scheme, found
        if found.word == "healthy":
            break
        if found.tried.dead_share >= DEAD and remedy == _OTHERWISE:
            remedy = _REMEDIES["width"]
    present = f"{in_print(now.ratio)} ({now.word})."
    if best is None:
        return kept(
            f"No initialisation is offered: on these data, networks drawn by {' or '.join(tried)} "
            f"are no better than the present {present} {f'{rescale} {remedy}'.strip()}"
        )
    scheme, found = best
    low, high = found.tried.interval
    sentence = (
        f"Use {_named(scheme)}: σ_w {_sigma(setting):.3g} → {_sigma(setting.under(scheme)):.3g}; "
        f"RMS ‖δ‖ at the first layer, over the output's, {in_print(now.ratio)} → "
        f"{in_print(found.ratio)} ({found.word})."
    )
    if found.word == "heavy-tailed":
        sentence += " No initialisation fixes depth/width: widen the layers, or add skips."
    if found.tried.dead_share >= DEAD:
        sentence += f" {found.tried.dead_share:.0%} of them still have no gradient. {remedy}"
    elif found.word not in ("healthy", "unscaled", "heavy-tailed"):
        sentence += " No gain makes it healthy: change the activation, or add skips."
    confirmed = (
        f"Confirmed: of {len(found.tried)} networks drawn by it on these data, 95 % have a ratio "
        f"of {in_print(low)} to {in_print(high)}."
    )
    if rescale:
        sentence += f" {rescale}"
    sizes = now.ratio, found.ratio, found.word
    return Advice(scheme, sentence, *sizes, trades, specs, True, (low, high), confirmed)


def _what(found: Outlook) -> str:
    if found.tried.dead_share >= DEAD:
        return f"{found.tried.dead_share:.0%} of them without a gradient"
    return f"{in_print(found.ratio)}, {found.word}"


def _candidates(setting: Setting, word: str) -> Iterator[init.Scheme]:
    """Schemes that theory recommends, the best first."""
    if setting.laws is None:
        yield from (init.he(), init.lecun(), init.orthogonal())
        return
    if word == "heavy-tailed":
        # orthogonal ReLU layers vary 3/5 as much as normal ones
        yield init.orthogonal(gain=_sigma(setting))
        return

    def log_ratio(sigma: float) -> float:
        try:
            return growth(setting.under(init.normal(std=sigma)).coarse())
        except NotApplicableError:
            return math.nan

    yield from (make() for make, sigma in _NAMED if abs(log_ratio(sigma)) < _CLOSE)
    yield init.normal(std=_root(log_ratio))


def _root(log_ratio: Callable[[float], float]) -> float:
    """The smallest σ_w at which δ keeps its size, else the one at which it changes least."""

    def within(sigma: float) -> float:
        value = log_ratio(sigma)
        return _LIMIT if math.isnan(value) else float(np.clip(value, -_LIMIT, _LIMIT))

    values: list[float] = []
    for at, sigma in enumerate(_SEARCHED):
        values.append(within(float(sigma)))
        if at and values[-2] < 0 <= values[-1]:
            found: float = brentq(within, _SEARCHED[at - 1], sigma, xtol=1e-4)
            return round(found, 4)
    return float(_SEARCHED[np.argmin(np.abs(values))])


def _sigma(setting: Setting) -> float:
    """σ_w of the hidden layers: the median of std of a weight times √n_in."""
    if setting.laws is not None:
        laws = zip(setting.weights, setting.layers, strict=True)
        return float(np.median([math.sqrt(w.variance * a.n_in) for w, a in laws]))
    ensemble = setting.ensemble
    weights = [spec for spec in ensemble.drawn if spec.kind == "weight"]
    schemes = [(ensemble.scheme_of(spec, setting.scheme), spec) for spec in weights]
    found = [math.sqrt(s.variance(w.n_in, w.n_out) * w.n_in) for s, w in schemes]
    return float(np.median(found)) if found else 0.0


def _named(scheme: init.Scheme) -> str:
    if isinstance(scheme, init.Normal):
        return f"init.normal(std={scheme.std:.4g})"
    if isinstance(scheme, init.Orthogonal):
        return f"init.orthogonal(gain={scheme.gain:.4g})"
    return next(f"init.{make.__name__}()" for make, _ in _NAMED if make() == scheme)
