"""A program as loops that Numba compiles and a person reads; products stay ``np.dot``.

(The training engine writes machine code of its own: ``emit.epoch``.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from pullback.emit.expression.printer import Tree, printed
from pullback.emit.expression.quote import (
    call,
    docstring,
    indented,
    indexed,
    literal,
    quote,
    variable,
)
from pullback.emit.of_matrix import OfMatrixStep
from pullback.emit.target.language import Task
from pullback.emit.target.matrix import matrix_product
from pullback.emit.target.module import module, rows_of_labels
from pullback.emit.target.nests import INDICES, MATH, SCRATCH, Nests, bodies
from pullback.emit.target.numpy import NUMPY
from pullback.emit.target.refusals import other_shape, refusal, singular_by_sign
from pullback.emit.target.statements import OF_MATRIX, Statements
from pullback.emit.values import (
    Detached,
    LoopStep,
    Product,
    ProgramStep,
    Reshaped,
    Value,
)
from pullback.ir import Axis
from pullback.ir.scalar.primitives import PRIMITIVES

_OWN_NAMES = "np njit inf params inputs value_and_grad"
RESERVED = frozenset({*_OWN_NAMES.split(), *SCRATCH, *PRIMITIVES, *MATH, *INDICES})
# a quotient by 0 is an infinity, as in every other language
_NJIT = '@njit(error_model="numpy")'


def emit(tasks: Iterable[Task], title: Iterable[str]) -> str:
    """A module: a compiled function of arrays for each task, and one that takes the dict."""
    functions = [_Function(task) for task in tasks]
    parts = [part for function in functions for part in function.parts()]
    rows = bodies({name for function in functions for name in function.functions})
    helpers = [
        [_NJIT, f"def {name}(x):", f"    return {printed(body)}"] for name, body in rows.items()
    ]
    text = "\n".join(line for part in [*helpers, *parts] for line in part)
    math = [name for name in [*sorted(MATH), "inf"] if re.search(rf"\b{name}\b", text)]
    imports = [
        *([f"from math import {', '.join(math)}", ""] if math else []),
        "import numpy as np",
        "from numba import njit",
    ]
    return module(title, imports, [*helpers, *parts])


class _Function(Nests):
    def __init__(self, task: Task) -> None:
        super().__init__(task.program, task.comments)
        self.task = task
        self.statements = Statements(self.program, NUMPY, task.comments)
        self.leaves = [*self.program.inputs.values(), *self.program.parameters.values()]

    def parts(self) -> list[list[str]]:
        """The compiled function, then the one of the same signature as in every other target."""
        task, results = self.task, self.program.results
        body = self.body(self.program.steps)
        checks = [*self._shapes(), *self.statements.checks()]
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

    def _shapes(self) -> Iterator[str]:
        """The lines that refuse arrays of other lengths: loops would read beyond their ends."""
        told = set[Axis]()
        for value in self.leaves:
            if any(axis.size is not None or axis in told for axis in value.axes):
                shape = printed(self.statements.shape(value.axes))
                says = other_shape(self.program, value.name, value)
                yield from refusal(f"{value.name}.shape != {shape}", says)
            told |= {*value.axes}

    def _converted(self) -> list[str]:
        """Whole numbers as numbers of the parameters' type, class numbers as rows."""
        lines = [*self.statements.floats(), *rows_of_labels(self.task, self.statements)]
        return [*self.statements.unpack(), *lines] if lines else []

    def at(self, value: Value, places: Mapping[Axis, Tree] = MappingProxyType({})) -> Tree:
        if not value.axes:
            return variable(value.name)
        every = [places.get(axis) or variable(self.index[axis]) for axis in value.axes]
        return indexed(variable(value.name), every)

    def declared(self, name: str, tree: Tree) -> str:
        return f"{name} = {printed(tree)}"

    def set(self, place: Tree, tree: Tree) -> str:
        return f"{printed(place)} = {printed(tree)}"

    def added(self, place: Tree, tree: Tree) -> str:
        return f"{printed(place)} += {printed(tree)}"

    def counted(self, index: str, length: Tree, inside: Iterable[str]) -> list[str]:
        return [f"for {index} in range({printed(length)}):", *indented(inside)]

    def where(self, condition: Tree, inside: Iterable[str]) -> list[str]:
        return [f"if {printed(condition)}:", *indented(inside)]

    def new(self, value: Value, zeros: bool = False, whole: bool = False) -> str:
        make, shape = "np.zeros" if zeros else "np.empty", self.statements.shape(value.axes)
        dtype = quote("np.int64") if whole else self.statements.dtype
        return self.declared(value.name, call(make, shape, dtype))

    def remark(self, text: str) -> str:
        return f"# {text}"

    def lines(self, step: ProgramStep) -> list[str]:
        """Products that are NumPy's and loops as they are; every other step entry by entry."""
        if isinstance(step, Product) and (matrix := matrix_product(step)) is not None:
            return [self.declared(step.out.name, matrix)]
        if isinstance(step, Detached):
            return [self.declared(step.out.name, variable(step.arg.name))]
        if isinstance(step, Reshaped):
            whole = call("np.ascontiguousarray", variable(step.arg.name))
            shape = self.statements.shape(step.out.axes)
            return [self.declared(step.out.name, quote("a.reshape(s)", a=whole, s=shape))]
        if isinstance(step, OfMatrixStep):
            whole = call("np.ascontiguousarray", variable(step.arg.name))
            made = quote(OF_MATRIX[step.kind], m=quote("np"), a=whole)
            named = singular_by_sign(step, "np", printed(whole))
            return [*named, self.declared(step.out.name, made)]
        return self._loop(step) if isinstance(step, LoopStep) else super().lines(step)

    def _loop(self, step: LoopStep) -> list[str]:
        length = self.statements.length(step.over)
        pattern = "range(n - 1, -1, -1)" if step.backward else "range(n)"
        turns = printed(quote(pattern, n=length))
        return [
            *map(self.new, step.outs),
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
