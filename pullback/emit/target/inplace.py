"""A program as NumPy source that a person can read: one line an operation, no array made twice.

The source holds two functions. ``workspace`` makes the arrays that a step writes; ``run`` fills
them. It imports NumPy and SciPy only.
"""

from __future__ import annotations

from functools import singledispatchmethod

from pullback.emit.buffers import Buffers, assign, with_inherited_names
from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import docstring, literal, variable
from pullback.emit.expression.scalar import PYTHON, is_arithmetic, scalar
from pullback.emit.expression.ufuncs import Atom, ufunc_lines
from pullback.emit.names import Reserved
from pullback.emit.target.statements import oriented, subscripts
from pullback.emit.values import (
    Elementwise,
    Eye,
    Length,
    Lowered,
    Product,
    Reduction,
    Slice,
    Step,
    Value,
)
from pullback.ir import Axes, Axis

_OWN_NAMES = "np expit ndtr erf run workspace work results parameters inputs dtype top total"
RESERVED = Reserved(frozenset(_OWN_NAMES.split()), r"[As][0-9]+")  # arrays, and what is on the way


def emit(program: Lowered, title: str, in_place: bool = False) -> str:
    """The Python source of a lowered program.

    With ``in_place`` the array of a result may be the array of the input of the same name.
    """
    return _Writer(with_inherited_names(program), in_place).source(title)


class _Writer:
    def __init__(self, program: Lowered, in_place: bool) -> None:
        self.program = program
        self.results = {value.name: key for key, value in program.results.items()}
        self.buffers: Buffers = assign(program, given=self.results)
        self.at = 0
        # where each value lies; values in one place overwrite each other
        self.place: dict[str, object] = {**self.buffers.of, **{n: n for n in self.results}}
        if in_place:
            for name, key in self.results.items():
                if key in program.inputs:
                    self.place[name] = self.place[program.inputs[key].name] = key

    def source(self, title: str) -> str:
        body: list[str] = []
        for at, step in enumerate(self.program.steps):
            self.at = at
            body += self.lines(step)
        scalars = [v for v in self.program.results.values() if not v.axes]
        back = ", ".join(value.name for value in scalars) + ("," if len(scalars) == 1 else "")
        return "\n".join(
            [
                docstring(title),
                "",
                "import numpy as np",
                *self._scipy(body),
                "",
                "",
                f"def workspace({''.join(f'{n}, ' for n in self._sizes())}dtype):",
                '    """The arrays that run writes to, made once."""',
                "    return (",
                *[f"        np.empty({self._shape(axes)}, dtype)," for axes in self.buffers.axes],
                "    )",
                "",
                "",
                "def run(parameters, inputs, work, results):",
                f'    """Fill the results; the scalars come back: ({back})."""',
                *[f"    {line}" for line in self._unpack()],
                *[f"    {line}" for line in body],
                f"    return ({back})",
                "",
            ]
        )

    def _scipy(self, body: list[str]) -> list[str]:
        text = "\n".join(body)
        used = [name for name in ("erf", "expit", "ndtr") if f"{name}(" in text]
        return [f"from scipy.special import {', '.join(used)}"] if used else []

    def _sizes(self) -> list[str]:
        return [value.name for value in self.program.sizes.values()]

    def _shape(self, axes: Axes) -> str:
        sizes = [self._size(axis) for axis in axes]
        return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"

    def _size(self, axis: Axis) -> str:
        if axis.size is not None:
            return str(axis.size)
        for step in self.program.steps:
            if isinstance(step, Slice) and step.out.axes[0] == axis:
                return f"len(range({self._size(step.out.axes[1])}){_slice(step)})"
        if axis in self.program.sizes:
            return self.program.sizes[axis].name
        return self._size(self.program.as_long_as.get(axis, axis.unprimed))

    def _unpack(self) -> list[str]:
        lines = []
        for key, value in self.program.parameters.items():
            lines.append(f"{value.name} = parameters[{literal(key)}]")
        for key, value in self.program.inputs.items():
            lines.append(f"{value.name} = inputs[{literal(key)}]")
        leaves = [*self.program.inputs.values(), *self.program.parameters.values()]
        for axis, size in self.program.sizes.items():
            holder = next(leaf for leaf in leaves if axis in leaf.axes)
            lines.append(f"{size.name} = {holder.name}.shape[{holder.axes.index(axis)}]")
        for name, key in self.results.items():
            if self.program.results[key].axes:
                lines.append(f"{name} = results[{literal(key)}]")
        if self.buffers.axes:
            names = [f"A{i}" for i in range(len(self.buffers.axes))]
            lines.append(f"({', '.join(names)},) = work")
        return lines

    def array(self, value: Value) -> str:
        """Where a value is written: a result's own array, or a numbered one."""
        return value.name if value.name in self.results else f"A{self.buffers.of[value.name]}"

    def set(self, value: Value, call: str) -> list[str]:
        """``value = call(out=…)``, or the plain assignment of a scalar."""
        if not value.axes:
            return [f"{value.name} = {call.replace(', out={out}', '')}"]
        line = call.replace("{out}", self.array(value))
        return [line if value.name in self.results else f"{value.name} = {line}"]

    @singledispatchmethod
    def lines(self, step: Step) -> list[str]:
        raise TypeError(f"no NumPy source for {type(step).__name__}")

    @lines.register
    def _(self, step: Eye) -> list[str]:
        array = self.array(step.out)
        lines = [] if array == step.out.name else [f"{step.out.name} = {array}"]
        return [*lines, f"{step.out.name}[...] = np.eye(len({array}))"]

    @lines.register
    def _(self, step: Slice) -> list[str]:
        array = self.array(step.out)
        lines = [] if array == step.out.name else [f"{step.out.name} = {array}"]
        rows = f"np.eye({array}.shape[1]){_slice(step)}"
        return [*lines, f"{step.out.name}[...] = {rows}"]

    @lines.register
    def _(self, step: Length) -> list[str]:
        return [f"{step.out.name} = len({step.arg.name})"]

    @lines.register
    def _(self, step: Elementwise) -> list[str]:
        out, axes = step.out, step.out.axes
        if not axes and is_arithmetic(step.expr):
            names = {sym: variable(value.name) for sym, value in step.leaves}
            return [f"{out.name} = {printed(scalar(step.expr, names, PYTHON))}"]
        operands = {
            sym: Atom(view(value, axes), bool(axes) and set(value.axes) == set(axes))
            for sym, value in step.leaves
        }
        here = self.place.get(out.name)
        in_place = {
            operands[sym].text
            for sym, value in step.leaves
            if here is not None and self.place.get(value.name) == here
        }
        at = self.at
        return ufunc_lines(
            step.expr,
            operands,
            out.name,
            self.array(out) if axes else "",
            in_place,
            scratch=lambda k: f"A{self.buffers.scratch(axes, at, k)}",
        )

    @lines.register
    def _(self, step: Reduction) -> list[str]:
        arg, gone = step.arg, [i for i, a in enumerate(step.arg.axes) if a not in step.out.axes]
        left = tuple(a for a in arg.axes if a in step.out.axes)
        assert left == step.out.axes
        axis = gone[0] if len(gone) == 1 else tuple(gone)
        where = "" if len(gone) == len(arg.axes) else f", axis={axis}"
        if step.kind == "sum":
            return self.set(step.out, f"np.sum({arg.name}{where}, out={{out}})")
        if step.kind == "max":
            return self.set(step.out, f"np.max({arg.name}{where}, out={{out}})")
        return [
            f"top = np.max({arg.name}, axis={axis}, keepdims=True)",
            f"total = np.log(np.sum(np.exp({arg.name} - top), axis={axis}))",
            *self.set(step.out, f"np.add(total, np.squeeze(top, axis={axis}), out={{out}})"),
        ]

    @lines.register
    def _(self, step: Product) -> list[str]:
        return self.set(step.out, product(step))


