"""Blocks, losses and initialisers; they only build nodes."""

from pullback.nn import init
from pullback.nn.activation import (
    ELU,
    GELU,
    SELU,
    Activation,
    Erf,
    Identity,
    LeakyReLU,
    LogSigmoid,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Sin,
    Softplus,
    Softsign,
    Tanh,
    activation,
)
from pullback.nn.block import Block, Linear, Residual, Sequential
from pullback.nn.branches import Concat, Parallel
from pullback.nn.elementwise import Elementwise
from pullback.nn.hard import Hardsigmoid, Hardswish, Hardtanh, PReLU, ReLU6
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
from pullback.nn.norm import LayerNorm, RMSNorm
from pullback.nn.scope import ParameterSpec, Scope
from pullback.nn.signature import signature_of
from pullback.nn.softmax import GLU, LogSoftmax, Softmax

__all__ = [
    "Activation",
    "BCELoss",
    "BinaryCrossEntropy",
    "Block",
    "Concat",
    "CrossEntropy",
    "ELU",
    "Elementwise",
    "Erf",
    "GELU",
    "GLU",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "LogisticLoss",
    "Loss",
    "MSELoss",
    "Mish",
    "PReLU",
    "Parallel",
    "ParameterSpec",
    "RMSNorm",
    "ReLU",
    "ReLU6",
    "Residual",
    "SELU",
    "Scope",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Sin",
    "Softmax",
    "Softplus",
    "Softsign",
    "SquaredError",
    "Tanh",
    "activation",
    "init",
    "named_loss",
    "signature_of",
]
