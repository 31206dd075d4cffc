"""``Plan``: a bracketing as a record to print, beside forward and reverse mode."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pullback.notebook import headline, paragraph, table
from pullback.plan.chain.consumers import CONSUMERS
from pullback.plan.chain.cost import Costs, Link
from pullback.plan.chain.piece import Piece

NEARLY = 1.1  # less than this is no gain worth the trouble


@dataclass(frozen=True)
class PlanStep:
    """One operation of a plan: what it makes, of which shape, for how many fma."""

    how: str
    product: str
    shape: str
    fma: int
    written: int


@dataclass(frozen=True, repr=False)
class Plan:
    """The cheapest order for a product of factors, for what is wanted of it.

    ``cost`` is in fma (one multiplication and one addition), exact for the costs that it counts;
    ``seconds`` is a prediction for a nominal core (``Machine``), not a measurement.
    """

    consumer: str
    links: tuple[Link, ...]
    costs: Costs
    optimal: Piece
    forward: Piece
    reverse: Piece
    preaccumulated: Piece | None = None

    @property
    def cost(self) -> int:
        """The fma of the plan."""
        return self.optimal.fma

    @property
    def written(self) -> int:
        """The bytes that the plan writes."""
        return self.optimal.written

    @property
    def peak(self) -> int:
        """The bytes that its arrays and tapes need at a time, given factors not counted."""
        return self.optimal.peak

    @property
    def seconds(self) -> float:
        """The predicted time of the plan on a nominal core."""
        return self._seconds(self.optimal)

    def _seconds(self, piece: Piece) -> float:
        machine = self.costs.machine
        calls = sum(1 for step in piece.steps())
        return machine.seconds(piece.fma, piece.written) + (calls - 1) * machine.call

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(link.name for link in self.links)

    @property
    def brackets(self) -> str:
        """The product as it is bracketed, output side left.

        ``·`` is a product that is left unmultiplied, ``A [G] Aᵀ`` a nested Gram matrix.
        """
        return self.optimal.text(self._names)

    @property
    def dims(self) -> tuple[int, ...]:
        """The widths from input to output."""
        return (self.links[0].cols, *(link.rows for link in self.links))

    @cached_property
    def steps(self) -> tuple[PlanStep, ...]:
        """Every operation in order."""
        return tuple(
            PlanStep(
                piece.how,
                piece.text(self._names),
                f"({piece.rows}, {piece.cols})" + (f" × {piece.batch}" if piece.batch > 1 else ""),
                piece.own,
                piece.written - sum(part.written for part in piece.parts),
            )
            for piece in self.optimal.steps()
        )

    def table(self) -> dict[str, int]:
        """The fma of each mode: forward, reverse, optimal (and preaccumulate, if matrix-free)."""
        rows = {"forward": self.forward.fma, "reverse": self.reverse.fma}
        if self.preaccumulated is not None:
            rows["preaccumulate"] = self.preaccumulated.fma
        return rows | {"optimal": self.optimal.fma}

    @property
    def gain(self) -> float:
        """How many times fewer fma than the better of forward and reverse mode."""
        if self.cost == 0:
            return 1.0 if min(self.forward.fma, self.reverse.fma) == 0 else float("inf")
        return min(self.forward.fma, self.reverse.fma) / self.cost

    @property
    def verdict(self) -> str:
        """One sentence: how much the order is worth, or that there is nothing to gain."""
        better = "forward" if self.forward.fma < self.reverse.fma else "reverse"
        if self.cost == 0:
            return "Nothing has to be multiplied."
        if self.gain <= 1.0:
            return f"{better.capitalize()} mode is already optimal here."
        if self.gain < NEARLY:
            return f"{better.capitalize()} mode is within {self.gain:.2f}× of optimal here."
        return f"{self.gain:.3g}× fewer fma than {better} mode, the better of the two."

    def text(self) -> str:
        """The verdict, the modes side by side, the brackets and every step."""
        lines = [
            self.verdict,
            "",
            f"wanted: {self.consumer}, {CONSUMERS[self.consumer]}",
            f"widths: {' → '.join(map(str, self.dims))}",
            f"order:  {self.brackets}",
            "",
            f"{'mode':<14}{'fma':>16}{'written':>12}{'peak':>12}{'predicted':>12}",
        ]
        for name, piece in self._modes().items():
            lines.append(
                f"{name:<14}{piece.fma:>16,}{_bytes(piece.written):>12}{_bytes(piece.peak):>12}"
                f"{self._seconds(piece) * 1e6:>9,.0f} µs"
            )
        lines += ["", f"{'step':<10}{'makes':>16}{'fma':>16}  of"]
        lines += [
            f"{step.how:<10}{step.shape:>16}{step.fma:>16,}  {_short(step.product)}"
            for step in self.steps
        ]
        lines += ["", f"fma: counted exactly. Times: predicted for {self._machine()}."]
        return "\n".join(lines)

    def _machine(self) -> str:
        machine = self.costs.machine
        return f"{machine.fma / 1e9:g} G fma/s, {machine.bandwidth / 1e9:g} GB/s"

    def _modes(self) -> dict[str, Piece]:
        modes = {"forward": self.forward, "reverse": self.reverse}
        if self.preaccumulated is not None:
            modes["preaccumulate"] = self.preaccumulated
        return modes | {"optimal": self.optimal}

    def __repr__(self) -> str:
        return f"<plan for {self.consumer}: {self.verdict}>"

    def __str__(self) -> str:
        return self.text()

    def latex(self) -> str:
        """The bracketed product as LaTeX without delimiters."""
        named = {name: _latex_name(name) for name in self._names}
        text = self.optimal.text(tuple(named.values()))
        return text.replace("ᵀ", r"^{\top}").replace("·", r"\cdot ")

    def _repr_html_(self) -> str:
        rows = [
            (name, f"{piece.fma:,}", _bytes(piece.written), _bytes(piece.peak),
             f"{self._seconds(piece) * 1e6:,.0f} µs")
            for name, piece in self._modes().items()
        ]  # fmt: skip
        modes = table(["mode", "fma", "written", "peak", "predicted"], rows)
        note = paragraph(f"fma: counted exactly. Times: predicted for {self._machine()}.")
        order = f"<p><code>{html.escape(self.brackets)}</code></p>"
        return headline(self.verdict) + order + modes + note

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the modes, the brackets and the steps."""
        return {
            "consumer": self.consumer,
            "dims": list(self.dims),
            "brackets": self.brackets,
            "verdict": self.verdict,
            "cost": self.cost,
            "gain": self.gain,
            "modes": {
                name: {
                    "fma": piece.fma,
                    "written": piece.written,
                    "peak": piece.peak,
                    "predicted_seconds": self._seconds(piece),
                }
                for name, piece in self._modes().items()
            },
            "steps": [vars(step) for step in self.steps],
        }


def _bytes(count: int) -> str:
    size, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}"


def _short(text: str, width: int = 36) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _latex_name(name: str) -> str:
    transposed = name.endswith("ᵀ")
    bare = name.removesuffix("ᵀ")
    letter, digits = bare.rstrip("0123456789"), bare[len(bare.rstrip("0123456789")) :]
    subscript = f"_{{{digits}}}" if digits else ""
    return f"{letter}{subscript}" + ("ᵀ" if transposed else "")
