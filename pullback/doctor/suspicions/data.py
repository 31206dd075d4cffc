"""The data themselves: their scale, columns that say nothing, targets that contradict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pullback.doctor.lesson import Array
from pullback.doctor.observe import Observations
from pullback.doctor.setup import TrainingSetup, each, inputs
from pullback.doctor.suspicion import CERTAIN, MEASURED, SCALE, Suspicion
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_LARGE = 8.0  # a column's size for the layer behind it: its weights were drawn for 1
_HUGE = 30.0
_SMALL = 0.02
_APART = 30.0  # the largest column over the smallest, but for a tenth of them
_FAR = 100.0  # of targets
_TWINS = 0.02  # of the samples


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about X and Y."""
    yield from _nothing_to_learn(seen)
    inputs_, targets = list(_input_scale(seen)), list(_target_scale(seen))
    yield from (*inputs_, *targets)
    for x, y in zip(inputs_, targets, strict=False):  # one at most of each
        yield _both_scales(x, y)
    yield from _columns(seen)
    yield from _twins(seen)


def columns(x: Any) -> Array:
    found: Array = x.detach().double().cpu().numpy().reshape(len(x), -1)
    return found


def _input_scale(seen: Observations) -> Iterator[Suspicion]:
    first = inputs(seen.setup.X)[0]
    if not first.dtype.is_floating_point:
        return
    x = columns(first)
    size = np.abs(x).max(axis=0) if len(x) < 3 else np.sqrt(np.square(x).mean(axis=0))
    alive = size[size > 0]
    if not alive.size:
        return
    high, low = float(alive.max()), float(alive.min())
    apart = first.dim() == 2 and high > _APART * float(np.quantile(alive, 0.1))
    if _SMALL <= high <= _LARGE and not apart:
        return
    at = int(size.argmax())
    picture = first.dim() > 2
    named = "they are" if picture else f"column {at} is"
    what = (
        f"the inputs are not standardised: {named} of size {high:.3g} (mean {x[:, at].mean():.3g}, "
        f"deviation {x[:, at].std():.3g})"
        + (f", the smallest {low:.3g}" if high > 10 * low and not picture else "")
    )
    yield Suspicion(
        "input scale",
        ("data.X",),
        what,
        "standardise the inputs",
        "X = (X - X.mean(0)) / X.std(0)" if not picture else "X = (X - X.mean()) / X.std()",
        standard_inputs,
        SCALE if not 1 / _HUGE**2 < high < _HUGE else 1.5,
    )


def standard_inputs(setup: TrainingSetup) -> TrainingSetup:
    """Every column of mean 0 and deviation 1; pictures and sequences as a whole."""

    def standard(x: Any) -> Any:
        if not x.dtype.is_floating_point:
            return x
        x64 = x.double()
        if x.dim() > 2:
            return ((x64 - x64.mean()) / (x64.std() + 1e-12)).to(x.dtype)
        spread = x64.std(0, correction=0)
        return ((x64 - x64.mean(0)) / torch.where(spread > 0, spread, 1.0)).to(x.dtype)

    return replace(setup, X=each(setup.X, standard))


def _target_scale(seen: Observations) -> Iterator[Suspicion]:
    if seen.setup.task.kind != "values":
        return
    y = columns(seen.setup.Y)
    spread, mean = float(y.std(axis=0).max()), float(np.abs(y.mean(axis=0)).max())
    if spread <= _FAR and mean <= 10 * _FAR and spread > 1e-3:
        return
    yield Suspicion(
        "target scale",
        ("data.Y",),
        f"the targets are not standardised: mean {mean:.3g}, deviation {spread:.3g}, and the "
        f"outputs start at {float(seen.output.abs().mean()) if seen.output is not None else 0:.2g}",
        "standardise the targets, and scale predictions back",
        "Y = (Y - Y.mean(0)) / Y.std(0)",
        standard_targets,
        SCALE + 0.1 if spread > 10 * _FAR else MEASURED + 0.1,
    )


