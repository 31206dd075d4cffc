"""Early stopping: training ends when what is watched has not become better for a while."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pullback.errors import from_zero, require, unknown, whole


@dataclass(frozen=True)
class EarlyStopping:
    """End after ``patience`` epochs in which ``monitor`` is not better by more than ``min_delta``.

    ``monitor`` is a column of the history; None is validation_loss, or loss without validation.
    Of an accuracy, more is better. With ``restore_best`` the parameters of the best epoch come
    back. Raises ConfigError for numbers that make no sense.

    >>> EarlyStopping(patience=5, monitor="validation_accuracy").restore_best
    True
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str | None = None
    restore_best: bool = True

    def __post_init__(self) -> None:
        whole("patience", self.patience)
        from_zero("min_delta", self.min_delta)
        if self.monitor is not None:
            require("monitor", self.monitor, str, "a column of the history, such as 'loss'")


class Watch:
    """Which epoch is the best so far, and for how long.

    >>> watch = Watch(EarlyStopping(patience=2, monitor="loss"), columns=["loss"])
    >>> [watch.better(loss) for loss in (3.0, 2.0, 2.5, 2.1)]
    [True, True, False, False]
    >>> watch.verdict
    'loss has not improved on 2 since epoch 2'
    """

    def __init__(self, rule: EarlyStopping, columns: Collection[str]) -> None:
        default = "validation_loss" if "validation_loss" in columns else "loss"
        self.rule, self.monitor = rule, rule.monitor or default
        if self.monitor not in columns:
            raise unknown("column of the history to monitor:", self.monitor, columns)
        self._sign = -1.0 if self.monitor.endswith("accuracy") else 1.0
        self.best_epoch = self._epochs = 0
        self._best = float("inf")

    def better(self, value: float) -> bool:
        """Is this value, of the next epoch, the best so far?"""
        self._epochs += 1
        value *= self._sign
        if self.best_epoch and not value < self._best - self.rule.min_delta:
            return False
        self._best, self.best_epoch = value, self._epochs
        return True

    @property
    def verdict(self) -> str | None:
        """Why training should end now, if it should."""
        if self._epochs - self.best_epoch < self.rule.patience:
            return None
        best = self._sign * self._best
        return f"{self.monitor} has not improved on {best:.4g} since epoch {self.best_epoch}"
