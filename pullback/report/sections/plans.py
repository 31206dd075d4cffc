"""The section about plans: in which order the Jacobians are multiplied, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from pullback.errors import PullbackError
from pullback.net.network import Network
from pullback.plan.chain.consumers import CONSUMERS
from pullback.plan.chain.plan import Plan
from pullback.plan.jacobian.choice import Ways
from pullback.plan.jacobian.front import jacobian
from pullback.report.drawing.bracketing import MOST, draw
from pullback.report.drawing.figures import to_csv
from pullback.report.drawing.tables import scrolled, table
from pullback.report.layers import Layers
from pullback.report.sections.samples import Samples, count_of, some
from pullback.report.sections.section import Choice, Item, Picture, Section
from pullback.report.words.numbers import count, subscripted, times

WANTED = {"vjp": "gradient", "dense": "Jacobian", "gram": "Gram matrix", "jvp": "tangent"}
OF_ALL = ("vjp", "gram", "solve", "diagonal")


@dataclass(frozen=True)
class Plans:
    """The plan for each thing wanted, of one sample's input and of a batch's parameters."""

    of_input: dict[str, Plan]
    of_parameters: Mapping[str, Ways]
    batch: int
    names: dict[str, str]
    why: str = ""  # there are none of all parameters


def plans_of(net: Network, params: Mapping[str, Any], X: Samples, layers: Layers) -> Plans | str:
    """The plans at X, the first sample's for the input; or why there are none."""
    try:
        one = jacobian(net, params, some(X, slice(1)))
        of_input = {wanted: one.plan(wanted) for wanted in WANTED}
    except PullbackError as error:
        return str(error).rstrip(".")
    names = _names(of_input["dense"], layers)
    try:
        every = jacobian(net, params, X, wrt="params")
        ways = {wanted: every.plan(wanted) for wanted in OF_ALL}
    except PullbackError as error:
        return Plans(of_input, {}, count_of(X), names, str(error).rstrip("."))
    of_parameters = {name: found for name, found in ways.items() if isinstance(found, Ways)}
    return Plans(of_input, of_parameters, count_of(X), names)


def plans(found: Plans | str) -> Section:
    """Modes side by side, the brackets drawn, and the ways for all parameters."""
    name, title = "plan", "The plan"
    if isinstance(found, str):
        why = f"There is no plan for this network: {found}."
        return Section(name, title, why, "exact", "Gradients come by reverse mode.", ())
    machine = found.of_input["dense"].costs.machine
    return Section(
        name,
        title,
        _verdict(found),
        "exact",
        "An fma is one multiplication and one addition, counted exactly. The factors are the "
        "local Jacobians at one sample; the order is found by dynamic programming over all "
        f"brackets. Times are predictions for {machine.fma / 1e9:g} G fma/s and "
        f"{machine.bandwidth / 1e9:g} GB/s, not measurements.",
        tuple(_items(found)),
    )


def _verdict(found: Plans) -> str:
    gradient, dense = found.of_input["vjp"], found.of_input["dense"]
    text = f"The gradient takes {gradient.cost:,} multiply-adds"
    worse = gradient.forward.fma / max(gradient.cost, 1)
    if worse > 1:
        text += f", {times(worse)} fewer than by forward mode"
    return f"{text}: {_small(gradient.verdict)} For the whole Jacobian: {_small(dense.verdict)}"


def _small(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _items(found: Plans) -> Iterator[Item]:
    links = len(found.of_input["vjp"].links)
    drawn = {
        f"{label} {CONSUMERS[wanted]}": _drawn(found.of_input[wanted], found.names, links)
        for wanted, label in WANTED.items()
    }
    yield Choice("wanted", "What is wanted", drawn)
    yield Picture(
        "plans",
        _modes(found),
        "Each row is something that may be wanted of the Jacobian of the output by the input, at "
        "one sample. Forward multiplies from the input, reverse from the output, optimal in the "
        "cheapest order; gain is how many times fewer fma than the better of the two.",
        _csv(found),
    )
    if found.of_parameters:
        yield f"<h3>Of all parameters, over {count(found.batch, 'sample')}</h3>"
        yield _ways(found)
    elif found.why:
        yield f"<p>{escape(f'There is none of all parameters: {found.why}.')}</p>"


def _drawn(plan: Plan, names: dict[str, str], links: int) -> str:
    brackets = f'<code class="order">{escape(_spelt(plan.brackets, names))}</code>'
    text = scrolled(f"<p>{brackets}</p>", "The order as a formula")
    if links > MOST:
        return f"{text}<p>{links} factors are not drawn; more than {MOST} cannot be told apart.</p>"
    caption = (
        '<p class="caption">Factors from input (left) to output; a diagonal has a stroke. Each '
        "dot is a product, with its shape and its fma: vermilion takes one factor more on the way "
        "back, blue on the way forward. The formula above reads as products do, output first.</p>"
    )
    return f"{text}{scrolled(draw(plan, names), 'The order drawn')}{caption}"


def _modes(found: Plans) -> str:
    kept = found.of_input
    return table(
        {
            "wanted": [f"{label}, {CONSUMERS[wanted]}" for wanted, label in WANTED.items()],
            "forward": [kept[wanted].forward.fma for wanted in WANTED],
            "reverse": [kept[wanted].reverse.fma for wanted in WANTED],
            "optimal": [kept[wanted].cost for wanted in WANTED],
            "gain": [times(kept[wanted].gain) for wanted in WANTED],
            "predicted, µs": [round(kept[wanted].seconds * 1e6) for wanted in WANTED],
        },
        "fma of each mode",
    )


def _ways(found: Plans) -> str:
    rows = [
        (wanted, name, fma, written, ways.brackets if name == ways.chosen else "")
        for wanted, ways in found.of_parameters.items()
        for name, fma, written in ways.options
    ]
    return table(
        {
            "wanted": [CONSUMERS[row[0]] for row in rows],
            "way": [row[1] + (" (taken)" if row[4] else "") for row in rows],
            "fma": [row[2] for row in rows],
            "numbers written": [row[3] for row in rows],
            "as": [row[4] for row in rows],
        },
        "Ways for all parameters",
    )


def _csv(found: Plans) -> str:
    rows = (
        (wanted, plan.forward.fma, plan.reverse.fma, plan.cost, plan.brackets)
        for wanted, plan in found.of_input.items()
    )
    return to_csv(["wanted", "forward fma", "reverse fma", "optimal fma", "order"], rows)


def _names(plan: Plan, layers: Layers) -> dict[str, str]:
    """F1, F2, … as the equations have it: W₁, D₁, … where the chain is a plain stack."""
    found: dict[str, str] = {}
    dense = diagonal = 0
    for link in plan.links:
        if link.form == "diagonal":
            diagonal += 1
            found[link.name] = subscripted("D", max(dense, 1))
        else:
            dense += 1
            found[link.name] = subscripted("W", dense)
    plain = dense == len(layers) and diagonal < len(plan.links)
    return found if plain and not layers.skips else {}


def _spelt(brackets: str, names: dict[str, str]) -> str:
    """The order with the symbols of the equations."""
    for name in sorted(names, key=len, reverse=True):
        brackets = brackets.replace(name, names[name])
    return brackets
