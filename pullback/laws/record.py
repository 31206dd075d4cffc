"""What a checker found, as a record that can be printed; and how two numbers are compared."""

from __future__ import annotations

import html
import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]

SMALLEST = 1e-6  # entries below this share of the largest one are compared on its scale


@dataclass(frozen=True)
class Mismatch:
    """One comparison: where, what the rule gave, what it should be, and the relative error."""

    where: str
    found: float
    expected: float
    error: float


@dataclass(frozen=True)
class Check:
    """The verdict of a checker: the worst relative error of each part, and the worst of all."""

    title: ClassVar[str]
    method: str
    tolerance: float
    errors: dict[str, float]
    worst: Mismatch

    @property
    def ok(self) -> bool:
        """Is every error within the tolerance?"""
        return all(error <= self.tolerance for error in self.errors.values())

    @property
    def verdict(self) -> str:
        """One sentence: right, or where it is wrong and by how much."""
        if self.ok:
            return f"right: no relative error above {self.tolerance:.0e}"
        w = self.worst
        return (
            f"WRONG at {w.where}: found {w.found:.9g}, expected {w.expected:.9g}, "
            f"relative error {w.error:.1e} (at most {self.tolerance:.0e})"
        )

    @property
    def status(self) -> str:
        """right or wrong."""
        return "right" if self.ok else "wrong"

    def shown(self, name: str) -> str:
        """The error of one part as text."""
        return f"{self.errors[name]:.1e}"

    def text(self) -> str:
        """The errors as a table, and the verdict."""
        width = max(map(len, self.errors))
        rows = [f"  {name:<{width}}  {self.shown(name)}" for name in self.errors]
        return "\n".join([f"{self.title} ({self.method})", *rows, self.verdict])

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{self.shown(name)}</td></tr>"
            for name in self.errors
        )
        return (
            f"<p><strong>{html.escape(self.verdict)}</strong></p>"
            f"<table><caption>{self.title} ({html.escape(self.method)})</caption>"
            f"<tr><th>part</th><th>relative error</th></tr>{rows}</table>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the verdict included."""
        return asdict(self) | {"ok": self.ok, "status": self.status, "verdict": self.verdict}


def compare(
    where: str, found: float, expected: float, doubt: float = 0.0, *, scale: float = 0.0
) -> Mismatch:
    """The error beyond the reference's own doubt, relative to the larger side or the scale."""
    beyond = abs(found - expected) - doubt
    if not math.isfinite(beyond):
        return Mismatch(where, found, expected, math.inf)
    if beyond <= 0:
        return Mismatch(where, found, expected, 0.0)
    return Mismatch(where, found, expected, beyond / max(abs(found), abs(expected), scale))


def summary(compared: dict[str, list[Mismatch]]) -> tuple[dict[str, float], Mismatch]:
    def error(mismatch: Mismatch) -> float:
        return mismatch.error

    errors = {name: max(map(error, each), default=0.0) for name, each in compared.items()}
    return errors, max((m for each in compared.values() for m in each), key=error)


def places(shape: Shape, entries: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Every place of a small array, or as many of a larger one, at random."""
    size = math.prod(shape)
    chosen = np.arange(size) if size <= entries else np.sort(rng.choice(size, entries, False))
    return [tuple(map(int, np.unravel_index(at, shape))) for at in chosen]
