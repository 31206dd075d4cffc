"""Figures as plotly's own JSON, with the data behind each as CSV.

Colours are named, as @forward: the page puts in those of its light or dark palette.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.report.sections.outcome import Valued
from pullback.report.sections.samples import Array
from pullback.report.words.numbers import power_of_ten

_MOST_OUTPUTS = 10  # each with a mark of its own
_INKS = {"@backward": "@backward-ink", "@data": "@data-ink"}  # colours of words
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_AXIS: dict[str, Any] = {
    "gridcolor": "@rule",
    "linecolor": "@muted",
    "zeroline": False,
    "ticks": "outside",
    "tickcolor": "@rule",
    "automargin": True,
    "fixedrange": True,
}


@dataclass(frozen=True)
class Figure:
    """A chart: what is drawn, what to see in it, the same in words, and its data."""

    name: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    caption: str
    alt: str
    csv: str
    height: int = 320

    @property
    def json(self) -> dict[str, Any]:
        """What the page gives to plotly; what is not finite is a gap."""
        found: dict[str, Any] = _finite({"data": self.traces, "layout": self.layout})
        return found


def _finite(value: Any) -> Any:
    """Plain data with None for every number that is not finite: JSON has no such numbers."""
    match value:
        case dict():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case float() | np.floating():
            return float(value) if math.isfinite(value) else None
    return value


@dataclass(frozen=True)
class Series:
    """One line of a chart: its name, colour and dash say what it is."""

    name: str
    values: Sequence[float]
    colour: str
    dash: str = "solid"


def to_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV text.

    >>> to_csv(["epoch", "loss"], [(1, 0.5)])
    'epoch,loss\\n1,0.5\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def curves(
    name: str,
    series: Sequence[Series],
    y: str,
    caption: str,
    alt: str,
    first_epoch: int = 1,
    log: bool = False,
    form: str = ".3~g",
    forecast: Sequence[float | None] = (),
) -> Figure:
    """Values by epoch, one line each; the forecast of each is a diamond at the first epoch."""
    epochs = list(range(first_epoch, first_epoch + max(len(each.values) for each in series)))
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines" if len(each.values) > 1 else "markers",
            "name": each.name,
            "x": epochs,
            "y": [plain(value) for value in each.values],
            "line": {"color": each.colour, "width": 2.5, "dash": each.dash},
            "hovertemplate": f"%{{y:{form}}}",
        }
        for each in series
    ]
    known = [(each, value) for each, value in zip(series, forecast, strict=False) if value]
    traces += [
        {
            "type": "scatter",
            "mode": "markers",
            "name": f"forecast of {each.name}",
            "x": [first_epoch],
            "y": [value],
            "marker": {"color": each.colour, "symbol": "diamond-open", "size": 11},
            "hovertemplate": f"%{{y:{form}}}",
            "showlegend": False,
        }
        for each, value in known
    ]
    rows: list[Sequence[Any]] = [("forecast", *forecast)] if known else []
    rows += zip(epochs, *(each.values for each in series), strict=False)
    axis: dict[str, Any] = {"title": {"text": y, "standoff": 12}, "tickformat": form}
    if log:
        drawn = [v for each in series for v in each.values] + [v for _, v in known]
        axis |= {"type": "log", **decades(drawn)}
    layout = frame(x={"title": {"text": "epoch"}, "tickformat": "d"}, y=axis)
    layout["hovermode"] = "x unified"
    _call_at_ends(layout, series, log)
    table = to_csv(["epoch", *(each.name for each in series)], rows)
    return Figure(name, traces, layout, caption, alt, table)


def _call_at_ends(layout: dict[str, Any], series: Sequence[Series], log: bool) -> None:
    """Each line's name at its end, the names apart from each other, in place of a legend."""
    values = [plain(v) for each in series for v in each.values]
    known = [math.log10(v) if log else v for v in values if v is not None and (v > 0 or not log)]
    ends = {
        each.name: math.log10(v) if log else v
        for each in series
        if (v := plain(each.values[-1])) is not None and (v > 0 or not log)
    }
    if not known:
        return
    low, high = layout["yaxis"].get("range") or (min(known), max(known))
    apart = 0.075 * (high - low)  # the height of a word
    order = sorted(ends, key=lambda name: ends[name])
    for under, name in pairwise(order):
        ends[name] = max(ends[name], ends[under] + apart)
    colours = {each.name: each.colour for each in series}
    layout["showlegend"] = False
    layout["margin"] = layout["margin"] | {"r": 12 + 8 * max(map(len, ends), default=0)}
    layout["annotations"] = [
        {
            "text": name, "x": 1, "xref": "paper", "xanchor": "left", "xshift": 6, "y": ends[name],
            "showarrow": False, "font": {"color": _INKS.get(colours[name], colours[name])},
        }
        for name in order
    ]  # fmt: skip


