"""What the forecast says of a network before it is trained, gathered for the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import PullbackError
from pullback.ir.forms import Affine
from pullback.moments import Forecast, forecast, phase_diagram
from pullback.moments.answer.record import METHODS
from pullback.net.network import Network, Parameters
from pullback.nn.activation import of_function
from pullback.nn.init import Scheme
from pullback.report.drawing.depth import band
from pullback.report.layers import Layers, norms_of
from pullback.report.sections.samples import Data
from pullback.report.words.numbers import count, times

MOST_DRAWS, LEAST_DRAWS = 200, 20
WORK = 30_000_000  # weights that may be drawn in all: about a second


@dataclass(frozen=True)
class OutlookStory:
    """A forecast with its verdict in words, and what was measured in one network.

    ``measured`` is ‖δ‖ by layer before training, with weights that were ``drawn`` or are given;
    ``phases`` a plotly figure where one applies.
    """

    forecast: Forecast
    verdict: str
    measured: dict[str, float]
    phases: Any | None
    drawn: bool = True


def outlook(
    net: Network,
    layers: Layers,
    data: Data,
    scheme: Scheme | None,
    seed: int,
    params: Parameters | None = None,
) -> OutlookStory | str:
    """The outlook for some data, or the reason why there is none.

    What is measured are ``params``, or weights drawn once.
    """
    X, Y = data
    parameters = sum(math.prod(spec.shape) for spec in net.specs)
    draws = min(MOST_DRAWS, WORK // max(parameters, 1))
    methods = tuple(m for m in METHODS if m != "monte_carlo" or draws >= LEAST_DRAWS)
    try:
        found = forecast(net, X, Y, scheme, methods, max(draws, 1), seed, progress=False)
        verdict = _verdict(found)
    except PullbackError as error:
        return str(error).rstrip(".")
    trace = net.trace(params or net.init(seed, found.scheme), X, Y)
    measured = norms_of(net, layers, trace, len(Y))
    has_laws = all(set(each.delta_ms) - {"monte_carlo"} for each in found.layers)
    return OutlookStory(
        found,
        verdict,
        measured,
        _phases(net, layers, found.scheme) if has_laws else None,
        drawn=params is None,
    )


def beside(story: OutlookStory) -> str:
    """Where the one network measured stands in the forecast's band, or how far it is from it."""
    found, measured = story.forecast, story.measured
    ratios = [
        measured[layer.name] / (float(layer.rms) * layer.n_out**0.5)
        for layer in found.layers
        if layer.delta_ms and float(layer.rms) > 0 and measured.get(layer.name)
    ]
    if not ratios:
        return ""
    whose = f"One seed, {found.seed}," if story.drawn else "The network with its own weights,"
    inside = _inside(found, measured, whose)
    if inside is not None:
        return inside
    worst = max(max(each, 1 / each) for each in ratios)
    near = max(math.ceil(100 * (worst - 1)), 1)
    close = f"within {near} %" if worst < 1.5 else f"within a factor of {times(worst)[:-1]}"
    return f"Measured in this network it is {close} of the forecast at every layer."


def _inside(found: Forecast, measured: Mapping[str, float], whose: str) -> str | None:
    """Is the one network inside of the band in which 80 % of the seeds are, at each layer?"""
    low, high = band(found.layers)
    sizes = [measured.get(layer.name) for layer in found.layers]
    if not low or None in sizes:
        return None
    outside = sum(
        size is not None and not lowest <= size <= highest
        for size, lowest, highest in zip(sizes, low, high, strict=True)
    )
    where = f"at {outside} of {count(len(sizes), 'layer')}" if outside else "at every layer"
    side = "outside" if outside else "inside"
    return f"{whose} measured on the same samples, is {side} the band of 80 % of the seeds {where}."


def _verdict(found: Forecast) -> str:
    if len(found.layers) == 1:
        return "One layer: its δ is that of the loss, and nothing can shrink on the way."
    if found.verdict == "healthy":
        return f"{found.sentence} Keep this initialisation."
    return f"{found.sentence} {found.advice.sentence}"


def _phases(net: Network, layers: Layers, scheme: Scheme) -> Any | None:
    """The phase diagram with the network on it: for one activation and weights of mean 0."""
    hidden = [layer.form for layer in layers.layers[1:] if layer.form is not None]
    functions = {layer.function for layer in layers.layers[:-1]} - {None}
    if not hidden or len(functions) != 1:
        return None
    (function,) = functions
    assert function is not None
    specs = {spec.name: spec for spec in net.specs}
    laws = [_law(form, scheme.of_layer(specs[form.weight.name].place.path)) for form in hidden]
    if any(mean for mean, _, _ in laws):
        return None
    _, sigma_w, sigma_b = np.median(laws, axis=0)
    try:
        return phase_diagram(of_function(function)).plot(float(sigma_w), float(sigma_b))
    except PullbackError:
        return None


def _law(form: Affine, scheme: Scheme) -> tuple[float, float, float]:
    """The mean of the weights, σ_w and σ_b."""
    mean, variance = scheme.mean(form.n_in, form.n_out), scheme.variance(form.n_in, form.n_out)
    bias = scheme.bias_variance(form.n_in) if form.bias is not None else 0.0
    return mean, (variance * form.n_in) ** 0.5, bias**0.5