def standard_targets(setup: TrainingSetup) -> TrainingSetup:
    """Targets of mean 0 and deviation 1."""
    y = setup.Y.double()
    spread = y.std(0, correction=0)
    return replace(
        setup, Y=((y - y.mean(0)) / torch.where(spread > 0, spread, 1.0)).to(setup.Y.dtype)
    )


def _both_scales(x: Suspicion, y: Suspicion) -> Suspicion:
    """Where neither alone is enough."""
    return Suspicion(
        "both scales",
        (*x.places, *y.places),
        f"{x.what}; and {y.what}",
        f"{x.fix}; {y.fix}",
        f"{x.code}; {y.code}",
        lambda setup: standard_targets(standard_inputs(setup)),
        min(x.weight, y.weight) - 0.05,
    )


def _nothing_to_learn(seen: Observations) -> Iterator[Suspicion]:
    x = columns(inputs(seen.setup.X)[0])
    if len(x) > 1 and (x == x[:1]).all():
        yield Suspicion(
            "no signal",
            ("data.X", "data"),
            "the inputs carry no information: every sample is the same",
            "look at how X is made",
            "print(X.std(0))",
            None,
            CERTAIN + 1,
        )
        return
    found = seen.reference
    one_class = seen.setup.task.classes == 1
    if found.signal is False and found.best is not None and not one_class:
        if seen.majority_hides:
            return
        measure, task = seen.setup.task.measure, seen.setup.task
        yield Suspicion(
            "no signal",
            ("data",),
            "the data carry no signal that a plain learner finds: on unseen samples "
            f"its {measure} is {found.best:.2f}, and without any it would be up to "
            f"{found.chance:.2f} ({task.trivial:.2f} for one answer to all)",
            "look whether inputs and targets are still in the same order; shuffle them together",
            "p = torch.randperm(len(X)); X, Y = X[p], Y[p]",
            None,
            SCALE,
        )


def _columns(seen: Observations) -> Iterator[Suspicion]:
    first = inputs(seen.setup.X)[0]
    if first.dim() != 2 or not first.dtype.is_floating_point or len(first) < 3:
        return
    x = columns(first)
    still = np.flatnonzero((x == x[:1]).all(axis=0))
    if len(still) and len(still) < x.shape[1]:
        yield Suspicion(
            "constant features",
            ("data.X",),
            f"{len(still)} of {x.shape[1]} columns never change ({_some(still)})",
            f"drop them; the first layer then takes {x.shape[1] - len(still)} inputs",
            "X = X[:, X.std(0) > 0]",
            None,
            0.0,
        )
    _, first_at = np.unique(x, axis=1, return_index=True)
    double = [at for at in range(x.shape[1]) if at not in first_at and at not in still]
    if double:
        yield Suspicion(
            "duplicate features",
            ("data.X",),
            f"{len(double)} columns repeat others ({_some(double)})",
            f"drop them; the first layer then takes {x.shape[1] - len(double)} inputs",
            "X = X[:, sorted(np.unique(X, axis=1, return_index=True)[1])]",
            None,
            0.0,
        )


def _some(places: Any) -> str:
    return ", ".join(str(each) for each in places[:5]) + (", …" if len(places) > 5 else "")


def _twins(seen: Observations) -> Iterator[Suspicion]:
    found, n = seen.reference, len(seen.setup)
    if found.twins > max(_TWINS * n, 1):
        yield Suspicion(
            "label noise",
            ("data.Y",),
            f"{found.twins} of {n} samples have a twin with the same inputs and "
            f"other targets: no network gets more than {found.ceiling:.2f}",
            "look at them; then average their targets, or leave them out",
            "_, twin = X.unique(dim=0, return_inverse=True); print(twin.bincount().topk(5))",
            None,
            0.0,
        )
