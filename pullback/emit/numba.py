"""A program as loops that Numba compiles and a person reads; products stay ``np.dot``.

(The training engine has a tuned whole-epoch target of its own: epoch.py.)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatchmethod

import sympy as sp

from pullback.emit.readable import NUMPY
from pullback.emit.scalars import scalar_source
from pullback.emit.statements import Statements, Task, indented, module, oriented
from pullback.emit.values import (
    Elementwise,
    Eye,
    Length,
    Product,
    Reduction,
    Slice,
    Step,
    Value,
)
from pullback.ir import Axes, Axis
from pullback.ir.primitives import SELU_ALPHA, SELU_SCALE

_HELPERS: dict[str, str] = {
    "step": "1.0 if x > 0.0 else 0.0",
    "sign": "1.0 if x > 0.0 else (-1.0 if x < 0.0 else 0.0)",
    "heaviside": "1.0 if x > 0.0 else (0.0 if x < 0.0 else 0.5)",
    "relu": "max(x, 0.0)",
    "sigmoid": "1.0 / (1.0 + exp(-x)) if x > 0.0 else exp(x) / (1.0 + exp(x))",
    "sigmoid_slope": "sigmoid(x) * sigmoid(-x)",
    "sech2": "4.0 * sigmoid(2.0 * x) * sigmoid(-2.0 * x)",
    "log_cosh": "log1p(2.0 * sinh(0.5 * x) ** 2) if abs(x) < 1.0 else "
    "abs(x) - 0.6931471805599453 + log1p(exp(-2.0 * abs(x)))",
    "softplus": "max(x, 0.0) + log1p(exp(-abs(x)))",
    "normal_cdf": "0.5 * erfc(-x / 1.4142135623730951)",
    "gelu": "x * normal_cdf(x)",
    "silu": "x * sigmoid(x)",
    "elu": "x if x > 0.0 else expm1(x)",
    "selu": f"{SELU_SCALE!r} * (x if x > 0.0 else {SELU_ALPHA!r} * expm1(x))",
}
_NEEDS = {"gelu": ("normal_cdf",), "silu": ("sigmoid",), "sech2": ("sigmoid",),
          "sigmoid_slope": ("sigmoid",)}  # fmt: skip
_MATH = ("exp", "log", "log1p", "expm1", "sqrt", "tanh", "sinh", "cosh", "sin", "cos", "tan",
         "atan", "erf", "erfc")  # fmt: skip
RESERVED = frozenset({"np", "njit", "real", "inf", "params", "value_and_grad", "top", "total",
                      *_HELPERS, *_MATH, *(f"i{k}" for k in range(8))})  # fmt: skip


def emit(tasks: Iterable[Task], title: Iterable[str]) -> str:
    """A module: a compiled function of arrays for each task, and one that takes the dict."""
    tasks = list(tasks)
    parts = [part for task in tasks for part in _Function(task).parts()]
    functions = _helpers(
        {
            type(call).__name__
            for task in tasks
            for step in task.program.steps
            if isinstance(step, Elementwise)
            for call in step.expr.atoms(sp.Function)
        }
    )
    text = "\n".join(line for part in [*functions, *parts] for line in part)
    math = [name for name in [*_MATH, "inf"] if f"{name}(" in text or name == "inf" in text]
    imports = [
        *([f"from math import {', '.join(math)}", ""] if math else []),
        "import numpy as np",
        "from numba import njit",
        "",
        "real = float",
    ]
    return module(title, imports, [*functions, *parts])


def _helpers(called: set[str]) -> list[list[str]]:
    wanted = {*called, *(need for name in called for need in _NEEDS.get(name, ()))}
    return [
        ["@njit", f"def {name}(x):", f"    return {body}"]
        for name, body in _HELPERS.items()
        if name in wanted
    ]


class _Function:
    def __init__(self, task: Task) -> None:
        self.task, self.program = task, task.program
        self.statements = Statements(self.program, NUMPY, task.comments)
        leaves = [*self.program.inputs.values(), *self.program.parameters.values()]
        self.leaves = leaves
        self.dtype = f"{next((v for v in leaves if v.axes), leaves[0]).name}.dtype"

    def parts(self) -> list[list[str]]:
        """The compiled function, then the one of the same signature as in every other target."""
        task, results = self.task, self.program.results
        body: list[str] = []
        for step in self.program.steps:
            lines = self.lines(step)
            comment = task.comments.get(step.out.name)
            body += [f"# {comment}: {step.out.name}", *lines] if comment else lines
        back = [task.value] if task.value is not None else []
        names = [results[key].name for key in (*back, *task.keys.values())]
        compiled = [
            "@njit",
            f"def _{task.name}({', '.join(v.name for v in self.leaves)}):",
            *indented(self.statements.used_sizes(body)),
            *indented(body),
            f"    return {', '.join(names)}{',' if len(names) == 1 else ''}",
        ]
        arguments = [f"np.ascontiguousarray({v.name})" if v.axes else v.name
                     for v in self.program.inputs.values()]  # fmt: skip
        arguments += [f'np.ascontiguousarray(params["{key}"])' for key in self.program.parameters]
        first = "value, *found" if back else "*found,"
        call = [
            f"def {task.name}({task.arguments}):",
            f'    """{task.doc}"""',
            f"    {first} = _{task.name}({', '.join(arguments)})",
            f"    {'return value, ' if back else 'return '}dict(zip({list(task.keys)!r}, found))",
        ]
        return [compiled, call]

    def empty(self, value: Value, make: str = "empty") -> str:
        shape = ", ".join(map(self.statements.length, value.axes))
        comma = "," if len(value.axes) == 1 else ""
        return f"{value.name} = np.{make}(({shape}{comma}), {self.dtype})"

    def loops(self, axes: Axes, inside: list[str]) -> list[str]:
        """Loops over some axes around some lines."""
        for axis in reversed(axes):
            size = self.statements.length(axis)
            inside = [f"for {self.index[axis]} in range({size}):", *indented(inside)]
        return inside

    def letters(self, axes: Iterable[Axis]) -> None:
        self.index = {axis: f"i{k}" for k, axis in enumerate(dict.fromkeys(axes))}

    def at(self, value: Value) -> str:
        """One entry of a value, or the scalar."""
        if not value.axes:
            return value.name
        return f"{value.name}[{', '.join(self.index[axis] for axis in value.axes)}]"

    @singledispatchmethod
    def lines(self, step: Step) -> list[str]:
        raise TypeError(f"no loops for {type(step).__name__}")

    @lines.register
    def _(self, step: Eye) -> list[str]:
        return [f"{step.out.name} = np.eye({self.statements.length(step.out.axes[0])})"]

    @lines.register
    def _(self, step: Slice) -> list[str]:
        start, stop = ("" if at is None else at for at in (step.start, step.stop))
        return [
            f"{step.out.name} = np.eye({self.statements.length(step.out.axes[1])})[{start}:{stop}]"
        ]

    @lines.register
    def _(self, step: Length) -> list[str]:
        return [f"{step.out.name} = {step.arg.name}.shape[0]"]

    @lines.register
    def _(self, step: Elementwise) -> list[str]:
        self.letters(step.out.axes)
        names = {sym: self.at(value) for sym, value in step.leaves}
        text = scalar_source(step.expr, names)
        if not step.out.axes:
            return [f"{step.out.name} = {text}"]
        return [
            self.empty(step.out),
            *self.loops(step.out.axes, [f"{self.at(step.out)} = {text}"]),
        ]

    @lines.register
    def _(self, step: Product) -> list[str]:
        sides = oriented(step)
        if sides is not None:
            (left, turn_left), (right, turn_right) = sides
            a, b = (f"{v.name}{'.T' * t}" for v, t in ((left, turn_left), (right, turn_right)))
            return [f"{step.out.name} = np.dot({a}, {b})"]
        every = tuple(dict.fromkeys(step.out.axes + step.left.axes + step.right.axes))
        self.letters(every)
        term = f"{self.at(step.left)} * {self.at(step.right)}"
        return [self._zero(step.out), *self.loops(every, [f"{self.at(step.out)} += {term}"])]

    def _zero(self, value: Value) -> str:
        return self.empty(value, "zeros") if value.axes else f"{value.name} = 0.0"

    @lines.register
    def _(self, step: Reduction) -> list[str]:
        out, arg = step.out, step.arg
        self.letters(out.axes + arg.axes)
        gone = tuple(axis for axis in arg.axes if axis not in out.axes)
        target, entry = self.at(out), self.at(arg)
        if step.kind == "sum":
            return [self._zero(out), *self.loops(out.axes + gone, [f"{target} += {entry}"])]
        largest = self.loops(gone, [f"top = max(top, {entry})"])
        inside = ["top = -inf", *largest]
        if step.kind == "logsumexp":
            inside += ["total = 0.0", *self.loops(gone, [f"total += exp({entry} - top)"])]
            inside.append(f"{target} = top + log(total)")
        else:
            inside.append(f"{target} = top")
        return [*([self.empty(out)] if out.axes else []), *self.loops(out.axes, inside)]
