"""A classifier with scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit, log_expit, log_softmax
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from pullback.errors import ConfigError, DataError, shown
from pullback.estimators.net import NetEstimator
from pullback.net.program import Array
from pullback.nn import BinaryCrossEntropy, CrossEntropy, Loss
from pullback.nn.init import Scheme
from pullback.train.optim import FullBatch, Optimizer
from pullback.train.optim.schedule import Rate


class NetClassifier(ClassifierMixin, NetEstimator):
    """A network that tells classes apart, trained on softmax cross-entropy.

    Labels may be numbers or text; y (samples, labels) of 0 and 1 says for several labels whether
    each applies, which is trained on binary cross-entropy. X may be a data frame with texts,
    categories and dates: each text is a feature, of which one is 1. ``activation``, ``optimizer``
    and ``init`` take the names that pullback knows, or its own objects; ``learning_rate`` None is
    the optimiser's usual one.
    ``dtype`` None is X's precision, and "float32" trains faster; ``engine`` is that of
    ``pullback.fit``. ``class_weight`` is a dict by label, or "balanced". With ``early_stopping`` a
    part of the data is held out, and training ends when it has not been predicted better for
    ``n_iter_no_change`` epochs. ``partial_fit`` goes on with what the optimiser remembers from the
    call before, so that calls of one batch each are one training; ``fit`` starts it afresh.
    A ConvergenceWarning says that training ended before it came to rest: it was interrupted, or all
    epochs were used while the loss still fell by more than 15 % in ``n_iter_no_change`` of them.

    After fit: ``classes_``, ``network_`` and ``params_`` (which every function of pullback takes),
    ``history_`` by epoch, of which ``loss_curve_`` is the loss, ``n_iter_``, ``n_features_in_``.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(NetClassifier(random_state=0).fit(X, y).score(X, y) > 0.95)
    True
    """

    _classifies = True
    _multilabel: bool

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
        class_weight: Mapping[Any, float] | str | None = None,
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
        self.class_weight = class_weight

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One epoch more, on these samples; the first call names all ``classes``."""
        fresh = not self.__sklearn_is_fitted__()
        several = type_of_target(y) == "multilabel-indicator"
        if classes is not None and np.ndim(classes) != 1:
            raise DataError(f"classes is {classes!r}; expected a list of labels")
        if fresh and classes is None and not several:
            raise DataError("the first call of partial_fit needs classes: all that will ever come")
        if not fresh and classes is not None and set(classes) != set(self.classes_):
            raise DataError(f"classes is {classes}; expected those of before, {self.classes_}")
        if self.class_weight == "balanced":
            raise ConfigError("class_weight='balanced' needs all samples; partial_fit sees a part")
        known = classes if fresh else self.classes_
        return self._learn(X, y, sample_weight, fresh, known, once=True)

    def _target(self, y: Any, classes: Any) -> tuple[Array, int]:
        check_classification_targets(y)
        self._multilabel = type_of_target(y) == "multilabel-indicator"
        if self._multilabel:
            applies = np.asarray(y.toarray() if issparse(y) else y, np.float64)
            known = np.arange(applies.shape[1])
            if classes is not None and len(classes) != len(known):
                raise DataError(
                    f"y has {len(known)} labels; expected {len(classes)}, as in classes"
                )
            self.classes_ = known if classes is None else np.asarray(classes)
            return applies, applies.shape[1]
        labels = LabelEncoder().fit(y if classes is None else classes)
        numbers: Array = labels.transform(y)
        if len(labels.classes_) < 2:
            raise DataError(f"y has 1 class, {shown(labels.classes_[0])}; expected 2 or more")
        self.classes_ = labels.classes_
        return numbers, len(labels.classes_)

    def _weight(self, x: Array, y: Array, sample_weight: Any) -> Array | None:
        weight = super()._weight(x, y, sample_weight)
        if self.class_weight is None:
            return weight
        by_class = compute_sample_weight(self.class_weight, y)
        return super()._weight(x, y, by_class if weight is None else weight * by_class)

    def _criterion(self) -> Loss:
        return BinaryCrossEntropy() if self._multilabel else CrossEntropy()

    def predict(self, X: Any) -> Array:
        """The most probable class of each sample (samples,); of labels which apply, 0 or 1."""
        outputs = self._outputs(X)
        if self._multilabel:
            return (outputs > 0).astype(int)
        labels: Array = self.classes_[outputs.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class (samples, classes), in the order of ``classes_``."""
        outputs = self._outputs(X)
        of = expit if self._multilabel else self.network_.criterion.estimate
        probabilities: Array = of(outputs)
        return probabilities

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of each class's probability (samples, classes), exact where it is tiny."""
        outputs = self._outputs(X)
        several = self._multilabel
        logarithms: Array = log_expit(outputs) if several else log_softmax(outputs, axis=1)
        return logarithms

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
