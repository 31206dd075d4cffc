"""scikit-learn: its MLP learns whole passes by ``partial_fit``."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.bench.absent import AbsentError
from pullback.bench.task import MOMENTUM, BenchmarkTask, TrainingTask


class Sklearn:
    """``MLPClassifier`` without penalty, without shuffling, from the parameters of the task."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        self._x, self._labels = task.data
        self._model = _model(task)

    def first_pass(self) -> float:
        self.passes(1)
        return float(self._model.loss_)  # the mean over the pass

    def passes(self, count: int) -> None:
        for _ in range(count):
            self._model.partial_fit(self._x, self._labels)


class SklearnPrediction:
    """The same network, asked for its probabilities."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        self._x, self._model = task.data[0], _model(task)

    def first_pass(self) -> None:
        self.passes(1)  # probabilities, not outputs

    def passes(self, count: int) -> None:
        for _ in range(count):
            self._model.predict_proba(self._x)


def _model(task: BenchmarkTask) -> Any:
    """The classifier, ready to go on; raises AbsentError for what it has no network for."""
    from sklearn.neural_network import MLPClassifier

    if not isinstance(task, TrainingTask):
        raise AbsentError("it has no such network")
    classes = np.arange(task.widths[-1])
    if len(classes) < 3:
        raise AbsentError("it gives two classes one output: another network")
    model = MLPClassifier(
        task.widths[1:-1],
        activation=task.activation,
        solver="adam" if task.optimizer == "adam" else "sgd",
        alpha=0.0,
        batch_size=task.batch,
        learning_rate_init=task.rate,
        momentum=MOMENTUM if task.optimizer == "momentum" else 0.0,
        nesterovs_momentum=False,
        shuffle=False,
    )
    # it makes its parameters when it first learns; then they are replaced, memory and all
    x, labels = (each[task.rows(0)] for each in task.data)
    model.partial_fit(x, labels, classes=classes)
    params = task.params()
    for at in range(len(task.widths) - 1):
        model.coefs_[at][...] = params[f"{2 * at}.weight"].T
        model.intercepts_[at][...] = params[f"{2 * at}.bias"]
    del model._optimizer
    return model
