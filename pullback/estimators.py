"""scikit-learn's conventions around ``Network`` and ``fit``: a classifier and a regressor.

Constructor parameters are stored as they come and looked at when fitting starts.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Self

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from pullback.errors import ConfigError, DataError, whole
from pullback.nn import CrossEntropy, Loss, SquaredError
from pullback.nn.init import Scheme
from pullback.run.compiled import Array
from pullback.run.fit import fit
from pullback.run.network import Network
from pullback.run.optim import Optimizer
from pullback.run.spec import Recipe, from_layers, scheme_named


class _NetEstimator(BaseEstimator):
    """What the two share: parameters as they came, a network, its training.

    After ``fit``: ``network_`` and ``params_``, which every function of pullback takes;
    ``loss_curve_``, the training loss of each epoch; ``n_iter_``, the epochs; ``n_outputs_``,
    ``n_features_in_`` and, for data frames, ``feature_names_in_``.
    """

    _loss: Loss

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        optimizer: str | Optimizer = "adam",
        learning_rate: float | None = None,
        epochs: int = 100,
        batch_size: int | None = 64,
        l2: float = 1e-4,
        init: str | Scheme | None = None,
        dtype: str | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.l2 = l2
        self.init = init
        self.dtype = dtype
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (samples, features) and y; with ``warm_start``, from where the last fit was.

        ``sample_weight`` (samples,) is how much each sample counts, relative to the others.
        Raises ValueError for data of which nothing can be learnt, ConfigError for parameters.
        """
        fresh = not (self.warm_start and hasattr(self, "params_"))
        return self._learn(X, y, sample_weight, fresh, whole("epochs", self.epochs))

    def _learn(self, X: Any, y: Any, sample_weight: Any, fresh: bool, epochs: int) -> Self:
        x, y = validate_data(
            self,
            X,
            y,
            reset=fresh,
            dtype=self._dtypes,
            multi_output=self._many_targets,
            y_numeric=self._many_targets,
        )
        target, outputs = self._target(y, fresh)
        weights = self._weights(x, y, sample_weight)
        if fresh:
            self._random = check_random_state(self.random_state)
            recipe = from_layers([x.shape[1], *self._hidden(), outputs], self.activation)
            scheme = scheme_named(self.init) if isinstance(self.init, str) else self.init
            network = _network(recipe, self._loss, self.l2)
            start = network.init(self._seed(), scheme or recipe.scheme, x.dtype)
            curve = []
        else:
            network, start, curve = self.network_, self.params_, self.loss_curve_
        size = self.batch_size
        result = fit(
            network,
            x,
            target,
            params=start,
            optimizer=self._optimizer(),
            epochs=epochs,
            batch_size=None if size is None else min(whole("batch_size", size), len(x)),
            seed=self._seed(),
            progress=bool(self.verbose),
            sample_weight=weights,
        )
        self.network_, self.params_, self.n_outputs_ = network, result.params, outputs
        self.loss_curve_ = curve + result.history["loss"]
        self.n_iter_ = len(self.loss_curve_)
        if result.interrupted:
            warnings.warn(f"interrupted: {result.text()}", ConvergenceWarning, stacklevel=3)
        return self

    @property
    def _dtypes(self) -> Any:
        """The precision asked for, or X's own; whole numbers become float64."""
        return [np.float64, np.float32] if self.dtype is None else self.dtype

    def _hidden(self) -> list[int]:
        widths = self.hidden_layer_sizes
        return [widths] if isinstance(widths, int) else list(widths)

    def _seed(self) -> int:
        return int(self._random.randint(2**31 - 1))

    def _optimizer(self) -> Optimizer:
        chosen = self.optimizer
        if isinstance(chosen, str):
            chosen = optimizer_named(chosen)
        if self.learning_rate is None:
            return chosen
        return replace(chosen, learning_rate=self.learning_rate)

    def _weights(self, x: Array, y: Array, sample_weight: Any) -> Array | None:
        """How much each sample counts, 1 on average."""
        if sample_weight is None:
            return None
        weights = _check_sample_weight(sample_weight, x, dtype=x.dtype, ensure_non_negative=True)
        return weights / weights.mean()

    def _outputs(self, X: Any) -> Array:
        """The network's output (samples, outputs)."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=self._dtypes, reset=False)
        return self.network_.predict(self.params_, x)
