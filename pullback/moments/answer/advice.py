"""Advice: an initialisation that networks drawn by it confirm, or what else would help."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from pullback.interop.torch.initialise import ParameterPlace, places_of, recipe
from pullback.moments.answer.candidates import NAMED, candidates, sigma
from pullback.moments.answer.record import number
from pullback.moments.answer.remedies import remedies
from pullback.moments.answer.verdict import DEAD
from pullback.moments.law.growth import gains
from pullback.moments.law.scales import Scale
from pullback.moments.law.setting import Setting
from pullback.moments.law.theory import attempt
from pullback.moments.sampling.trial import Trial, in_print, trial
from pullback.nn import ParameterSpec, init
from pullback.notebook import headline, paragraph

_WORTHWHILE = math.log(1.5)  # what advice has to gain in the ratio
_MOST = 0.9  # of the networks drawn have to be better off
_SOME = 5  # networks drawn to look at one σ_w
_RANKS = {
    "heavy-tailed": 1, "unstable": 1, "vanishing": 2, "exploding": 2, "symmetric": 3, "dead": 3,
}  # fmt: skip
_REMEDIES = {
    "depth/width": "No initialisation fixes depth/width: widen the layers.",
    "width": "Widen the narrow layers, or use an activation that is never flat, as LeakyReLU; "
    "after the last Linear none is needed.",
    "output error": "The loss is flat at every sample: look at the outputs and at Y.",
}


@dataclass(frozen=True)
class Advice:
    """A scheme ready for ``net.init(scheme=advice.scheme)``, and what the forecast says of it.

    ``before`` and ``after`` are RMS ‖δ‖ at the first layer over the output's, ``interval`` is where
    95 % of the networks lie that were drawn by the scheme on the given data, as ``confirmation``
    says; ``verdict`` is the forecast's word under it. Where no scheme is any better ``offered`` is
    False and ``scheme`` is the present one, as it is for a module that is healthy. ``remedies`` say
    what else would help. ``specs`` are the parameters that the scheme draws, ``places`` where a
    torch module holds them.
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
    remedies: tuple[str, ...] = ()
    places: Mapping[str, ParameterPlace] | None = field(default=None, repr=False)

    @property
    def init(self) -> init.Scheme:
        """The scheme."""
        return self.scheme

    @property
    def code(self) -> str:
        """The lines that do it to a torch module called ``model``; empty if nothing is to do.

        After ``torch.manual_seed(seed)`` they do what ``apply_(model, seed)`` does.
        """
        if not self.offered or self.places is None:
            return ""
        return recipe(self.places, self.specs, self.scheme).code()

    def apply_(self, module: Any, seed: int = 0) -> Any:
        """Draw a torch module's parameters by the scheme, in place, by torch's own calls.

        A module for which no scheme is offered stays as it is, and so does what is no weight or
        bias of a layer: norms, embeddings, what is frozen.
        Raises UnknownNameError or ShapeError for a module that is not the one forecast, ConfigError
        for one with a frozen parameter.
        """
        if not self.offered:
            return module
        return recipe(places_of(module), self.specs, self.scheme).run(module, seed)

    def text(self) -> str:
        """The advice in plain sentences, with its numbers; lines of code are indented."""
        return "\n".join([*self._lines, *(f"    {line}" for line in self.code.splitlines())])

    @property
    def _lines(self) -> list[str]:
        told = filter(None, [self.confirmation])
        return [self.sentence, *told, *self.remedies, *self.trade_offs]

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        code = f"<pre>{escape(self.code)}</pre>" if self.code else ""
        return headline(self.sentence) + "".join(map(paragraph, self._lines[1:])) + code

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        left_out = ("specs", "places")
        plain = {name: value for name, value in vars(self).items() if name not in left_out}
        sizes = {"before": number(self.before), "after": number(self.after)}
        held = self.interval
        interval = None if held is None else [number(each) for each in held]
        return plain | sizes | {
            "scheme": repr(self.scheme), "interval": interval, "code": self.code,
        }  # fmt: skip


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
        """|ln| of the ratio furthest from 1, in half of the networks."""
        return float(np.quantile(self.tried.worst, 0.5, method="nearest"))

    def beats(self, now: Outlook) -> bool:
        """Is it better, with most of its networks nearer to 1 where δ vanishes or explodes?"""
        if not self.rank < (now.rank[0], now.rank[1] - _WORTHWHILE):
            return False
        if now.word not in ("vanishing", "exploding"):
            return True
        return bool(np.mean(self.tried.worst < now._distance) >= _MOST)


