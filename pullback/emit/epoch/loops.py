"""Scheduled steps as source with loops: what Numba compiles.

Arrays are indexed by i along the rows and j along the inner axis. Inside a loop a value is a local
variable; it goes to memory only if somebody reads it elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pullback.emit.epoch.schedule import (
    Block,
    Inner,
    RowLoop,
    Whole,
    is_apart,
    is_row_total,
    is_total,
    readers,
    writers,
)
from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import called, quote
from pullback.emit.expression.scalar import PYTHON, scalar
from pullback.emit.values import ElementwiseStep, Lowered, Product, ProgramStep, Reduction, Value
from pullback.ir import Axes, Axis
from pullback.vmath.compiled import NAMES

# numbers have the precision of the arrays; our vector mathematics has functions of its own
LOOP = replace(PYTHON, number="real(a)", products_up_to=4, own=NAMES)


@dataclass(frozen=True)
class Into:
    """Where a product goes: array ← amount · product + keep · array."""

    amount: str
    keep: str
    array: str


@dataclass
class Loops:
    """The lines of each block of a program, and the arrays that they need.

    ``given`` tells under which name the array of a parameter, an input or a result stands ready;
    work arrays, ``arrays`` with their axes, are called by the prefix and a number. ``bounds`` says
    between what a loop over the rows of an axis runs. A sum over the rows of an array is taken
    into an array called ``…_own``, a sum over the rows of numbers into a variable.
    """

    program: Lowered
    blocks: list[Block]
    given: Mapping[str, str]
    bounds: Callable[[Axis], str]
    prefix: str = "A"
    arrays: dict[str, Axes] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    array_of: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._taken = set(self.given.values())
        self._written, self._read = writers(self.blocks), readers(self.blocks)
        self._ends: dict[str, tuple[int, int]] = {}
        self._totals: dict[str, str] = {}  # arrays that hold sums of exponentials meanwhile
        self.array_of |= self.given
        self._allocate()

    def size(self, axis: Axis) -> str:
        """How long an axis is: a number, or the name of a variable."""
        return str(axis.size) if axis.size is not None else self.program.length(axis).name

    def _allocate(self) -> None:
        """Give an array to each value that leaves its loop; use one again when it is free."""
        for block in self.blocks:
            for step in block.steps():
                value = step.out
                if is_apart(step):
                    self._totals[value.name] = self._new(value.axes)
                if not value.axes or value.name in self.array_of or not self._leaves_loop(step):
                    continue
                end = max(self._read.get(value.name, [self._written[value.name]]))
                start = self._written[value.name]
                name = self._free(value.axes, start, isinstance(block, Whole))
                name = name or self._new(value.axes)
                self.array_of[value.name] = name
                self._ends[name] = end

    def _new(self, axes: Axes) -> str:
        name = f"{self.prefix}{len(self.arrays)}"
        self.arrays[name] = axes
        return name

    def _leaves_loop(self, step: ProgramStep) -> bool:
        block, inner = self._written[step.out.name]
        if isinstance(self.blocks[block], Whole) or is_total(step) or is_apart(step):
            return True
        where = self._read.get(step.out.name, [])
        if len(step.out.axes) == 1:  # one number a row lives as long as the row
            return any(at != block for at, _ in where)
        return any(each != (block, inner) for each in where)

    def _free(self, axes: Axes, start: tuple[int, int], whole: bool) -> str | None:
        for name, end in self._ends.items():
            over = end < start or (end == start and not whole)
            if self.arrays[name] == axes and over:
                return name
        return None

    def rows(self, block: RowLoop) -> list[str]:
        """The lines of a loop over rows, without the scalars that come after it."""
        zeros = [line for step in block.totals() for line in self._zero(step)]
        lines = [*zeros, f"for i in range({self.bounds(block.axis)}):"]
        for inner in block.passes:
            lines += [f"    {line}" for line in self._inner(block, inner)]
        for step in filter(is_apart, block.steps()):
            array = self.array_of[step.out.name]
            lines.append(f"for i in range({self.bounds(block.axis)}):")
            lines.append(f"    {array}[i] = {array}[i] + log({self._totals[step.out.name]}[i])")
        return lines

    def scalar(self, step: ElementwiseStep) -> str:
        """The line of a number that comes from other numbers."""
        return f"{step.out.name} = {self._entry(step, {v.name: _scalar(v) for v in step.operands})}"

    def _entry(self, step: ElementwiseStep, places: Mapping[str, str]) -> str:
        """One entry of an elementwise step, from where each operand is."""
        tree = scalar(step.expr, {sym: quote(places[v.name]) for sym, v in step.leaves}, LOOP)
        self.functions |= called([tree]) & NAMES
        return printed(tree)

    def product(
        self, step: Product, along: Axis, part: Callable[[Axis], str], into: Into | None = None
    ) -> str:
        """A matrix product, of which ``part`` says what is taken of an axis: a slice.

        Of the axis ``along``, one of the result's, each worker takes its own part.
        """
        left, right, out = step.left, step.right, step.out
        (summed,) = [a for a in left.axes if a in right.axes and a not in out.axes]
        rows = [a for a in left.axes if a != summed]
        if out.axes[: len(rows)] != tuple(rows):
            left, right = right, left

        def matrix(name: str, axes: Axes, flip: bool = False) -> str:
            cuts = [part(axis) if axis == along or axis.size is None else ":" for axis in axes]
            while cuts and cuts[-1] == ":":
                cuts.pop()
            name += f"[{', '.join(cuts)}]" if cuts else ""
            return f"{name}.T" if flip and len(axes) > 1 else name

        a = matrix(self.array_of[left.name], left.axes, left.axes[-1] != summed)
        b = matrix(self.array_of[right.name], right.axes, right.axes[-1] == summed)
        if into is None:
            return f"matmul({a}, {b}, {matrix(self.array_of[out.name], out.axes)})"
        return f"gemm({into.amount}, {a}, {b}, {into.keep}, {matrix(into.array, out.axes)})"

    def _inner(self, rows: RowLoop, inner: Inner) -> list[str]:
        first = inner.steps[0]
        if isinstance(first, Reduction) and first.kind == "logsumexp":
            return self._logsumexp(first, rows.axis)
        here = {step.out.name for step in inner.steps}
        before, body, behind = [], [], []
        for step in inner.steps:
            if is_row_total(step):
                start = "-inf" if isinstance(step, Reduction) and step.kind == "max" else "0.0"
                before.append(f"{self._local(step.out)} = real({start})")
                behind += self._store(step, rows)
            body.append(self._statement(step, rows, inner, here))
        for step in inner.steps:
            if isinstance(step, ElementwiseStep):
                (body if inner.axis is not None else behind).extend(self._store(step, rows))
        if inner.axis is None:
            return [*before, *body, *behind]
        loop = f"for j in range({self.size(inner.axis)}):"
        return [*before, loop, *[f"    {line}" for line in body], *behind]

    def _statement(self, step: ProgramStep, rows: RowLoop, inner: Inner, here: set[str]) -> str:
        local = {v.name: self._at(v, rows, inner, here) for v in step.operands}
        if isinstance(step, ElementwiseStep):
            return f"{self._local(step.out)} = {self._entry(step, local)}"
        if isinstance(step, Product):
            term = f"{local[step.left.name]} * {local[step.right.name]}"
        else:
            assert isinstance(step, Reduction)
            term = local[step.arg.name]
        target = self._total(step.out) if is_total(step) else self._local(step.out)
        if isinstance(step, Reduction) and step.kind == "max":
            return f"{target} = max({target}, {term})"
        return f"{target} += {term}"

    def _total(self, value: Value) -> str:
        return f"{self.array_of[value.name]}_own[j]" if value.axes else value.name

    def _zero(self, step: ProgramStep) -> list[str]:
        if not step.out.axes:
            return [f"{step.out.name} = real(0.0)"]
        loop = f"for j in range({self.size(step.out.axes[0])}):"
        return [loop, f"    {self._total(step.out)} = real(0.0)"]

    def _store(self, step: ProgramStep, rows: RowLoop) -> list[str]:
        array = self.array_of.get(step.out.name)
        if array is None:
            return []
        place = "i" if len(step.out.axes) == 1 else "i, j"
        return [f"{array}[{place}] = {self._local(step.out)}"]

    def _local(self, value: Value) -> str:
        """The local variable of a value: results have their names on their arrays."""
        return f"{value.name}_" if value.name in self._taken else value.name

    def _at(self, value: Value, rows: RowLoop, inner: Inner, here: set[str]) -> str:
        """The value at this row and column."""
        if not value.axes:
            return _scalar(value)
        if value.name in here and self._same_axes(value):
            return self._local(value)
        if len(value.axes) == 1 and self._row_local(value, rows):
            return self._local(value)
        index = ", ".join("i" if axis == rows.axis else "j" for axis in value.axes)
        return f"{self.array_of[value.name]}[{index}]"

    def _same_axes(self, value: Value) -> bool:
        block, inner = self._written[value.name]
        made = self.blocks[block]
        return isinstance(made, RowLoop) and any(
            step.out == value for step in made.passes[inner].steps
        )

    def _row_local(self, value: Value, rows: RowLoop) -> bool:
        return value.axes[0] == rows.axis and any(
            step.out.name == value.name and not is_total(step) for step in rows.steps()
        )

    def _logsumexp(self, step: Reduction, axis: Axis) -> list[str]:
        size = self.size(step.arg.axes[1])
        entry = f"{self.array_of[step.arg.name]}[i, j]"
        self.functions |= {"exp", "log"}
        lines = [
            "top = real(-inf)",
            f"for j in range({size}):",
            f"    top = max(top, {entry})",
            "total = real(0.0)",
            f"for j in range({size}):",
            f"    total += exp({entry} - top)",
        ]
        array = self.array_of.get(step.out.name)
        if is_apart(step):
            return [*lines, f"{array}[i] = top", f"{self._totals[step.out.name]}[i] = total"]
        lines.append(f"{self._local(step.out)} = top + log(total)")
        return lines if array is None else [*lines, f"{array}[i] = {self._local(step.out)}"]


def _scalar(value: Value) -> str:
    """A scalar in arithmetic; a length, a whole number, would not stay in single precision."""
    return f"real({value.name})" if value.source == "size" else value.name
