"""What a scalar function is called: its block's name, or its formula."""

from __future__ import annotations

from pullback.interop.formula import text_of
from pullback.ir import Scalar
from pullback.nn.activation import Unwritten, of_function


def function_name(function: Scalar) -> str:
    """The name of a function's block, or else its formula in x.

    >>> from pullback.nn import activation
    >>> [function_name(activation(name).function) for name in ("leakyrelu", "2*tanh(h)/3")]
    ['LeakyReLU', '2*tanh(x)/3']
    """
    block = of_function(function)
    return text_of(function.expr) if isinstance(block, Unwritten) else type(block).__name__
