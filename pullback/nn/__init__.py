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
from pullback.nn.block import Block, Linear, Residual, Sequential
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
from pullback.nn.recurrent import GRU, LSTM, RNN
from pullback.nn.scope import ParameterSpec, Scope
from pullback.nn.signature import signature_of

__all__ = [
    "Activation",
    "BCELoss",
    "BinaryCrossEntropy",
    "Block",
    "CrossEntropy",
    "ELU",
    "Elementwise",
    "Erf",
    "GELU",
    "GRU",
    "Identity",
    "LSTM",
    "LeakyReLU",
    "Linear",
    "LogisticLoss",
    "Loss",
    "MSELoss",
    "ParameterSpec",
    "RNN",
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
