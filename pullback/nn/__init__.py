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
from pullback.nn.attention import MultiheadAttention, scaled_dot_product_attention
from pullback.nn.block import Block, Linear, Residual, Sequential
from pullback.nn.embedding import Embedding
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
    "Embedding",
    "Erf",
    "GELU",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LogisticLoss",
    "Loss",
    "MSELoss",
    "MultiheadAttention",
    "ParameterSpec",
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
    "scaled_dot_product_attention",
    "signature_of",
]
