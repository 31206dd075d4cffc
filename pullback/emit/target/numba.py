"""A program as loops that Numba compiles and a person reads; products stay ``np.dot``.

(The training engine has a tuned whole-epoch target of its own: epoch.py.)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import reduce, singledispatchmethod
from types import MappingProxyType

from pullback.emit.expression.printer import Tree, printed
from pullback.emit.expression.quote import (
    call,
    called,
    docstring,
    indented,
    indexed,
    literal,
    quote,
    variable,
    whole,
)
from pullback.emit.expression.scalar import PYTHON, scalar
from pullback.emit.target.language import Task
from pullback.emit.target.matrix import matrix_product
from pullback.emit.target.module import module, rows_of_labels
from pullback.emit.target.numpy import NUMPY
from pullback.emit.target.statements import Statements
from pullback.emit.values import (
    AtPlaces,
    Detached,
    Diagonal,
    ElementwiseStep,
    Eye,
    Folded,
    Gather,
    Hits,
    LoopStep,
    Mask,
    Padded,
    Part,
    Places,
    Product,
    ProgramStep,
    Reduction,
    Scatter,
    Unfolded,
    Value,
)
from pullback.ir import Axes, Axis, Index, Pattern, symbol
from pullback.ir.normal.stable import stabilise
from pullback.ir.scalar.primitives import PRIMITIVES

_MATH = frozenset({"exp", "log", "log1p", "expm1", "sqrt", "tanh", "sinh", "cosh", "sin", "cos",
                   "tan", "atan", "erf", "erfc"})  # fmt: skip
_OWN_NAMES = "np njit inf params inputs value_and_grad top total place"
RESERVED = frozenset({*_OWN_NAMES.split(), *PRIMITIVES, *_MATH, *(f"i{k}" for k in range(8))})
# what Python and its module math have is called as it is, every other row is a function of its own
_LOOP = replace(PYTHON, own=frozenset(PRIMITIVES) - _MATH - {"abs"})
# a quotient by 0 is an infinity, as in every other language
_NJIT = '@njit(error_model="numpy")'


def emit(tasks: Iterable[Task], title: Iterable[str]) -> str:
    """A module: a compiled function of arrays for each task, and one that takes the dict."""
    functions = [_Function(task) for task in tasks]
    parts = [part for function in functions for part in function.parts()]
    helpers = _helpers({name for function in functions for name in function.functions})
    text = "\n".join(line for part in [*helpers, *parts] for line in part)
    math = [name for name in [*sorted(_MATH), "inf"] if re.search(rf"\b{name}\b", text)]
    imports = [
        *([f"from math import {', '.join(math)}", ""] if math else []),
        "import numpy as np",
        "from numba import njit",
    ]
    return module(title, imports, [*helpers, *parts])


def _helpers(names: set[str]) -> list[list[str]]:
    """The rows that are called, each a function, and those that they call in turn."""
    wanted = list(names & _LOOP.own)
    bodies: dict[str, Tree] = {}
    while wanted:
        row = PRIMITIVES[wanted.pop()]
        if row.name not in bodies:
            spelled = row.code.get(_LOOP.key)
            x = symbol(0)
            meaning = stabilise(row.definition(x))
            body = quote(spelled) if spelled else scalar(meaning, {x: variable("x")}, _LOOP)
            bodies[row.name] = body
            wanted += called([body]) & _LOOP.own - {row.name}
    return [
        [_NJIT, f"def {name}(x):", f"    return {printed(body)}"]
        for name, body in sorted(bodies.items())
    ]


class _Function:
    def __init__(self, task: Task) -> None:
        self.task, self.program = task, task.program
        self.statements = Statements(self.program, NUMPY, task.comments)
        leaves = [*self.program.inputs.values(), *self.program.parameters.values()]
        self.leaves = leaves
        self.functions: set[str] = set()

    def parts(self) -> list[list[str]]:
        """The compiled function, then the one of the same signature as in every other target."""
        task, results = self.task, self.program.results
        body = self.body(self.program.steps)
        checks = self.statements.checks()
        back = [task.value] if task.value is not None else []
        names = [results[key].name for key in (*back, *task.keys.values())]
        compiled = [
            _NJIT,
            f"def _{task.name}({', '.join(v.name for v in self.leaves)}):",
            *indented(self.statements.used_sizes([*body, *checks])),
            *indented(checks),
            *indented(body),
            f"    return {', '.join(names)}{',' if len(names) == 1 else ''}",
        ]
        arguments = [f"np.ascontiguousarray({v.name})" if v.axes else v.name
                     for v in self.program.inputs.values()]  # fmt: skip
        arguments += [
            f"np.ascontiguousarray(params[{literal(key)}])" for key in self.program.parameters
        ]
        first = "value, *found" if back else "*found,"
        wrapper = [
            f"def {task.name}({task.arguments}):",
            f"    {docstring(task.doc)}",
            *indented(task.apart),
            *indented(self._converted()),
            f"    {first} = _{task.name}({', '.join(arguments)})",
            f"    {'return value, ' if back else 'return '}dict(zip({list(task.keys)!r}, found))",
        ]
        return [compiled, wrapper]

    def body(self, steps: Iterable[ProgramStep]) -> list[str]:
        """The lines of some steps, with the comments of equations."""
        found: list[str] = []
        for step in steps:
            lines = self.lines(step)
            comment = self.task.comments.get(step.out.name)
            found += [f"# {comment}: {step.out.name}", *lines] if comment else lines
        return found

    def _converted(self) -> list[str]:
        """Whole numbers as numbers of the parameters' type, class numbers as rows."""
        lines = [*self.statements.floats(), *rows_of_labels(self.task, self.statements)]
        return [*self.statements.unpack(), *lines] if lines else []

    def empty(self, value: Value, make: str = "empty") -> str:
        """The line that makes an array."""
        shape, dtype = self.statements.shape(value.axes), self.statements.dtype
        return f"{value.name} = {printed(call(f'np.{make}', shape, dtype))}"

    def loops(self, axes: Axes, inside: list[str]) -> list[str]:
        """Loops over some axes around some lines."""
        for axis in reversed(axes):
            size = printed(self.statements.length(axis))
            inside = [f"for {self.index[axis]} in range({size}):", *indented(inside)]
        return inside

    def letters(self, axes: Iterable[Axis]) -> None:
        """An index for each axis."""
        self.index = {axis: f"i{k}" for k, axis in enumerate(dict.fromkeys(axes))}

    def at(self, value: Value, places: Mapping[Axis, Tree] = MappingProxyType({})) -> Tree:
        """One entry of a value, or the scalar; ``places`` says where along some axes."""
        if not value.axes:
            return variable(value.name)
        every = [places.get(axis) or variable(self.index[axis]) for axis in value.axes]
        return indexed(variable(value.name), every)

    @singledispatchmethod
    def lines(self, step: ProgramStep) -> list[str]:
        raise TypeError(f"no loops for {type(step).__name__}")

    @lines.register
    def _(self, step: Eye) -> list[str]:
        eye = quote("np.eye(n, n, 0, d)", n=self.statements.length(step.out.axes[-1]),
                    d=self.statements.dtype)  # fmt: skip
        start, stop = (None if at is None else whole(at) for at in (step.start, step.stop))
        return [f"{step.out.name} = {printed(indexed(eye, [ast.Slice(start, stop)]))}"]

    @lines.register
    def _(self, step: Part) -> list[str]:
        self.letters(step.out.axes)
        first = self.statements.first(step)
        rows = [axis for axis in step.out.axes if axis not in step.arg.axes]  # none: it is gone
        at = quote("i + k", i=variable(self.index[rows[0]]), k=first) if rows else first
        line = f"{printed(self.at(step.out))} = {printed(self.at(step.arg, {step.axis: at}))}"
        return self._filled(step.out, [line])

    @lines.register
    def _(self, step: Diagonal) -> list[str]:
        self.letters(step.out.axes)
        both = {step.second: variable(self.index[step.first])}
        line = f"{printed(self.at(step.out))} = {printed(self.at(step.arg, both))}"
        return self._filled(step.out, [line])

    @lines.register
    def _(self, step: Padded) -> list[str]:
        self.letters(step.before)
        first, row = self.statements.first(step), variable(self.index[step.inner])
        place = self.at(step.out, {step.axis: quote("i + k", i=row, k=first)})
        line = f"{printed(place)} = {printed(self.at(step.arg))}"
        return [self._zero(step.out), *self.loops(step.before, [line])]

    @lines.register
    def _(self, step: Detached) -> list[str]:
        return [f"{step.out.name} = {step.arg.name}"]

    @lines.register
    def _(self, step: Hits) -> list[str]:
        self.letters(step.out.axes)
        here = variable(self.index[step.axis])
        hit = quote("1.0 if i == k else 0.0", i=self.at(step.index), k=here)
        return self._filled(step.out, [f"{printed(self.at(step.out))} = {printed(hit)}"])

    @lines.register
    def _(self, step: Gather) -> list[str]:
        self.letters(step.out.axes)
        place = self.at(step.arg, {step.axis: self._place(step)})
        return self._filled(step.out, [f"{printed(self.at(step.out))} = {printed(place)}"])

    @lines.register
    def _(self, step: Scatter) -> list[str]:
        self.letters(step.arg.axes)
        place = self.at(step.out, {step.axis: self._place(step)})
        line = f"{printed(place)} += {printed(self.at(step.arg))}"
        return [self._zero(step.out), *self.loops(step.arg.axes, [line])]

    def _place(self, step: AtPlaces) -> Tree:
        """The place that an index holds; a whole number again if it is calculated with."""
        place = self.at(step.index)
        return call("int", place) if step.index.name in self.program.numbers else place

    @lines.register
    def _(self, step: Places) -> list[str]:
        self.letters((*step.out.axes, step.axis))
        i, entry = self.index[step.axis], printed(self.at(step.arg))
        better = [f"if {entry} > top:", *indented([f"top = {entry}", f"place = {i}"])]
        inside = ["top = -inf", "place = 0", *self.loops((step.axis,), better)]
        inside.append(f"{printed(self.at(step.out))} = place")
        shape = self.statements.shape(step.out.axes)
        empty = f"{step.out.name} = {printed(call('np.empty', shape, quote('np.int64')))}"
        return [*([empty] if step.out.axes else []), *self.loops(step.out.axes, inside)]

    @lines.register
    def _(self, step: Unfolded) -> list[str]:
        self.letters(step.out.axes)
        read = self.at(step.arg, {step.axis: self.number(step.index)})
        return self._filled(step.out, [f"{printed(self.at(step.out))} = {printed(read)}"])

    @lines.register
    def _(self, step: Folded) -> list[str]:
        self.letters(step.arg.axes)
        place = self.at(step.out, {step.axis: self.number(step.index)})
        line = f"{printed(place)} += {printed(self.at(step.arg))}"
        return [self._zero(step.out), *self.loops(step.arg.axes, [line])]

    @lines.register
    def _(self, step: Mask) -> list[str]:
        self.letters(step.out.axes)
        line = f"{printed(self.at(step.out))} = float({printed(self.holds(step.pattern))})"
        return self._filled(step.out, [line])

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

    def _filled(self, value: Value, inside: list[str]) -> list[str]:
        """An array, or a number, that lines fill entry by entry."""
        return [*([self.empty(value)] if value.axes else []), *self.loops(value.axes, inside)]

    @lines.register
    def _(self, step: ElementwiseStep) -> list[str]:
        self.letters(step.out.axes)
        names = {sym: self.at(value) for sym, value in step.leaves}
        tree = scalar(step.expr, names, _LOOP)
        self.functions |= called([tree])
        if not step.out.axes:
            return [f"{step.out.name} = {printed(tree)}"]
        line = f"{printed(self.at(step.out))} = {printed(tree)}"
        return [self.empty(step.out), *self.loops(step.out.axes, [line])]

    @lines.register
    def _(self, step: Product) -> list[str]:
        matrix = matrix_product(step)
        if matrix is not None:
            return [f"{step.out.name} = {printed(matrix)}"]
        every = tuple(dict.fromkeys(step.out.axes + step.left.axes + step.right.axes))
        self.letters(every)
        term = quote("a * b", a=self.at(step.left), b=self.at(step.right))
        line = f"{printed(self.at(step.out))} += {printed(term)}"
        return [self._zero(step.out), *self.loops(every, [line])]

    @lines.register
    def _(self, step: LoopStep) -> list[str]:
        length = self.statements.length(step.over)
        pattern = "range(n - 1, -1, -1)" if step.backward else "range(n)"
        turns = printed(quote(pattern, n=length))
        return [
            *map(self.empty, step.outs),
            *[f"{before.name} = {start.name}" for before, start, _ in step.states],
            f"for {step.index} in {turns}:",
            *indented(f"{now.name} = {each}" for now, each in step.entries()),
            *indented(self.body(step.turn.steps)),
            *indented(
                f"{out.name}[{step.index}] = {made.name}"
                for out, made in zip(step.outs, step.made, strict=True)
            ),
            *indented(f"{before.name} = {after.name}" for before, _, after in step.states),
        ]

    def _zero(self, value: Value) -> str:
        return self.empty(value, "zeros") if value.axes else f"{value.name} = 0.0"

    @lines.register
    def _(self, step: Reduction) -> list[str]:
        out, arg = step.out, step.arg
        self.letters(out.axes + arg.axes)
        gone = tuple(axis for axis in arg.axes if axis not in out.axes)
        target, entry = printed(self.at(out)), printed(self.at(arg))
        if step.kind == "sum":
            return [self._zero(out), *self.loops(out.axes + gone, [f"{target} += {entry}"])]
        largest = self.loops(gone, [f"top = max(top, {entry})"])
        inside = ["top = -inf", *largest]
        if step.kind == "logsumexp":
            inside += ["total = 0.0", *self.loops(gone, [f"total += exp({entry} - top)"])]
            inside.append(f"{target} = top + log(total)")
        else:
            inside.append(f"{target} = top")
        return self._filled(out, inside)
