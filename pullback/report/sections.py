"""The sections of the page, and those about the network itself: its flow, equations and check."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pullback.derive import Convention, EquationList
from pullback.report import results, verdicts
from pullback.report.drawing import Scale, draw
from pullback.report.figures import check_dots
from pullback.report.flow import flow
from pullback.report.forecast import forecast
from pullback.report.numbers import count, percent, short
from pullback.report.passage import hardest, passage
from pullback.report.section import Choice, Item, Picture, Section
from pullback.report.story import CHECKED, TRACED, Story
from pullback.report.symbols import facts, symbol_table
from pullback.report.tables import scrolled, table


def sections(story: Story) -> Iterator[Section]:
    """The sections in their order; those that the data do not support are left out."""
    yield _network(story)
    yield _equations(story)
    yield _check(story)
    yield forecast(story)
    if story.result is not None and len(story.result.history.get("loss", ())):
        yield results.training(story)
    if story.flow:
        yield flow(story)
    yield results.predictions(story)
    yield results.about(story)


def _network(story: Story) -> Section:
    layers, rms = story.layers, story.rms
    traced = min(TRACED, len(story.train[0]))
    method = (
        f"The root mean square of δ over units and {traced:,} training samples. δ is that of one "
        "sample: the factor 1/N of a mean over the batch is taken out."
    )
    caption = (
        "Values go forward to the right; δ comes back to the left, and the wider its arrow, the "
        "larger it is. Under each layer stand its activation and, dashed, the slope by which δ is "
        "multiplied."
    )
    if story.flow:
        before = {name: values[0] for name, values in story.flow.items()}
        scale = Scale.of([*before.values(), *rms.values()])
        drawings = {"before training": before, "after training": rms}
        parts = {
            when: scrolled(draw(layers, sizes, scale), f"The network {when}")
            for when, sizes in drawings.items()
        }
        picture: Item = Choice("drawing", "The network", parts)
        verdict = verdicts.network(layers, before, "Before training")
    else:
        picture = scrolled(draw(layers, rms), "The network")
        verdict = verdicts.network(layers, rms, "With these parameters")
    at = hardest(story.outcome)
    way = Picture(
        "passage",
        passage(story, at),
        "One sample on its way, the one that the network is most wrong about: the deeper a "
        "cell's colour, the larger the value. At the right the error is born as the difference "
        "between what is said and what is wanted; at each step back it is spread out by the "
        "weights and weakened by the slopes.",
    )
    items: tuple[Item, ...] = (
        picture,
        f"<p class='caption'>{caption}</p>",
        _layer_table(story),
        way,
    )
    return Section("network", "The network", verdict, "measured", method, items)


def _layer_table(story: Story) -> str:
    trace, rms = story.trace, story.rms
    layers = list(story.layers)
    if not layers:
        return ""
    out = [(trace.a if each.outlet.startswith("a.") else trace.z) for each in layers]
    keys = [each.outlet.partition(".")[2] for each in layers]
    idle = [
        float(np.mean(np.all(trace.delta[each.path] == 0, axis=0))) if each.path in rms else 0.0
        for each in layers
    ]
    before = {"RMS of δ before": [story.flow[e.path][0] for e in layers]} if story.flow else {}
    return table(
        {
            "layer": [f"{at}. {each.z}" for at, each in enumerate(layers, 1)],
            "activation": [each.activation or "none" for each in layers],
            "units": [each.width for each in layers],
            "parameters": [each.parameters for each in layers],
            "RMS of output": [
                float(np.sqrt(np.mean(np.square(v[k])))) for v, k in zip(out, keys, strict=True)
            ],
            **before,
            "RMS of δ after" if before else "RMS of δ": [rms.get(e.path, 0.0) for e in layers],
            "idle units": [percent(share) for share in idle],
        },
        "Layers",
    )


def _equations(story: Story) -> Section:
    roots = list(story.net.equations.values())
    conventions: tuple[Convention, ...] = ("columns", "rows")
    lists = {each: EquationList.of(roots, each) for each in conventions}
    labels = {"columns": "columns: one sample", "rows": "rows: a batch"}
    roles = [each.role for each in lists["columns"].equations]
    choice = Choice(
        "equations",
        "Convention",
        {labels[name]: scrolled(each.html(), "Equations") for name, each in lists.items()},
        {labels[name]: each.latex() for name, each in lists.items()},
    )
    symbols = (
        "<details><summary>What the symbols stand for</summary>"
        f"{symbol_table(facts(story, lists['columns']))}</details>"
    )
    return Section(
        "equations",
        "Its equations",
        verdicts.equations(roles.count("delta"), roles.count("gradient")),
        "exact",
        "Derived from the network as it runs, not from a textbook: each δ is the transpose of a "
        "linearised step. Point at a symbol to see where else it stands, what it is and how large "
        "it gets; the button beside a line copies it as LaTeX.",
        (choice, symbols),
    )


def _check(story: Story) -> Section:
    found = story.gradient
    symbols = story.layers.parameters
    figure = check_dots(
        {f"{symbols[name]}  ({name})": error for name, error in found.errors.items()},
        found.tolerance,
        "The worst relative error of each parameter's gradient. Everything to the left of the "
        "dashed line is right.",
        f"Relative errors: {', '.join(f'{n} {short(e)}' for n, e in found.errors.items())}.",
    )
    few = min(CHECKED, len(story.train[0]))
    return Section(
        "check",
        "Gradient check",
        verdicts.check(story),
        "measured",
        f"The compiled gradient beside a {found.method} through the slow interpreter, in float64, "
        f"on {count(few, 'sample')}: along random directions and at single entries of each "
        "parameter. A rule that is wrong by 0.1 % would fail.",
        (figure,),
    )
