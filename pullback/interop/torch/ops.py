"""torch's operations by name, whatever form they are written in: module, function, method, aten."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pullback.errors import ConversionError
from pullback.interop import formula
from pullback.nn import ELU, GELU, Elementwise, LeakyReLU

# the parameters of an operation beside the values that it works on, in torch's order
PARAMETERS: dict[str, tuple[str, ...]] = {
    "leaky_relu": ("negative_slope",),
    "elu": ("alpha", "scale", "input_scale"),
    "celu": ("alpha",),
    "gelu": ("approximate",),
    "softplus": ("beta", "threshold"),
    "hardtanh": ("min_val", "max_val"),
    "clamp": ("min", "max"),
    "hardshrink": ("lambd",),
    "softshrink": ("lambd",),
    "threshold": ("threshold", "value"),
    "rrelu": ("lower", "upper", "training"),
}
# the same under other names
SAME = {
    "arctan": "atan", "absolute": "abs", "negative": "neg", "negate": "neg", "truediv": "div",
    "true_divide": "div", "divide": "div", "multiply": "mul", "subtract": "sub", "clip": "clamp",
    "special_ndtr": "ndtr",
    "special_erf": "erf", "special_erfc": "erfc", "special_expit": "sigmoid",
    "expit": "sigmoid", "log_sigmoid": "logsigmoid", "swish": "silu",
    "concat": "cat", "concatenate": "cat", "swapdims": "swapaxes", "sym_size": "size",
    "_unsafe_view": "view", "to_copy": "to", "split_with_sizes": "split", "unsafe_split": "split",
    "unsafe_chunk": "chunk", "ger": "outer",
    "arcsin": "asin", "arccos": "acos", "arcsinh": "asinh", "arccosh": "acosh",
    "arctanh": "atanh", "special_logit": "logit", "special_exp2": "exp2", "sgn": "sign",
    "sym_numel": "numel", "linalg_diagonal": "diagonal", "baddbmm": "addmm",
    "fold": "col2im", "rrelu_with_noise": "rrelu",
    "iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div",
}  # fmt: skip
ALIASES = ("contiguous", "clone", "alias", "identity")
FLATTENING = ("flatten", "view", "reshape")
TURNING = (
    "t", "T", "mT", "transpose", "permute", "numpy_T", "swapaxes", "unsqueeze", "squeeze", "expand",
)  # fmt: skip


def _elu(alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Elementwise:
    if scale != 1 or input_scale != 1:
        raise ConversionError("elu with a scale")
    return ELU(float(alpha))


def _gelu(approximate: str = "none") -> Elementwise:
    return GELU() if approximate == "none" else formula.gelu_by_tanh()


def _softplus(beta: float = 1.0, threshold: float = 20.0) -> Elementwise:
    # above the threshold torch returns x itself; at 20 that is softplus to 2e-9
    if threshold < 20:
        raise ConversionError(f"softplus with threshold={threshold}, below 20, is another function")
    return formula.softplus(beta)


def _rrelu(lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Elementwise:
    if training:
        raise ConversionError("it draws at random in training; call module.eval() first")
    return LeakyReLU((lower + upper) / 2)


ACTIVATIONS: dict[str, Callable[..., Elementwise]] = {
    "leaky_relu": lambda negative_slope=0.01: LeakyReLU(float(negative_slope)),
    "elu": _elu,
    "celu": lambda alpha=1.0: formula.celu(alpha),
    "gelu": _gelu,
    "softplus": _softplus,
    "hardtanh": lambda min_val=-1.0, max_val=1.0: formula.block_of(
        formula.clamp(min_val, max_val, strict=True)
    ),
    "clamp": lambda min=None, max=None: formula.block_of(formula.clamp(min, max)),
    "hardshrink": lambda lambd=0.5: formula.shrunk(lambd, hard=True),
    "softshrink": lambda lambd=0.5: formula.shrunk(lambd, hard=False),
    "threshold": lambda threshold, value: formula.threshold(threshold, value),
    "rrelu": _rrelu,
}


def operation(target: Any) -> tuple[str, bool]:
    """The plain name of what a node calls, and whether it works in place.

    >>> import torch
    >>> operation(torch.nn.functional.leaky_relu), operation("relu_")
    (('leaky_relu', False), ('relu', True))
    """
    if isinstance(target, str):
        name = target
    elif hasattr(target, "overloadpacket"):
        name = target.overloadpacket.__name__
    else:
        name = getattr(target, "__name__", str(target))
    in_place = (name.endswith("_") and not name.endswith("__")) or name in _AUGMENTED
    name = name.strip("_") if not name.startswith("_unsafe") else name
    return SAME.get(name, name), in_place


_AUGMENTED = ("iadd", "isub", "imul", "itruediv")


def activation(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> Elementwise | None:
    """The block of an activation with its parameters; None if the name is of none.

    Raises ConversionError for parameters that pullback's block has not.
    """
    if name in ACTIVATIONS:
        return ACTIVATIONS[name](**bound(name, args, options))
    if name in formula.PLAIN or name in formula.UNARY:
        return formula.named_block(name)
    return None


def bound(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of an operation by name; ``inplace`` is left out."""
    names = PARAMETERS[name]
    given = dict(zip(names, args, strict=False)) | dict(options)
    given.pop("inplace", None)
    if name in ("elu", "celu"):  # F.elu(x, alpha, inplace)
        given = {key: value for key, value in given.items() if not isinstance(value, bool)}
    for key, value in given.items():
        if key not in names:
            raise ConversionError(f"{name} with {key}={value!r}")
        if not isinstance(value, (int, float, str, type(None))):
            raise ConversionError(f"its {key} is no number")
    return given


def is_torchs(target: Any, torch: Any) -> bool:
    """Whether a function is one of torch's or of Python's operators, not one of somebody's own."""
    if hasattr(target, "overloadpacket"):
        return bool(target.namespace == "aten")
    home = inspect.getmodule(target)
    name = getattr(home, "__name__", None) or getattr(target, "__module__", None) or ""
    if name.split(".")[0] in ("torch", "_operator", "operator", "math", "builtins"):
        return True
    return getattr(torch, getattr(target, "__name__", ""), None) is target
