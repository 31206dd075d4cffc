"""Optimisers by name, at their usual rates."""

from __future__ import annotations

from pullback.errors import unknown
from pullback.net.recipe import squashed
from pullback.train.optim.adaptive import Adagrad, Adam, AdamW, RMSProp
from pullback.train.optim.descent import LBFGS, ConjugateGradient, FullBatch
from pullback.train.optim.momentum import SGD, Momentum, Nesterov
from pullback.train.optim.rule import Optimizer

OPTIMIZERS: dict[str, Optimizer | FullBatch] = {
    "sgd": SGD(0.1),
    "momentum": Momentum(0.1),
    "nesterov": Nesterov(0.1),
    "adagrad": Adagrad(),
    "rmsprop": RMSProp(),
    "adam": Adam(),
    "adamw": AdamW(),
    "lbfgs": LBFGS(),
    "conjugate_gradient": ConjugateGradient(),
}


def optimizer_named(name: str) -> Optimizer | FullBatch:
    """The optimiser of that name at its usual rate: adam, sgd, …; raises UnknownNameError."""
    plain = {squashed(each): made for each, made in OPTIMIZERS.items()}
    if squashed(name) not in plain:
        raise unknown("optimizer", name, OPTIMIZERS)
    return plain[squashed(name)]
