"""NumPy source to be read: one assignment an equation. (The runtime's own is in numpy.py.)"""

from __future__ import annotations

from collections.abc import Iterable

from pullback.emit.infix import Dialect
from pullback.emit.statements import Task, array_function, module
from pullback.ir.primitives import SELU_ALPHA, SELU_SCALE

_SAME = ("exp", "log", "expm1", "log1p", "tanh", "sinh", "cosh", "sin", "cos", "tan", "abs")
RESERVED = frozenset({"np", "expit", "ndtr", "erf", "logsumexp", "params", "value_and_grad"})
NUMPY = Dialect(
    module="np",
    imports=("import numpy as np",),
    functions={
        **{name: f"np.{name}({{x}})" for name in _SAME},
        "sign": "np.sign({x})",
        "heaviside": "np.heaviside({x}, 0.5)",
        "atan": "np.arctan({x})",
        "erf": "erf({x})",
        "step": "np.heaviside({x}, 0.0)",
        "relu": "np.maximum({x}, 0.0)",
        "sigmoid": "expit({x})",
        "sigmoid_slope": "(expit({x}) * expit(-{x}))",
        "sech2": "(4.0 * expit(2.0 * {x}) * expit(-2.0 * {x}))",
        "log_cosh": "np.where(np.abs({x}) < 1.0, np.log1p(2.0 * np.sinh(0.5 * "
        "np.clip({x}, -1.0, 1.0)) ** 2), np.logaddexp({x}, -{x}) - np.log(2.0))",
        "softplus": "np.logaddexp({x}, 0.0)",
        "normal_cdf": "ndtr({x})",
        "gelu": "{x} * ndtr({x})",
        "silu": "{x} * expit({x})",
        "elu": "(np.maximum({x}, 0.0) + np.expm1(np.minimum({x}, 0.0)))",
        "selu": f"{SELU_SCALE!r} * (np.maximum({{x}}, 0.0) + "
        f"{SELU_ALPHA!r} * np.expm1(np.minimum({{x}}, 0.0)))",
    },
    maximum="np.maximum({0}, {1})",
    minimum="np.minimum({0}, {1})",
    where="np.where({0}, {1}, {2})",
    sqrt="np.sqrt({0})",
    axis="axis",
    max_over="np.max({0}, {1})",
    logsumexp="logsumexp({0}, {1})",
    permute="{0}.transpose{1}",
)


def emit(tasks: Iterable[Task], title: Iterable[str]) -> str:
    """A NumPy module with one function a task; it needs SciPy only for special functions."""
    parts = [array_function(task, NUMPY) for task in tasks]
    text = "\n".join(line for part in parts for line in part)
    special = [name for name in ("erf", "expit", "logsumexp", "ndtr") if f"{name}(" in text]
    scipy = [f"from scipy.special import {', '.join(special)}"] if special else []
    return module(title, [*NUMPY.imports, *scipy], parts)
