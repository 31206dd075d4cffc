"""What would help where no initialisation does: each change is made, drawn and measured first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from pullback.errors import PullbackError
from pullback.moments.answer.verdict import DEAD
from pullback.moments.law.growth import LARGE
from pullback.moments.law.layers import called
from pullback.moments.law.setting import Setting
from pullback.moments.sampling.changes import activations, with_activation, with_norms, with_skips
from pullback.moments.sampling.trial import Trial, in_print, trial
from pullback.net.network import Network
from pullback.nn import LeakyReLU, ReLU, init

DRAWS = 20
_RELU, _LEAKY = ReLU().function, LeakyReLU(0.1).function


@dataclass(frozen=True)
class Remedy:
    """A change of the network, in words, and the network that it makes."""

    words: str
    net: Network


def remedies(
    setting: Setting, seed: int, under: Callable[[init.Scheme], Setting]
) -> tuple[str, ...]:
    """What makes networks healthy that are drawn with it, as they are now or by ``init.he``."""
    now = replace(setting, held=None)
    starts = {"as they are now": now, "by init.he()": under(init.he())}
    helped: list[str] = []
    failed: list[str] = []
    for remedy in _changes(setting.net):
        for how, start in starts.items():
            try:
                tried = trial(_on(start, remedy.net), seed, draws=DRAWS)
            except PullbackError:
                continue
            if _is_healthy(tried):
                low, high = map(in_print, tried.interval)
                helped.append(f"{remedy.words}, with weights drawn {how} (ratio {low} to {high})")
                break
        else:
            failed.append(remedy.words)
    lines = []
    if helped:
        lines.append(f"What would help, tried on {DRAWS} networks each: {'; '.join(helped)}.")
    if failed:
        lines.append(f"Tried on {DRAWS} networks each, and not enough: {'; '.join(failed)}.")
    return tuple(lines)


def _changes(net: Network) -> Iterator[Remedy]:
    changed = with_norms(net)
    if changed is not None:
        yield Remedy("a norm after each hidden layer (LayerNorm; GroupNorm behind a conv)", changed)
    changed = with_skips(net)
    if changed is not None:
        yield Remedy("a skip around each hidden layer that keeps its width", changed)
    for old in activations(net):
        new = _LEAKY if old == _RELU else _RELU
        changed = with_activation(net, new, old) if old != new else None
        if changed is not None:
            yield Remedy(f"{called(new)} in place of {called(old)}", changed)


def _on(setting: Setting, net: Network) -> Setting:
    """The same draws of a changed network: no law is known for it."""
    return replace(setting, net=net, ensemble=setting.ensemble.of(net), laws=None)


def _is_healthy(tried: Trial) -> bool:
    middle = float(np.quantile(tried.worst, 0.5, method="nearest"))
    return tried.dead_share < DEAD and middle <= math.log(LARGE)
