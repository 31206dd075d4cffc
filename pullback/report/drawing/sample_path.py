"""One sample on its way: its values forward in blue, its error back in vermilion."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from pullback.derive.formula.latex import css_name
from pullback.report.drawing.picture import grid, image
from pullback.report.drawing.tables import scrolled
from pullback.report.sections.outcome import Classified
from pullback.report.sections.samples import Array, by_input, rows
from pullback.report.sections.story import TRACED, Story
from pullback.report.words.numbers import short

_CELLS = 96  # pixels across
_MOST_BARS = 12


def passage(story: Story, at: int) -> str:
    """A row of stages, input to loss: above what is computed forward, below its δ."""
    others = range(min(len(story.shown[1]), TRACED)) if story.net.several else ()
    X, Y = rows(story.shown, [at, *(k for k in others if k != at)])
    trace = story.net.trace(story.params, X, Y)
    given, layers = by_input(story.net, X), story.layers
    sources = [(s, grid(story.cells(s.name, given[s.name][0]))) for s in layers.sources]
    samples = [image(cells, "data", f"{s.symbol} of sample {at}", _CELLS) for s, cells in sources]
    symbols = [_symbol(s.symbol, "data", s.name) for s, _ in sources]
    stages = [_stage(", ".join(symbols), "".join(samples), "", "")]
    for layer in layers.layers[:-1]:
        forward = _cells(trace.value(layer.outlet)[0], "forward", layer.out)
        back = _cells(trace.value(layer.label.delta)[0], "backward", layer.delta)
        stages.append(
            _stage(
                _symbol(layer.out, "forward", str(layer.outlet)), forward,
                back, _symbol(layer.delta, "backward", str(layer.label.delta)),
            )
        )  # fmt: skip
    last = layers.layers[-1]
    delta = _symbol(last.delta, "backward", str(last.label.delta))
    stages.append(_last(story, at, trace.value(last.label.delta)[0], delta))
    lanes = (
        '<div class="lanes" aria-hidden="true"><span>forward →</span><span>← backward</span></div>'
    )
    return scrolled(f'<div class="passage">{lanes}{"".join(stages)}</div>', "One sample")


def _cells(values: Array, role: str, alt: str) -> str:
    """A picture of values with the least and the largest under it."""
    ends = f"{short(float(values.min()))} … {short(float(values.max()))}"
    picture = image(grid(values), role, f"{alt}: {ends}", _CELLS)
    return f'<div class="held">{picture}<small class="range">{ends}</small></div>'


def _stage(head: str, forward: str, back: str, foot: str) -> str:
    return (
        f'<div class="stage"><div class="head">{head}</div><div class="cell">{forward}</div>'
        f'<div class="cell">{back}</div><div class="foot">{foot}</div></div>'
    )


def _last(story: Story, at: int, delta: Array, symbol: str) -> str:
    """The prediction beside what was wanted, and their difference as it starts back."""
    found = story.outcome
    if isinstance(found, Classified):
        if found.places == 1 and len(found.names) == delta.size <= _MOST_BARS:
            return _bars(found, at, delta.ravel(), symbol)
        places = slice(at * found.places, (at + 1) * found.places)
        said, wanted = ([found.names[k] for k in v[places]] for v in (found.said, found.wanted))
    else:
        said, wanted = ([short(float(v)) for v in row[at]] for row in (found.said, found.wanted))
    text = f"says {_few(said)}, wanted {_few(wanted)}"
    back = f'<p class="backward">{short(float(delta.ravel()[0]))}</p>'
    if delta.size > 1:
        back = _cells(delta, "backward", "δ of the last layer")
    return _stage("prediction", f"<p>{escape(text)}</p>", back, symbol)


def _bars(found: Classified, at: int, delta: Array, symbol: str) -> str:
    """Per class: the probability, whether it is wanted, and δ to either side of zero."""
    peak = max(float(np.abs(delta).max()), 1e-12)
    rows = []
    for k, name in enumerate(found.names):
        p, share = found.probability[at, k], delta[k] / peak
        side = f"left:{50 + 50 * min(share, 0):.1f}%;width:{50 * abs(share):.1f}%"
        wanted = ' class="wanted"' if k == found.wanted[at] else ""
        rows.append(
            f'<tr{wanted}><th scope="row">{escape(name)}</th>'
            f'<td title="{p:.3g}"><i class="bar forward" style="width:{100 * p:.1f}%"></i></td>'
            f'<td title="{short(float(delta[k]))}"><i class="bar backward" style="{side}"></i></td>'
            "</tr>"
        )
    return (
        '<div class="stage bars"><table><thead><tr><th scope="col">class</th>'
        f'<th scope="col">probability</th><th scope="col">{symbol}</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _symbol(text: str, role: str, name: str) -> str:
    return f'<span class="symbol {role} {css_name(name)}">{escape(text)}</span>'


def _few(values: Sequence[str]) -> str:
    return ", ".join(values[:4]) + (", …" if len(values) > 4 else "")
