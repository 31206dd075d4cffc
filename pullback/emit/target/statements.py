"""Steps as assignments that each make an array: what NumPy, JAX and PyTorch have in common."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import singledispatchmethod
from itertools import chain
from typing import Any

import sympy as sp

from pullback.emit.expression.printer import Tree, printed
from pullback.emit.expression.quote import (
    call,
    indexed,
    literal,
    quote,
    tuple_of,
    variable,
    whole,
)
from pullback.emit.expression.scalar import scalar
from pullback.emit.of_matrix import OfMatrixStep
from pullback.emit.target.arrays import Arrays
from pullback.emit.target.indices import cuts, grid_of, holds, is_reshape, number, places, stride
from pullback.emit.target.language import ArrayLanguage
from pullback.emit.target.loop import looped, scanned
from pullback.emit.target.matrix import matrix_product, matrix_products, subscripts
from pullback.emit.target.places import added, at_places, outside
from pullback.emit.target.refusals import other_lengths, reasons, refusal, singular
from pullback.emit.values import (
    AtPlaces,
    Detached,
    Diagonal,
    ElementwiseStep,
    Eye,
    Folded,
    LoopStep,
    Lowered,
    Mask,
    Padded,
    Part,
    Places,
    Product,
    ProgramStep,
    Reduction,
    Reshaped,
    Scatter,
    Triangle,
    Unfolded,
    Value,
)
from pullback.ir import Axes, Axis, Index, Slice, Stack

# of a module m and a matrix a: the array libraries agree
OF_MATRIX = {
    "inverse": "m.linalg.inv(a)",
    "determinant": "m.linalg.det(a)",
    "logdet": "m.linalg.slogdet(a)[1]",
}


class Statements(Arrays):
    """The assignments of one program in one language."""

    def __init__(
        self, program: Lowered, language: ArrayLanguage, comments: Mapping[str, str]
    ) -> None:
        super().__init__(program, language)
        self.comments = comments
        self._inlined: dict[str, ProgramStep] = {}

    def unpack(self) -> list[str]:
        """Parameters out of their dict."""
        return [
            f"{value.name} = params[{literal(key)}]"
            for key, value in self.program.parameters.items()
        ]

    def floats(self) -> list[str]:
        """Whole numbers as numbers to calculate with."""
        numbers = self.program.numbers
        names = [v.name for v in self.program.inputs.values() if v.name in numbers]
        cast = {n: quote(self.language.cast, a=variable(n), d=self.dtype) for n in names}
        return [f"{name} = {printed(tree)}" for name, tree in cast.items()]

    def sizes(self) -> dict[str, str]:
        """The line of each length that only the data tell."""
        leaves = [*self.program.inputs.values(), *self.program.parameters.values()]
        lines = {}
        for axis, size in self.program.sizes.items():
            holder = next(leaf for leaf in leaves if axis in leaf.axes)
            lines[size.name] = f"{size.name} = {holder.name}.shape[{holder.axes.index(axis)}]"
        for each in self.program.makers:
            if (known := self.program.length_made(each)) is not None:
                tree = self.stacked(each) if isinstance(each, Stack) else self._stretch(each)
                lines[known.name] = f"{known.name} = {printed(tree)}"
        return lines

    def lines(self, steps: Iterable[ProgramStep] | None = None) -> list[str]:
        """A line for each step, with its comment."""
        chosen = list(self.program.steps if steps is None else steps)
        self._inlined = self._read_once(chosen)
        found = []
        for step in chosen:
            if step.out.name in self._inlined:
                continue
            if isinstance(step, LoopStep):
                found += self.loop(step)
                continue
            if isinstance(step, OfMatrixStep):
                found += self.singular(step)
            comment = self.comments.get(step.out.name)
            line = f"{step.out.name} = {printed(self.source(step))}"
            found.append(f"{line}  # {comment}" if comment else line)
            found += [added(step, self)] if isinstance(step, Scatter) else []
            if isinstance(step, Folded) and not _is_turned(step):
                found += self._added(step)
        return found

    def singular(self, step: OfMatrixStep) -> list[str]:
        """What has to hold of a matrix."""
        traced = self.language.traced
        known = printed(quote(traced, a=variable(step.arg.name))) if traced else ""
        return singular(step, self.language.module, step.arg.name, known)

    def loop(self, step: LoopStep) -> list[str]:
        """A loop of Python that lists what each turn makes, or a function of one turn."""
        inside = Statements(step.turn, self.language, self.comments).lines()
        if not self.language.scan:
            length = printed(self.length(step.over))
            return looped(step, self.language.module, length, inside)
        first = [self.turned(variable(w.name), w.axes, (step.over, *now.axes))
                 for now, w in step.reads]  # fmt: skip
        return scanned(step, self.language.scan, list(map(printed, first)), inside)

    def _added(self, step: Folded) -> list[str]:
        """The lines that add entries to an array of zeros, each at its place, the axis last."""
        name, language = step.out.name, self.language
        at, grid = places(step, language.module), grid_of(step)
        others = tuple(axis for axis in step.arg.axes if axis not in grid)
        flat, size = step.index, step.axis.size or 0
        for axis in reversed(grid[: len(at) - 1]):
            flat, size = flat + size * Index.on(axis), size * (axis.size or 0)
        arg = self.turned(variable(step.arg.name), step.arg.axes, (*others, *grid))
        tree = quote(
            language.add_at,
            z=variable(name),
            i=tuple_of([ast.Constant(...), *at]),
            a=arg,
            k=whole(len(others)),
            f=number(flat, grid, language.module),
        )
        line = printed(tree) if language.adds_in_place else f"{name} = {printed(tree)}"
        have = self._with_axis_last(step)
        if have == step.out.axes:
            return [line]
        return [line, f"{name} = {printed(self.turned(variable(name), have, step.out.axes))}"]

    def _with_axis_last(self, step: Folded) -> Axes:
        """The result's axes in the order in which it is added up."""
        kept = [axis for axis in grid_of(step) if axis in step.out.axes]
        others = [axis for axis in step.arg.axes if axis not in grid_of(step)]
        return (*others, *kept, step.axis)

    def _read_once(self, steps: list[ProgramStep]) -> dict[str, ProgramStep]:
        """Products and sums that one sum or product alone goes on with: x @ W.T in x @ W.T + b."""
        read = Counter(v.name for step in self.program.steps for v in step.operands)
        results = {value.name for value in self.program.results.values()}
        readers = {
            value.name: value
            for s in steps
            if isinstance(s, ElementwiseStep)
            for placeholder, value in s.leaves
            if _times(s.expr, placeholder) == 1
        }
        return {
            step.out.name: step
            for step in steps
            if isinstance(step, (Product, Reduction))
            and step.out.name in self.program.temporaries - results
            and read[step.out.name] == 1
            and readers.get(step.out.name) == step.out
        }

    def used_sizes(self, body: Iterable[str]) -> list[str]:
        """The lines of ``sizes`` that a body needs."""
        names, found = words("\n".join(body)), list[str]()
        for size, line in reversed(self.sizes().items()):  # a slice's is known by what it is of
            if size in names:
                names |= words(line)
                found.insert(0, line)
        return found

    def checks(self) -> list[str]:
        """What has to hold of lengths that only the data tell: two axes that are taken for one."""
        pairs = [*self.equal()]
        pairs += [
            (self._stretch(each), self.length(each.row), "the lengths of slices do not fit")
            for each in self.program.slices
            if each.row.size and not each.column.size
        ]
        lengths = other_lengths(self.program) + [
            line
            for sides, says in self.unequal(pairs, printed).items()
            for line in refusal(" != ".join(sorted(sides)), says)
        ]
        return lengths + [
            line
            for name, axis in self.program.indices.items()
            for line in refusal(*outside(name, axis, self))
        ]

    def shapes(self) -> list[str]:
        """The widths that the data must have: a target (N,) for (N, 1) would broadcast."""
        every = self.program.inputs.values()
        inputs = [value for value in every if value.axes and not reasons(self.program, value)]
        rest = {value: [axis.size for axis in value.axes[1:]] for value in inputs}
        sized = {value.axes[0] for value in inputs if rest[value] and all(rest[value])}
        found: list[str] = []
        for value, sizes in rest.items():
            if value.axes[0] in sized and all(sizes):
                known = list(filter(None, sizes))
                wrong = f"{value.name}.shape[1:] != {printed(tuple_of(map(whole, known)))}"
                axes = ", ".join(["batch", *map(str, known)])
                found += refusal(wrong, f"{value.name} is not of shape ({axes})")
        return found

    def _stretch(self, part: Slice) -> Tree:
        """The length of a slice."""
        every = self.of_module("arange", self.length(part.column))
        cut = _slice(part.start, part.stop)
        return quote("a.shape[0]", a=indexed(every, [cut]))

    @singledispatchmethod
    def source(self, step: ProgramStep) -> Tree:
        """What a step computes, its axes in the order of the step's result."""
        raise TypeError(f"no source for {type(step).__name__}")

    @source.register
    def _(self, step: Eye) -> Tree:
        eye = self.of_module("eye", self.length(step.out.axes[1]), dtype=self.dtype)
        cut = _slice(step.start, step.stop)
        return eye if step.start is None and step.stop is None else indexed(eye, [cut])

    @source.register
    def _(self, step: Part) -> Tree:
        gone = len(step.out.axes) < len(step.arg.axes)
        cut = whole(step.start or 0) if gone else _slice(step.start, step.stop)
        places = [cut if axis == step.axis else None for axis in step.arg.axes]
        return indexed(variable(step.arg.name), places[: step.arg.axes.index(step.axis) + 1])

    @source.register
    def _(self, step: Unfolded) -> Tree:
        arg, axis, index = step.arg, step.axis, step.index
        kept = [each for each in index.axes if each in arg.axes]
        if kept:
            others = tuple(each for each in arg.axes if each not in (axis, *kept))
            turned = self.turned(variable(arg.name), arg.axes, (*others, *kept, axis))
            return indexed(turned, [ast.Constant(...), *places(step, self.language.module)])
        if (part := stride(index)) is not None:
            cut = ast.Slice(*(whole(each) for each in part))
            return indexed(variable(arg.name), cuts(arg.axes, axis, cut))
        if is_reshape(index, axis):
            return quote("a.reshape(s)", a=variable(arg.name), s=self.shape(step.out.axes))
        (at,) = places(step, self.language.module)
        return indexed(variable(arg.name), cuts(arg.axes, axis, at))

    @source.register
    def _(self, step: Folded) -> Tree:
        """The same numbers under another shape, or the zeros that they are added to."""
        if _is_turned(step):
            arg = self.turned(variable(step.arg.name), step.arg.axes, step.before)
            return quote("a.reshape(s)", a=arg, s=self.shape(step.out.axes))
        return self.of_module("zeros", self.shape(self._with_axis_last(step)), dtype=self.dtype)

    @source.register
    def _(self, step: Reshaped) -> Tree:
        return quote("a.reshape(s)", a=variable(step.arg.name), s=self.shape(step.out.axes))

    @source.register
    def _(self, step: Triangle) -> Tree:
        return quote(self.language.triangle, n=self.length(step.column))

    @source.register
    def _(self, step: OfMatrixStep) -> Tree:
        module = quote(self.language.module)
        return quote(OF_MATRIX[step.kind], m=module, a=variable(step.arg.name))

    @source.register
    def _(self, step: Mask) -> Tree:
        there = holds(step.pattern, self.language.module, self.length)
        zeros = self.of_module("zeros", self.shape(step.out.axes), dtype=self.dtype)
        return quote("a + b", a=zeros, b=there)

    @source.register
    def _(self, step: Diagonal) -> Tree:
        places = [step.arg.axes.index(axis) for axis in (step.first, step.second)]
        return self.of_module("diagonal", variable(step.arg.name), *map(whole, (0, *places)))

    @source.register
    def _(self, step: Padded) -> Tree:
        axes = step.out.axes
        if step.inner in step.arg.axes:
            arg = self._operand(step.arg, step.before)
        else:
            arg = self.stretched(step.arg, step.before)
        pads = [self._around(step) if axis == step.axis else (whole(0),) * 2 for axis in axes]
        if self.language.pads_from_last:
            needed = reversed(pads[axes.index(step.axis) :])
            return call(self.language.pad, arg, tuple_of(chain.from_iterable(needed)))
        return call(self.language.pad, arg, tuple_of(map(tuple_of, pads)))

    def _around(self, step: Padded) -> tuple[Tree, Tree]:
        """How many zeros stand before and after what is padded."""
        stop, size = step.stop, step.axis.size
        first = self.first(step.start, stop, step.axis)
        if size is not None:
            return first, whole(size - range(size)[step.start : stop].stop)
        if stop is None or stop < 0:
            return first, whole(-(stop or 0))
        return first, quote("n - k", n=self.length(step.axis), k=whole(stop))

    @source.register
    def _(self, step: ElementwiseStep) -> Tree:
        axes = step.out.axes
        names = {sym: self._operand(value, axes) for sym, value in step.leaves}
        tree = scalar(step.expr, names, self.language)
        carried = {axis for _, value in step.leaves for axis in value.axes}
        if carried == set(axes) and step.leaves:
            return tree
        # constant along some of them, or everywhere
        zeros = self.of_module("zeros", self.shape(axes), dtype=self.dtype)
        return quote("a + b", a=zeros, b=tree)

    @source.register
    def _(self, step: Reduction) -> Tree:
        arg, out = variable(step.arg.name), step.out.axes
        kept = tuple(axis for axis in step.arg.axes if axis in out)
        if step.kind == "sum":
            return self.turned(self._sum(arg, step.arg.axes, out), kept, out)
        template = self.language.max_over if step.kind == "max" else self.language.logsumexp
        over = _places([axis for axis in step.arg.axes if axis not in out], step.arg.axes)
        return self.turned(quote(template, a=arg, o=over), kept, out)

    def _operand(self, value: Value, axes: Axes) -> Tree:
        """A value so that it broadcasts along the axes; what only this line reads stands in it."""
        have = tuple(axis for axis in axes if axis in value.axes)
        step = self._inlined.get(value.name)
        if step is None:
            tree = self.turned(variable(value.name), value.axes, have)
        else:
            tree = self.source(replace(step, out=replace(step.out, axes=have)))
        if not have or axes[len(axes) - len(have) :] == have:
            return tree
        places = [None if axis in have else quote("None") for axis in axes]
        first = next(at for at, axis in enumerate(axes) if axis in have)
        return indexed(tree, places[first:])

    @source.register(AtPlaces)
    @source.register(Places)
    @source.register(Detached)
    def _(self, step: AtPlaces | Places | Detached) -> Tree:
        return at_places(step, self)

    @source.register
    def _(self, step: Product) -> Tree:
        left, right, out = step.left, step.right, step.out
        if left.axes == right.axes and set(out.axes) < set(left.axes):
            a, b = variable(left.name), variable(right.name)
            term = quote("a ** 2", a=a) if left == right else quote("a * b", a=a, b=b)
            kept = tuple(axis for axis in left.axes if axis in out.axes)
            if kept == out.axes:
                return self._sum(term, left.axes, out.axes)
        template = self.language.matmul
        return (
            matrix_product(step, template) or matrix_products(step, template) or self.einsum(step)
        )

    def _sum(self, term: Tree, have: Axes, left: Axes) -> Tree:
        gone = [axis for axis in have if axis not in left]
        over = {self.language.axis: _places(gone, have)} if left else {}
        return self.of_module("sum", term, **over)

    def einsum(self, step: Product) -> Tree:
        """Any product of two arrays."""
        template = self.language.einsum or f"{self.language.module}.einsum(p, a, b)"
        a, b = variable(step.left.name), variable(step.right.name)
        return quote(template, p=ast.Constant(subscripts(step)), a=a, b=b)


def _slice(start: int | None, stop: int | None) -> Tree:
    """A slice of Python."""
    lower, upper = (None if at is None else whole(at) for at in (start, stop))
    return ast.Slice(lower, upper)


def _is_turned(step: Folded) -> bool:
    """Does it only put axes together?"""
    apart = not any(axis in step.out.axes for axis in step.index.axes)
    return apart and is_reshape(step.index, step.axis)


def _places(axes: Iterable[Axis], among: Axes) -> Tree:
    places = [whole(among.index(axis)) for axis in axes]
    return places[0] if len(places) == 1 else tuple_of(places)


def words(text: str) -> set[str]:
    """The names, numbers and words of a text."""
    return set("".join(c if c.isalnum() or c == "_" else " " for c in text).split())


def _times(expr: Any, placeholder: Any) -> int:
    """How often a placeholder stands in an expression."""
    return sum(part == placeholder for part in sp.preorder_traversal(expr))
