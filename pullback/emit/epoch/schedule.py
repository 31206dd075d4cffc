"""Steps in the order in which compiled loops do them, with as few passes over memory as possible.

A step that treats each row by itself joins the loop over the rows that is open; a matrix product
stands between such loops. Inside a row, what runs along one axis is one inner loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pullback.emit.values import ElementwiseStep, Product, ProgramStep, Reduction
from pullback.ir import Axis


@dataclass
class Inner:
    """Steps along one axis of a row, done in one loop; None is the row itself, without a loop."""

    axis: Axis | None
    steps: list[ProgramStep] = field(default_factory=list)


@dataclass
class RowLoop:
    """A loop over rows."""

    axis: Axis
    passes: list[Inner] = field(default_factory=list)

    def steps(self) -> Iterator[ProgramStep]:
        """All its steps, in order."""
        for inner in self.passes:
            yield from inner.steps

    def totals(self) -> list[ProgramStep]:
        """The steps that sum over its rows."""
        return [step for step in self.steps() if is_total(step)]


@dataclass
class Whole:
    """One step on whole arrays: a matrix product, or a number."""

    step: Product | ElementwiseStep

    def steps(self) -> Iterator[ProgramStep]:
        """The step."""
        yield self.step


Block = RowLoop | Whole
# Columns. In a shorter row each of max, exp, sum and log waits for the one before it; done for
# all rows in turn, they overlap.
SHORT = 32


def schedule(steps: Iterable[ProgramStep]) -> list[Block]:
    """The steps as loops over rows with matrix products between them."""
    scheduler = _Scheduler()
    for step in steps:
        scheduler.add(step)
    scheduler.close()
    return scheduler.blocks


def sums_last(
    steps: Iterable[ProgramStep],
) -> tuple[list[ProgramStep], list[ProgramStep], list[ProgramStep]]:
    """Steps that treat samples one by one, numbers that come of them, sums over all samples.

    So every δ is known before the first gradient: workers that share the samples meet once.
    """
    first, last = list[ProgramStep](), list[ProgramStep]()
    late: set[str] = set()
    for step in steps:
        sums = bool(step.out.axes) and _sums_samples(step)
        if late & {value.name for value in step.operands} or (sums and row_axis(step) is None):
            last.append(step)
            late.add(step.out.name)
        else:
            first.append(step)
            if sums:
                late.add(step.out.name)
    return *_numbers_apart(first), last


def _numbers_apart(steps: list[ProgramStep]) -> tuple[list[ProgramStep], list[ProgramStep]]:
    """The steps without the numbers that no array waits for; these numbers."""
    waited: set[str] = set()
    arrays, numbers = list[ProgramStep](), list[ProgramStep]()
    for step in reversed(steps):
        if row_axis(step) is None and not step.out.axes and step.out.name not in waited:
            numbers.append(step)
        else:
            arrays.append(step)
            waited |= {value.name for value in step.operands}
    return arrays[::-1], numbers[::-1]


def _sums_samples(step: ProgramStep) -> bool:
    """Does an axis of unknown length, that of the samples, end in this step?"""
    return any(axis.size is None and axis not in step.out.axes for axis in domain(step))


def row_axis(step: ProgramStep) -> Axis | None:
    """The axis of the rows that a step treats one by one; None for a step on whole arrays."""
    if isinstance(step, ElementwiseStep):
        return step.out.axes[0] if step.out.axes else None
    if isinstance(step, Reduction):
        return step.arg.axes[0]
    if isinstance(step, Product) and step.left.axes == step.right.axes:
        return step.left.axes[0]
    return None


def inner_axis(step: ProgramStep) -> Axis | None:
    """The axis along which a step runs inside a row."""
    axes = domain(step)
    return axes[1] if len(axes) > 1 else None


def is_total(step: ProgramStep) -> bool:
    """Does the step sum over the rows, so that its result is there only after the last one?"""
    axis = row_axis(step)
    return axis is not None and axis not in step.out.axes


def is_row_total(step: ProgramStep) -> bool:
    """Does the step reduce each row, so that its result is there only after the inner loop?"""
    return not isinstance(step, ElementwiseStep) and not is_total(step)


def is_apart(step: ProgramStep) -> bool:
    """Is the step a log-sum-exp of short rows, which has loops of its own?"""
    if not isinstance(step, Reduction) or step.kind != "logsumexp":
        return False
    size = step.arg.axes[1].size
    return size is not None and size <= SHORT


def domain(step: ProgramStep) -> tuple[Axis, ...]:
    """All axes that the step's loops run over."""
    if isinstance(step, Reduction):
        return step.arg.axes
    if isinstance(step, Product):
        return tuple(dict.fromkeys(step.left.axes + step.right.axes))
    return step.out.axes


