"""Optimisers, each as equations; learning-rate schedules; descent through SciPy."""

from pullback.train.optim.adaptive import Adagrad, Adam, AdamW, RMSProp
from pullback.train.optim.descent import LBFGS, ConjugateGradient, FullBatch
from pullback.train.optim.momentum import SGD, Momentum, Nesterov
from pullback.train.optim.rule import Optimizer, equations
from pullback.train.optim.schedule import (
    Constant,
    Cosine,
    OneCycle,
    Schedule,
    StepDecay,
    WarmUp,
)
from pullback.train.optim.updater import Updater

__all__ = [
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ConjugateGradient",
    "Constant",
    "Cosine",
    "FullBatch",
    "Momentum",
    "Nesterov",
    "OneCycle",
    "Optimizer",
    "RMSProp",
    "Schedule",
    "StepDecay",
    "Updater",
    "WarmUp",
    "equations",
]