def layer_map(
    name: str,
    layers: Sequence[str],
    values: Sequence[Sequence[float]],
    what: str,
    caption: str,
    alt: str,
    first_epoch: int = 1,
    log: bool = True,
    forecast: Sequence[float | None] = (),
) -> Figure:
    """A quantity of many layers over the epochs, or its logarithm; the forecast comes first."""
    columns: list[Any] = list(range(first_epoch, first_epoch + len(values[0])))
    cells = np.array(values, float)
    if any(forecast):
        columns = ["forecast", *columns]
        cells = np.column_stack([[np.nan if v is None else v for v in forecast], cells])
    shown = np.log10(np.where(cells > 0, cells, np.nan)) if log else cells
    said = "10^%{z:.2f}" if log else "%{z:.3~g}"
    trace = {
        "type": "heatmap",
        "x": [str(each) for each in columns],
        "y": list(layers),
        "z": [[plain(v) for v in row] for row in shown.tolist()],
        "colorscale": [[0, "@paper"], [1, "@backward"]],
        "colorbar": {
            "title": {"text": f"log₁₀ {what}" if log else what, "side": "right"},
            "thickness": 12,
        },
        "hovertemplate": f"%{{x}}, %{{y}}: {said}<extra></extra>",
    }
    layout = frame(
        x={"title": {"text": "epoch"}, "type": "category", "nticks": 16},
        y={"type": "category", "nticks": 24},
    )
    rows = zip(columns, *cells.tolist(), strict=True)
    height = max(320, min(14 * len(layers) + 110, 720))
    return Figure(name, [trace], layout, caption, alt, to_csv(["epoch", *layers], rows), height)


def check_dots(errors: dict[str, float], tolerance: float, caption: str, alt: str) -> Figure:
    """The relative error of each gradient on a log axis, beside the tolerance."""
    names = list(errors)[::-1]
    floor = 1e-17  # where an error of zero is drawn
    shown = [min(max(errors[name], floor), 1e3) for name in names]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": shown,
        "y": names,
        "marker": {"color": "@backward", "size": 10, "symbol": "diamond"},
        "hovertemplate": "%{y}: %{x:.2~e}<extra></extra>",
    }
    low = math.floor(math.log10(min([*shown, tolerance]))) - 0.5
    high = math.ceil(math.log10(max([*shown, tolerance]))) + 0.5
    layout = frame(
        x={
            "type": "log",
            "title": {"text": "relative error"},
            "range": [low, high],
            **_ticks(math.ceil(low), math.floor(high)),
        },
        y={"type": "category", "showgrid": True},
    )
    layout["shapes"] = [
        {
            "type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": tolerance, "x1": tolerance,
            "line": {"color": "@ink", "width": 1.5, "dash": "dash"},
        }
    ]  # fmt: skip
    layout["annotations"] = [
        {
            "text": "tolerance", "x": math.log10(tolerance), "y": 1, "yref": "paper",
            "yanchor": "bottom", "showarrow": False, "font": {"color": "@ink", "size": 12},
        }
    ]  # fmt: skip
    table = to_csv(["parameter", "relative error"], errors.items())
    height = max(220, min(26 * len(names) + 110, 640))
    return Figure("check", [trace], layout, caption, alt, table, height)


