"""A regressor with scikit-learn's conventions."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import RegressorMixin

from pullback.estimators.net import NetEstimator
from pullback.net.program import Array
from pullback.nn import SquaredError


class NetRegressor(RegressorMixin, NetEstimator):
    """A network for one value a sample or several, trained on half the squared distance.

    Parameters and attributes are those of ``NetClassifier``, without its classes.

    >>> import numpy as np
    >>> X = np.linspace(-2, 2, 100)[:, None]
    >>> y = np.sin(X[:, 0])
    >>> bool(NetRegressor(random_state=0).fit(X, y).score(X, y) > 0.95)
    True
    """

    _loss = SquaredError()
    _classifies = False

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch more, on these samples."""
        return self._learn(X, y, sample_weight, fresh=not self.__sklearn_is_fitted__(), once=True)

    def _target(self, y: Array, classes: Any) -> tuple[Array, int]:
        columns = y if y.ndim == 2 else y[:, None]
        return columns, columns.shape[1]

    def predict(self, X: Any) -> Array:
        """The values of each sample: (samples, outputs), or (samples,) where there is one."""
        values = self._outputs(X)
        return values[:, 0] if values.shape[1] == 1 else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
