"""scikit-learn: its MLP learns whole passes by ``partial_fit``."""

from __future__ import annotations

import numpy as np

from pullback.bench.peers import AbsentError
from pullback.bench.task import MOMENTUM, TrainingTask


class Sklearn:
    """``MLPClassifier`` without penalty, without shuffling, from the parameters of the task."""

    def __init__(self, task: TrainingTask, threads: int) -> None:
        from sklearn.neural_network import MLPClassifier

        if task.widths[-1] < 3:
            raise AbsentError("it gives two classes one output: another network")
        self._x, self._labels = task.data
        self._model = MLPClassifier(
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
        first = task.rows(0)
        classes = np.arange(task.widths[-1])
        self._model.partial_fit(self._x[first], self._labels[first], classes=classes)
        params = task.params()
        for at in range(len(task.widths) - 1):
            self._model.coefs_[at][...] = params[f"{2 * at}.weight"].T
            self._model.intercepts_[at][...] = params[f"{2 * at}.bias"]
        del self._model._optimizer

    def first_pass(self) -> float:
        self.passes(1)
        return float(self._model.loss_)  # the mean over the pass

    def passes(self, count: int) -> None:
        for _ in range(count):
            self._model.partial_fit(self._x, self._labels)
