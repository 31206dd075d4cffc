"""The sections of the page: verdict, picture, table, and how it was computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np

from pullback.derive import Convention, EquationList
from pullback.report import verdicts
from pullback.report.drawing import Scale, draw
from pullback.report.figures import (
    Figure,
    Series,
    check_dots,
    curves,
    flow_map,
    layer_series,
    scatter,
    to_csv,
)
from pullback.report.gallery import gallery, predictions_csv, worst_table
from pullback.report.machine import processor, system, versions
from pullback.report.numbers import brief, count, percent, seconds, short
from pullback.report.outcome import Classified, Valued
from pullback.report.passage import hardest, passage
from pullback.report.story import CHECKED, TRACED, Story
from pullback.report.symbols import facts, symbol_table
from pullback.report.tables import confusion, scrolled, table

Badge = Literal["exact", "limit", "approximation", "measured"]


@dataclass(frozen=True)
class Picture:
    """A figure that is HTML already, with its caption and its data."""

    name: str
    html: str
    caption: str
    csv: str = ""


@dataclass(frozen=True)
class Choice:
    """Several versions of one thing, of which one is shown at a time."""

    name: str
    label: str
    versions: dict[str, str]
    latex: dict[str, str] | None = None


Item = Figure | Picture | Choice | str


@dataclass(frozen=True)
class Section:
    """One part of the page; strings among the items are HTML."""

    name: str
    title: str
    verdict: str
    badge: Badge
    method: str
    items: tuple[Item, ...]


def sections(story: Story) -> Iterator[Section]:
    """The sections in their order; those that the data do not support are left out."""
    yield _network(story)
    yield _equations(story)
    yield _check(story)
    if story.result is not None and len(story.result.history.get("loss", ())):
        yield _training(story)
    if story.flow:
        yield _flow(story)
    yield _predictions(story)
    yield _about(story)


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
        "One sample on its way, the one that the network is most wrong about: the deeper a cell's "
        "colour, the larger the value. At the right the error is born as the difference between what is "
        "said and what is wanted; at each step back it is spread out by the weights and weakened "
        "by the slopes.",
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
    return table(
        {
            "layer": [f"{at}. {each.z}" for at, each in enumerate(layers, 1)],
            "activation": [each.activation or "none" for each in layers],
            "units": [each.width for each in layers],
            "parameters": [each.parameters for each in layers],
            "RMS of output": [
                float(np.sqrt(np.mean(np.square(v[k])))) for v, k in zip(out, keys, strict=True)
            ],
            "RMS of δ": [rms.get(each.path, 0.0) for each in layers],
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


def _training(story: Story) -> Section:
    assert story.result is not None
    history = story.result.history
    loss = [Series("training loss", history["loss"], "@ink")]
    if "validation_loss" in history:
        loss.append(Series("test loss", history["validation_loss"], "@ink", "dot"))
    ends = ", ".join(f"{each.name} {short(each.values[-1])}" for each in loss)
    figures = [
        curves(
            "loss", loss, "loss", "The loss, on a log scale. The training loss is the mean over the "
            "epoch while the weights move; the test loss is taken at its end.",
            f"The loss by epoch; at the end: {ends}.", log=True,
        )
    ]  # fmt: skip
    if "accuracy" in history:
        shares = [Series("training accuracy", history["accuracy"], "@forward")]
        if "validation_accuracy" in history:
            held = history["validation_accuracy"]
            shares.append(Series("test accuracy", held, "@forward", "dot"))
        ends = ", ".join(f"{each.name} {percent(each.values[-1])}" for each in shares)
        figures.append(
            curves(
                "accuracy", shares, "accuracy", "The share of samples that are classified right. "
                "The gap between the lines is what was learnt by heart.",
                f"The accuracy by epoch; at the end: {ends}.", form=".1%",
            )
        )  # fmt: skip
    plan = story.plan
    how = (
        f"{brief(plan.optimizer)}, batches of {plan.batch_size}, seed {plan.seed}. " if plan else ""
    )
    method = f"{how}Measured on {processor()}."
    return Section(
        "training", "Training", verdicts.training(history), "measured", method, tuple(figures)
    )


def _flow(story: Story) -> Section:
    names = [each.delta for each in story.layers]
    values = [story.flow[each.path] for each in story.layers]
    alt = "RMS of δ at the end: " + ", ".join(
        f"{name} {short(each[-1])}" for name, each in zip(names, values, strict=True)
    )
    if len(names) <= 6:
        caption = "The RMS of δ at each layer, before training (epoch 0) and after each epoch."
        figure = curves(
            "flow", layer_series(names, values), "RMS of δ", caption, alt, first_epoch=0, log=True
        )
    else:
        caption = "The RMS of δ at each layer by epoch: the deeper the colour, the larger δ."
        figure = flow_map(names, values, caption, alt)
    return Section(
        "flow",
        "The error over time",
        verdicts.flow(story.flow, story.layers),
        "measured",
        "δ of one sample, its root mean square over units and over the same "
        f"{min(TRACED, len(story.train[0])):,} training samples each time.",
        (figure,),
    )


def _predictions(story: Story) -> Section:
    found = story.outcome
    where = "that were held out" if story.tested else "of the data given"
    method = f"On {count(len(found.wanted), 'sample')} {where}."
    items: tuple[Item, ...]
    if isinstance(found, Valued):
        figure = scatter(
            found,
            "Each point is a sample; on the dashed line the prediction is right.",
            f"Predicted against wanted values; R² is {short(found.r2)}.",
        )
        scores = {"RMSE": found.rmse, "R²": found.r2}
        items = (figure, table({"measure": list(scores), "value": list(scores.values())}, "Scores"))
    else:
        items = tuple(_classes(story, found))
    return Section(
        "predictions", "Predictions", verdicts.predictions(story), "measured", method, items
    )


def _classes(story: Story, found: Classified) -> Iterator[Item]:
    table_csv = to_csv(
        ["wanted", *found.names],
        ([name, *row] for name, row in zip(found.names, found.confusion.tolist(), strict=True)),
    )
    if len(found.names) <= 20:
        yield Picture(
            "confusion",
            confusion(found),
            "Rows are what was wanted, columns what was predicted. Blue on the diagonal is right; "
            "vermilion beside it is a mistake.",
            table_csv,
        )
    if story.image_shape is not None:
        yield Picture(
            "samples",
            gallery(found, story.shown[0], story.image_shape),
            "Samples of the test data with what the network says, and how sure it is of it.",
            predictions_csv(found),
        )
    else:
        yield worst_table(found)


def _about(story: Story) -> Section:
    net, plan = story.net, story.plan
    parameters = sum(int(np.prod(spec.shape)) for spec in net.specs)
    facts_ = {
        "network": repr(net),
        "parameters": f"{parameters:,}",
        "training samples": f"{len(story.train[0]):,}",
        "test samples": f"{len(story.shown[0]):,}" if story.tested else "none",
        "precision": str(story.train[0].dtype),
        "seed": str(story.seed),
    }
    if plan is not None:
        facts_ |= {"optimiser": brief(plan.optimizer), "batch size": str(plan.batch_size)}
        facts_ |= {
            "epochs": str(plan.epochs),
            "initialiser": brief(plan.scheme) if plan.scheme else "glorot()",
        }
    times = {f"time for the {part}": seconds(spent) for part, spent in story.seconds.items()}
    facts_ |= times | {"machine": processor(), "system": system()} | versions()
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in facts_.items()
    )
    total = seconds(sum(story.seconds.values()))
    return Section(
        "about",
        "How it was made",
        f"Everything on this page was computed in {total}, and comes out the same again from "
        f"seed {story.seed}.",
        "measured",
        "Times are wall-clock, of one run, on the machine named above.",
        (scrolled(f'<table class="facts"><tbody>{rows}</tbody></table>', "Facts"),),
    )
