"""What the forecast says of a network before it is trained, gathered for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import PullbackError
from pullback.moments import Forecast, forecast, phase_diagram
from pullback.moments.answer.record import METHODS
from pullback.net.network import Network
from pullback.nn import Block, Elementwise, Residual, Sequential
from pullback.nn.init import Scheme
from pullback.report.layers import Layers, norms_of
from pullback.report.sections.outcome import Array

MOST_DRAWS, LEAST_DRAWS = 200, 20
WORK = 30_000_000  # weights that may be drawn in all: about a second


@dataclass(frozen=True)
class Outlook:
    """A forecast with its verdict in words, and what was measured in one network.

    ``measured`` is ‖δ‖ by layer before training; ``phases`` a plotly figure where one applies.
    """

    forecast: Forecast
    verdict: str
    measured: dict[str, float]
    phases: Any | None


def outlook(
    net: Network, layers: Layers, X: Array, Y: Any, scheme: Scheme | None, seed: int
) -> Outlook | str:
    """The outlook for X (batch, features) and Y, or the reason why there is none."""
    parameters = sum(int(np.prod(spec.shape)) for spec in net.specs)
    draws = min(MOST_DRAWS, WORK // max(parameters, 1))
    methods = tuple(m for m in METHODS if m != "monte_carlo" or draws >= LEAST_DRAWS)
    try:
        found = forecast(net, X, Y, scheme, methods, max(draws, 1), seed, progress=False)
        verdict = _verdict(found)
    except PullbackError as error:
        return str(error).rstrip(".")
    trace = net.trace(net.init(seed, found.scheme), X, Y)
    return Outlook(found, verdict, norms_of(net, layers, trace, len(X)), _phases(net, found))


def _verdict(found: Forecast) -> str:
    if len(found.layers) == 1:
        return "One layer: its δ is that of the loss, and nothing can shrink on the way."
    if found.verdict == "healthy":
        return f"{found.sentence} Keep this initialisation."
    return f"{found.sentence} {found.advice.sentence}"


def _phases(net: Network, found: Forecast) -> Any | None:
    """The phase diagram with the network on it: for one activation and weights of mean 0."""
    setting = found.setting
    hidden = list(zip(setting.structure.affines, setting.weights, strict=True))[1:]
    activations = setting.structure.activations
    if not hidden or len(activations) != 1 or any(law.mean for _, law in hidden):
        return None
    alike = (each for each in _elementwise(net.model) if repr(each) == activations[0].label)
    activation = next(alike, None)
    if activation is None:
        return None
    sigma_w = float(np.median([(law.variance * affine.n_in) ** 0.5 for affine, law in hidden]))
    sigma_b = float(np.median([law.bias_variance**0.5 for _, law in hidden]))
    try:
        return phase_diagram(activation).plot(sigma_w, sigma_b)
    except PullbackError:
        return None


def _elementwise(block: Block) -> list[Elementwise]:
    if isinstance(block, Sequential):
        return [each for part in block.blocks for each in _elementwise(part)]
    if isinstance(block, Residual):
        return _elementwise(block.block)
    return [block] if isinstance(block, Elementwise) else []
