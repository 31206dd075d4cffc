"""The sections about training and its results, and how the page was made."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np

from pullback.report import verdicts
from pullback.report.figures import Series, curves, scatter, to_csv
from pullback.report.gallery import gallery, predictions_csv, worst_table
from pullback.report.machine import processor, system, versions
from pullback.report.numbers import brief, count, percent, seconds, short
from pullback.report.outcome import Classified, Valued
from pullback.report.section import Item, Picture, Section
from pullback.report.story import Story
from pullback.report.tables import confusion, scrolled, table


def training(story: Story) -> Section:
    """The curves of loss and accuracy."""
    assert story.result is not None
    history = story.result.history
    loss = [Series("training loss", history["loss"], "@ink")]
    if "validation_loss" in history:
        loss.append(Series("test loss", history["validation_loss"], "@ink", "dot"))
    ends = ", ".join(f"{each.name} {short(each.values[-1])}" for each in loss)
    figures = [
        curves(
            "loss", loss, "loss", "The loss, on a log scale. The training loss is the mean over "
            "the epoch while the weights move; the test loss is taken at its end.",
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


def predictions(story: Story) -> Section:
    """What is predicted, and which mistakes are made."""
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
            "Samples with what the network says, and how sure it is of it.",
            predictions_csv(found),
        )
    else:
        yield worst_table(found)


def about(story: Story) -> Section:
    """Everything that the numbers depend on."""
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
