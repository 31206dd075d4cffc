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
from pullback.nn.attention import MultiheadAttention, scaled_dot_product_attention
from pullback.nn.batch_norm import BatchNorm1d, BatchNorm2d
from pullback.nn.block import Block, Linear, Residual, Sequential
from pullback.nn.branches import Concat, Parallel
from pullback.nn.dropout import Dropout, Dropout1d, Dropout2d
from pullback.nn.elementwise import Elementwise
from pullback.nn.embedding import Embedding
from pullback.nn.hard import Hardsigmoid, Hardswish, Hardtanh, PReLU, ReLU6
from pullback.nn.loss import (
    BCELoss,
    BinaryCrossEntropy,
    CrossEntropy,
    GaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    LogisticLoss,
    Loss,
    MSELoss,
    NLLLoss,
    PoissonNLLLoss,
    SmoothL1Loss,
    SquaredError,
    named_loss,
)
from pullback.nn.noise import Bernoulli, Noise
from pullback.nn.norm import LayerNorm, RMSNorm
from pullback.nn.scope import Declarations, ParameterSpec, Scope
from pullback.nn.signature import signature_of
from pullback.nn.softmax import GLU, LogSoftmax, Softmax

__all__ = [
    "Activation",
    "BCELoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bernoulli",
    "BinaryCrossEntropy",
    "Block",
    "Concat",
    "CrossEntropy",
    "Declarations",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "ELU",
    "Elementwise",
    "Embedding",
    "Erf",
    "GELU",
    "GLU",
    "GaussianNLLLoss",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "LogisticLoss",
    "Loss",
    "MSELoss",
    "Mish",
    "MultiheadAttention",
    "NLLLoss",
    "PReLU",
    "Parallel",
    "Noise",
    "ParameterSpec",
    "PoissonNLLLoss",
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
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Softsign",
    "SquaredError",
    "Tanh",
    "activation",
    "init",
    "named_loss",
    "scaled_dot_product_attention",
    "signature_of",
]
