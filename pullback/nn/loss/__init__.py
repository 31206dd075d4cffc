"""Losses: each is a scalar for each sample, reduced over the batch by its mean or its sum."""

from pullback.nn.loss.base import Loss, Target, named_loss
from pullback.nn.loss.classes import CrossEntropy, NLLLoss
from pullback.nn.loss.likelihood import GaussianNLLLoss, KLDivLoss, PoissonNLLLoss
from pullback.nn.loss.probabilities import BCELoss, BinaryCrossEntropy, LogisticLoss
from pullback.nn.loss.values import HuberLoss, L1Loss, MSELoss, SmoothL1Loss, SquaredError

__all__ = [
    "BCELoss",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LogisticLoss",
    "Loss",
    "MSELoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SquaredError",
    "Target",
    "named_loss",
]
