"""Random expressions of the whole language of matrices, rectangular and square.

Each is a text that the parser reads, and that Python itself evaluates over jax's arrays: the names
of functions are the same on both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
LENGTHS = {"n": 3, "m": 2}
VARIABLES = {"x": "n", "y": "n", "u": "m", "A": "n n", "X": "n n", "W": "n m", "c": "", "S": "n n"}
ELEMENTWISE = ("tanh", "sin", "exp", "sigmoid", "softplus", "square", "atan", "cos", "relu", "abs")


class Drawn:
    """Draws texts: ``n`` and ``m`` are lengths of axes, and S is a matrix that has an inverse."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def _one(self, *texts: str) -> str:
        return str(self.rng.choice(texts))

    def scalar(self, depth: int) -> str:
        """A number."""
        if depth == 0:
            return self._one("c", "0.5", "2", "c")
        at = self.rng.integers(22)
        if at >= 16:
            return self._stacked(depth) if at < 19 else self._placed(depth)
        if at < 2:
            return f"({self.scalar(depth - 1)} {self._one('+', '-', '*')} {self.scalar(depth - 1)})"
        if at == 2:
            return f"{self._one(*ELEMENTWISE)}({self.scalar(depth - 1)})"
        if at == 3:
            return f"{self.scalar(depth - 1)}/(1 + {self.scalar(depth - 1)}**2)"
        if at == 4:
            a, b = self.scalar(depth - 1), self.scalar(depth - 1)
            return f"where(c {self._one('>', '<')} {self._one('x[0]', '0.3')}, {a}, {b})"
        if at == 5:
            return f"log(1 + {self.scalar(depth - 1)}**2)"
        if at in (6, 7):
            return f"{self._one('tr', 'det')}({self.matrix('n', 'n', depth - 1)})"
        if at == 8:
            return f"logdet({self._regular(depth - 1)})"
        side, other = self._one("n", "m"), self._one("n", "m")
        if at in (9, 10):
            return f"({self.vector(side, depth - 1)} @ {self.vector(side, depth - 1)})"
        if at == 11:
            name = self._one("sum", "mean", "norm", "sumsq", "logsumexp", "norm1", "max", "min")
            return f"{name}({self.vector(side, depth - 1)})"
        if at == 12:
            name = self._one("sum", "mean", "norm", "sumsq", "norm1")
            return f"{name}({self.matrix(side, other, depth - 1)})"
        if at == 13:
            left, right = self.vector(side, depth - 1), self.vector(other, depth - 1)
            return f"({left} @ {self.matrix(side, other, depth - 1)} @ {right})"
        if at == 14:
            return f"({self.vector(side, depth - 1)})[{self._one('0', '-1')}]"
        return f"({self.matrix(side, other, depth - 1)})[0, {self._one('1', '-1')}]"

    def _stacked(self, depth: int) -> str:
        """A number made of matrices whose entries are laid along one axis, or along two."""
        a, b, c, d = (self._one("n", "m") for _ in range(4))
        at = self.rng.integers(5)
        if at == 0:
            name = self._one("sum", "norm", "logsumexp", "max", "mean")
            return f"{name}(vec({self.matrix(a, b, depth - 1)}))"
        if at == 1:
            left, right = self.matrix(a, b, depth - 1), self.matrix(a, b, depth - 1)
            return f"(vec({left}) @ vec({right}))"
        if at == 2:
            left, right = self.matrix(a, a, depth - 1), self.matrix(a, a, depth - 1)
            return f"sum({self._one('tanh', 'square', 'sin')}(vech({left}))*vech({right}))"
        whole = f"kron({self.matrix(a, b, depth - 1)}, {self.matrix(c, d, 0)})"
        if at == 3:
            return f"{self._one('sum', 'norm', 'max')}({whole})"
        return f"(vec({self.matrix(c, a, 0)}) @ {whole} @ vec({self.matrix(d, b, depth - 1)}))"

    def _placed(self, depth: int) -> str:
        """A number made of slices, and of products whose axes have letters."""
        side, other = self._one("n", "m"), self._one("n", "m")
        at = self.rng.integers(4)
        if at == 0:
            a, b = self.vector(side, depth - 1), self.vector(side, depth - 1)
            return f"(({a})[1:] {self._one('@', '@ tanh')}(({b})[:-1]))"
        if at == 1:
            a, b = self.matrix(side, other, depth - 1), self.matrix(side, other, depth - 1)
            return f"sum(({a})[1:, :]*exp(({b})[:-1, :]))"
        a, b = self.matrix(side, other, depth - 1), self.matrix(other, side, depth - 1)
        if at == 2:
            return f'einsum("ij,ji,ii->", {a}, {b}, {self.matrix(side, side, 0)})'
        return f'einsum("ij,jk,j->", {a}, {b}, {self.vector(other, 0)})'

    def vector(self, side: str, depth: int) -> str:
        """A column with this length."""
        if depth == 0:
            return self._one("x", "y") if side == "n" else "u"
        other = self._one("n", "m")
        at = self.rng.integers(17)
        if at == 13:
            name = self._one("max", "min", "logsumexp", "sum", "mean")
            return f"{name}({self.matrix(other, side, depth - 1)}, axis=0)"
        if at == 14:
            base = self.vector(side, depth - 1)
            return self._one(f"({base})**2", f"({base})**3", f"2**({base})", f"abs({base})**1.5",
                             f"(1 + ({base})**2)**0.5", f"(1 + ({base})**2)**tanh(c)")  # fmt: skip
        if at == 15:
            a, b = self.matrix(side, other, depth - 1), self.matrix(side, other, depth - 1)
            return f'einsum("ij,ij->i", {a}, {b})'
        if at == 16:
            return f"({self.vector(side, depth - 1)})/(1 + ({self.vector(side, depth - 1)})**2)"
        if at < 2:
            sign = self._one("+", "-", "*")
            return f"({self.vector(side, depth - 1)} {sign} {self.vector(side, depth - 1)})"
        if at == 2:
            return f"{self._one(*ELEMENTWISE)}({self.vector(side, depth - 1)})"
        if at in (3, 4, 5):
            return f"({self.matrix(side, other, depth - 1)} @ {self.vector(other, depth - 1)})"
        if at == 6:
            return f"{self._one('softmax', 'cumsum')}({self.vector(side, depth - 1)})"
        if at == 7:
            return f"({self.scalar(depth - 1)}*{self.vector(side, depth - 1)})"
        if at == 8 and side == "n":
            return f"diag({self.matrix('n', 'n', depth - 1)})"
        if at == 9 and side == "n":
            return f"solve({self._regular(depth - 1)}, {self.vector('n', depth - 1)})"
        if at == 10:
            return f"{self._one('sum', 'mean')}({self.matrix(side, other, depth - 1)}, axis=1)"
        if at == 11:
            return f"({self.matrix(side, other, depth - 1)})[:, {self._one('0', '-1')}]"
        a, b, held = (
            self.vector(side, depth - 1),
            self.vector(side, depth - 1),
            self.vector(side, 0),
        )
        return self._one(f"maximum({a}, {b})", f"where({held} > 0.1, {a}, 3*{b})")

    def matrix(self, rows: str, columns: str, depth: int) -> str:
        """A matrix with these sides."""
        if depth == 0:
            if rows != columns:
                return "W" if rows == "n" else "W.T"
            return self._one("A", "X", "S", "A.T") if rows == "n" else "(W.T @ W)"
        inner = self._one("n", "m")
        at = self.rng.integers(20)
        if at >= 15:
            return self._more(rows, columns, depth)
        if at < 2:
            sign = self._one("+", "-", "*")
            a, b = self.matrix(rows, columns, depth - 1), self.matrix(rows, columns, depth - 1)
            return f"({a} {sign} {b})"
        if at == 2:
            return f"{self._one(*ELEMENTWISE)}({self.matrix(rows, columns, depth - 1)})"
        if at in (3, 4, 5, 6):
            a, b = self.matrix(rows, inner, depth - 1), self.matrix(inner, columns, depth - 1)
            return f"({a} @ {b})"
        if at == 7:
            return f"({self.matrix(columns, rows, depth - 1)}).T"
        if at == 8:
            return f"outer({self.vector(rows, depth - 1)}, {self.vector(columns, depth - 1)})"
        if at == 9:
            return f"({self.scalar(depth - 1)}*{self.matrix(rows, columns, depth - 1)})"
        if at == 10 and rows == columns:
            return self._one(f"diag({self.vector(rows, depth - 1)})", f"eye({rows})")
        if at == 11 and rows == columns == "n":
            return f"{self._one('inv', 'adj')}({self._regular(depth - 1)})"
        if at == 12 and rows == columns:
            return f"matrix_power({self.matrix(rows, rows, depth - 1)}, {self._one('2', '3')})"
        if at == 13:
            return (
                f"(diag({self.vector(rows, depth - 1)}) @ {self.matrix(rows, columns, depth - 1)})"
            )
        return f"softmax({self.matrix(rows, columns, depth - 1)})"

    def _more(self, rows: str, columns: str, depth: int) -> str:
        """A matrix: entry by entry of two, along an axis, powers, and what solves equations."""
        a, b = self.matrix(rows, columns, depth - 1), self.matrix(rows, columns, depth - 1)
        at = self.rng.integers(6)
        if at == 0:
            return f"where({a} > {b}, {self.matrix(rows, columns, 0)}, {b})"
        if at == 1:
            return self._one(f"maximum({a}, {b})", f"({a}/(1 + {b}**2))")
        if at == 2:
            return f"{self._one('cumsum', 'softmax')}({a}, axis={self._one('0', '1')})"
        if at == 3:
            return self._one(f"({a})**2", f"(abs({a}) + 0.5)**1.5", f"(1 + ({a})**2)**0.5")
        if at == 4 and rows == "n":
            return f"solve({self._regular(depth - 1)}, {a})"
        return f'einsum("ij,j->ij", {a}, {self.vector(columns, 0)})'

    def _regular(self, depth: int) -> str:
        """A matrix (n, n) that has an inverse, if not by much."""
        if depth <= 0:
            return "S"
        inner = self.matrix("n", self._one("n", "m"), depth - 1)
        return self._one(
            f"({inner} @ ({inner}).T + S)",
            "S",
            f"(2*eye(n) + tanh({self.matrix('n', 'n', depth - 1)})/4)",
        )


def drawn_values(seed: int) -> dict[str, Array]:
    """Numbers for the variables."""
    rng = np.random.default_rng(seed)
    found = {
        name: rng.normal(scale=0.7, size=[LENGTHS[axis] for axis in axes.split()])
        for name, axes in VARIABLES.items()
    }
    found["S"] = 2 * np.eye(3) + found["S"] @ found["S"].T
    return {name: np.asarray(value) for name, value in found.items()}
