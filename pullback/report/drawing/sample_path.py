"""One sample on its way: its values forward in blue, its error back in vermilion."""

from __future__ import annotations

from html import escape

import numpy as np

from pullback.derive.formula.latex import css_name
from pullback.report.drawing.picture import grid, image
from pullback.report.drawing.tables import scrolled
from pullback.report.sections.outcome import Array, Classified
from pullback.report.sections.story import Story
from pullback.report.words.numbers import short

_CELLS = 96  # pixels across
_MOST_BARS = 12


def passage(story: Story, at: int) -> str:
    """A row of stages, input to loss: above what is computed forward, below its δ."""
    X, Y = story.shown
    trace = story.net.trace(story.params, X[at : at + 1], Y[at : at + 1])
    sample = image(grid(X[at], story.image_shape), "data", f"sample {at}", _CELLS)
    stages = [_stage(_symbol("x", "data", "x"), sample, "", "")]
    for layer in list(story.layers)[:-1]:
        values = trace.a if layer.outlet.startswith("a.") else trace.z
        forward = image(grid(values[_key(layer.outlet)]), "forward", f"{layer.out}", _CELLS)
        back = image(grid(trace.delta[layer.path]), "backward", f"{layer.delta}", _CELLS)
        stages.append(
            _stage(
                _symbol(layer.out, "forward", layer.outlet), forward,
                back, _symbol(layer.delta, "backward", f"delta.{layer.path}"),
            )
        )  # fmt: skip
    last = story.layers.layers[-1]
    delta = _symbol(last.delta, "backward", f"delta.{last.path}")
    stages.append(_last(story, at, trace.delta[last.path][0].ravel(), delta))
    lanes = (
        '<div class="lanes" aria-hidden="true"><span>forward →</span><span>← backward</span></div>'
    )
    return scrolled(f'<div class="passage">{lanes}{"".join(stages)}</div>', "One sample")


def _stage(head: str, forward: str, back: str, foot: str) -> str:
    return (
        f'<div class="stage"><div class="head">{head}</div><div class="cell">{forward}</div>'
        f'<div class="cell">{back}</div><div class="foot">{foot}</div></div>'
    )


def _last(story: Story, at: int, delta: Array, symbol: str) -> str:
    """The prediction beside what was wanted, and their difference as it starts back."""
    found = story.outcome
    if isinstance(found, Classified) and len(found.names) == len(delta) <= _MOST_BARS:
        return _bars(found, at, delta, symbol)
    if isinstance(found, Classified):
        said = f"says {found.names[found.said[at]]}, wanted {found.names[found.wanted[at]]}"
    else:
        said = f"says {_few(found.said[at])}, wanted {_few(found.wanted[at])}"
    back = f'<p class="backward">{short(float(delta[0]))}</p>'
    if len(delta) > 1:
        back = image(grid(delta), "backward", "δ of the last layer", _CELLS)
    return _stage("prediction", f"<p>{escape(said)}</p>", back, symbol)


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


def _key(outlet: str) -> str:
    return outlet.partition(".")[2]


def _few(values: Array) -> str:
    return ", ".join(short(float(v)) for v in values[:4]) + (", …" if len(values) > 4 else "")
