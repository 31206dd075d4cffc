"""The factors of a product of Jacobians as symbols: weights, slopes, skips, any other map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from pullback.calculus import Routes
from pullback.ir import Node
from pullback.ir.scalar.function import Scalar


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
    """f, elementwise; ``label`` names its argument: z^{1} behind the first layer.

    ``argument`` is its node, where there is one.
    """

    path: str
    function: Scalar
    label: str
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
    """

    source: str
    target: str
    into: int
    out: int
    ways: Routes
    varies: bool

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


def plain(label: str) -> str:
    """z^1 for z^{1}; a.1 as it is."""
    return label.replace("{", "").replace("}", "")


def latex(label: str) -> str:
    """A label as LaTeX: only that of a layer is a formula."""
    return label if label.startswith("z^{") else rf"\text{{{label}}}"


def every(items: Iterable[Item]) -> Iterator[Item]:
    """The items and those inside skips, each skip in front of its own."""
    for item in items:
        yield item
        if isinstance(item, SkipItem):
            yield from every(item.items)
