"""``Piece``: a part of the product that is held as an array, and how it came to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pullback.plan.chain.cost import Costs, Form, Link, Shape, entries

How = Literal[
    "given",  # a factor as it stands
    "build",  # a matrix-free factor, column by column or row by row
    "multiply",  # two parts
    "tangent",  # matrix-free factors applied to the columns of a part
    "adjoint",  # the rows of a part carried through matrix-free factors
    "pair",  # two parts, side by side, not multiplied
    "gram",  # A Aᵀ
    "sandwich",  # A G Aᵀ
    "solve",
    "svd",
    "logdet",
    "diagonal",
]


@dataclass(frozen=True)
class Piece:
    """The factors ``first`` to ``last`` as one thing of shape (rows, cols), and its cost.

    ``own`` is the fma of the last step, ``fma`` and ``written`` (bytes) are those of all steps,
    ``peak`` the largest number of bytes that it needs at a time, given factors not counted.
    """

    how: How
    first: int
    last: int
    rows: int
    cols: int
    form: Form
    batch: int
    parts: tuple[Piece, ...]
    own: int
    fma: int
    written: int
    held: int
    peak: int
    rank: float

    @property
    def shape(self) -> Shape:
        """(rows, cols, form, batch): what the price of a product depends on."""
        return self.rows, self.cols, self.form, self.batch

    def steps(self) -> Iterator[Piece]:
        """Every step that does something, in order of execution."""
        for part in self.parts:
            yield from part.steps()
        if self.how not in ("given", "pair"):
            yield self

    def text(self, names: tuple[str, ...]) -> str:
        """The product with its brackets; Fᵀ for a transpose."""
        inner = [part.text(names) for part in self.parts]
        swept = names[self.first : self.last + 1]
        match self.how:
            case "given" | "build":
                return names[self.first]
            case "multiply":
                return f"({inner[0]} {inner[1]})"
            case "tangent":
                return _swept_up(swept, inner, self)
            case "adjoint":
                return _swept_down(swept, inner, self)
            case "pair":
                return " · ".join(inner)
            case "gram":
                return f"{inner[0]} {_transposed(inner[0])}"
            case "sandwich":
                return f"{inner[0]} [{inner[1]}] {_transposed(inner[0])}"
        return f"{self.how}[{' · '.join(inner)}]"


def _transposed(text: str) -> str:
    bracketed = text.endswith(")")
    return text.removesuffix("ᵀ") if text.endswith("ᵀ") and not bracketed else f"{text}ᵀ"


def _swept_up(swept: tuple[str, ...], inner: list[str], piece: Piece) -> str:
    """(F3 (F2 part)): applied from the input side; alone, the first factor is the seed."""
    names = swept[len(swept) - _count(piece) :] if inner else swept[1:]
    text = inner[0] if inner else swept[0]
    for name in names:
        text = f"({name} {text})"
    return text


def _swept_down(swept: tuple[str, ...], inner: list[str], piece: Piece) -> str:
    """((part F2) F1): carried from the output side."""
    names = swept[: _count(piece)] if inner else swept[:-1]
    text = inner[0] if inner else swept[-1]
    for name in reversed(names):
        text = f"({text} {name})"
    return text


def _count(piece: Piece) -> int:
    (part,) = piece.parts
    return (piece.last - piece.first) - (part.last - part.first)


class Pieces:
    """Makes pieces of one chain and prices them."""

    def __init__(self, links: tuple[Link, ...], costs: Costs) -> None:
        self.links, self.costs = links, costs

    def given(self, at: int) -> Piece:
        """A factor that is an array already."""
        link = self.links[at]
        return Piece(
            "given", at, at, link.rows, link.cols, link.form, link.batch, (), 0, 0, 0, 0, 0, 0.0
        )

    def build(self, at: int) -> list[Piece]:
        """A matrix-free factor as a dense array: by columns, or by rows with a tape."""
        link = self.links[at]
        shape: Shape = (link.rows, link.cols, "dense", link.batch)
        if link.build is not None:
            return [self.make("build", at, at, shape, (), link.build)]
        tape = link.work * self.costs.itemsize
        return [
            self.make("build", at, at, shape, (), link.cols * link.work),
            self.make("build", at, at, shape, (), link.rows * link.work, tape),
        ]

    def make(
        self,
        how: How,
        first: int,
        last: int,
        shape: Shape,
        parts: tuple[Piece, ...],
        own: int,
        scratch: int = 0,
    ) -> Piece:
        """A step on some parts; ``scratch`` is what it needs in bytes beside parts and result."""
        rows, cols, form, batch = shape
        nothing = how == "pair" or (how == "multiply" and any(p.form == "identity" for p in parts))
        size = 0 if nothing else entries(rows, cols, form, batch) * self.costs.itemsize
        held = sum(part.held for part in parts) if nothing else size
        return Piece(
            how,
            first,
            last,
            rows,
            cols,
            form,
            batch,
            parts,
            own,
            own + sum(part.fma for part in parts),
            size + sum(part.written for part in parts),
            held,
            peak(parts, size + scratch),
            (0.0 if nothing else self.costs.rank(own, size)) + sum(part.rank for part in parts),
        )


def peak(parts: tuple[Piece, ...], made: int) -> int:
    """The bytes needed at a time, with the parts computed in the order that needs the fewest.

    What is freed most first: largest peak − held (Sethi and Ullman, 1970).
    """
    kept = highest = 0
    for part in sorted(parts, key=lambda part: part.held - part.peak):
        highest = max(highest, kept + part.peak)
        kept += part.held
    return max(highest, kept + made)


def front(pieces: list[Piece], limited: bool) -> list[Piece]:
    """The cheapest piece; under a memory limit also every dearer one that needs less memory."""
    ordered = sorted(pieces, key=lambda piece: (piece.rank, piece.peak, piece.held))
    if not limited:
        return ordered[:1]
    kept: list[Piece] = []
    for piece in ordered:
        if all(piece.peak < better.peak or piece.held < better.held for better in kept):
            kept.append(piece)
    return kept
