"""The section about the forecast: what δ is expected to be before a single step is taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Any

from pullback.moments import Forecast
from pullback.moments.answer.record import Kind
from pullback.moments.answer.text import budget
from pullback.moments.law.theory import attempt
from pullback.report.drawing.adopted import adopted
from pullback.report.drawing.depth import depth, norm, shown
from pullback.report.drawing.figures import Figure, to_csv
from pullback.report.drawing.gauge import gauge
from pullback.report.drawing.tables import table
from pullback.report.sections.outlook import OutlookStory, beside
from pullback.report.sections.section import Badge, Item, Picture, Section
from pullback.report.sections.story import Story
from pullback.report.words.numbers import count, short
from pullback.report.words.schemes import called

_BADGES: dict[Kind, Badge] = {
    "law": "exact",
    "limit": "limit",
    "approximation": "approximation",
    "measured": "measured",
}


def forecast(story: Story) -> Section:
    """Verdict, ‖δ‖ against depth, one row a layer, where the numbers come from, the phases."""
    found = story.outlook
    if isinstance(found, str):
        why = f"There is no forecast for this network: {found}."
        method = "A forecast needs weights and activations whose moments are finite."
        return Section("forecast", "The forecast", why, "limit", method, ())
    return Section(
        "forecast",
        "The forecast",
        f"{_said(story, found)} {beside(found)}".strip(),
        _badge(found.forecast),
        f"Worked out from the network, {count(len(found.forecast.setting.x), 'training sample')} "
        f"and the initialiser {called(found.forecast.scheme)}, before any training. δ is that of "
        "one sample; ‖δ‖ is the root of E ‖δ‖² over samples and initialisations. Crosses: one "
        f"network, seed {found.forecast.seed}, on the same samples.",
        tuple(_items(story, found)),
    )


def _said(story: Story, found: OutlookStory) -> str:
    """The verdict, without its advice where training from there went wrong all the same."""
    if story.diverged is None:
        return found.verdict
    return f"{found.forecast.sentence} That was before training, which then diverged."


def _badge(found: Forecast) -> Badge:
    """Of the method that the verdict rests on: networks drawn, where no other says anything."""
    best = attempt(lambda: found.layers[0].best)
    return "measured" if best is None else _BADGES[best.kind]


def _items(story: Story, found: OutlookStory) -> Iterator[Item]:
    names = _symbols(story, found.forecast)
    yield depth(found.forecast, names, found.measured)
    yield from _budget(found.forecast)
    yield _table(found, names)
    yield _sources(found.forecast)
    if found.phases is not None:
        yield _phases(found.phases)


def _budget(found: Forecast) -> Iterator[Picture]:
    """How much seeds differ: a gauge of how far below the median one in ten starts."""
    for line in budget(found):
        low, half, _ = found.layers[0].log_quantiles["finite_width"]
        yield Picture("budget", gauge(math.exp(min(half - low, 99.0)), line), line)


def _table(found: OutlookStory, names: list[str]) -> str:
    layers = found.forecast.layers
    columns: dict[str, Any] = {
        "layer": names,
        "q": [_cell(layer.q) for layer in layers],
        "χ₁": [_cell(layer.chi_1) for layer in layers],
    }
    for method in shown(found.forecast):
        name = method.replace("_", " ").replace("monte carlo", "Monte Carlo")
        columns[f"‖δ‖, {name}"] = [_cell(norm(layer, method)) for layer in layers]
    columns["measured"] = [_cell(found.measured.get(layer.name)) for layer in layers]
    columns["verdict"] = [layer.verdict for layer in layers]
    return table(columns, "The forecast by layer")


def _cell(value: float | None) -> str:
    return "–" if value is None else short(float(value))


def _sources(found: Forecast) -> str:
    """Each method with its badge and its assumption."""
    lines: dict[str, None] = {}
    for layer in found.layers:
        for quantity in (layer.delta_ms, layer.log_var):
            for value in quantity.values():
                name = value.method.replace("_", " ").replace("monte carlo", "Monte Carlo")
                lines[
                    f'<li><span class="badge">{_BADGES[value.kind]}</span> '
                    f"{escape(name)}: {escape(value.assumption)}</li>"
                ] = None
    return f'<ul class="badges">{"".join(lines)}</ul>'


def _phases(figure: Any) -> Figure:
    line, network = figure.data[1], figure.data[2]
    w, b = float(network.x[0]), float(network.y[0])
    found = adopted(
        "phases",
        figure,
        "Where the network stands among all scales of weights σ_w and biases σ_b, in a deep and "
        "wide network with this activation: in the blue δ dies out with depth, in the vermilion "
        "it explodes, and on the line it keeps its size. The cross is the median layer.",
        f"Phase diagram: the network is at σ_w {short(w)}, σ_b {short(b)}.",
        to_csv(["sigma_b", "critical sigma_w"], zip(line.y, line.x, strict=True)),
        height=380,
    )
    found.traces[0]["zsmooth"] = "best"
    return found


def _symbols(story: Story, found: Forecast) -> list[str]:
    symbols = {layer.path: layer.delta for layer in story.layers}
    return [symbols.get(layer.name, layer.name) for layer in found.layers]
