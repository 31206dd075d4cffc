"""Brute force over every way to order a chain, written without a look at the planner's code.

Memory: an order is a list of nested pairs; either side may come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ITEM = 8


@dataclass(frozen=True)
class Way:
    """One way to hold factors i..j: its fma, its peak bytes, and what it holds at the end."""

    fma: int
    peak: int
    held: int
    form: str = "dense"


@dataclass(frozen=True)
class Chain:
    """Widths input first; each factor's form ("dense", "diagonal", "identity", "free")."""

    dims: tuple[int, ...]
    forms: tuple[str, ...]
    edges: tuple[int, ...]

    def ways(self, i: int, j: int) -> Iterator[Way]:
        """Every bracketing of factors i..j with every mix of products and sweeps."""
        n, m = self.dims[i], self.dims[j + 1]
        if i == j:
            if self.forms[i] == "free":
                size = m * n * ITEM
                yield Way(n * self.edges[i], size, size)
                yield Way(m * self.edges[i], size + self.edges[i] * ITEM, size)
            else:
                yield Way(0, 0, 0, self.forms[i])
            return
        for k in range(i, j):
            for right in self.ways(i, k):
                free = "free" in self.forms[k + 1 : j + 1]
                if free:
                    yield after(right, n * sum(self.edges[k + 1 : j + 1]), m * n * ITEM)
                for left in self.ways(k + 1, j):
                    yield self.times(left, right, self.dims[k + 1], m, n)
            if "free" in self.forms[i : k + 1]:
                swept = range(i, k + 1)
                tape = sum(self.edges[at] for at in swept if self.forms[at] == "free")
                for left in self.ways(k + 1, j):
                    fma = m * sum(self.edges[i : k + 1])
                    yield after(left, fma, m * n * ITEM, tape * ITEM)

    def times(self, left: Way, right: Way, k: int, m: int, n: int) -> Way:
        if "identity" in (left.form, right.form):
            form = right.form if left.form == "identity" else left.form
            return both(left, right, 0, None, form)
        if left.form == right.form == "diagonal":
            return both(left, right, n, n * ITEM, "diagonal")
        fma = m * k * n if left.form == right.form == "dense" else m * n
        return both(left, right, fma, m * n * ITEM, "dense")

    def grams(self, j: int) -> Iterator[Way]:
        """Every way to F_j…F_0 (F_j…F_0)ᵀ: any part first, then nested outwards."""
        m = self.dims[j + 1]
        triangle = m * (m + 1) // 2
        for whole in self.ways(0, j):
            n = self.dims[0]
            fma = {"dense": triangle * n, "diagonal": m, "identity": 0}[whole.form]
            size = {"dense": m * m, "diagonal": m, "identity": 0}[whole.form] * ITEM
            yield after(whole, fma, size, form=whole.form)
        for k in range(j):
            n = self.dims[k + 1]
            for outer in self.ways(k + 1, j):
                for gram in self.grams(k):
                    forms = outer.form, gram.form
                    if outer.form == "identity":
                        fma = 0
                    elif gram.form == "identity":
                        fma = triangle * n if outer.form == "dense" else m
                    elif forms == ("dense", "dense"):
                        fma = m * n * n + triangle * n
                    elif forms == ("dense", "diagonal"):
                        fma = m * n + triangle * n
                    else:
                        fma = m * m if gram.form == "dense" else m
                    form = next(f for f in ("dense", "diagonal", "identity") if f in forms)
                    size = {"dense": m * m, "diagonal": m, "identity": 0}[form] * ITEM
                    yield both(outer, gram, fma, size, form)


def after(part: Way, fma: int, size: int, scratch: int = 0, form: str = "dense") -> Way:
    peak = max(part.peak, part.held + size + scratch)
    return Way(part.fma + fma, peak, size, form)


def both(one: Way, other: Way, fma: int, size: int | None, form: str) -> Way:
    """Two parts in the better order, then a result; None makes nothing new."""
    made = size or 0
    peak = min(
        max(a.peak, a.held + b.peak, a.held + b.held + made)
        for a, b in ((one, other), (other, one))
    )
    held = one.held + other.held if size is None else size
    return Way(one.fma + other.fma + fma, peak, held, form)
