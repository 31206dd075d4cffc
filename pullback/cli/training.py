"""Training as the command line asks for it: with validation, and with an end that is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pullback.cli.work import Work
from pullback.data import split_rows
from pullback.errors import NonFiniteError
from pullback.train.divergence import untold
from pullback.train.fit import FitResult, fit
from pullback.train.optim import FullBatch, Optimizer

SHARE = 0.2  # of the training samples, for early stopping to watch

Pair = tuple[Any, Any]


def apart(
    work: Work, validation: float | None, early_stopping: int | None, seed: int
) -> tuple[Pair, Pair | None]:
    """The samples to learn from, and those to validate on during training, if there are any.

    Raises ConfigError for a share that is none.
    """
    if validation is None and early_stopping is None:
        return work.train, None
    X, Y = work.train
    share = SHARE if validation is None else validation
    learn, rest = split_rows(len(X), Y if work.classes and Y.ndim == 1 else None, share, seed)
    return (X[learn], Y[learn]), (X[rest], Y[rest])


def trained(
    work: Work,
    fitted: Pair,
    held: Pair | None,
    optimizer: Optimizer | FullBatch,
    *,
    epochs: int,
    batch_size: int,
    early_stopping: int | None,
    seed: int,
    progress: bool,
    options: Mapping[str, Any],
) -> FitResult:
    """What ``fit`` learns; where a number is no longer finite, what it had learnt by then.

    Without samples to validate on, the progress bar and the history show the test samples.
    """
    with untold():  # the result says so, and is printed
        try:
            return fit(
                work.net,
                *fitted,
                params=work.start(seed),
                optimizer=optimizer,
                epochs=epochs,
                batch_size=min(batch_size, len(fitted[0])),
                validation=work.test if held is None else held,
                early_stopping=early_stopping,
                seed=seed,
                progress=progress,
                **options,
            )
        except NonFiniteError as fault:
            if fault.result is None:
                raise
            found: FitResult = fault.result
            return found
