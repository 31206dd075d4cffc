"""The factors of a product of Jacobians as symbols: weights, slopes, skips, any other map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from pullback.calculus import Routes
from pullback.closed.network.rivals import Rivals
from pullback.ir import Node
from pullback.ir.forms import Form
from pullback.ir.scalar.function import Scalar

Label = int | str  # a layer, counted from 1, or a name
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class WeightItem:
    """scale · W x + b, at each of so many places; ``layer`` counts the layers from 0.

    ``path`` is the layer's place in the model, ``parameter`` what W is called.
    """

    path: str
    layer: int
    n_in: int
    n_out: int
    parameter: str
    scale: float = 1.0
    places: int = 1
    varies: ClassVar[bool] = False

    @property
    def into(self) -> int:
        """How many entries come in, at all places."""
        return self.places * self.n_in

    @property
    def fma(self) -> int:
        """What one product with it costs."""
        return self.places * self.n_in * self.n_out


@dataclass(frozen=True)
class SlopeItem:
    """f, elementwise; ``label`` is its argument's: 1 for z₁, behind the first layer, or a name.

    ``argument`` is its node, where there is one.
    """

    path: str
    function: Scalar
    label: Label
    argument: Node | None = None

    @property
    def slope(self) -> float | None:
        """f' where it is one number for all z, else None."""
        found = self.function.partial(0).expr
        return float(found) if found.is_number else None

    @property
    def varies(self) -> bool:
        """Is it another map for another x?"""
        return self.slope is None


@dataclass(frozen=True)
class ScaleItem:
    """s · x: what a branch counts for where branches meet."""

    factor: float
    varies: ClassVar[bool] = False


@dataclass(frozen=True)
class SkipItem:
    """x + (items)(x), the items' last one being the scale."""

    items: tuple[Item, ...]
    varies: ClassVar[bool] = False  # what is inside may


@dataclass(frozen=True)
class LocalItem:
    """Whatever lies between two equations: a matrix over their flattened axes at one x.

    ``ways`` holds the linear maps that it is made of; ``source`` and ``target`` name the two sides.
    ``form`` is that of the equation at its end, if it is one; where that is the largest of some
    entries, ``rivals`` says which they are.
    """

    source: Label
    target: Label
    into: int
    out: int
    ways: Routes
    varies: bool
    form: Form | None = None
    rivals: Rivals | None = None

    @property
    def path(self) -> str:
        """What numbers of it are called by."""
        return str(self.target)

    @property
    def fma(self) -> int:
        """What one product with it costs."""
        return self.into * self.out

    @property
    def name(self) -> str:
        """What the map is called in print."""
        return f"∂{plain(self.target)}/∂{plain(self.source)}"

    @property
    def latex(self) -> str:
        """The same as LaTeX."""
        return rf"\frac{{\partial\, {latex(self.target)}}}{{\partial\, {latex(self.source)}}}"


Item = WeightItem | SlopeItem | ScaleItem | SkipItem | LocalItem


def plain(label: Label) -> str:
    """z₁ for 1; a.1 as it is."""
    return f"z{below(label)}" if isinstance(label, int) else label


def latex(label: Label) -> str:
    """A label as LaTeX: only that of a layer is a formula."""
    return f"z_{{{label}}}" if isinstance(label, int) else rf"\text{{{label}}}"


def entry(label: Label, unit: int) -> str:
    """An entry of it, the layer above and the unit below: z₂⁽¹⁾.

    >>> entry(1, 1), entry("a.1", 1)
    ('z₂⁽¹⁾', 'a.1₂')
    """
    if isinstance(label, int):
        return f"z{below(unit + 1)}⁽{above(label)}⁾"
    return f"{label}{below(unit + 1)}"


def entry_latex(label: Label, unit: int) -> str:
    """The same as LaTeX."""
    if isinstance(label, int):
        return f"z^{{({label})}}_{{{unit + 1}}}"
    return rf"\text{{{label}}}_{{{unit + 1}}}"


def above(number: int) -> str:
    """A number as the exponent that it is in print.

    >>> above(12)
    '¹²'
    """
    return str(number).translate(_SUPERSCRIPT)


def below(number: int) -> str:
    """A number as the index that it is in print.

    >>> below(12)
    '₁₂'
    """
    return str(number).translate(_SUBSCRIPT)


def every(items: Iterable[Item]) -> Iterator[Item]:
    """The items and those inside skips, each skip in front of its own."""
    for item in items:
        yield item
        if isinstance(item, SkipItem):
            yield from every(item.items)
