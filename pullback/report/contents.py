"""The sections of the page in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pullback.report.drawing.figures import check_dots
from pullback.report.sections import results
from pullback.report.sections.about import about
from pullback.report.sections.closed_form import closing
from pullback.report.sections.derivation import derivation
from pullback.report.sections.flow import flow
from pullback.report.sections.forecast import forecast
from pullback.report.sections.live import live, live_of
from pullback.report.sections.network import network
from pullback.report.sections.neurons import neurons
from pullback.report.sections.pace import pace
from pullback.report.sections.plans import plans
from pullback.report.sections.section import Section
from pullback.report.sections.story import Story
from pullback.report.words import verdicts
from pullback.report.words.numbers import count, short

ACTS = {
    "Does it work?": ("live", "training", "predictions", "check"),
    "Why?": ("network", "flow", "derivation", "neurons", "forecast", "closed"),
    "How fast?": ("pace", "plan", "about"),
}


def sections(story: Story, command: str | None = None) -> Iterator[Section]:
    """The sections in their order; those that the data do not support are left out.

    What is as it should be is folded: a gradient that is right, a product that is no shorter.
    """
    yield live(live_of(story))
    if story.result is not None and len(story.result.history.get("loss", ())):
        yield results.training(story)
    yield results.predictions(story)
    right = not isinstance(story.gradient, str) and story.gradient.ok
    yield replace(_check(story), news=not right)
    yield network(story)
    if story.flow:
        yield flow(story)
    yield derivation(story)
    yield neurons(story.neurons)
    yield forecast(story)
    shorter = not isinstance(story.closed, str) and story.closed.exists
    yield replace(closing(story.closed, story.outlook, story.layers), news=shorter)
    yield pace(story.pace)
    yield plans(story.plans)
    yield replace(about(story, command), news=False)


def acts_of(parts: Sequence[Section]) -> dict[str, list[Section]]:
    """The sections by the question that they answer."""
    return {
        question: [section for section in parts if section.name in names]
        for question, names in ACTS.items()
    }


def _check(story: Story) -> Section:
    found = story.gradient
    name, title = "check", "Gradient check"
    if isinstance(found, str):
        why = f"The gradient of this network is not checked: {found}."
        return Section(name, title, why, "measured", "Nothing was compared.", ())
    symbols = story.layers.parameters
    start = " and before training" if story.gradient_before is not None else ""
    figure = check_dots(
        {f"{symbols[name]}  ({name})": error for name, error in found.errors.items()},
        found.tolerance,
        "The worst relative error of each parameter's gradient. Everything to the left of the "
        "dashed line is right.",
        f"Relative errors: {', '.join(f'{n} {short(e)}' for n, e in found.errors.items())}.",
    )
    return Section(
        name,
        title,
        verdicts.check(found, story.gradient_before),
        "measured",
        f"The compiled gradient beside a {found.method} through the slow interpreter, in float64, "
        f"on {count(story.checked, 'sample')}, with the weights at the end{start}: along random "
        "directions and at single entries of each parameter. A rule that is wrong by 0.1 % would "
        "fail.",
        (figure,),
    )
