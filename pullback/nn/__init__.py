"""Blocks, losses and initialisers; they only build nodes."""

from pullback.nn import init
from pullback.nn.activation import (
    ELU,
    GELU,
    SELU,
    Activation,
    Elementwise,
    Erf,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Sin,
    Softplus,
    Tanh,
    activation,
)
from pullback.nn.batch_norm import BatchNorm1d, BatchNorm2d
from pullback.nn.block import Block, Linear, Residual, Sequential
from pullback.nn.dropout import Dropout, Dropout1d, Dropout2d
from pullback.nn.loss import (
    BCELoss,
    BinaryCrossEntropy,
    CrossEntropy,
    LogisticLoss,
    Loss,
    MSELoss,
    SquaredError,
    named_loss,
)
from pullback.nn.noise import Bernoulli, Noise
from pullback.nn.norm import LayerNorm, RMSNorm
from pullback.nn.scope import Declarations, ParameterSpec, Scope
from pullback.nn.signature import signature_of

__all__ = [
    "Activation",
    "BCELoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bernoulli",
    "BinaryCrossEntropy",
    "Block",
    "CrossEntropy",
    "Declarations",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "ELU",
    "Elementwise",
    "Erf",
    "GELU",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogisticLoss",
    "Loss",
    "MSELoss",
    "Noise",
    "ParameterSpec",
    "RMSNorm",
    "ReLU",
    "Residual",
    "SELU",
    "Scope",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Sin",
    "Softplus",
    "SquaredError",
    "Tanh",
    "activation",
    "init",
    "named_loss",
    "signature_of",
]
