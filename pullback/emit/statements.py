"""Steps as assignments that each make an array: what NumPy, JAX and PyTorch have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod
from string import ascii_lowercase

from pullback.emit.infix import Dialect, infix
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


@dataclass(frozen=True)
class Task:
    """One function to emit: what it computes and how it is called.

    ``value`` is the result that is given back alone, ``keys`` names the entries of the dict that
    comes back with it, each with its result. ``comments`` stand behind the lines that compute
    an equation, by the identifier.
    """

    name: str
    doc: str
    program: Lowered
    keys: Mapping[str, str]
    value: str | None = None
    comments: Mapping[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> str:
        """The arguments of the function: params first if there are parameters."""
        first = ["params"] if self.program.parameters else []
        return ", ".join([*first, *(value.name for value in self.program.inputs.values())])


class Statements:
    """The assignments of one program in one dialect."""

    def __init__(self, program: Lowered, dialect: Dialect, comments: Mapping[str, str]) -> None:
        self.program, self.dialect, self.comments = program, dialect, comments
        self._inlined: dict[str, str] = {}

    def unpack(self) -> list[str]:
        """Parameters out of their dict."""
        return [f'{value.name} = params["{key}"]' for key, value in self.program.parameters.items()]

    def sizes(self) -> list[str]:
        """The lengths that only the data tell, each if the body speaks of it."""
        leaves = [*self.program.inputs.values(), *self.program.parameters.values()]
        lines = []
        for axis, size in self.program.sizes.items():
            holder = next(leaf for leaf in leaves if axis in leaf.axes)
            lines.append(f"{size.name} = {holder.name}.shape[{holder.axes.index(axis)}]")
        return lines

    def lines(self, steps: Iterable[Step] | None = None) -> list[str]:
        """A line for each step, with its comment."""
        chosen = list(self.program.steps if steps is None else steps)
        self._inlined = self._read_once(chosen)
        found = []
        for step in chosen:
            if step.out.name in self._inlined:
                self._inlined[step.out.name] = self.source(step)
                continue
            comment = self.comments.get(step.out.name)
            line = f"{step.out.name} = {self.source(step)}"
            found.append(f"{line}  # {comment}" if comment else line)
        return found

    def _read_once(self, steps: list[Step]) -> dict[str, str]:
        """Products and sums that one sum or product alone goes on with: x @ W.T in x @ W.T + b."""
        read = Counter(v.name for step in self.program.steps for v in step.operands)
        results = {value.name for value in self.program.results.values()}
        readers = {
            value.name: value for s in steps if isinstance(s, Elementwise) for _, value in s.leaves
        }
        return {
            step.out.name: ""
            for step in steps
            if isinstance(step, (Product, Reduction))
            and step.out.name in self.program.temporaries - results
            and read[step.out.name] == 1
            and readers.get(step.out.name) == step.out
        }

    def used_sizes(self, body: Iterable[str]) -> list[str]:
        """The lines of ``sizes`` that a body needs."""
        text = "\n".join(body)
        return [line for line in self.sizes() if line.partition(" ")[0] in _words(text)]

    def length(self, axis: Axis) -> str:
        """The source of how long an axis is."""
        if axis.size is not None:
            return str(axis.size)
        return self.program.length(axis).name

    @property
    def _dtype(self) -> str:
        """That of some leaf: what is made from nothing must not raise the precision."""
        leaves = [*self.program.parameters.values(), *self.program.inputs.values()]
        return f"dtype={next((v for v in leaves if v.axes), leaves[0]).name}.dtype"

    @singledispatchmethod
    def source(self, step: Step) -> str:
        raise TypeError(f"no source for {type(step).__name__}")

    @source.register
    def _(self, step: Eye) -> str:
        return f"{self.dialect.module}.eye({self.length(step.out.axes[0])}, {self._dtype})"

    @source.register
    def _(self, step: Slice) -> str:
        start, stop = ("" if at is None else at for at in (step.start, step.stop))
        size = self.length(step.out.axes[1])
        return f"{self.dialect.module}.eye({size}, {self._dtype})[{start}:{stop}]"

    @source.register
    def _(self, step: Length) -> str:
        return f"{step.arg.name}.shape[0]"

    @source.register
    def _(self, step: Elementwise) -> str:
        axes = step.out.axes
        names = {sym: self._operand(value, axes) for sym, value in step.leaves}
        text = infix(step.expr, names, self.dialect)
        for sym, value in step.leaves:  # a term of its own needs no brackets
            inlined = self._inlined.get(value.name)
            if inlined and ((step.expr.is_Add and sym in step.expr.args) or sym == step.expr):
                text = text.replace(f"({inlined})", inlined)
        carried = {axis for _, value in step.leaves for axis in value.axes}
        if carried == set(axes):
            return text
        shape = ", ".join(self.length(axis) for axis in axes)  # constant along some of them
        comma = "," if len(axes) == 1 else ""
        return f"{self.dialect.module}.zeros(({shape}{comma}), {self._dtype}) + {text}"

    @source.register
    def _(self, step: Reduction) -> str:
        if step.kind == "sum":
            return self._sum(step.arg.name, step.arg.axes, step.out.axes)
        gone = [str(i) for i, axis in enumerate(step.arg.axes) if axis not in step.out.axes]
        over = gone[0] if len(gone) == 1 else f"({', '.join(gone)})"
        where = f"{self.dialect.axis}={over}"
        template = self.dialect.max_over if step.kind == "max" else self.dialect.logsumexp
        return template.format(step.arg.name, where)

    def _operand(self, value: Value, axes: Axes) -> str:
        inlined = self._inlined.get(value.name)
        if inlined is None:
            return self.view(value, axes)
        text = f"({inlined})" if " @ " in inlined else inlined
        return self.view(replace(value, name=text), axes)

    @source.register
    def _(self, step: Product) -> str:
        left, right, out = step.left, step.right, step.out
        if left.axes == right.axes and set(out.axes) < set(left.axes):
            term = f"{left.name} ** 2" if left == right else f"{left.name} * {right.name}"
            kept = tuple(axis for axis in left.axes if axis in out.axes)
            if kept == out.axes:
                return self._sum(term, left.axes, out.axes)
        return matrix_product(step) or self.einsum(step)

    def _sum(self, term: str, have: Axes, left: Axes) -> str:
        gone = [str(i) for i, axis in enumerate(have) if axis not in left]
        over = gone[0] if len(gone) == 1 else f"({', '.join(gone)})"
        where = "" if not left else f", {self.dialect.axis}={over}"
        return f"{self.dialect.module}.sum({term}{where})"

    def einsum(self, step: Product) -> str:
        """Any product of two arrays."""
        left, right, out = step.left, step.right, step.out
        every = dict(zip(dict.fromkeys(left.axes + right.axes), ascii_lowercase, strict=False))
        a, b, c = ("".join(every[axis] for axis in v.axes) for v in (left, right, out))
        return f'{self.dialect.module}.einsum("{a},{b}->{c}", {left.name}, {right.name})'

    def view(self, value: Value, axes: Axes) -> str:
        """The value turned and stretched so that it broadcasts along ``axes``."""
        have = [axis for axis in axes if axis in value.axes]
        text = value.name
        if list(value.axes) != have:
            order = tuple(value.axes.index(axis) for axis in have)
            text = f"{text}.T" if order == (1, 0) else self.dialect.permute.format(text, order)
        if have and axes[len(axes) - len(have) :] != tuple(have):
            places = [":" if axis in have else "None" for axis in axes]
            while places[0] == "None":
                places.pop(0)
            text += f"[{', '.join(places)}]"
        return text


def matrix_product(step: Product) -> str | None:
    """``a @ b`` where the axes allow it: at most two on each side, one of them summed."""
    sides = oriented(step)
    if sides is None:
        return None
    (left, turn_left), (right, turn_right) = sides
    return f"{left.name}{'.T' * turn_left} @ {right.name}{'.T' * turn_right}"


def oriented(step: Product) -> tuple[tuple[Value, bool], tuple[Value, bool]] | None:
    """The factors of a matrix product in order, each with whether it is to be transposed."""
    left, right, out = step.left, step.right, step.out
    shared = [axis for axis in left.axes if axis in right.axes]
    if len(shared) != 1 or shared[0] in out.axes or max(len(left.axes), len(right.axes)) > 2:
        return None
    if len(out.axes) != len(left.axes) + len(right.axes) - 2:
        return None
    (summed,) = shared
    rows = tuple(axis for axis in left.axes if axis != summed)
    if out.axes[: len(rows)] != rows:
        left, right = right, left
    turn_left = len(left.axes) == 2 and left.axes[-1] != summed
    turn_right = len(right.axes) == 2 and right.axes[0] != summed
    return (left, turn_left), (right, turn_right)


def _words(text: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in text).split())


def indented(lines: Iterable[str], by: int = 4) -> list[str]:
    """Lines one level further in."""
    return [" " * by + line if line else line for line in lines]


def array_function(task: Task, dialect: Dialect) -> list[str]:
    """A function that reads arrays and gives arrays back, in any dialect."""
    statements = Statements(task.program, dialect, task.comments)
    body = statements.lines()
    found = [f'"{key}": {task.program.results[result].name},' for key, result in task.keys.items()]
    back = "{" if task.value is None else f"{task.program.results[task.value].name}, {{"
    return [
        f"def {task.name}({task.arguments}):",
        f'    """{task.doc}"""',
        *indented(statements.unpack()),
        *indented(statements.used_sizes(body)),
        *indented(body),
        f"    return {back}",
        *indented(found, 8),
        "    }",
    ]


def module(title: Iterable[str], imports: Iterable[str], parts: Iterable[list[str]]) -> str:
    """A module: what it is, its imports, its functions."""
    head = ['"""' + "\n".join(title) + '"""', "", *imports]
    return "\n".join([*head, *(line for part in parts for line in ("", "", *part)), ""])
