"""Steps as nests of loops over single entries: what Numba and JavaScript have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import reduce, singledispatchmethod
from types import MappingProxyType

from pullback.emit.expression.printer import Tree
from pullback.emit.expression.quote import call, called, quote, variable, whole
from pullback.emit.expression.scalar import PYTHON, scalar
from pullback.emit.target.arrays import AxisLengths
from pullback.emit.values import (
    AtPlaces,
    Diagonal,
    ElementwiseStep,
    Eye,
    Folded,
    Gather,
    Hits,
    Lowered,
    Mask,
    Padded,
    Part,
    Places,
    Product,
    ProgramStep,
    Reduction,
    Scatter,
    Triangle,
    Unfolded,
    Value,
)
from pullback.ir import Axes, Axis, Index, Pattern, symbol
from pullback.ir.normal.stable import stabilise
from pullback.ir.scalar.primitives import PRIMITIVES

MATH = frozenset({"exp", "log", "log1p", "expm1", "sqrt", "tanh", "sinh", "cosh", "sin", "cos",
                  "tan", "asin", "acos", "atan", "erf", "erfc"})  # fmt: skip
INDICES = frozenset(f"i{k}" for k in range(8))
SCRATCH = ("top", "total", "place")
# what every module of mathematics has is called as it is, every other row is a function of its own
LOOP = replace(PYTHON, own=frozenset(PRIMITIVES) - MATH - {"abs"})


def bodies(names: Iterable[str]) -> dict[str, Tree]:
    """What the rows that are called compute of x, and those that they call in turn."""
    wanted = [name for name in names if name in LOOP.own]
    found: dict[str, Tree] = {}
    while wanted:
        row = PRIMITIVES[wanted.pop()]
        if row.name not in found:
            spelled = row.code.get(LOOP.key)
            x = symbol(0)
            meaning = stabilise(row.definition(x))
            body = quote(spelled) if spelled else scalar(meaning, {x: variable("x")}, LOOP)
            found[row.name] = body
            wanted += called([body]) & LOOP.own - {row.name}
    return dict(sorted(found.items()))


class Nests(AxisLengths):
    """The lines of one program's steps; ``functions`` are those that they call by name."""

    def __init__(self, program: Lowered, comments: Mapping[str, str]) -> None:
        super().__init__(program)
        self.comments = comments
        self.functions: set[str] = set()

    @abstractmethod
    def at(self, value: Value, places: Mapping[Axis, Tree] = MappingProxyType({})) -> Tree:
        """One entry of a value, or the scalar; ``places`` says where along some axes."""

    @abstractmethod
    def declared(self, name: str, tree: Tree) -> str:
        """The line that gives a new variable its value."""

    @abstractmethod
    def set(self, place: Tree, tree: Tree) -> str:
        """The line that writes an entry, or a variable that is there."""

    @abstractmethod
    def added(self, place: Tree, tree: Tree) -> str:
        """The line that adds to an entry or a variable."""

    @abstractmethod
    def counted(self, index: str, length: Tree, inside: Iterable[str]) -> list[str]:
        """A loop over 0, 1, 2, …"""

    @abstractmethod
    def where(self, condition: Tree, inside: Iterable[str]) -> list[str]:
        """Lines that run where a condition holds."""

    @abstractmethod
    def new(self, value: Value, zeros: bool = False, whole: bool = False) -> str:
        """The line that makes an array, of zeros or of whatever."""

    @abstractmethod
    def remark(self, text: str) -> str:
        """A comment."""

    def body(self, steps: Iterable[ProgramStep]) -> list[str]:
        """The lines of some steps, with the comments of equations."""
        found: list[str] = []
        for step in steps:
            lines = self.lines(step)
            comment = self.comments.get(step.out.name)
            found += [self.remark(f"{comment}: {step.out.name}")] if comment else []
            found += lines
        return found

    def loops(self, axes: Axes, inside: list[str]) -> list[str]:
        """Loops over some axes around some lines."""
        for axis in reversed(axes):
            inside = self.counted(self.index[axis], self.length(axis), inside)
        return inside

    def letters(self, axes: Iterable[Axis]) -> None:
        """An index for each axis."""
        self.index = {axis: f"i{k}" for k, axis in enumerate(dict.fromkeys(axes))}

    @singledispatchmethod
    def lines(self, step: ProgramStep) -> list[str]:
        raise TypeError(f"no loops for {type(step).__name__}")

    @lines.register
    def _(self, step: Eye) -> list[str]:
        self.letters(step.out.axes)
        row, column = (variable(self.index[axis]) for axis in step.out.axes)
        start = self.first(step.start, step.stop, step.out.axes[1])
        one = quote("1.0 if c == r + k else 0.0", c=column, r=row, k=start)
        return self._filled(step.out, [self._made(step.out, one)])

    @lines.register
    def _(self, step: Part) -> list[str]:
        self.letters(step.out.axes)
        first = self.first(step.start, step.stop, step.axis)
        rows = [axis for axis in step.out.axes if axis not in step.arg.axes]  # none: it is gone
        at = quote("i + k", i=variable(self.index[rows[0]]), k=first) if rows else first
        return self._filled(step.out, [self._made(step.out, self.at(step.arg, {step.axis: at}))])

    @lines.register
    def _(self, step: Diagonal) -> list[str]:
        self.letters(step.out.axes)
        both = {step.second: variable(self.index[step.first])}
        return self._filled(step.out, [self._made(step.out, self.at(step.arg, both))])

    @lines.register
    def _(self, step: Padded) -> list[str]:
        self.letters(step.before)
        first = self.first(step.start, step.stop, step.axis)
        place = {step.axis: quote("i + k", i=variable(self.index[step.inner]), k=first)}
        line = self.set(self.at(step.out, place), self.at(step.arg))
        return [self._zero(step.out), *self.loops(step.before, [line])]

    @lines.register
    def _(self, step: Hits) -> list[str]:
        self.letters(step.out.axes)
        here = variable(self.index[step.axis])
        hit = quote("1.0 if i == k else 0.0", i=self.at(step.index), k=here)
        return self._filled(step.out, [self._made(step.out, hit)])

    @lines.register
    def _(self, step: Gather) -> list[str]:
        self.letters(step.out.axes)
        place = self.at(step.arg, {step.axis: self._place(step)})
        return self._filled(step.out, [self._made(step.out, place)])

    @lines.register
    def _(self, step: Scatter) -> list[str]:
        self.letters(step.arg.axes)
        place = self.at(step.out, {step.axis: self._place(step)})
        line = self.added(place, self.at(step.arg))
        return [self._zero(step.out), *self.loops(step.arg.axes, [line])]

    def _place(self, step: AtPlaces) -> Tree:
        """The place that an index holds; a whole number again if it is calculated with."""
        place = self.at(step.index)
        return call("int", place) if step.index.name in self.program.numbers else place

    @lines.register
    def _(self, step: Places) -> list[str]:
        self.letters((*step.out.axes, step.axis))
        top, place = variable("top"), variable("place")
        i, entry = variable(self.index[step.axis]), self.at(step.arg)
        better = self.where(
            quote("a > b", a=entry, b=top), [self.set(top, entry), self.set(place, i)]
        )
        inside = [
            self.set(top, quote("-inf")),
            self.set(place, whole(0)),
            *self.loops((step.axis,), better),
            self._made(step.out, place),
        ]
        made = [self.new(step.out, whole=True)] if step.out.axes else []
        return [*made, *self.loops(step.out.axes, inside)]

    @lines.register
    def _(self, step: Unfolded) -> list[str]:
        self.letters(step.out.axes)
        read = self.at(step.arg, {step.axis: self.number(step.index)})
        return self._filled(step.out, [self._made(step.out, read)])

    @lines.register
    def _(self, step: Folded) -> list[str]:
        self.letters(step.arg.axes)
        place = self.at(step.out, {step.axis: self.number(step.index)})
        line = self.added(place, self.at(step.arg))
        return [self._zero(step.out), *self.loops(step.arg.axes, [line])]

    @lines.register
    def _(self, step: Triangle) -> list[str]:
        n, column, row = self.length(step.column), variable("i0"), variable("i1")
        self.letters(step.out.axes)
        place = {step.out.axes[0]: variable("place")}
        one = quote("n * i + j", n=n, i=column, j=row)
        inside = [self.set(self.at(step.out, place), one), self.added(variable("place"), whole(1))]
        lines = self.counted("i1", n, self.where(quote("j >= i", i=column, j=row), inside))
        first = self.set(variable("place"), whole(0))
        return [self.new(step.out, whole=True), first, *self.counted("i0", n, lines)]

    @lines.register
    def _(self, step: Mask) -> list[str]:
        self.letters(step.out.axes)
        there = quote("1.0 if c else 0.0", c=self.holds(step.pattern))
        return self._filled(step.out, [self._made(step.out, there)])

    def number(self, index: Index) -> Tree:
        """What an index is inside the loops."""
        parts: list[Tree] = [
            variable(self.index[axis])
            if step == 1
            else quote("c * i", c=whole(step), i=variable(self.index[axis]))
            for axis, step in index.terms
        ]
        parts += [whole(index.offset)] if index.offset or not parts else []
        return reduce(lambda a, b: quote("a + b", a=a, b=b), parts)

    def holds(self, pattern: Pattern) -> Tree:
        """Whether a pattern is 1 inside the loops."""
        found = [quote("a == 0", a=self.number(each)) for each in pattern.equations]
        for each in pattern.ranges:
            low, high = (None if end is None else whole(end) for end in (each.low, each.high))
            at = self.number(each.index)
            found += [quote("a >= b", a=at, b=low)] if low is not None else []
            found += [quote("a <= b", a=at, b=high)] if high is not None else []
        return reduce(lambda a, b: quote("a * b", a=a, b=b), found)

    @lines.register
    def _(self, step: ElementwiseStep) -> list[str]:
        self.letters(step.out.axes)
        tree = self.entry(step)
        self.functions |= called([tree])
        return self._filled(step.out, [self._made(step.out, tree)])

    def entry(self, step: ElementwiseStep) -> Tree:
        """What a step computes at one place."""
        return scalar(step.expr, {sym: self.at(value) for sym, value in step.leaves}, LOOP)

    @lines.register
    def _(self, step: Product) -> list[str]:
        every = tuple(dict.fromkeys(step.out.axes + step.left.axes + step.right.axes))
        self.letters(every)
        term = quote("a * b", a=self.at(step.left), b=self.at(step.right))
        return self.sum(step.out, every, term)

    def sum(self, out: Value, every: Axes, term: Tree) -> list[str]:
        """The lines that add up a term over every axis that the result lacks."""
        return [self._zero(out), *self.loops(every, [self.added(self.at(out), term)])]

    @lines.register
    def _(self, step: Reduction) -> list[str]:
        out, arg = step.out, step.arg
        self.letters(out.axes + arg.axes)
        gone = tuple(axis for axis in arg.axes if axis not in out.axes)
        entry, top, total = self.at(arg), variable("top"), variable("total")
        if step.kind == "sum":
            return self.sum(out, out.axes + gone, entry)
        largest = self.set(top, quote(LOOP.maximum, a=top, b=entry))
        inside = [self.set(top, quote("-inf")), *self.loops(gone, [largest])]
        if step.kind == "max":
            return self._filled(out, [*inside, self._made(out, top)])
        above = quote("exp(a - b)", a=entry, b=top)
        inside.append(self.set(total, quote("0.0")))
        inside += self.loops(gone, [self.added(total, above)])
        return self._filled(out, [*inside, self._made(out, quote("a + log(b)", a=top, b=total))])

    def _made(self, value: Value, tree: Tree) -> str:
        """The line that writes an entry of a new array, or makes the number."""
        return self.set(self.at(value), tree) if value.axes else self.declared(value.name, tree)

    def _zero(self, value: Value) -> str:
        return self.new(value, True) if value.axes else self.declared(value.name, quote("0.0"))

    def _filled(self, value: Value, inside: list[str]) -> list[str]:
        """An array, or a number, that lines fill entry by entry."""
        return [*([self.new(value)] if value.axes else []), *self.loops(value.axes, inside)]
