"""A regressor with scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from sklearn.base import RegressorMixin

from pullback.errors import ConfigError, require
from pullback.estimators.net import NetEstimator
from pullback.net.program import Array
from pullback.net.recipe import loss_named
from pullback.nn import Loss
from pullback.nn.init import Scheme
from pullback.train.optim import FullBatch, Optimizer
from pullback.train.optim.schedule import Rate


class NetRegressor(RegressorMixin, NetEstimator):
    """A network for one value a sample or several, trained on half the squared distance.

    ``loss`` is another loss of values: "l1", "huber", "smooth_l1", "mse", or one such as
    ``pb.PoissonNLLLoss()`` or ``pb.Loss("abs(z - y)")``, whose estimate is what is predicted.
    Other parameters and attributes are those of ``NetClassifier``, without its classes.

    >>> import numpy as np
    >>> X = np.linspace(-2, 2, 100)[:, None]
    >>> y = np.sin(X[:, 0])
    >>> bool(NetRegressor(random_state=0).fit(X, y).score(X, y) > 0.95)
    True
    """

    _classifies = False

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        loss: str | Loss = "squared_error",
        optimizer: str | Optimizer | FullBatch = "adam",
        learning_rate: Rate | None = None,
        epochs: int = 100,
        batch_size: int | None = 64,
        l2: float = 1e-4,
        init: str | Scheme = "torch_default",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        dtype: str | None = None,
        engine: str = "auto",
        random_state: Any = None,
        warm_start: bool = False,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation,
            optimizer=optimizer,
            learning_rate=learning_rate,
            epochs=epochs,
            batch_size=batch_size,
            l2=l2,
            init=init,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            dtype=dtype,
            engine=engine,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
        )
        self.loss = loss

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch more, on these samples."""
        return self._learn(X, y, sample_weight, fresh=not self.__sklearn_is_fitted__(), once=True)

    def _target(self, y: Any, classes: Any) -> tuple[Array, int]:
        columns = y if y.ndim == 2 else y[:, None]
        return columns, columns.shape[1]

    def _criterion(self) -> Loss:
        loss = loss_named(self.loss) if isinstance(self.loss, str) else self.loss
        require("loss", loss, Loss, "a loss of values such as 'huber' or pb.L1Loss()")
        if loss.target != "values":
            raise ConfigError(
                f"loss is {loss!r}, which is for classes; expected one of values, such as 'huber', "
                "or a NetClassifier"
            )
        return loss

    def predict(self, X: Any) -> Array:
        """The values of each sample: (samples, outputs), or (samples,) where there is one."""
        outputs = self._outputs(X)
        values = self.network_.criterion.estimate(outputs)
        return values[:, 0] if values.shape[1] == 1 else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
