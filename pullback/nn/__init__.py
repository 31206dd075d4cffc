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
from pullback.nn.adaptive import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
)
from pullback.nn.attention import MultiheadAttention, scaled_dot_product_attention
from pullback.nn.block import Block, Linear, Residual, Sequential
from pullback.nn.convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
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
from pullback.nn.pooling import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from pullback.nn.reshape import Flatten, Unflatten
from pullback.nn.scope import ParameterSpec, Scope
from pullback.nn.signature import signature_of

__all__ = [
    "Activation",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BinaryCrossEntropy",
    "Block",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CrossEntropy",
    "ELU",
    "Elementwise",
    "Embedding",
    "Erf",
    "Flatten",
    "GELU",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LogisticLoss",
    "Loss",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
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
    "Unflatten",
    "activation",
    "init",
    "named_loss",
    "scaled_dot_product_attention",
    "signature_of",
]
