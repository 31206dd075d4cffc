"""The functions that a text may call, one row each: elementwise ones, and those over axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from pullback.errors import AxisError, closest
from pullback.ir.axis import Axes, show
from pullback.ir.build import mean_over, scalar_map, scale, sum_over, without
from pullback.ir.kinds import Contract
from pullback.ir.language.matrices import EINSUM, OF_MATRICES, POWER, WITH_AXES, running_sum
from pullback.ir.node import Node
from pullback.ir.pattern import identity
from pullback.ir.reduction import LogSumExp, Max
from pullback.ir.scalar.function import symbol
from pullback.ir.scalar.primitives import PRIMITIVES

_X, _Y = symbol(0), symbol(1)
Args = tuple[Node, ...]

# a name's SymPy expression over its arguments x0, x1
ELEMENTWISE: dict[str, Any] = {
    **{name: row.symbol(_X) for name, row in PRIMITIVES.items()},
    "sigma": PRIMITIVES["sigmoid"].symbol(_X),
    "arcsin": sp.asin(_X),
    "arccos": sp.acos(_X),
    "arctan": sp.atan(_X),
    "ln": sp.log(_X),
    "sqrt": sp.sqrt(_X),
    "square": _X**2,
    "maximum": sp.Max(_X, _Y),
    "minimum": sp.Min(_X, _Y),
}


@dataclass(frozen=True)
class OverAxes:
    """One function over axes; ``default`` says over which ones where a call does not."""

    build: Callable[[Args, Axes], Node]
    default: Callable[[Args], Axes]
    arity: int = 1


def _every(args: Args) -> Axes:
    return args[0].axes


def _last(args: Args) -> Axes:
    if not args[0].axes:
        raise AxisError("there is no axis to go along")
    return args[0].axes[-1:]


def _shared(args: Args) -> Axes:
    shared = tuple(axis for axis in args[0].axes if axis in args[1].axes)
    if not shared:
        sides = " and ".join(show(arg.axes) for arg in args)
        raise AxisError(f"{sides} share no axis to sum over")
    return shared


def _max(args: Args, axes: Axes) -> Node:
    (node,) = args
    for axis in axes:
        node = Max(node, axis)
    return node


def _min(args: Args, axes: Axes) -> Node:
    return scale(-1.0, _max((scale(-1.0, args[0]),), axes))


def _logsumexp(args: Args, axes: Axes) -> Node:
    (node,) = args
    for axis in axes:
        node = LogSumExp(node, axis)
    return node


def _softmax(args: Args, axes: Axes) -> Node:
    return scalar_map(sp.exp(_X - _Y), args[0], _logsumexp(args, axes))


def _dot(args: Args, axes: Axes) -> Node:
    a, b = args
    kept = tuple(dict.fromkeys(without(a.axes, axes) + without(b.axes, axes)))
    return Contract((a, b), kept)


def _sum_of_squares(args: Args, axes: Axes) -> Node:
    return _dot(args * 2, axes)


def _cumsum(args: Args, axes: Axes) -> Node:
    (node,) = args
    for axis in axes:
        node = running_sum(node, axis)
    return node


def _norm1(args: Args, axes: Axes) -> Node:
    return sum_over(scalar_map(ELEMENTWISE["abs"], args[0]), axes)


def _norm(args: Args, axes: Axes) -> Node:
    return scalar_map(sp.sqrt(_X), _sum_of_squares(args, axes))


def _trace(args: Args, axes: Axes) -> Node:
    if len(axes) != 2:
        raise AxisError(f"a trace is over two axes, found {show(axes)}")
    return Contract((args[0], identity(*axes)), without(args[0].axes, axes))


def _diag(args: Args, axes: Axes) -> Node:
    """The diagonal matrix of a vector, and the vector on the diagonal of a square matrix."""
    (node,) = args
    if len(axes) == 1:
        both = (axes[0], axes[0].primed)
        return Contract((node, identity(*both)), both)
    if len(axes) != 2 or axes[0].unprimed != axes[1].unprimed:
        raise AxisError(f"diag takes a vector or a square matrix such as 'n n', found {show(axes)}")
    return Contract((node, identity(*axes)), axes[:1])


OVER_AXES: dict[str, OverAxes] = {
    "sum": OverAxes(lambda args, axes: sum_over(args[0], axes), _every),
    "mean": OverAxes(lambda args, axes: mean_over(args[0], axes), _every),
    "max": OverAxes(_max, _every),
    "min": OverAxes(_min, _every),
    "logsumexp": OverAxes(_logsumexp, _every),
    "softmax": OverAxes(_softmax, _last),
    "cumsum": OverAxes(_cumsum, _last),
    "norm": OverAxes(_norm, _every),
    "norm1": OverAxes(_norm1, _every),
    "norm2": OverAxes(_norm, _every),
    "norm2sq": OverAxes(_sum_of_squares, _every),
    "sumsq": OverAxes(_sum_of_squares, _every),
    "dot": OverAxes(_dot, _shared, arity=2),
    "trace": OverAxes(_trace, _every),
    "tr": OverAxes(_trace, _every),
    "diag": OverAxes(_diag, _every),
}
RENAME = "rename"  # rename(x, old="new"): its keywords are axes
WHERE = "where"  # where(a > b, x, y): its first argument is a comparison
OUTER = "outer"  # outer(a, b): every entry of one times every entry of the other
BROADCAST = "broadcast"  # broadcast(x, "m"): the same at every place of another axis
NAMES = frozenset(
    {
        *ELEMENTWISE, *OVER_AXES, *OF_MATRICES, *WITH_AXES,
        EINSUM, POWER, RENAME, WHERE, OUTER, BROADCAST,
    }
)  # fmt: skip

_TAKES = {WHERE: 3, OUTER: 2, POWER: 2}


def arity(name: str) -> int:
    """How many tensors a function takes.

    >>> arity("dot"), arity("exp")
    (2, 1)
    """
    if name in OVER_AXES:
        return OVER_AXES[name].arity
    if name in OF_MATRICES:
        return OF_MATRICES[name].arity
    if name in ELEMENTWISE:
        return len(ELEMENTWISE[name].free_symbols)
    return _TAKES.get(name, 1)


_NOT_YET = {
    "acosh", "arccosh", "arcsinh", "arctan2", "arctanh", "argmax",
    "argmin", "asinh", "atan2", "atanh", "ceil", "cholesky", "conv", "convolve", "cross",
    "cumprod", "digamma", "eig", "eigh", "eigvals", "eigvalsh", "erfinv", "floor", "gamma",
    "gammaln", "lgamma", "lstsq", "median", "mod", "prod", "product",
    "rank", "round", "sort", "svd",
}  # fmt: skip
_INSTEAD = {
    "cot": "1/tan(x)", "sec": "1/cos(x)", "csc": "1/sin(x)",
    "coth": "1/tanh(x)", "sech": "1/cosh(x)", "csch": "1/sinh(x)", "sinc": "sin(x)/x",
    "log2": "log(x)/log(2)", "log10": "log(x)/log(10)", "exp2": "2**x", "logit": "log(x/(1-x))",
    "pow": "x**p", "power": "x**p", "rsqrt": "1/sqrt(x)", "cbrt": "sign(x)*abs(x)**(1/3)",
    "reciprocal": "1/x", "erfc": "1 - erf(x)", "logistic": "sigmoid(x)", "expit": "sigmoid(x)",
    "swish": "silu(x)", "heaviside": "step(x)",
    "clip": "minimum(maximum(x, a), b)", "clamp": "minimum(maximum(x, a), b)",
    "relu6": "minimum(maximum(x, 0), 6)", "leaky_relu": "where(x > 0, x, 0.01*x)",
    "softsign": "x/(1 + abs(x))", "mish": "x*tanh(softplus(x))", "logsigmoid": "-softplus(-x)",
    "logaddexp": "y + softplus(x - y)", "log_softmax": "log(softmax(z))",
    "softmin": "softmax(-z)", "norminf": "max(abs(x))", "inverse": "inv(X)",
    "slogdet": "logdet(X)", "mpow": "matrix_power(X, 3)", "identity": "eye(n)",
    "var": "mean((x - mean(x))**2)", "std": "sqrt(mean((x - mean(x))**2))",
    "transpose": "A.T", "matmul": "A @ B", "mm": "A @ B", "mv": "A @ x",
    "inner": "dot(x, y)", "vdot": "dot(x, y)",
    "add": "x + y", "subtract": "x - y", "multiply": "x*y", "divide": "x/y", "negative": "-x",
    "absolute": "abs(x)", "average": "mean(x)", "amax": "max(x)", "amin": "min(x)",
    "pinv": "inv(X.T@X)@X.T, if the columns of X are independent",
    "i": "inv(X)", "t": "A.T", "mt": "A.T", "h": "A.T",
    "sumsquares": "sumsq(x)", "frobenius": "norm(A)",
}  # fmt: skip

# of which there is a derivative, but no formula of matrices
_UNREADABLE = {
    "expm": "its derivative is the integral of expm(s X) dX expm((1-s) X) over s from 0 to 1, "
    "which no product of matrices is; exp(X) goes entry by entry",
    "logm": "its derivative is an integral over inverses, which no product of matrices is",
    "sqrtm": "its derivative solves S dS + dS S = dX, which no product of matrices does",
}


def hint(name: str) -> str:
    """What to do about an unknown function: another way, a slip, or all the names.

    >>> hint("lgo"), hint("log2")
    ("did you mean 'log'?", 'write log(x)/log(2)')
    >>> hint("svd")
    'it is not supported yet'
    """
    close = closest(name, NAMES)
    everything = f"known functions: {', '.join(sorted(NAMES))}"
    return elsewhere(name) or (f"did you mean {close!r}?" if close else everything)


def elsewhere(name: str) -> str | None:
    """What to do about a function that other libraries have."""
    word = name.casefold()
    if word in _UNREADABLE:
        return _UNREADABLE[word]
    if word in _INSTEAD:
        return f"write {_INSTEAD[word]}"
    return "it is not supported yet" if word in _NOT_YET else None