def scatter(outcome: Valued, caption: str, alt: str) -> Figure:
    """Predicted values against the wanted ones, with the diagonal on which they are equal."""
    wanted, said = outcome.wanted, outcome.said
    if wanted.shape[1] > _MOST_OUTPUTS:  # a network of one output after the other
        wanted, said = wanted.reshape(-1, 1), said.reshape(-1, 1)
    wanted, said = _some(wanted), _some(said)
    ends = [float(min(wanted.min(), said.min())), float(max(wanted.max(), said.max()))]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "x": ends, "y": ends, "name": "equal",
            "line": {"color": "@muted", "width": 1.5, "dash": "dash"}, "hoverinfo": "skip",
        }
    ]  # fmt: skip
    outputs = range(wanted.shape[1])
    alone = "samples" if outcome.wanted.shape[1] == 1 else "outputs"
    traces += [
        {
            "type": "scatter", "mode": "markers", "x": wanted[:, at].tolist(),
            "y": said[:, at].tolist(),
            "name": f"output {at + 1}" if len(outputs) > 1 else alone,
            "marker": {"color": "@forward", "size": 7, "opacity": 0.6, "symbol": at % 10},
            "hovertemplate": "wanted %{x:.3~g}, predicted %{y:.3~g}<extra></extra>",
        }
        for at in outputs
    ]  # fmt: skip
    layout = frame(x={"title": {"text": "wanted"}}, y={"title": {"text": "predicted"}})
    header = [f"{kind} {at + 1}" for kind in ("wanted", "predicted") for at in outputs]
    table = to_csv(header, np.hstack([wanted, said]).tolist())
    return Figure("scatter", traces, layout, caption, alt, table, 420)


def layer_series(names: Sequence[str], flow: Sequence[Sequence[float]]) -> list[Series]:
    """One vermilion line a layer, told apart by its dash."""
    return [
        Series(name, values, "@backward", _DASHES[at % len(_DASHES)])
        for at, (name, values) in enumerate(zip(names, flow, strict=True))
    ]


def frame(x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    """The layout that all charts share, with what is special about their axes."""
    return {
        "xaxis": _AXIS | x,
        "yaxis": _AXIS | y,
        "margin": {"l": 8, "r": 16, "t": 36, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "@ink"},
        "hoverlabel": {"bgcolor": "@paper", "bordercolor": "@rule", "font": {"color": "@ink"}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "dragmode": False,
    }


def decades(values: Iterable[float]) -> dict[str, Any]:
    """A log axis from a little below to a little above; its ticks are 1, 2, 5 or powers of ten."""
    logs = [math.log10(v) for v in values if v > 0 and math.isfinite(v)] or [0.0]
    low, high = min(logs), max(logs)
    room = max(0.05 * (high - low), 0.02)
    low, high = low - room, high + room
    if high - low < 0.7:
        ticks = _even(10**low, 10**high)
        return {"range": [low, high], "tickvals": ticks, "ticktext": [f"{t:g}" for t in ticks]}
    if high - low < 2.5:
        ticks = [m * 10.0**p for p in range(math.floor(low), math.ceil(high)) for m in (1, 2, 5)]
        return {"range": [low, high], "tickvals": ticks, "ticktext": [f"{t:g}" for t in ticks]}
    return {"range": [low, high], **_ticks(math.ceil(low), math.floor(high))}


def _even(low: float, high: float) -> list[float]:
    """Four to nine round numbers in even steps."""
    rough = (high - low) / 6
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * min((1, 2, 5, 10), key=lambda each: abs(math.log(each * unit / rough)))
    return [float(f"{at * step:.6g}") for at in range(math.ceil(low / step), int(high / step) + 1)]


def _ticks(low: int, high: int) -> dict[str, Any]:
    step = max(1, math.ceil((high - low) / 8))
    powers = range(low, high + 1, step)
    return {"tickvals": [10.0**p for p in powers], "ticktext": [power_of_ten(p) for p in powers]}


def plain(value: float) -> float | None:
    """The number, or None where JSON has none for it."""
    return float(value) if math.isfinite(value) else None


def _some(values: Array, most: int = 2000) -> Array:
    """At most so many rows, evenly taken."""
    return values[:: math.ceil(len(values) / most)]
