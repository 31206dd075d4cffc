"""The section about the forecast: what δ is expected to be before a single step is taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Any

from pullback.moments import Forecast
from pullback.moments.record import METHODS, Kind, LayerForecast
from pullback.moments.tables import budget
from pullback.report.adopted import adopted
from pullback.report.figures import Figure, to_csv
from pullback.report.numbers import brief, count, short
from pullback.report.outlook import Outlook
from pullback.report.section import Badge, Item, Section
from pullback.report.story import Story
from pullback.report.tables import table

_BADGES: dict[Kind, Badge] = {
    "law": "exact",
    "limit": "limit",
    "approximation": "approximation",
    "measured": "measured",
}
_MOST_TICKS = 24


def forecast(story: Story) -> Section:
    """Verdict, δ against depth, one row a layer, where the numbers come from, the phases."""
    found = story.outlook
    if isinstance(found, str):
        why = f"There is no forecast for this network: {found}."
        method = "A forecast needs weights and activations whose moments are finite."
        return Section("forecast", "The forecast", why, "limit", method, ())
    return Section(
        "forecast",
        "The forecast",
        found.verdict,
        _BADGES[found.forecast.layers[0].best.kind],
        f"Worked out from the network, {count(len(found.forecast.setting.x), 'training sample')} "
        f"and the initialiser {brief(found.forecast.scheme)}, before any training. δ is that of "
        "one sample; its mean square is over units, samples and initialisations.",
        tuple(_items(story, found)),
    )


def _items(story: Story, found: Outlook) -> Iterator[Item]:
    yield _depth(story, found.forecast)
    yield from (f"<p>{escape(line)}</p>" for line in budget(found.forecast))
    yield _table(story, found.forecast)
    yield _sources(found.forecast)
    if found.phases is not None:
        yield _phases(found.phases)


def _shown(found: Forecast) -> list[str]:
    return [m for m in METHODS if any(m in layer.delta_ms for layer in found.layers)]


def _depth(story: Story, found: Forecast) -> Figure:
    names = _symbols(story, found)
    step = math.ceil(len(names) / _MOST_TICKS)
    ticks = {
        "title": {"text": "layer; input left, loss right"},
        "tickvals": list(range(0, len(names), step)),
        "ticktext": names[::step],
    }
    told = ", ".join(
        f"{name} {short(float(layer.rms))}"
        for name, layer in zip(names, found.layers, strict=True)
        if layer.delta_ms
    )
    return adopted(
        "forecast",
        found.plot("depth"),
        "How large δ is expected to be at each layer, on a log scale. Lines are worked out, "
        f"{_drawn(found)}. The band holds the δ of 80 % of seeds and samples.",
        f"Forecast RMS of δ by layer: {told}.",
        _csv(found, names),
        ticks,
    )


def _drawn(found: Forecast) -> str:
    if "monte_carlo" not in found.methods:
        return "and no network was drawn, since this one is large"
    return f"circles are measured on {count(found.draws, 'network')} drawn at random"


def _csv(found: Forecast, names: list[str]) -> str:
    methods = _shown(found)
    header = ["layer", "units", "q", "chi_1", *(f"RMS of delta, {m}" for m in methods)]
    header += ["ln |delta|^2, 10 %", "50 %", "90 %"]
    rows = []
    for name, layer in zip(names, found.layers, strict=True):
        band = layer.log_quantiles.get("finite_width", ())
        sizes = [_rms(layer, method) for method in methods]
        rows.append([name, layer.n_out, layer.q, layer.chi_1, *sizes, *band])
    return to_csv(header, rows)


def _table(story: Story, found: Forecast) -> str:
    layers = found.layers
    columns: dict[str, Any] = {
        "layer": _symbols(story, found),
        "q": [_cell(layer.q) for layer in layers],
        "χ₁": [_cell(layer.chi_1) for layer in layers],
    }
    for method in _shown(found):
        name = method.replace("_", " ").replace("monte carlo", "Monte Carlo")
        columns[f"RMS of δ, {name}"] = [_cell(_rms(layer, method)) for layer in layers]
    if story.flow:
        columns["measured at the start"] = [short(story.flow[layer.name][0]) for layer in layers]
    columns["verdict"] = [layer.verdict for layer in layers]
    return table(columns, "The forecast by layer")


def _rms(layer: LayerForecast, method: str) -> float | None:
    square = layer.delta_ms.get(method)
    return None if square is None else math.sqrt(max(square, 0.0))


def _cell(value: float | None) -> str:
    return "–" if value is None else short(float(value))


def _sources(found: Forecast) -> str:
    """Each method with its badge and its assumption."""
    lines: dict[str, None] = {}
    for layer in found.layers:
        for quantity in (layer.delta_ms, layer.log_var):
            for value in quantity.values():
                name = value.method.replace("_", " ")
                lines[
                    f'<li><span class="badge">{_BADGES[value.kind]}</span> '
                    f"{escape(name)}: {escape(value.assumption)}</li>"
                ] = None
    return f'<ul class="badges">{"".join(lines)}</ul>'


def _phases(figure: Any) -> Figure:
    line, network = figure.data[1], figure.data[2]
    w, b = float(network.x[0]), float(network.y[0])
    return adopted(
        "phases",
        figure,
        "Where the network stands among all scales of weights σ_w and biases σ_b, in a deep and "
        "wide network with this activation: in the blue δ dies out with depth, in the vermilion "
        "it explodes, and on the line it keeps its size. The cross is the median layer.",
        f"Phase diagram: the network is at σ_w {short(w)}, σ_b {short(b)}.",
        to_csv(["sigma_b", "critical sigma_w"], zip(line.y, line.x, strict=True)),
        height=380,
    )


def _symbols(story: Story, found: Forecast) -> list[str]:
    symbols = {layer.path: layer.delta for layer in story.layers}
    return [symbols.get(layer.name, layer.name) for layer in found.layers]
