"""A plotly figure of lines, bands, dots and bars as a static SVG: no browser, no JavaScript."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 90
_DASHES = {"dot": "2 4", "dash": "8 4"}


def to_svg(figure: Any) -> str:
    """The figure's traces over axes with ticks, a legend below, and its title.

    >>> import plotly.graph_objects as go
    >>> to_svg(go.Figure(go.Scatter(x=[0, 1], y=[2, 3], name="line")))[:4]
    '<svg'
    """
    layout = figure.to_plotly_json()["layout"]
    # plotly packs arrays when it writes JSON: take them as they are
    traces = [
        {**trace.to_plotly_json(), **{k: trace[k] for k in "xyz" if k in trace}}
        for trace in figure.data
    ]
    scale = _Scale(traces)
    body = [scale.axes(_title(layout.get("xaxis")), _title(layout.get("yaxis")))]
    body += [_trace(trace, scale) for trace in traces]
    body += _legend(traces)
    title = escape(_title(layout))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12"><title>{title}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{_LEFT}" y="24" font-size="15">{title}</text>{"".join(body)}</svg>'
    )


def _title(holder: Any) -> str:
    title = (holder or {}).get("title", {})
    return str(title.get("text", "")) if isinstance(title, dict) else str(title)


class _Scale:
    """From data to places on the page."""

    def __init__(self, traces: list[Any]) -> None:
        x, y = (_numbers([v for t in traces for v in t[k]]) for k in ("x", "y"))
        self.x0, self.x1 = _padded(x)
        self.y0, self.y1 = _padded(y)

    def x(self, value: Any) -> Any:
        share = (value - self.x0) / (self.x1 - self.x0)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: Any) -> Any:
        share = (value - self.y0) / (self.y1 - self.y0)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self, x_name: str, y_name: str) -> str:
        floor, parts = _HEIGHT - _BOTTOM, []
        for value in _ticks(self.x0, self.x1):
            at = self.x(value)
            parts.append(f'<path d="M{at:.1f} {floor}v5" stroke="#4D4D4D"/>')
            parts.append(
                f'<text x="{at:.1f}" y="{floor + 18}" text-anchor="middle">{value:g}</text>'
            )
        for value in _ticks(self.y0, self.y1):
            at = self.y(value)
            parts.append(f'<path d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
            parts.append(
                f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        parts.append(
            f'<text x="{middle}" y="{floor + 36}" text-anchor="middle">{escape(x_name)}</text>'
        )
        up = (_TOP + floor) / 2
        parts.append(
            f'<text transform="translate(18 {up}) rotate(-90)" text-anchor="middle">'
            f"{escape(y_name)}</text>"
        )
        return "".join(parts)


def _numbers(values: Any) -> Any:
    found = np.array([np.nan if v is None else float(v) for v in values])
    return found


def _padded(values: Any) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    pad = 0.04 * (high - low) or 0.5
    return low - pad, high + pad


def _ticks(low: float, high: float) -> list[float]:
    step = 10 ** np.floor(np.log10((high - low) / 4))
    step *= next((m for m in (1, 2, 5) if (high - low) / (m * step) <= 7), 10)
    return [
        float(round(k * step, 12)) for k in range(int(np.ceil(low / step)), int(high // step) + 1)
    ]


def _colour(trace: Any) -> str:
    for part in ("line", "marker"):
        colour = (trace.get(part) or {}).get("color")
        if isinstance(colour, str) and not colour.startswith("rgba(0,0,0"):
            return colour
    return "#0072B2"


def _trace(trace: Any, scale: _Scale) -> str:
    if trace["type"] == "heatmap":
        return _heatmap(trace, scale)
    x, y = scale.x(_numbers(trace["x"])), scale.y(_numbers(trace["y"]))
    points = [(a, b) for a, b in zip(x, y, strict=True) if np.isfinite(a) and np.isfinite(b)]
    colour = _colour(trace)
    if trace["type"] == "bar":
        wide = (scale.x(1.0) - scale.x(0.0)) * float(np.diff(_numbers(trace["x"])[:2])[0]) * 0.9
        floor = scale.y(0.0)
        return "".join(
            f'<rect x="{a - wide / 2:.1f}" y="{b:.1f}" width="{wide:.1f}" '
            f'height="{max(floor - b, 0):.1f}" fill="{colour}" opacity="0.4"/>'
            for a, b in points
        )
    path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
    if trace.get("fill") == "toself":
        return f'<path d="{path}Z" fill="{trace["fillcolor"]}"/>'
    if "lines" in (trace.get("mode") or "lines"):
        dash = _DASHES.get((trace.get("line") or {}).get("dash", ""), "")
        return (
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
    return "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="none" stroke="{colour}" stroke-width="2"/>'
        for a, b in points
    )


def _heatmap(trace: Any, scale: _Scale) -> str:
    x, y, z = _numbers(trace["x"]), _numbers(trace["y"]), np.asarray(trace["z"], float)
    wide, high = scale.x(x[1]) - scale.x(x[0]), scale.y(y[0]) - scale.y(y[1])
    cells = []
    for row, b in zip(z, y, strict=True):
        for value, a in zip(row, x, strict=True):
            tone = "#D55E00" if value > 0 else "#0072B2"
            cells.append(
                f'<rect x="{scale.x(a) - wide / 2:.1f}" y="{scale.y(b) - high / 2:.1f}" '
                f'width="{wide + 0.5:.1f}" height="{high + 0.5:.1f}" fill="{tone}" '
                f'opacity="{min(abs(value), 1):.2f}"/>'
            )
    return "".join(cells)


def _legend(traces: list[Any]) -> list[str]:
    parts, at = [], _LEFT
    for trace in traces:
        name = str(trace.get("name") or "")
        colour = trace.get("fillcolor") or _colour(trace)
        y = _HEIGHT - 22
        if trace.get("mode") == "markers":
            shape = f'<circle cx="{at + 7}" cy="{y - 4}" r="4" fill="none" stroke="{colour}"/>'
        else:
            shape = f'<rect x="{at}" y="{y - 9}" width="14" height="10" fill="{colour}"/>'
        parts.append(shape)
        parts.append(f'<text x="{at + 19}" y="{y}">{escape(name)}</text>')
        at += 34 + 7 * len(name)
    return parts
