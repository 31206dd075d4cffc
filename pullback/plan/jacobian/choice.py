"""The ways to an answer about all parameters, priced: structured, or with J written out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from pullback.notebook import headline, table
from pullback.plan.chain.consumers import CONSUMERS, check_consumer
from pullback.plan.chain.cost import Machine, symmetric


@dataclass(frozen=True, repr=False)
class Ways:
    """For one consumer each way with its fma and the numbers that it writes; the first is taken.

    ``cost`` counts products exactly; which way is taken follows the predicted time on a nominal
    core (``Machine``).
    """

    consumer: str
    options: tuple[tuple[str, int, int], ...]  # (name, fma, numbers written), fastest first
    rows: int
    cols: int

    @property
    def chosen(self) -> str:
        """The way that is taken."""
        return self.options[0][0]

    @property
    def cost(self) -> int:
        """Its fma."""
        return self.options[0][1]

    @property
    def brackets(self) -> str:
        """What is multiplied with what."""
        return _FORMULAS.get((self.consumer, self.chosen), f"{self.chosen}: {self._wanted}")

    @property
    def _wanted(self) -> str:
        return CONSUMERS[self.consumer]

    @property
    def verdict(self) -> str:
        """One sentence: which way, and how much it is worth."""
        if len(self.options) == 1:
            return f"There is one way: {self.chosen}."
        name, fma, _ = self.options[1]
        return f"{self.chosen.capitalize()}: {fma / max(self.cost, 1):.3g}× fewer fma than {name}."

    def table(self) -> dict[str, int]:
        """The fma of each way."""
        return {name: fma for name, fma, _ in self.options}

    def text(self) -> str:
        """The verdict, the formula and the ways side by side."""
        lines = [self.verdict, "", f"wanted: {self.consumer}, {self._wanted}"]
        lines += [f"J:      ({self.rows}, {self.cols})", f"order:  {self.brackets}", ""]
        lines += [f"{'way':<16}{'fma':>20}{'numbers written':>20}"]
        lines += [f"{name:<16}{fma:>20,}{written:>20,}" for name, fma, written in self.options]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<plan for {self.consumer}: {self.verdict}>"

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        rows = [(name, f"{fma:,}", f"{written:,}") for name, fma, written in self.options]
        return headline(self.verdict) + table(["way", "fma", "numbers written"], rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "consumer": self.consumer,
            "chosen": self.chosen,
            "cost": self.cost,
            "verdict": self.verdict,
            "ways": {name: {"fma": f, "numbers": w} for name, f, w in self.options},
        }


_FORMULAS = {
    ("gram", "structured"): "Σ over layers of (G Gᵀ) ∘ (a aᵀ + 1)",
    ("solve", "small side"): "Jᵀ (Σ (G Gᵀ) ∘ (a aᵀ + 1) + λI)⁻¹ r",
    ("diagonal", "structured"): "Σ over samples of (G²)ᵀ a²",
    ("dense", "written out"): "G ⊗ a for each layer and sample",
}


class Widths(NamedTuple):
    """What is known of a Jacobian with respect to parameters; ``sweep`` is the fma of one row."""

    batch: int
    outputs: int
    sweep: int
    layers: tuple[tuple[int, int], ...]  # (out, parameters), without shared axes
    shared: tuple[tuple[int, int, int], ...] = ()  # (places, out, in) of a weight over tokens
    others: tuple[int, int] = (0, 0)  # entries that are read, parameters: columns in any case


def kept(batch: int, outputs: int, places: int, out: int, n_in: int) -> tuple[int, int]:
    """The fma, and the numbers written, of Σ (δ δᵀ) (a aᵀ) over all places of all pairs of samples.

    Of one pair with one output: R² (d_in + d_out) + R d_out.
    """
    pairs, entries = batch * batch, outputs * places * out
    inner = places * places * (n_in + outputs * out)
    return pairs * (inner + outputs * entries), pairs * (places * places + entries)


def built(batch: int, outputs: int, places: int, out: int, n_in: int) -> tuple[int, int]:
    """Those of Σ over places of δ ⊗ a for each sample and output, and of all products of two."""
    rows, columns = batch * outputs, out * n_in
    return rows * places * columns + symmetric(rows, columns), rows * columns


def is_kept(
    batch: int, outputs: int, places: int, out: int, n_in: int, looks_up: bool = False
) -> bool:
    """Are δ and a kept for a Gram matrix, by the time that a nominal core takes?

    Where rows are looked up, a aᵀ says which numbers are the same, and costs nothing.

    >>> is_kept(32, 10, 4, 64, 576), is_kept(32, 10, 64, 16, 144)
    (True, False)
    """
    one = kept(batch, outputs, places, out, 1 if looks_up else n_in)
    other = built(batch, outputs, places, out, n_in)
    machine = Machine()
    return machine.seconds(one[0], 8 * one[1]) < machine.seconds(other[0], 8 * other[1])


@lru_cache(maxsize=256)
def ways(consumer: str, widths: Widths) -> Ways:
    """The ways to an answer about all parameters, fastest first."""
    check_consumer(consumer)
    batch, outputs, sweep, layers, shared, others = widths
    weights = sum(out * n_in for _, out, n_in in shared)
    rows, cols = batch * outputs, sum(size for _, size in layers) + weights + others[1]
    factors = rows * sweep
    held = rows * (sum(out for out, _ in layers) + sum(t * out for t, out, _ in shared) + others[0])
    summed = rows * sum(places * out * n_in for places, out, n_in in shared)
    write = factors + rows * (cols - weights) + summed, held + rows * cols
    inputs = sum(size // max(out, 1) for out, size in layers)
    beside = rows * others[1]
    gram = (
        factors
        + sum(symmetric(rows, out) for out, _ in layers)
        + symmetric(batch, inputs)
        + sum(kept(batch, outputs, *sizes)[0] for sizes in shared)
        + beside
        + symmetric(rows, others[1]),
        held + 2 * rows * rows + sum(kept(batch, outputs, *s)[1] for s in shared) + beside,
    )
    small, large = sorted((rows, cols))
    options: dict[str, tuple[int, int]]
    match consumer:
        case "dense" | "pair":
            options = {"written out": write}
        case "jvp" | "vjp":
            options = {"one sweep": (batch * (sweep + cols), held // max(outputs, 1))}
        case "gram":
            options = {
                "structured": gram,
                "written out": (write[0] + symmetric(rows, cols), write[1] + rows * rows),
            }
        case "normal":
            options = {"written out": (write[0] + symmetric(cols, rows), write[1] + cols * cols)}
        case "diagonal":
            options = {
                "structured": (
                    factors + held + batch * (cols - weights) + summed + beside,
                    held + cols + rows * weights + beside,
                ),
                "written out": (write[0] + rows * cols, write[1] + cols),
            }
        case "svd":
            options = {"written out": (write[0] + 4 * large * small**2, write[1])}
        case "logdet":
            options = {"written out": (write[0] + large * small**2, write[1])}
            if rows <= cols:
                options["structured"] = (gram[0] + rows**3 // 3, gram[1])
        case _:
            dense = symmetric(small, large) + small**3 // 6
            options = {"written out": (write[0] + dense, write[1] + small * small)}
            if rows <= cols:
                options["small side"] = (gram[0] + rows**3 // 6 + batch * cols, gram[1])
    if not (layers or shared):
        apart = ("structured", "small side")
        options = {name: cost for name, cost in options.items() if name not in apart}
    machine = Machine()
    ordered = sorted(options.items(), key=lambda item: machine.seconds(item[1][0], 8 * item[1][1]))
    return Ways(consumer, tuple((name, *cost) for name, cost in ordered), rows, cols)