def view(value: Value, axes: Axes) -> str:
    """The value turned and stretched so that NumPy broadcasts it along ``axes``."""
    have = [axis for axis in axes if axis in value.axes]
    text = value.name
    if list(value.axes) != have:
        order = tuple(value.axes.index(axis) for axis in have)
        text += ".T" if order == (1, 0) else f".transpose{order}"
    if have and axes[len(axes) - len(have) :] != tuple(have):
        places = [":" if axis in have else "None" for axis in axes]
        while places[0] == "None":
            places.pop(0)
        text += f"[{', '.join(places)}]"
    return text


def product(step: Product) -> str:
    """A matrix product where the axes allow it, else einsum."""
    left, right, out = step.left, step.right, step.out
    if (sides := oriented(step)) is not None:
        a, b = (f"{value.name}{'.T' * turn}" for value, turn in sides)
        return f"np.matmul({a}, {b}, out={{out}})"
    if left.axes == right.axes and not out.axes:
        return f"np.vdot({left.name}, {right.name})"
    if left.axes == right.axes and out.axes == left.axes[:-1]:
        return f"np.vecdot({left.name}, {right.name}, out={{out}})"
    return f'np.einsum("{subscripts(step)}", {left.name}, {right.name}, out={{out}})'


def _slice(step: Slice) -> str:
    start, stop = ("" if at is None else at for at in (step.start, step.stop))
    return f"[{start}:{stop}]"
