"""Random formulas: scalar functions from the whole grammar, tensor expressions with their NumPy.

Every formula is a text that the parser reads; a tensor expression comes with its value, computed
beside it from the operations that were drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Random = np.random.Generator

UNARY = (
    "exp", "log1p", "expm1", "tanh", "sinh", "cosh", "sin", "cos", "tan", "atan", "erf", "abs",
    "sign", "step", "relu", "sigmoid", "softplus", "normal_cdf", "gelu", "silu", "elu", "selu",
    "square",
)  # fmt: skip
NUMBERS = ("2", "3", "0.5", "0.1", "7", "1.5", "pi", "1/3", "1")
COMPARISONS = (">", ">=", "<", "<=")


def scalar_formula(rng: Random, depth: int = 3) -> str:
    """The text of a function of x."""
    if depth == 0 or rng.random() < 0.12:
        return "x" if rng.random() < 0.75 else str(rng.choice(NUMBERS))
    a = scalar_formula(rng, depth - 1)
    kind = rng.integers(11)
    if kind <= 3:
        return f"{rng.choice(UNARY)}({a})"
    if kind == 4:
        return f"({a})**{rng.choice(['2', '3', '4', '0', '1', '-1', '-2'])}"
    if kind == 5:
        inner = f"1 + ({a})**2"
        return str(rng.choice([f"sqrt({inner})", f"log({inner})", f"1/sqrt({inner})"]))
    b = scalar_formula(rng, depth - 1)
    if kind == 6:
        return f"{rng.choice(['maximum', 'minimum'])}({a}, {b})"
    if kind == 7:
        c = scalar_formula(rng, depth - 2) if depth > 1 else "x"
        return f"where({a} {rng.choice(COMPARISONS)} {c}, {b}, {rng.choice(['x', '2', '0.1*x'])})"
    if kind == 8:
        return f"({a})/(1 + ({b})**2)"
    return f"({a}) {rng.choice(['+', '-', '*'])} ({b})"


@dataclass(frozen=True)
class Tensor:
    """A part of an expression: its text, the names of its axes, its value."""

    text: str
    axes: str
    value: Array


ELEMENTWISE: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sin": np.sin,
    "exp": lambda x: np.exp(x / 8),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "square": np.square,
    "atan": np.arctan,
}


class Expressions:
    """Draws scalar expressions over matrices, vectors and numbers; ``square`` makes all sizes 3."""

    def __init__(self, rng: Random, square: bool) -> None:
        self.rng = rng
        self.sizes = dict.fromkeys("ndk", 3) if square else {"n": 2, "d": 3, "k": 4}
        self.variables: dict[str, Tensor] = {}

    def scalar(self) -> Tensor:
        """An expression without axes, of some terms."""
        total = self._reduced(self.tensor(str(self.rng.choice(self.shapes)), 3))
        for _ in range(self.rng.integers(3)):
            other = self._reduced(self.tensor(str(self.rng.choice(self.shapes)), 3))
            sign = self.rng.choice(["+", "-", "*"])
            value = {"+": np.add, "-": np.subtract, "*": np.multiply}[sign](
                total.value, other.value
            )
            total = Tensor(f"({total.text}) {sign} ({other.text})", "", value)
        return total

    shapes = ("nd", "dn", "nk", "dk", "kd", "n", "d", "k")

    def tensor(self, axes: str, depth: int) -> Tensor:
        """A tensor with these axes in this order."""
        rng = self.rng
        if depth == 0 or rng.random() < 0.15:
            return self.variable(axes)
        kind = rng.integers(8)
        if kind == 0:
            name = str(rng.choice(list(ELEMENTWISE)))
            arg = self.tensor(axes, depth - 1)
            text = f"exp({arg.text}/8)" if name == "exp" else f"{name}({arg.text})"
            return Tensor(text, axes, ELEMENTWISE[name](arg.value))
        if kind == 1:
            a, b = self.tensor(axes, depth - 1), self.tensor(axes, depth - 1)
            sign = str(rng.choice(["+", "-", "*"]))
            value = {"+": np.add, "-": np.subtract, "*": np.multiply}[sign](a.value, b.value)
            return Tensor(f"({a.text} {sign} {b.text})", axes, value)
        if kind == 2 and len(axes) == 2:
            arg = self.tensor(axes[::-1], depth - 1)
            return Tensor(f"({arg.text}).T", axes, arg.value.T)
        if kind == 7 and len(axes) == 2:
            # a transpose around a product, beside another term
            arg, other = self._product(axes[::-1], 1), self.tensor(axes, depth - 1)
            return Tensor(f"(({arg.text}).T - {other.text})", axes, arg.value.T - other.value)
        if kind == 3:
            number = rng.choice(["2", "0.5", "-1", "-3"])
            arg = self.tensor(axes, depth - 1)
            return Tensor(f"({number}*{_atom(arg.text)})", axes, float(number) * arg.value)
        if kind == 4:
            over = next(a for a in rng.permutation(list("ndk")) if a not in axes or len(axes) < 2)
            if over not in axes:
                return self._summed(axes, str(over), depth)
        if kind == 5 and len(axes) == 2:
            # softmax and logsumexp along the last axis
            arg = self.tensor(axes, depth - 1)
            shifted = arg.value - arg.value.max(axis=1, keepdims=True)
            power = np.exp(shifted)
            return Tensor(f"softmax({arg.text})", axes, power / power.sum(axis=1, keepdims=True))
        return self._product(axes, depth)

    def _summed(self, axes: str, over: str, depth: int) -> Tensor:
        """A sum, mean or log-sum-exp over a further axis."""
        arg = self.tensor(axes + over, depth - 1) if len(axes) < 2 else self.variable(axes)
        if len(axes) >= 2:
            return arg
        name = str(self.rng.choice(["sum", "mean", "logsumexp"]))
        value = {
            "sum": lambda x: x.sum(-1),
            "mean": lambda x: x.mean(-1),
            "logsumexp": lambda x: np.log(np.exp(x).sum(-1)),
        }[name](arg.value)
        return Tensor(f"{name}({arg.text}, axis='{over}')", axes, value)

    def _product(self, axes: str, depth: int) -> Tensor:
        """A @ B with these axes, over one that the result does not have."""
        inside = [a for a in "ndk" if a not in axes]
        if not inside:
            return self.variable(axes)
        over = str(self.rng.choice(inside))
        if len(axes) == 2:
            a, b = self.tensor(axes[0] + over, depth - 1), self.tensor(over + axes[1], depth - 1)
        elif self.rng.random() < 0.5:
            a, b = self.tensor(axes + over, depth - 1), self.tensor(over, depth - 1)
        else:
            a, b = self.tensor(over, depth - 1), self.tensor(over + axes, depth - 1)
        return Tensor(f"({a.text} @ {b.text})", axes, a.value @ b.value)

    def variable(self, axes: str) -> Tensor:
        """A variable with these axes: one that is there already, or a new one."""
        known = [v for v in self.variables.values() if v.axes == axes]
        if known and self.rng.random() < 0.4:
            return known[self.rng.integers(len(known))]
        name = ascii_lowercase[len(self.variables) % 26] * (1 + len(self.variables) // 26)
        name = name.upper() + "1" if len(axes) > 1 else name + "1"
        value = self.rng.normal(size=[self.sizes[axis] for axis in axes])
        made = self.variables[name] = Tensor(name, axes, value)
        return made

    def _reduced(self, tensor: Tensor) -> Tensor:
        names = ["sum", "mean", "logsumexp", "sumsq"]
        name = str(self.rng.choice(names))
        value = {
            "sum": np.sum,
            "mean": np.mean,
            "logsumexp": lambda x: np.log(np.exp(x - x.max()).sum()) + x.max(),
            "sumsq": lambda x: np.sum(x * x),
        }[name](tensor.value)
        return Tensor(f"{name}({tensor.text})", "", np.asarray(value))


def _atom(text: str) -> str:
    return text if text.isidentifier() else f"({text})"


def scalar_expression(
    rng: Random, square: bool
) -> tuple[str, dict[str, str], dict[str, Array], float]:
    """The text of a scalar expression, the axes and values of its variables, and its value."""
    drawn = Expressions(rng, square)
    total = drawn.scalar()
    axes = {
        name: " ".join(v.axes) for name, v in drawn.variables.items() if _used(name, total.text)
    }
    values = {name: drawn.variables[name].value for name in axes}
    return total.text, axes, values, float(total.value)


def _used(name: str, text: str) -> bool:
    return name in "".join(c if c.isalnum() else " " for c in text).split()
