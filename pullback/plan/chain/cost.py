"""What a step of a plan costs: multiplications, bytes written, and seconds on a nominal machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["identity", "diagonal", "dense"]
Shape = tuple[int, int, Form, int]  # rows, cols, form, batch


@dataclass(frozen=True)
class Link:
    """One factor of a chain as a plan sees it: (rows, cols), its form, and how it is held.

    ``batch`` is the number of different matrices that it stands for (1: one for all samples).
    A link with ``edges`` is not held as an array: it can be applied to a column, or its transpose
    to a row, for that many fma, and made into a dense array for ``build`` fma.
    """

    rows: int
    cols: int
    form: Form = "dense"
    batch: int = 1
    name: str = "F"
    edges: int | None = None
    build: int | None = None

    @property
    def work(self) -> int:
        """The fma of one product with a vector, over the batch."""
        if self.edges is not None:
            return self.edges
        return entries(self.rows, self.cols, self.form, self.batch)

    @property
    def T(self) -> Link:
        """The transpose."""
        name = self.name[:-1] if self.name.endswith("ᵀ") else f"{self.name}ᵀ"
        return Link(self.cols, self.rows, self.form, self.batch, name, self.edges, self.build)


@dataclass(frozen=True)
class Machine:
    """The rates that predicted seconds stand on: a nominal core, not the one that runs.

    ``fma`` a second in matrix products, ``bandwidth`` in bytes a second for what is written, and
    ``call`` seconds for each step.
    """

    fma: float = 3e10
    bandwidth: float = 8e9
    call: float = 2e-6

    def seconds(self, fma: float, written: float) -> float:
        """The predicted time of one step."""
        return fma / self.fma + written / self.bandwidth + self.call


@dataclass(frozen=True)
class Costs:
    """How plans are ranked, and the limit that they keep.

    Fewest fma first, or shortest predicted time with ``by_time``; ``memory`` bounds the bytes of
    the arrays that a plan makes and of the tapes that its adjoint sweeps keep.
    """

    itemsize: int = 8
    by_time: bool = False
    memory: int | None = None
    machine: Machine = Machine()

    def rank(self, fma: float, written: int) -> float:
        """What a step adds to the number that the dynamic programme minimises."""
        return self.machine.seconds(fma, written) if self.by_time else fma


def entries(rows: int, cols: int, form: Form, batch: int) -> int:
    """How many numbers a form holds."""
    if form == "identity":
        return 0
    return batch * (rows * cols if form == "dense" else rows)


def product(left: Shape, right: Shape) -> tuple[int, Form, int]:
    """The fma, form and batch of a product of two held things (rows, cols, form, batch).

    >>> product((600, 20, "dense", 1), (20, 1000, "dense", 1))
    (12000000, 'dense', 1)
    >>> product((600, 600, "diagonal", 4), (600, 20, "dense", 1))
    (48000, 'dense', 4)
    """
    rows, inner, left_form, left_batch = left
    _, cols, right_form, right_batch = right
    if left_form == "identity":
        return 0, right_form, right_batch
    if right_form == "identity":
        return 0, left_form, left_batch
    batch = max(left_batch, right_batch)
    if left_form == right_form == "dense":
        return batch * rows * inner * cols, "dense", batch
    form: Form = "diagonal" if left_form == right_form else "dense"
    return entries(rows, cols, form, batch), form, batch


def symmetric(rows: int, inner: int) -> int:
    """The fma of A Aᵀ with A (rows, inner): one triangle.

    >>> symmetric(3, 10)
    60
    """
    return rows * (rows + 1) // 2 * inner
