"""Optimisers, each as equations; learning-rate schedules; descent through SciPy."""

from pullback.run.optim.adaptive import Adagrad, Adam, AdamW, RMSProp
from pullback.run.optim.descent import LBFGS, ConjugateGradient, FullBatch
from pullback.run.optim.momentum import SGD, Momentum, Nesterov
from pullback.run.optim.rule import Optimizer, equations
from pullback.run.optim.schedule import (
    Constant,
    Cosine,
    OneCycle,
    Schedule,
    StepDecay,
    WarmUp,
)
from pullback.run.optim.updater import Updater

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