class _Scheduler:
    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._open: RowLoop | None = None
        self._made: set[str] = set()  # by the open loop
        self._late: set[str] = set()  # of these, only after its last row
        self._after: list[Block] = []  # numbers that need all rows of the open loop

    def add(self, step: ProgramStep) -> None:
        axis = row_axis(step)
        reads = {value.name for value in step.operands}
        if axis is None:
            self._add_whole(step, reads)
            return
        apart = is_apart(step)
        if self._open is not None and (self._open.axis != axis or reads & self._late or apart):
            self.close()
        if self._open is None:
            self._open = RowLoop(axis)
        _place(self._open, step)
        self._made.add(step.out.name)
        if is_total(step):
            self._late.add(step.out.name)
        if apart:
            self.close()

    def _add_whole(self, step: ProgramStep, reads: set[str]) -> None:
        assert isinstance(step, (ElementwiseStep, Product))
        if self._open is None or not reads & self._made:
            self.blocks.append(Whole(step))
        elif isinstance(step, ElementwiseStep) and reads & self._made <= self._late:
            self._after.append(Whole(step))
            self._made.add(step.out.name)
            self._late.add(step.out.name)
        else:
            self.close()
            self.blocks.append(Whole(step))

    def close(self) -> None:
        """No more steps join the open loop."""
        if self._open is not None:
            self.blocks += [self._open, *self._after]
        self._open, self._made, self._late, self._after = None, set(), set(), []


def _place(rows: RowLoop, step: ProgramStep) -> None:
    """Put a step of a row into the last inner loop where it fits, else into a new one."""
    axis = inner_axis(step)
    last = rows.passes[-1] if rows.passes else None
    reads = {value.name for value in step.operands}
    waits = last is not None and any(
        is_row_total(done) and done.out.name in reads for done in last.steps
    )
    alone = isinstance(step, Reduction) and step.kind == "logsumexp"
    if last is None or last.axis != axis or waits or alone or _is_alone(last):
        rows.passes.append(last := Inner(axis))
    last.steps.append(step)


def _is_alone(inner: Inner) -> bool:
    """A log-sum-exp runs through its row twice, so nothing else shares its loop."""
    first = inner.steps[0]
    return isinstance(first, Reduction) and first.kind == "logsumexp"


def readers(blocks: list[Block]) -> dict[str, list[tuple[int, int]]]:
    """Where each value is read: the number of the block, and of the inner loop in it."""
    found: dict[str, list[tuple[int, int]]] = {}
    for at, block in enumerate(blocks):
        for step, inner in _with_pass(block):
            for value in step.operands:
                found.setdefault(value.name, []).append((at, inner))
    return found


def writers(blocks: list[Block]) -> dict[str, tuple[int, int]]:
    """Where each value is written."""
    return {
        step.out.name: (at, inner)
        for at, block in enumerate(blocks)
        for step, inner in _with_pass(block)
    }


def _with_pass(block: Block) -> Iterator[tuple[ProgramStep, int]]:
    if isinstance(block, Whole):
        yield block.step, 0
        return
    for number, inner in enumerate(block.passes):
        for step in inner.steps:
            yield step, number
