"""What the estimators share: parameters as they came, a network, its training.

Constructor parameters are stored untouched and looked at when fitting starts.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Self, TypeGuard

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_is_fitted,
    check_X_y,
    validate_data,
)

from pullback.data.encoders import Encoder
from pullback.data.frame import encoded_frame, frame_encoders, mixed_table
from pullback.errors import ConfigError, DataError, PullbackWarning, from_zero, positive, whole
from pullback.ir import Named, Node
from pullback.ir.flow import form
from pullback.net.checks import FLOATS, checked_dtype, is_finite
from pullback.net.network import Network
from pullback.net.program import Array, compile_program
from pullback.net.recipe import Recipe, from_layers, scheme_named
from pullback.nn import Loss
from pullback.nn.init import Scheme
from pullback.train.fit import fit
from pullback.train.history import FitResult, OptimizerState
from pullback.train.optim import FullBatch, Optimizer
from pullback.train.optim.by_name import optimizer_named
from pullback.train.optim.schedule import Rate

_FALLING = 0.15  # a loss that falls by this share within n_iter_no_change epochs is not at rest


class NetEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """The base of both; see ``NetClassifier`` for the parameters."""

    _classifies: bool
    _encoders: tuple[Encoder, ...]
    network_: Network
    params_: dict[str, Array]
    history_: dict[str, list[float]]
    _state: dict[tuple[object, ...], OptimizerState | None]

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.l2 = l2
        self.init = init
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.dtype = dtype
        self.engine = engine
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (samples, features) and y; with ``warm_start``, go on from the last fit.

        ``sample_weight`` (samples,) is how much each sample counts, relative to the others.
        Raises ValueError for data of which nothing can be learnt and for parameters that make no
        sense.
        """
        fresh = not (self.warm_start and self.__sklearn_is_fitted__())
        classes = None if fresh else getattr(self, "classes_", None)
        return self._learn(X, y, sample_weight, fresh, classes)

    def _learn(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        fresh: bool,
        classes: Any = None,
        once: bool = False,
    ) -> Self:
        """Train for all epochs or for one, from new parameters or from those that are there."""
        x, y = self._checked(X, y, fresh)
        target, outputs = self._target(y, classes)
        weight = self._weight(x, y, sample_weight)
        if fresh:
            self._random = check_random_state(self.random_state)
            network, params = self._start(x.shape[1], outputs, x.dtype)
        else:
            network, params = self._same_network(x.shape[1], outputs), self.params_
        history = {} if fresh else self.history_
        optimizer = self._optimizer()
        state = self._state.get(_kind(optimizer)) if once and not fresh else None
        early = self.early_stopping and not once
        learnt, held = self._split(target) if early else (slice(None), None)
        x_learnt, size = x[learnt], self.batch_size
        w_held = None if held is None or weight is None else weight[held]
        with warnings.catch_warnings():
            if once:  # a call of partial_fit sees a part of the training, and cannot judge it
                warnings.filterwarnings("ignore", "Training diverged", PullbackWarning)
            result = fit(
                network,
                x_learnt,
                target[learnt],
                params=params,
                optimizer=optimizer,
                epochs=1 if once else self.epochs,
                batch_size=None if size is None else min(whole("batch_size", size), len(x_learnt)),
                validation=None if held is None else (x[held], target[held], w_held),
                early_stopping=whole("n_iter_no_change", self.n_iter_no_change) if early else None,
                sample_weight=None if weight is None else weight[learnt],
                seed=self._seed(),
                progress=bool(self.verbose),
                engine=self.engine,
                optimizer_state=state,
            )
        self._state = {_kind(optimizer): result.optimizer_state}
        self.network_, self.params_, self.n_outputs_ = network, result.params, outputs
        self.history_ = {k: history.get(k, []) + new for k, new in result.history.items()}
        self.loss_curve_ = self.history_["loss"]
        self.n_iter_ = len(self.loss_curve_)
        if text := "" if once and not result.interrupted else self._unfinished(result, optimizer):
            warnings.warn(text, ConvergenceWarning, stacklevel=3)
        return self

    def _unfinished(self, result: FitResult, optimizer: Optimizer | FullBatch) -> str:
        """Why training has not come to rest, if it has not."""
        if result.interrupted:
            return result.text()
        if result.stopped is not None:
            return ""
        loss, window = result.history["loss"], whole("n_iter_no_change", self.n_iter_no_change)
        can_tell = not self.early_stopping and not isinstance(optimizer, FullBatch)
        if can_tell and len(loss) > window:
            before, after = min(loss[:-window]), min(loss[-window:])
            if after >= (1 - _FALLING) * before:
                return ""
        return (
            f"training ended before it converged (epochs: {len(loss)}, loss: {loss[-1]:.4g}); "
            "give it more epochs, or a larger learning_rate"
        )

    def _checked(self, X: Any, y: Any, fresh: bool) -> tuple[Array, Array]:
        """X (samples, features) and y, checked; a data frame's texts and dates are features."""
        values = not self._classifies
        several = values or type_of_target(y).startswith("multilabel")
        table = mixed_table(X)
        if table is None:
            self._encoders = () if fresh else self._encoders
            x, y = validate_data(
                self, X, y, reset=fresh, dtype=self._dtypes, multi_output=several, y_numeric=values
            )
            return x, y
        validate_data(self, X, reset=fresh, skip_check_array=True)
        if fresh:
            self._encoders = frame_encoders(table)
        x, y = check_X_y(
            encoded_frame(table, self._encoders),
            y,
            dtype=self._dtypes,
            multi_output=several,
            y_numeric=values,
            estimator=self,
        )
        return x, y

    @abstractmethod
    def _target(self, y: Any, classes: Any) -> tuple[Array, int]:
        """The targets as ``fit`` reads them, and how many outputs they need."""

    def _start(self, features: int, outputs: int, dtype: Any) -> tuple[Network, dict[str, Array]]:
        """The network for so many features and outputs, with its first parameters."""
        scheme = scheme_named(self.init) if isinstance(self.init, str) else self.init
        network = self._network(features, outputs)
        return network, network.init(self._seed(), scheme, dtype)

    def _network(self, features: int, outputs: int) -> Network:
        """The network that the parameters describe."""
        hidden = self.hidden_layer_sizes
        widths = hidden if isinstance(hidden, Iterable) else [hidden]
        between = [whole("a width in hidden_layer_sizes", width) for width in widths]
        recipe = from_layers([features, *between, outputs], self.activation)
        return _network(recipe, self._criterion(), from_zero("l2", self.l2))

    @abstractmethod
    def _criterion(self) -> Loss:
        """The loss that is trained on."""

    def _same_network(self, features: int, outputs: int) -> Network:
        """The network to go on with; raises ConfigError if it is another one than before."""
        network = self._network(features, outputs)
        if network.model != self.network_.model:
            raise ConfigError(
                f"the network is {network.model!r} now, and {self.network_.model!r} was learnt; "
                "fit it anew, with warm_start=False"
            )
        return network

    def _split(self, target: Array) -> tuple[Array, Array]:
        """The rows to learn from, and those that say when to stop."""
        share = self.validation_fraction
        if not 0 < positive("validation_fraction", share) < 1:
            raise ConfigError(f"validation_fraction is {share!r}; expected a share below 1")
        try:
            learnt, held = train_test_split(
                np.arange(len(target)),
                test_size=share,
                random_state=self._seed(),
                stratify=target if self._classifies else None,
            )
        except ValueError as fault:  # too few samples, of all or of one class
            raise DataError(f"early_stopping holds out a part of the data, but: {fault}") from None
        return learnt, held

    def _optimizer(self) -> Optimizer | FullBatch:
        given = self.optimizer
        chosen = optimizer_named(given) if isinstance(given, str) else given
        if self.learning_rate is None:
            return chosen
        if not isinstance(chosen, Optimizer):
            raise ConfigError(f"optimizer is {chosen!r}, which has no learning_rate; leave it None")
        return replace(chosen, learning_rate=self.learning_rate)

    def _weight(self, x: Array, y: Array, sample_weight: Any) -> Array | None:
        if sample_weight is None:
            return None
        weight: Array = _check_sample_weight(
            sample_weight, x, dtype=x.dtype, ensure_non_negative=True
        )
        return weight

    def _features(self, X: Any) -> Array:
        """X (samples, features) as in training."""
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)
        if self._ready(X):
            return X
        table = mixed_table(X) if self._encoders else None
        if table is None and not self._encoders:
            x: Array = validate_data(self, X, dtype=self._dtypes, reset=False)
            return x
        if table is None:
            raise DataError(
                "X has no texts, categories or dates, and in training it had; expected a data "
                f"frame with the columns {', '.join(each.name for each in self._encoders)}"
            )
        validate_data(self, X, reset=False, skip_check_array=True)
        return np.asarray(check_array(encoded_frame(table, self._encoders), dtype=self._dtypes))

    def _ready(self, X: Any) -> TypeGuard[Array]:
        """Is X what scikit-learn's validation would give back as it is, in a hundred µs?"""
        return (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype in self._dtypes
            and len(X) > 0
            and X.shape[1] == self.n_features_in_
            and not self._encoders
            and not hasattr(self, "feature_names_in_")
            and is_finite(X)
        )

    def _outputs(self, X: Any) -> Array:
        """The network's output (samples, outputs)."""
        x = self._features(X)
        return self.network_.predict(self.params_, x)

    def transform(self, X: Any) -> Array:
        """What the last hidden layer makes of each sample (samples, units): learnt features.

        ``set_output`` says which container they come in; ``get_feature_names_out`` names them.
        """
        x = self._features(X)
        leaves = (self.network_.x,)
        program = compile_program({"hidden": self._hidden}, "The last hidden layer.", leaves=leaves)
        return np.array(program(self.params_, {"x": x})["hidden"])

    @property
    def _hidden(self) -> Node:
        """What the last layer reads."""
        last = self.network_.output
        return form(last).args[0] if isinstance(last, Named) else last

    @property
    def _n_features_out(self) -> int:
        """How many units the last hidden layer has; scikit-learn names them."""
        return int(self._hidden.axes[-1].size or 0)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "params_")

    @property
    def _dtypes(self) -> Any:
        """The precision asked for; else X's own, and float64 for whole numbers."""
        return FLOATS[::-1] if self.dtype is None else (checked_dtype(self.dtype),)

    def _seed(self) -> int:
        return int(self._random.randint(2**31 - 1))


def _kind(optimizer: Optimizer | FullBatch) -> tuple[object, ...]:
    """What is equal for optimisers that can go on with each other's memory."""
    return type(optimizer), *(optimizer.slots if isinstance(optimizer, Optimizer) else ())


@lru_cache(maxsize=64)
def _network(recipe: Recipe, loss: Loss, l2: float) -> Network:
    """One network for all fits of a shape: its programs are compiled once."""
    return Network(recipe.model, loss, l2)
