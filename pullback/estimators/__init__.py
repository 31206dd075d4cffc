"""scikit-learn's conventions around ``Network`` and ``fit``: a classifier and a regressor."""

from pullback.estimators.classifier import NetClassifier
from pullback.estimators.regressor import NetRegressor

__all__ = ["NetClassifier", "NetRegressor"]
