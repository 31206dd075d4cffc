"""The chart of ‖δ‖ by layer before training: what each method says, beside what is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.moments import Forecast
from pullback.moments.answer.record import METHODS, Answered, LayerForecast
from pullback.report.drawing.figures import Figure, decades, frame, to_csv
from pullback.report.words.numbers import count, short

_MOST_TICKS = 24
_LINES = {
    "independence": {"color": "@ink", "width": 2, "dash": "dot"},
    "coupled": {"color": "@backward", "width": 2.5},
}


def shown(found: Forecast) -> list[str]:
    """The methods that say something of at least one layer."""
    return [m for m in METHODS if any(m in layer.delta_ms for layer in found.layers)]


def norm(layer: LayerForecast, method: str) -> float | None:
    """‖δ‖ at a layer by a method, or None: the root of units times E δ²."""
    square = layer.delta_ms.get(method)
    return None if square is None else math.sqrt(max(layer.n_out * float(square), 0.0))


def depth(found: Forecast, names: Sequence[str], measured: Mapping[str, float]) -> Figure:
    """‖δ‖ by layer, input left: lines worked out, circles drawn, crosses measured."""
    layers = found.layers
    sizes = {method: [norm(layer, method) for layer in layers] for method in shown(found)}
    own = [measured.get(layer.name) for layer in layers]
    places = list(range(len(layers)))
    low, high = band(layers)
    traces: list[dict[str, Any]] = []
    if low:
        traces += _filled(places, low, high)
    traces += [
        _trace(method.replace("_", " "), places, values, mode="lines", line=_LINES[method])
        for method, values in sizes.items()
        if method in _LINES
    ]
    dots: dict[str, Any] = {"color": "@backward", "size": 9}
    for method, label in (("exact", "exact"), ("finite_width", "finite width")):
        if method in sizes:
            marker = dots | {"symbol": "square-open"}
            traces.append(_trace(label, places, sizes[method], mode="markers", marker=marker))
    if "monte_carlo" in sizes:
        error = _errors(layers, sizes["monte_carlo"])
        marker = dots | {"symbol": "circle-open"}
        label = f"{count(found.draws, 'network')} drawn"
        traces.append(
            _trace(
                label, places, sizes["monte_carlo"], mode="markers", marker=marker, error_y=error
            )
        )
    marker = {"color": "@data", "size": 11, "symbol": "x"}
    traces.append(_trace("this network, measured", places, own, mode="markers", marker=marker))
    lines: list[Sequence[float | None]] = [*sizes.values(), own, low, high]
    every = [value for line in lines for value in line if value]
    step = math.ceil(len(names) / _MOST_TICKS)
    layout = frame(
        x={
            "title": {"text": "layer; input left, loss right"},
            "tickvals": places[::step],
            "ticktext": list(names[::step]),
            "range": [-0.3, len(names) - 0.7],
        },
        y={"title": {"text": "‖δ‖", "standoff": 12}, "type": "log", **decades(every)},
    )
    told = ", ".join(
        f"‖{name}‖ {short(float(layer.rms) * layer.n_out**0.5)}"
        + (f" (measured {short(size)})" if size is not None else "")
        for name, layer, size in zip(names, layers, own, strict=True)
        if layer.delta_ms
    )
    return Figure(
        "forecast",
        traces,
        layout,
        "How long δ is expected to be at each layer, on a log scale, and how long it is in this "
        f"network before training (crosses). Lines are worked out, {_drawn(found)}. The band "
        "holds the δ of 80 % of seeds and samples.",
        f"Forecast of ‖δ‖ by layer: {told}.",
        _csv(found, names, own),
        340,
    )


def _trace(name: str, x: Sequence[int], y: Sequence[float | None], **how: Any) -> dict[str, Any]:
    return {"type": "scatter", "name": name, "x": x, "y": y, "hovertemplate": "%{y:.3~g}", **how}


def band(layers: Sequence[LayerForecast]) -> tuple[list[float], list[float]]:
    """‖δ‖ below which 10 %, and 90 %, of seeds and samples are; nothing if a layer lacks it."""
    held = [layer.log_quantiles.get("finite_width") for layer in layers]
    if not all(held):
        return [], []
    with np.errstate(over="ignore"):
        low, high = (np.exp([float(q[at]) / 2 for q in held if q]) for at in (0, 2))
    if not np.isfinite([low, high]).all():  # δ is 0 at a layer: it has no logarithm
        return [], []
    return low.tolist(), high.tolist()


def _filled(x: Sequence[int], low: Sequence[float], high: Sequence[float]) -> list[dict[str, Any]]:
    edge = {"width": 0, "color": "@backward"}
    how: dict[str, Any] = {"mode": "lines", "line": edge, "hoverinfo": "skip"}
    hidden = _trace("", x, low, showlegend=False, **how)
    tint = {"fill": "tonexty", "fillcolor": "@backward-tint"}
    return [hidden, _trace("80 % of seeds", x, high, **tint, **how)]


def _errors(layers: Sequence[LayerForecast], sizes: Sequence[float | None]) -> dict[str, Any]:
    """The 95 % interval of what was drawn, as bars."""
    up, down = [0.0] * len(layers), [0.0] * len(layers)
    for at, (layer, size) in enumerate(zip(layers, sizes, strict=True)):
        value: Answered | None = layer.delta_ms.get("monte_carlo")
        if value is None or value.interval is None or size is None:
            continue
        lower, upper = (math.sqrt(max(layer.n_out * float(end), 0.0)) for end in value.interval)
        up[at], down[at] = max(upper - size, 0.0), max(size - lower, 0.0)
    return {
        "type": "data", "symmetric": False, "array": up, "arrayminus": down,
        "color": "@backward", "thickness": 1.5, "width": 4,
    }  # fmt: skip


def _drawn(found: Forecast) -> str:
    if "monte_carlo" not in found.methods:
        return "and no network was drawn, since this one is large"
    return f"circles are the mean of {count(found.draws, 'network')} drawn at random"


def _csv(found: Forecast, names: Sequence[str], own: Sequence[float | None]) -> str:
    methods = shown(found)
    header = ["layer", "units", "q", "chi_1", *(f"|delta|, {m}" for m in methods), "measured"]
    header += ["ln |delta|^2, 10 %", "50 %", "90 %"]
    rows = []
    for name, layer, size in zip(names, found.layers, own, strict=True):
        quantiles = layer.log_quantiles.get("finite_width", ())
        sizes = [norm(layer, method) for method in methods]
        rows.append([name, layer.n_out, layer.q, layer.chi_1, *sizes, size, *quantiles])
    return to_csv(header, rows)
