"""A forecast as text: the verdict first, then one row a layer, then budget and advice."""

from __future__ import annotations

import math
from html import escape
from textwrap import fill
from typing import TYPE_CHECKING

from pullback.moments.answer.record import METHODS, LayerForecast
from pullback.moments.answer.sentence import checked, sentence
from pullback.moments.answer.svg import to_svg
from pullback.moments.sampling.trial import FLOAT32
from pullback.notebook import headline, paragraph, table

if TYPE_CHECKING:
    from pullback.moments.answer.forecast import Forecast

LATEX = r"""\begin{aligned}
V^{l+1} &= \sigma_w^2\,\mathbb E[\varphi(z^l)^2] + \sigma_b^2 \\
\chi_1 &= \sigma_w^2\,\mathbb E[\varphi'(z^l)^2],\qquad
\chi_q = \sigma_w^2\,\partial_V \mathbb E[\varphi(z^l)^2] \\
\delta^l_j &= \varphi'(z^l_j)\,\bigl[a + b\,\varphi(z^l_j) + \sqrt{\sigma_w^2 r S}\,g_j\bigr],\quad
a = m r D,\; b = \sigma_w^2 r \tau \\
D &= \mathbb E\,\delta^{l+1},\quad S = \mathbb E\,(\delta^{l+1})^2,\quad
\tau = \operatorname{tr}(\partial\delta^{l+1}/\partial z^{l+1})/N_{l+1}
\end{aligned}"""
CODE = "    "  # in front of a line of code
_FLAT = 0.9  # the least RMS over the largest, from which on a profile is flat
_PROFILES = 4  # layers, input side first, whose profile is shown
_AS_IT_IS = f"{'as it is':>9}"
_SHORT = dict(zip(METHODS, ("indep.", "exact", "coupled", "finite", "drawn"), strict=True))


def text(f: Forecast) -> str:
    """Everything in 80 columns."""
    shown = [m for m in METHODS if any(m in layer.delta_ms for layer in f.layers)]
    head = f"{'layer':<9}{'q':>9}{'χ₁':>7}{'χ_q':>7}" + "".join(f"{_SHORT[m]:>9}" for m in shown)
    as_it_is = f.tried.held
    lines = [fill(sentence(f), 80), "", f"{'':<32}RMS δ by method", head + _AS_IT_IS * as_it_is]
    lines += [_row(layer, shown, as_it_is) for layer in f.layers]
    below = [*_below(f), *badges(f)]
    return "\n".join([*lines, "", *map(_filled, below)])


def _filled(line: str) -> str:
    """At most 80 columns; a line of code stays as it is."""
    return line if line.startswith(CODE) else fill(line, 80, subsequent_indent="    ")


def _below(f: Forecast) -> list[str]:
    told = [*checked(f), *budget(f), *f.advice.text().split("\n"), *(u.text() for u in f.underflow)]
    if f.setting.laws is None:  # numbers alone would not say which
        told.insert(0, f"Layers: {', '.join(f'{x.index} is {x.name}' for x in f.layers)}.")
        told += profiles(f)
    return told


def profiles(f: Forecast) -> list[str]:
    """Where δ is not alike at all positions, tokens or steps: RMS at the ends and the middle."""
    if f.theory.why_not is not None:
        return []
    found = []
    for layer in f.layers:
        axes, rms = f.theory.profile(layer.index)
        if not rms.min() < _FLAT * rms.max():
            continue
        middle = float(rms[tuple(n // 2 for n in rms.shape)])
        first, last = float(rms.flat[0]), float(rms.flat[-1])
        over = " × ".join(axis.name for axis in axes if axis.size != 1)
        found.append(
            f"Layer {layer.index} over {over}: RMS δ {first:.3g} at the first place, {middle:.3g} "
            f"in the middle, {last:.3g} at the last."
        )
    return found[:_PROFILES]


def _row(layer: LayerForecast, shown: list[str], as_it_is: bool) -> str:
    def cell(value: float | None, width: int) -> str:
        return f" {_shown(value):>{width - 1}}"

    sizes = [layer.delta_ms.get(m) for m in shown]
    rms = "".join(cell(None if v is None else math.sqrt(max(v, 0.0)), 9) for v in sizes)
    rms += cell(layer.rms_measured, 9) if as_it_is else ""
    flag = "" if layer.verdict == "healthy" else f"  {layer.verdict}"
    label = f"{layer.index} ({layer.n_out})"
    return f"{label:<9}{cell(layer.q, 9)}{cell(layer.chi_1, 7)}{cell(layer.chi_q, 7)}{rms}{flag}"


def _shown(value: float | None) -> str:
    """A number in a table; "over" beyond what float32 holds."""
    if value is None:
        return "–"
    return f"{value:.3g}" if abs(value) <= FLOAT32[1] else "over"


def budget(f: Forecast) -> list[str]:
    """What one seed can do: the spread of ln‖δ‖² at the first layer."""
    first = f.layers[0]
    spread = first.log_var.get("finite_width")
    if spread is None:
        return []
    low, half, _ = first.log_quantiles["finite_width"]
    below = math.exp(half - low)
    depth = sum(1 / layer.n_out for layer in f.layers[:-1])
    return [
        f"Budget: depth/width {depth:.2g} gives Var ln‖δ‖² = {spread:.3g} at the first layer: one "
        f"seed in ten starts more than {below:.2g}× below the median ‖δ‖²."
    ]


def badges(f: Forecast) -> list[str]:
    """Method, kind and assumption of every kind of number that is shown."""
    found: dict[str, None] = {}
    for layer in f.layers:
        for quantity in (layer.delta_ms, layer.log_var):
            for value in quantity.values():
                found[f"{value.method} · {value.kind}: {value.assumption}"] = None
    error = f.quadrature_error
    lines = [f"  {badge}" for badge in found]
    lines += [f"  Assumed: {assumed}." for assumed in f.assumptions]
    if error is not None:
        lines.append(f"  Gaussian moments: relative error {error:.0e} or less, by refinement")
    return ["Where the numbers come from:", *lines]


def html(f: Forecast) -> str:
    """The verdict, the picture, the table and the assumptions for a notebook."""
    shown = [m for m in METHODS if any(m in layer.delta_ms for layer in f.layers)]
    head = ["layer", "q", "χ₁", "χ_q", *(f"RMS δ, {m.replace('_', ' ')}" for m in shown)]
    head += [*(["RMS δ, as it is"] if f.tried.held else []), "verdict"]
    picture = to_svg(f.plot()) if shown else ""
    rows = table(head, [_cells(layer, shown, f.tried.held) for layer in f.layers])
    where = "".join(f"<li>{escape(badge.strip())}</li>" for badge in badges(f)[1:])
    told = "".join(paragraph(line) for line in _below(f) if not line.startswith(CODE))
    told += f"<pre>{escape(f.advice.code)}</pre>" if f.advice.code else ""
    return f"{headline(f.sentence)}{picture}{rows}{told}<ul>{where}</ul>"


def _cells(layer: LayerForecast, shown: list[str], as_it_is: bool) -> list[str]:
    sizes = [layer.delta_ms.get(m) for m in shown]
    numbers: list[float | None] = [layer.q, layer.chi_1, layer.chi_q]
    numbers += [None if v is None else math.sqrt(max(v, 0.0)) for v in sizes]
    numbers += [layer.rms_measured] if as_it_is else []
    cells = [_shown(value) for value in numbers]
    return [f"{layer.index} ({layer.n_out})", *cells, layer.verdict]
