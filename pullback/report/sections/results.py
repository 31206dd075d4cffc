"""The sections about training and its results, and how the page was made."""

from __future__ import annotations

from collections.abc import Iterator

from pullback.report.drawing.figures import Series, curves, scatter, to_csv
from pullback.report.drawing.gallery import gallery, predictions_csv, worst_table
from pullback.report.drawing.tables import confusion, table
from pullback.report.sections.outcome import Classified, Valued
from pullback.report.sections.section import Item, Picture, Section
from pullback.report.sections.story import Story
from pullback.report.words import verdicts
from pullback.report.words.numbers import brief, count, percent, short
from pullback.report.words.provenance import processor


def training(story: Story) -> Section:
    """The curves of loss and accuracy."""
    assert story.result is not None
    history = story.result.history
    loss = [Series("training", history["loss"], "@ink")]
    if "validation_loss" in history:
        loss.append(Series("test", history["validation_loss"], "@ink", "dot"))
    ends = ", ".join(f"{each.name} {short(each.values[-1])}" for each in loss)
    figures = [
        curves(
            "loss", loss, "loss", "The loss, on a log scale. The training loss is the mean over "
            "the epoch while the weights move; the test loss is taken at its end.",
            f"The loss by epoch; at the end: {ends}.", log=True,
        )
    ]  # fmt: skip
    if "accuracy" in history:
        shares = [Series("training", history["accuracy"], "@forward")]
        if "validation_accuracy" in history:
            held = history["validation_accuracy"]
            shares.append(Series("test", held, "@forward", "dot"))
        ends = ", ".join(f"{each.name} {percent(each.values[-1])}" for each in shares)
        figures.append(
            curves(
                "accuracy", shares, "accuracy", "The share of samples that are classified right. "
                "The gap between the lines shows overfitting.",
                f"The accuracy by epoch; at the end: {ends}.", form=".1%",
            )
        )  # fmt: skip
    schedule = story.schedule
    how = (
        f"{brief(schedule.optimizer)}, batches of {schedule.batch_size}, seed {schedule.seed}. "
        if schedule
        else ""
    )
    method = f"{how}Measured on {processor()}."
    return Section(
        "training",
        "Training",
        verdicts.training(history, story.diverged),
        "measured",
        method,
        tuple(figures),
    )


def predictions(story: Story) -> Section:
    """What is predicted, and which mistakes are made."""
    found = story.outcome
    where = "that were held out" if story.tested else "of the data given"
    samples = count(len(story.shown[1]), "sample")
    if isinstance(found, Classified) and found.places > 1:
        samples += f", {found.places} places in each,"
    method = f"On {samples} {where}."
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
    if story.image_shape is not None and found.places == 1:
        yield Picture(
            "samples",
            gallery(story, found),
            "Samples with what the network says, and how sure it is of it.",
            predictions_csv(found),
        )
    else:
        yield worst_table(found)
