"""A plotly figure of another room as a figure of the page: its colours, axes and manners."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.moments.answer.figures import BLUE, GRAPHITE, GREEN, VERMILION
from pullback.report.drawing.figures import Figure, frame, plain
from pullback.report.words.numbers import lowered

_PALETTE = {
    BLUE: "@forward",
    VERMILION: "@backward",
    GREEN: "@data",
    GRAPHITE: "@ink",
    "#FFFFFF": "@paper",
}
_DIGITS = 5


def adopted(
    name: str,
    figure: Any,
    caption: str,
    alt: str,
    csv: str,
    x: dict[str, Any] | None = None,
    height: int = 320,
) -> Figure:
    """The traces with the page's palette, in the page's frame; ``x`` adds to the x axis."""
    traces = [_plain(trace.to_plotly_json()) for trace in figure.data]
    axes = figure.layout
    layout = frame(
        x={"title": {"text": lowered(axes.xaxis.title.text)}} | (x or {}),
        y={"title": {"text": lowered(axes.yaxis.title.text), "standoff": 12}},
    )
    return Figure(name, traces, layout, caption, alt, csv, height)


def _plain(value: Any) -> Any:
    """The same as lists, dicts, numbers and names of colours."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return _PALETTE.get(value, value)
    if isinstance(value, (float, np.floating)):
        shown = plain(float(value))
        return None if shown is None else float(f"{shown:.{_DIGITS}g}")
    return value
