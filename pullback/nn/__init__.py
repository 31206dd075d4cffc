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
from pullback.nn.adaptive import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
)
from pullback.nn.attention import MultiheadAttention, scaled_dot_product_attention
from pullback.nn.batch_norm import BatchNorm1d, BatchNorm2d
from pullback.nn.block import Block, Linear, Residual, Sequential
from pullback.nn.branches import Concat, Parallel
from pullback.nn.convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from pullback.nn.dropout import Dropout, Dropout1d, Dropout2d
from pullback.nn.elementwise import Elementwise
from pullback.nn.embedding import Embedding
from pullback.nn.group_norm import GroupNorm
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
from pullback.nn.noise import Bernoulli, Noise, NoiseLaw, NormalNoise, UniformNoise
from pullback.nn.norm import LayerNorm, RMSNorm
from pullback.nn.pooling import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from pullback.nn.recurrent import GRU, LSTM, RNN
from pullback.nn.reshape import Flatten, Unflatten
from pullback.nn.scope import Declarations, ParameterSpec, Scope
from pullback.nn.signature import signature_of
from pullback.nn.softmax import GLU, LogSoftmax, Softmax
from pullback.nn.transformer import TransformerEncoderLayer
from pullback.nn.upsample import Upsample

__all__ = [
    "Activation",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bernoulli",
    "NormalNoise",
    "UniformNoise",
    "BinaryCrossEntropy",
    "Block",
    "Concat",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CrossEntropy",
    "Declarations",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "ELU",
    "Elementwise",
    "Embedding",
    "Erf",
    "Flatten",
    "GELU",
    "GRU",
    "Identity",
    "LSTM",
    "GLU",
    "GaussianNLLLoss",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HuberLoss",
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
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "MultiheadAttention",
    "NLLLoss",
    "Noise",
    "NoiseLaw",
    "PReLU",
    "Parallel",
    "ParameterSpec",
    "RNN",
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
    "TransformerEncoderLayer",
    "Unflatten",
    "Upsample",
    "activation",
    "init",
    "named_loss",
    "scaled_dot_product_attention",
    "signature_of",
]
