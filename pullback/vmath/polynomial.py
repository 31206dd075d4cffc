"""A polynomial in compiled code: straight arithmetic, which vectorises however long it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any


def horner(coefficients: Sequence[float]) -> Callable[[Any], Any]:
    """The polynomial with these coefficients, the highest power first, for compiled code.

    It computes in the precision of its argument; products and sums may be fused.
    """
    intrinsic: Any = import_module("numba.extending").intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def polynomial(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            first, *others = (context.get_constant(x, number) for number in coefficients)
            total = first
            for number in others:
                power = builder.fmul(total, args[0], flags=("contract",))
                total = builder.fadd(power, number, flags=("contract",))
            return total

        return x(x), generate

    found: Callable[[Any], Any] = polynomial
    return found
