"""Pictures: δ against depth, q against depth, the phases, and δ of one layer as a histogram.

Each is a plotly figure; ``to_svg`` draws the same as a static picture without a browser.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.moments.answer.record import LayerForecast
from pullback.moments.law.theory import Theory
from pullback.moments.sampling.monte_carlo import Sampled

BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, GRAPHITE = "#CC79A7", "#4D4D4D"
_LINES = {  # colour and dash say the method, and so does the legend
    "independence": (GRAPHITE, "dot"),
    "coupled": (VERMILION, "solid"),
    "exact": (PURPLE, "solid"),
    "finite_width": (ORANGE, "dash"),
}


def blank_figure(title: str, x: str, y: str) -> Any:
    import plotly.graph_objects as go

    layout = {
        "title": {"text": title, "font": {"size": 15}},
        "template": "plotly_white",
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y}},
        "margin": {"t": 50, "r": 20},
    }
    return go.Figure(layout=layout)


def _half_log10(square: float) -> float | None:
    return math.log10(square) / 2 if 0 < square < math.inf else None


def depth_figure(layers: Sequence[LayerForecast]) -> Any:
    """log₁₀ RMS δ against depth: methods as lines, the finite-width band, Monte Carlo as dots."""
    figure = blank_figure("Error δ by layer; input left, loss right", "layer", "log₁₀ RMS δ")
    _band(figure, layers)
    for method, (colour, dash) in _LINES.items():
        held = [layer for layer in layers if method in layer.delta_ms]
        if held:
            figure.add_scatter(
                x=[layer.index for layer in held],
                y=[_half_log10(layer.delta_ms[method]) for layer in held],
                name=method.replace("_", " "),
                mode="lines" if len(held) > 1 else "markers",
                line={"color": colour, "dash": dash, "width": 2},
                marker={"color": colour, "symbol": "diamond"},
            )
    drawn = [layer for layer in layers if "monte_carlo" in layer.delta_ms]
    if drawn:
        figure.add_scatter(
            x=[layer.index for layer in drawn],
            y=[_half_log10(layer.delta_ms["monte_carlo"]) for layer in drawn],
            name="Monte Carlo",
            mode="markers",
            marker={"color": VERMILION, "symbol": "circle-open", "size": 8},
        )
    return figure


def _band(figure: Any, layers: Sequence[LayerForecast]) -> None:
    """10 % to 90 % of ‖δ‖²/n over seeds and samples."""
    held = [layer for layer in layers if "finite_width" in layer.log_quantiles]
    if not held:
        return
    edges: list[list[float]] = []
    for at in (2, 0):
        logs = [layer.log_quantiles["finite_width"][at] - math.log(layer.n_out) for layer in held]
        edges.append([each / math.log(100) for each in logs])
    where = [layer.index for layer in held]
    figure.add_scatter(
        x=where + where[::-1],
        y=edges[0] + edges[1][::-1],
        fill="toself",
        fillcolor="rgba(213, 94, 0, 0.15)",
        line={"width": 0, "color": "rgba(0,0,0,0)"},
        name="10–90 % of seeds and samples",
        mode="lines",
        hoverinfo="skip",
    )


def signal_figure(layers: Sequence[LayerForecast]) -> Any:
    """log₁₀ q against depth: the forecast as a line, what was drawn as dots."""
    figure = blank_figure("Forward variance q by layer", "layer", "log₁₀ q")
    held = [layer for layer in layers if layer.q]
    figure.add_scatter(
        x=[layer.index for layer in held],
        y=[math.log10(layer.q or 1.0) for layer in held],
        name="infinite width",
        mode="lines",
        line={"color": BLUE, "width": 2},
    )
    drawn = [layer for layer in layers if layer.z_ms_measured is not None]
    if drawn:
        squares = [(x.z_ms_measured or 0.0) - float(x.z_mean or 0.0) ** 2 for x in drawn]
        figure.add_scatter(
            x=[layer.index for layer in drawn],
            y=[2 * v if (v := _half_log10(s)) is not None else None for s in squares],
            name="Monte Carlo",
            mode="markers",
            marker={"color": BLUE, "symbol": "circle-open", "size": 8},
        )
    return figure


def histogram_figure(theory: Theory, sampled: Mapping[int, Sampled], layer: int) -> Any:
    """δ at one layer: the entries drawn as bars, the coupled law as a line; zeros are left out.

    Raises NotApplicableError without Monte Carlo.
    """
    if layer not in sampled:
        raise NotApplicableError("the histogram needs entries of δ: ask for monte_carlo too")
    entries = sampled[layer].entries
    zeros = float(np.mean(entries == 0))
    title = f"δ at layer {layer}"
    title += f"; {zeros:.0%} are exactly 0, not shown" if zeros else ""
    figure = blank_figure(title, "δ", "density")
    entries = entries[(entries != 0) & np.isfinite(entries)]
    if not len(entries):
        raise NotApplicableError(f"every δ drawn at layer {layer} is 0, or overflows float64")
    far = float(np.quantile(np.abs(entries), 0.995)) or 1.0
    edges = np.linspace(-far, far, 61)
    middle = (edges[:-1] + edges[1:]) / 2
    width = edges[1] - edges[0]
    drawn = np.histogram(entries, edges)[0] / len(entries) / width
    figure.add_bar(x=middle, y=drawn, name="drawn", marker={"color": VERMILION, "opacity": 0.4})
    predicted = _predicted(theory, layer)
    if predicted is not None:
        predicted = predicted[predicted != 0]
        line = np.histogram(predicted, edges)[0] / len(predicted) / width
        figure.add_scatter(
            x=middle, y=line, name="predicted (infinite width)", mode="lines",
            line={"color": GRAPHITE, "width": 2},
        )  # fmt: skip
    return figure


def _predicted(theory: Theory, layer: int, count: int = 100_000) -> Array | None:
    """Draws of δ = φ'(z) (a + b φ(z) + noise) at a hidden layer of a plain chain."""
    try:
        step, reader = theory.following[layer]
        after = theory.infinite[reader.index]
    except (NotApplicableError, KeyError):
        return None
    assert step.moments is not None
    setting = theory.setting
    law, n = setting.weights[reader.index], reader.n_out
    rng = np.random.default_rng(theory.seed)
    case = rng.choice(len(setting.data.weight), count, p=setting.data.weight)
    z = (step.before.mean + np.sqrt(step.before.variance) * rng.standard_normal((count, 1)))[
        np.arange(count), case
    ]
    function = step.moments.function
    trace = after.trace if theory.infinite is not theory.independence else 0 * after.trace
    inner = n * law.mean * after.mean[case] + n * law.variance * trace[case] * function(z)
    inner = inner + np.sqrt(n * law.variance * after.square[case]) * rng.standard_normal(count)
    return np.asarray(function.partial(0)(z) * inner)
