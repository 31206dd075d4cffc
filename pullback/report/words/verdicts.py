"""One plain sentence for each section, made from its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pullback.laws import GradientCheck
from pullback.moments.law.growth import LARGE, SMALL
from pullback.report.layers import Layers
from pullback.report.sections.outcome import Classified
from pullback.report.sections.story import Story
from pullback.report.words.numbers import count, percent, power_of_ten, seconds, short, times
from pullback.train.history import Divergence


def headline(story: Story) -> str:
    """What the whole report comes to."""
    found = story.verdict
    said = f"{story.diverged.sentence} " if story.diverged else ""
    if isinstance(found, str):
        return f"{said}{_learnt(story)}."
    right = {
        "right": "every gradient is right",
        "wrong": "a gradient is wrong",
        "cannot tell": "not every gradient can be checked",
    }[found.status]
    return f"{said}{_learnt(story)}, {'and' if found.ok else 'but'} {right}."


def _learnt(story: Story) -> str:
    found, kind = story.outcome, "test" if story.tested else "given"
    samples = f"{len(story.shown[1]):,} {kind} samples"
    if isinstance(found, Classified) and found.places > 1:
        samples = f"{len(found.wanted):,} places in {samples}"
    if not isinstance(found, Classified):
        return f"{percent(found.r2)} of the variance of {samples} is explained"
    commonest = float(found.confusion.sum(axis=1).max() / len(found.wanted))
    text = f"{percent(found.accuracy)} of {samples} are classified right"
    if found.accuracy <= commonest + 0.02:
        text += f", no better than always saying the commonest class ({percent(commonest)})"
    return text


def network(
    layers: Layers, norms: Mapping[str, float], when: str, diverged: Divergence | None = None
) -> str:
    """Does the error arrive at the first layer?"""
    if len(layers) < 2:
        return "One layer: the error goes straight from the loss to the weights."
    first, last = (norms[layers.layers[at].path] for at in (0, -1))
    if first == 0 or last == 0:
        return f"Nothing arrives at the first layer {when}: its δ is zero, and it learns nothing."
    ratio = first / last
    each = ratio ** (1 / (len(layers) - 1))
    way = f"shrinks {1 / each:.3g}×" if each < 1 else f"grows {each:.3g}×"
    size = f"{when} δ {way} a layer; at the first layer it is {short(ratio)}× the output's."
    if diverged is not None:
        return f"Training diverged from this start: {size}"
    if ratio < SMALL:
        return f"The first layers hardly learn: {size}"
    if ratio > LARGE:
        return f"Training is likely to blow up: {size}"
    return f"Every layer learns: {size}"


def equations(errors: int, gradients: int) -> str:
    """What makes backpropagation cheap."""
    if not errors:
        return f"No layer has a δ: {count(gradients, 'gradient')} straight from the loss."
    return (
        f"{count(errors, 'error')} δ, each computed once from the one after it, "
        f"{'give' if errors > 1 else 'gives'} all {count(gradients, 'gradient')}."
    )


def check(found: GradientCheck, before: GradientCheck | str | None = None) -> str:
    """Is the gradient right, at the start and at the end of training?"""
    at_start = isinstance(before, GradientCheck)
    if isinstance(before, GradientCheck) and before.ok and not found.ok:
        return (
            "The gradient is right at the start; at the end "
            f"{'it is ' if found.status == 'wrong' else ''}{found.verdict}."
        )
    if isinstance(before, GradientCheck) and not before.ok:
        found = before
    if not found.ok:
        said = "is" if found.status == "wrong" else "check"
        return f"The gradient {said} {found.verdict}."
    worst = max(found.errors.values())
    when = ", at the start and at the end" if at_start else ""
    error = (
        f"the largest relative error is {short(worst)}, "
        f"{_magnitude(found.tolerance / worst)} below the tolerance"
        if worst > 0
        else "no error is larger than rounding"
    )
    return f"All {count(len(found.errors), 'gradient')} are right{when}: {error}."


def _magnitude(ratio: float) -> str:
    decades = math.floor(math.log10(ratio)) if ratio >= 1 else 0
    if decades < 2:
        return "a little" if ratio < 2 else f"{times(ratio)}"
    return f"a factor of {power_of_ten(decades)}"


def training(history: Mapping[str, Sequence[float]], diverged: Divergence | None = None) -> str:
    """Has it learnt, does it overfit, or did it diverge?"""
    loss = history["loss"]
    if diverged is not None:
        return diverged.sentence
    spent = seconds(sum(history.get("seconds", ())))
    went = "fell" if loss[-1] < loss[0] else "did not fall: it went"
    text = (
        f"The loss {went} from {short(loss[0])} to {short(loss[-1])} "
        f"in {count(len(loss), 'epoch')} ({spent})"
    )
    held = history.get("validation_loss")
    if not held:
        return f"{text}."
    best = int(np.argmin(held))
    if held[-1] > 1.1 * held[best] and best < len(held) - 1:
        return (
            f"{text}; on test data it was lowest after epoch {best + 1} ({short(held[best])}), "
            f"and what came later is overfitting ({short(held[-1])} at the end)."
        )
    if best == len(held) - 1:
        return f"{text}; on test data it is {short(held[-1])} and was still falling."
    return (
        f"{text}; on test data it ends at {short(held[-1])}, near its lowest "
        f"({short(held[best])} after epoch {best + 1})."
    )


def flow(
    flow: Mapping[str, Sequence[float]], layers: Layers, diverged: Divergence | None = None
) -> str:
    """What became of δ during training."""
    start = float(np.median([flow[layer.path][0] for layer in layers]))
    end = float(np.median([flow[layer.path][-1] for layer in layers]))
    if diverged is not None:
        return (
            f"Training diverged: ‖δ‖ of the median layer went from {short(start)} to {short(end)}."
        )
    if not (start > 0 and end > 0):
        return "δ is zero in most layers: nothing is left to learn from."
    first, last = (flow[layers.layers[at].path][-1] for at in (0, -1))
    if first < SMALL * last:
        return (
            f"Hardly anything arrives at the first layer, even at the end: {short(first / last)}× "
            "what leaves the output."
        )
    if start / end >= 3:
        return (
            f"δ fell {times(start / end)} while the network learnt: the mistakes get "
            "smaller, and the gradients with them."
        )
    if end / start >= 3:
        return f"δ grew {times(end / start)} during training: a smaller learning rate may help."
    return "δ kept its size during training: there is still something to learn."


def predictions(story: Story) -> str:
    """Which mistakes are made."""
    found = story.outcome
    if not isinstance(found, Classified):
        spread = float(found.wanted.std())
        return (
            f"A typical error is {short(found.rmse)}, where the values themselves spread by "
            f"{short(spread)}."
        )
    right, total = int(found.right.sum()), len(found.wanted)
    text = f"{right:,} of {total:,} are right"
    mistakes = found.mistakes()
    if not mistakes:
        return f"{text}: there is no mistake."
    wanted, said, often = mistakes[0]
    if often == 1:
        return f"{text}; no two mistakes are alike."
    return f"{text}; the commonest mistake is {wanted} taken for {said} ({often} times)."
