"""δ as a sum over paths: every product of weights and slopes from a unit to an output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.closed.network.items import (
    Item,
    LocalItem,
    ScaleItem,
    SkipItem,
    SlopeItem,
    WeightItem,
    above,
    below,
    entry,
    entry_latex,
)
from pullback.closed.network.point import ChainPoint
from pullback.closed.record import as_floats
from pullback.errors import NotApplicableError, ShapeError
from pullback.notebook import headline, mathml, paragraph

MOST = 10_000  # paths that are written out


@dataclass(frozen=True)
class PathFactor:
    """One factor of a path in both notations, and its value where the weights are known."""

    text: str
    latex: str
    value: float | None


@dataclass(frozen=True)
class SignalPath:
    """One path: the output unit at which it ends, and its factors from the unit on."""

    end: int
    factors: tuple[PathFactor, ...]

    @property
    def value(self) -> float | None:
        """The product of the factors."""
        values = [each.value for each in self.factors]
        known = [value for value in values if value is not None]
        return float(np.prod(known)) if len(known) == len(values) else None


@dataclass(frozen=True, eq=False, repr=False)
class PathSum:
    """δ of one unit, summed over ``count`` paths; ``terms`` holds them if they are few enough."""

    layer: int
    unit: int
    count: int
    outputs: int
    terms: tuple[SignalPath, ...]

    def value(self, delta_out: Any) -> float:
        """The sum for δ (outputs,) at the last layer.

        Raises ShapeError, and NotApplicableError without numbers or with too many paths.
        """
        delta = as_floats("delta_out", delta_out)
        if delta.shape != (self.outputs,):
            raise ShapeError(f"delta_out has shape {delta.shape}; expected ({self.outputs},)")
        self._refuse_too_many()
        values = [path.value for path in self.terms]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            raise NotApplicableError("the paths have no numbers; give params and one x")
        ends = delta[[path.end for path in self.terms]]
        return float(np.sum(np.asarray(known) * ends))

    def text(self) -> str:
        """The formula with every path, one a line."""
        unit = f"δ{below(self.unit + 1)} of layer {self.layer}"
        head = f"{unit} is a sum over {number(self.count)} paths"
        if self.count > MOST:
            return f"{head}: too many to write out."
        lines = [
            " ".join([*(each.text for each in path.factors), f"δ{below(path.end + 1)}"])
            for path in self.terms
        ]
        return "\n".join(
            [f"{head}:", *(f"  {'+ ' if at else '  '}{t}" for at, t in enumerate(lines))]
        )

    def __repr__(self) -> str:
        return f"<a sum over {number(self.count)} paths>"

    def __str__(self) -> str:
        return self.text()

    def latex(self) -> str:
        """The formula with every path; raises NotApplicableError where there are too many."""
        self._refuse_too_many()
        terms = (
            r"\, ".join([*(each.latex for each in path.factors), rf"\delta_{{{path.end + 1}}}"])
            for path in self.terms
        )
        return rf"\delta_{{{self.unit + 1}}}^{{\,{self.layer}}} = {' + '.join(terms)}"

    def _refuse_too_many(self) -> None:
        if self.count > MOST:
            raise NotApplicableError(
                f"there are {number(self.count)} paths; up to {MOST:,} are written out: "
                "the recursion adds them all without writing any"
            )

    def _repr_html_(self) -> str:
        if self.count > MOST:
            return paragraph(self.text())
        head = f"A sum over {number(self.count)} paths."
        return f"{headline(head)}<p>{mathml(self.latex())}</p>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data; the number of paths as text where JSON's numbers end."""
        return {
            "layer": self.layer,
            "unit": self.unit,
            "count": self.count if self.count < 1 << 53 else number(self.count),
            "paths": [
                {"end": p.end, "factors": [f.text for f in p.factors], "value": p.value}
                for p in self.terms
            ],
        }


def number(count: int) -> str:
    """A whole number in print; the size only of one that fills lines.

    >>> number(1234567), number(64**100)
    ('1,234,567', 'about 4.15e180')
    """
    bits = count.bit_length()
    if bits <= 80:
        return f"{count:,}"
    shift = max(bits - 64, 0)
    log = np.log10(float(count >> shift)) + shift * np.log10(2)
    power = int(log)
    return f"about {10 ** (log - power):.2f}e{power}"


def count_paths(items: Sequence[Item]) -> int:
    """How many paths lead from one unit through the items to the end."""
    total = 1
    for item in items:
        if isinstance(item, WeightItem):
            total *= item.n_out
        elif isinstance(item, LocalItem):
            total *= item.out
        elif isinstance(item, SkipItem):
            total *= 1 + count_paths(item.items)
    return total


def path_sum(
    items: tuple[Item, ...], layer: int, unit: int, outputs: int, point: ChainPoint | None
) -> PathSum:
    """The paths from one unit of a layer, written out if there are at most ``MOST``."""
    count = count_paths(items)
    if count > MOST:
        return PathSum(layer, unit, count, outputs, ())
    found: list[tuple[int, tuple[PathFactor, ...]]] = [(unit, ())]
    for item in items:
        found = [
            (end, (*before, *here))
            for middle, before in found
            for end, here in _ways(item, middle, point)
        ]
    return PathSum(layer, unit, count, outputs, tuple(SignalPath(*each) for each in found))


def _ways(
    item: Item, unit: int, point: ChainPoint | None
) -> Iterator[tuple[int, tuple[PathFactor, ...]]]:
    match item:
        case WeightItem(layer=layer, n_out=n_out):
            place, of = divmod(unit, item.n_in)
            for out in range(n_out):
                to = place * n_out + out
                value = None if point is None else float(point.held[item][out, of])
                text = f"w{below(out + 1)},{below(of + 1)}⁽{above(layer + 1)}⁾"
                yield to, (PathFactor(text, rf"w^{{({layer + 1})}}_{{{out + 1},{of + 1}}}", value),)
        case LocalItem(out=n_out):
            for to in range(n_out):
                value = None if point is None else float(point.matrix(item)[to, unit])
                at = f"{to + 1},{unit + 1}"
                formula = rf"\left({item.latex}\right)_{{{at}}}"
                yield to, (PathFactor(f"({item.name})_{at}", formula, value),)
        case SlopeItem(label=label):
            value = None
            if point is not None:
                D = point.matrix(item)
                value = float(D[unit] if D.ndim else D)
            formula = rf"f'\left({entry_latex(label, unit)}\right)"
            yield unit, (PathFactor(f"f′({entry(label, unit)})", formula, value),)
        case ScaleItem(factor=factor):
            yield unit, (PathFactor(f"{factor:g}", f"{factor:g}", factor),)
        case SkipItem(items=inner):
            yield unit, ()
            through = path_sum(inner, layer=0, unit=unit, outputs=0, point=point)
            yield from ((path.end, path.factors) for path in through.terms)
