"""The section about the closed form: is there more than the product of Jacobians, or why not."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from pullback.closed import ClosedForm, closed_form
from pullback.derive.formula.latex import css_name
from pullback.derive.formula.mathml import MathRow, equation_table
from pullback.errors import PullbackError
from pullback.net.network import Network
from pullback.report.drawing.tables import scrolled
from pullback.report.layers import Layers
from pullback.report.sections.outlook import OutlookStory
from pullback.report.sections.samples import Samples
from pullback.report.sections.section import Item, Section
from pullback.report.words.numbers import lowered, short


def closed_of(net: Network, params: Mapping[str, Any], x: Samples) -> ClosedForm | str:
    """The closed form of δ at one sample, or the reason why there is none."""
    try:
        return closed_form(net, params, x)
    except PullbackError as error:
        return str(error).rstrip(".")


def closing(
    found: ClosedForm | str, outlook: OutlookStory | str, layers: Layers | None = None
) -> Section:
    """The verdict, the formula, the reason, what holds on average, what it costs.

    Symbols of ``layers`` light up with their like elsewhere on the page.
    """
    name, title = "closed", "The closed form"
    if isinstance(found, str):
        why = f"There is no answer for this network: {found}."
        return Section(name, title, why, "exact", "The recursion above holds all the same.", ())
    law = found.why_not(outlook.forecast) if isinstance(outlook, OutlookStory) else found.reason
    reason, _, average = law.partition("\n")
    formula = _formula(found.latex(), _marks(layers) if layers else {})
    items: list[Item] = [formula, f"<p>{lowered(escape(reason))}</p>"]
    items += [f"<p>{escape(average)}</p>"] if average else []
    items.append(_numbers(found))
    if found.conditions:
        lines = "".join(f"<li>{escape(each)}</li>" for each in found.conditions)
        items.append(f"<div>It holds if<ul>{lines}</ul></div>")
    return Section(
        name,
        title,
        found.verdict,
        "exact",
        "Looked for at the parameters of this report and at the sample above, in float64. The "
        "error is that against the recursion, on a random δ.",
        tuple(items),
    )


def _marks(layers: Layers) -> dict[str, str]:
    """The symbols of a stack of layers in the formula, as they light up all over the page."""
    if any(layer.form is None or len(layer.sizes) > 1 for layer in layers):
        return {}
    found: dict[str, str] = {}
    for n, layer in enumerate(layers, start=1):
        assert layer.form is not None
        delta = _classed("backward", str(layer.label.delta))
        found[f"W_{{{n}}}"] = _classed("parameter", layer.form.weight.name)
        found[f"z_{{{n}}}"] = _classed("forward", str(layer.label))
        found[rf"\delta_{n}"] = found[r"\delta_{\text{out}}"] = delta
    return found


def _classed(colour: str, name: str) -> str:
    return f"{colour} {css_name(name)}"


def _formula(latex: str, marks: Mapping[str, str]) -> str:
    """The formula as a table of one line, or of several, with its sign where it has one."""
    symbols = "|".join(map(re.escape, sorted(marks, key=len, reverse=True)))
    shown = re.sub(
        rf"(?:{symbols})(?!\d)" if marks else "(?!)",
        lambda found: rf"\class{{{marks[found[0]]}}}{{{found[0]}}}",
        latex,
    )
    left, sign, right = shown.partition("=")
    row = (
        MathRow(left, right, latex, "delta")
        if sign
        else MathRow("", shown, latex, "delta", sign="")
    )
    return scrolled(equation_table([row], styled=False), "The formula")


def _numbers(found: ClosedForm) -> str:
    error, condition, cost = found.error, found.condition, found.cost
    facts = {
        "evaluated by": found.method,
        "cost of one δ at the first layer": f"{cost.closed:,} fma",
        "by the recursion": f"{cost.recursion:,} fma",
    }
    if cost.preparation:
        after = cost.pays_after
        paid = "never pays" if after is None else f"pays after {max(after, 1):,} δ"
        facts["once before"] = f"{cost.preparation:,} fma, which {paid}"
    if not math.isnan(condition):
        facts["condition number"] = short(condition)
    facts["relative error"] = "not measured" if math.isnan(error) else short(error)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    return scrolled(f'<table class="facts"><tbody>{rows}</tbody></table>', "Its numbers")