def advise(
    setting: Setting,
    now: Outlook,
    cause: str,
    scales: Sequence[Scale],
    specs: tuple[ParameterSpec, ...],
    places: Mapping[str, ParameterPlace] | None,
    under: Callable[[init.Scheme], Setting],
    outlook_of: Callable[[init.Scheme], Outlook],
) -> Advice:
    """The advice for a network: it draws ``specs``, which a torch module holds at ``places``.

    ``under`` is the same network drawn by another scheme, of which ``outlook_of`` is the forecast.
    A scheme is offered only if the networks drawn by it, on the same data, are better off.
    """
    activations = attempt(lambda: gains(setting)) or ()
    trades = tuple(each.text() for each in activations if each.conflict > 1.02)
    seed = now.tried.seed

    def kept(sentence: str, offered: bool = False, others: tuple[str, ...] = ()) -> Advice:
        same = setting.scheme, sentence, now.ratio, now.ratio, now.word
        return Advice(*same, trades, specs, offered, now.tried.interval, "", others)

    if now.word == "healthy":
        size = f"δ at the first layer is {now.ratio:.3g}× the output's"
        return kept(f"Keep this initialisation: {size}.", offered=setting.held is None)
    rescale = " ".join(each.text() for each in scales)
    if scales and cause == scales[0].name:
        return kept(f"{rescale} Then forecast again.")
    best: tuple[init.Scheme, Outlook] | None = None
    tried: list[str] = []
    remedy = _REMEDIES.get(cause, "")

    def called(scheme: init.Scheme) -> str:
        if places is None:
            return _named(scheme)
        lines = recipe(places, specs, scheme).code().splitlines()
        return next((line.strip() for line in lines if "nn.init" in line), _named(scheme))

    for scheme in candidates(setting, now.word, lambda s: trial(under(s), seed, draws=_SOME)):
        found = outlook_of(scheme)
        tried.append(f"{called(scheme)} ({_what(found)})")
        if found.beats(now) and (best is None or found.rank < best[1].rank):
            best = scheme, found
        if found.word == "healthy":
            break
        if found.tried.dead_share >= DEAD and not remedy:
            remedy = _REMEDIES["width"]
    if best is None:
        which = "networks drawn" if places is None else "copies of the module drawn anew"
        return kept(
            f"No initialisation is offered: on these data, {which} by {' or '.join(tried)} "
            f"are no better than the present {in_print(now.ratio)} ({now.word}). "
            f"{f'{rescale} {remedy}'.strip()}".strip(),
            others=remedies(setting, seed, under),
        )
    scheme, found = best
    low, high = found.tried.interval
    sentence = (
        f"Use {called(scheme)}: σ_w {sigma(setting):.3g} → {sigma(under(scheme)):.3g}; "
        f"RMS ‖δ‖ at the first layer, over the output's, {in_print(now.ratio)} → "
        f"{in_print(found.ratio)} ({found.word})."
    )
    if found.word == "heavy-tailed":
        sentence += " No initialisation fixes depth/width: widen the layers."
    if found.tried.dead_share >= DEAD:
        sentence += f" {found.tried.dead_share:.0%} of them still have no gradient. {remedy}"
    elif found.word not in ("healthy", "unscaled", "heavy-tailed"):
        sentence += " No gain makes it healthy."
    confirmed = (
        f"Confirmed: of {len(found.tried)} networks drawn by it on these data, 95 % have a ratio "
        f"of {in_print(low)} to {in_print(high)}."
    )
    if rescale:
        sentence += f" {rescale}"
    sizes = now.ratio, found.ratio, found.word
    more = () if found.word in ("healthy", "unscaled") else remedies(setting, seed, under)
    return Advice(
        scheme, sentence, *sizes, trades, specs, True, (low, high), confirmed, more, places
    )


def _what(found: Outlook) -> str:
    if found.tried.dead_share >= DEAD:
        return f"{found.tried.dead_share:.0%} of them without a gradient"
    return f"{in_print(found.ratio)}, {found.word}"


def _named(scheme: init.Scheme) -> str:
    if isinstance(scheme, init.Normal):
        return f"init.normal(std={scheme.std:.4g})"
    if isinstance(scheme, init.Orthogonal):
        return f"init.orthogonal(gain={scheme.gain:.4g})"
    return next(f"init.{make.__name__}()" for make, _ in NAMED if make() == scheme)
