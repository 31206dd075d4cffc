"""ONNX's functions of one unit: by their names, or as blocks with their attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop import formula
from pullback.interop.onnx.tensors import shortest
from pullback.ir.scalar.primitives import SELU_ALPHA, SELU_SCALE
from pullback.nn import ELU, GELU, SELU, Elementwise, LeakyReLU, Softplus

Fields = Mapping[str, Any]

UNARY = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Sin": "sin", "Erf": "erf",
    "Exp": "exp", "Log": "log", "Sinh": "sinh", "Cosh": "cosh", "Cos": "cos", "Tan": "tan",
    "Asin": "asin", "Acos": "acos", "Atan": "atan",
    "Abs": "abs", "Neg": "neg", "Sqrt": "sqrt", "Reciprocal": "reciprocal",
    "Sign": "sign", "Softsign": "softsign", "Mish": "mish", "HardSwish": "hardswish",
}  # fmt: skip


def _selu(fields: Fields) -> Elementwise:
    alpha, gamma = fields.get("alpha", SELU_ALPHA), fields.get("gamma", SELU_SCALE)
    # attributes are float32
    if not np.allclose((alpha, gamma), (SELU_ALPHA, SELU_SCALE), rtol=1e-6):
        raise ConversionError("it has another alpha or gamma than Klambauer et al. 2017")
    return SELU()


def _hard_sigmoid(fields: Fields) -> Elementwise:
    slope, shift = (formula.number(fields.get(k, v)) for k, v in (("alpha", 0.2), ("beta", 0.5)))
    line = slope * formula.X + shift
    return formula.block_of(formula.clamp(0, 1, strict=True).xreplace({formula.X: line}))


def _gelu(fields: Fields) -> Elementwise:
    exact = fields.get("approximate", b"none") == b"none"
    return GELU() if exact else formula.gelu_by_tanh()


ACTIVATIONS: dict[str, Callable[[Fields], Elementwise]] = {
    "LeakyRelu": lambda f: LeakyReLU(shortest(f.get("alpha", 0.01))),
    "Elu": lambda f: ELU(shortest(f.get("alpha", 1.0))),
    "Celu": lambda f: formula.celu(shortest(f.get("alpha", 1.0))),
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Softplus": lambda _: Softplus(),
    "Swish": lambda f: formula.swish(shortest(f.get("alpha", 1.0))),
}
