"""What a trained network says of samples, in the target's own words and units, and how well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pullback.data import Preprocessing
from pullback.errors import ShapeError
from pullback.net.network import Network
from pullback.net.program import Array

_DIGITS = 8  # of a number in a file of predictions; float32 holds 7
_BINS = 10  # of confidence, for the calibration
_SAMPLES = 4096  # that a network reads at once
_TINY = 1e-15


@dataclass(frozen=True)
class Prediction:
    """Class probabilities (samples, classes) or values (samples, outputs), for each sample.

    ``classes`` are the names of the classes; where there are none, ``values`` are in the target's
    own units.
    """

    values: Array
    classes: tuple[str, ...] = ()

    @property
    def numbers(self) -> Array:
        """The number of the most probable class of each sample (samples,)."""
        best: Array = self.values.argmax(axis=1)
        return best

    @property
    def labels(self) -> list[str]:
        """The most probable class of each sample."""
        return [self.classes[at] for at in self.numbers]

    def take(self, rows: Array | None) -> Prediction:
        """That of the samples where ``rows`` is True; of all where it is None."""
        return self if rows is None else replace(self, values=self.values[rows])

    def columns(self, target: str) -> dict[str, list[str]]:
        """What a file of predictions holds, by the name of the column."""
        if self.classes:
            shares = zip(self.classes, self.values.T, strict=True)
            return {target: self.labels, **{f"P({name})": _texts(share) for name, share in shares}}
        if self.values.shape[1] == 1:
            return {target: _texts(self.values[:, 0])}
        return {f"{target}_{k}": _texts(column) for k, column in enumerate(self.values.T, 1)}

    def scores(self, Y: Array) -> dict[str, float]:
        """How well it fits class numbers (samples,) or values in the target's own units.

        RMSE, MAE and R² for values; for classes accuracy, F1 (the mean over classes), log-loss in
        nats and calibration: the mean gap between confidence and accuracy, over ten bins of
        confidence (Guo et al. 2017, section 2).
        """
        return _of_classes(self.values, Y) if self.classes else _of_values(self.values, Y)

    def losses(self, Y: Array) -> Array:
        """What each sample adds (samples,): 1 where the class is wrong, or the squared error."""
        if self.classes:
            wrong: Array = (self.numbers != Y).astype(np.float64)
            return wrong
        gaps: Array = np.square(self.values - _column(Y)).mean(axis=1)
        return gaps


def predicted(
    net: Network, params: Mapping[str, Array], X: Array, made: Preprocessing
) -> Prediction:
    """What a network says of samples that the preprocessing has scaled already.

    Raises ShapeError where it has another number of outputs than there are classes.
    """
    X = X.reshape(len(X), *(axis.size or -1 for axis in net.x.axes[1:]))
    parts = [net.predict(params, X[at : at + _SAMPLES]) for at in range(0, len(X), _SAMPLES)]
    output = np.concatenate(parts).astype(np.float64)
    output = output[:, None] if output.ndim == 1 else output
    classes, kind = made.target.classes, net.criterion.target
    if not classes or kind == "values":
        return Prediction(made.values(net.criterion.estimate(output)))
    shares = net.criterion.estimate(output)
    if kind == "signs":
        shares = 0.5 + 0.5 * np.tanh(output / 2)  # σ, which does not overflow so
    if len(classes) == 2 and shares.shape[1] == 1:
        shares = np.column_stack([1 - shares, shares])
    if shares.shape[1] != len(classes):
        raise ShapeError(
            f"the network has {shares.shape[1]} outputs, and there are {len(classes)} classes"
        )
    if kind != "classes":  # each output was asked for itself
        shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), _TINY)
    return Prediction(shares, classes)


def _texts(column: Array) -> list[str]:
    return [f"{each:.{_DIGITS}g}" for each in column]


def _column(Y: Array) -> Array:
    return Y[:, None] if Y.ndim == 1 else Y


def _of_values(values: Array, Y: Array) -> dict[str, float]:
    truth = _column(Y).astype(np.float64)
    errors = values - truth
    spread = np.square(truth - truth.mean(axis=0)).sum()
    rest = np.square(errors).sum()
    scores = {"rmse": float(np.sqrt(np.square(errors).mean())), "mae": float(np.abs(errors).mean())}
    return {**scores, "r2": float(1 - rest / spread)} if spread > 0 else scores


def _of_classes(shares: Array, Y: Array) -> dict[str, float]:
    best, confidence = shares.argmax(axis=1), shares.max(axis=1)
    right = best == Y
    there = np.union1d(best, Y)
    f1 = [2 * (right & (k == Y)).sum() / ((best == k).sum() + (k == Y).sum()) for k in there]
    truth = shares[np.arange(len(Y)), Y]
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float((right[bins == b] - confidence[bins == b]).sum())) for b in range(_BINS)]
    return {
        "accuracy": float(right.mean()),
        "f1": float(np.mean(f1)),
        "log_loss": float(-np.log(np.maximum(truth, _TINY)).mean()),
        "calibration": float(sum(gaps) / len(Y)),
    }
