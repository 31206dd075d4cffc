"""A program as JavaScript: one module of functions on typed arrays that needs nothing else.

An array is flat, its entries row by row as NumPy's, and a number is a number. How long an axis is
that only the data tell follows from the lengths of the arrays; where they do not tell, as where two
such axes are an array's, it has a property ``shape``. The results are of single precision where the
parameters are a Float32Array, and of double precision otherwise.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from pullback.emit.expression.printer import Syntax, Tree, printed
from pullback.emit.expression.quote import (
    call,
    called,
    indented,
    indexed,
    plain,
    quote,
    variable,
    whole,
    with_names,
)
from pullback.emit.expression.scalar import scalar
from pullback.emit.of_matrix import OfMatrixStep
from pullback.emit.target.javascript_helpers import ERF, MATRICES
from pullback.emit.target.language import TOGETHER, Task
from pullback.emit.target.nests import INDICES, LOOP, MATH, SCRATCH, Nests, bodies
from pullback.emit.target.refusals import other_shape
from pullback.emit.values import (
    Detached,
    ElementwiseStep,
    LoopStep,
    ProgramStep,
    Reshaped,
    Value,
)
from pullback.ir import Axes, Axis, Slice, Stack
from pullback.ir.scalar.primitives import PRIMITIVES

_SYNTAX = Syntax(
    choice="{condition} ? {chosen} : {otherwise}",
    comparisons={ast.Eq: "===", ast.NotEq: "!=="},
    sign_before_power=False,
)
_SPECIAL = {"erf", "erfc"}  # Math has none
_NAMES = {
    **{name: quote(f"Math.{name}") for name in (MATH - _SPECIAL) | {"abs", "max", "min"}},
    "inf": quote("Infinity"),
    "float": quote("Number"),
    "int": quote("Math.trunc"),
}
_WORDS = (
    "arguments async await case catch class const continue debugger default delete do else "
    "enum eval export extends false finally for function if implements import in instanceof "
    "interface let new null package private protected public return static super switch "
    "this throw true try typeof undefined var void while with yield Array Float32Array "
    "Float64Array Infinity Int32Array Math NaN Number Numbers Object RangeError TypeError "
    "classes i k key params inputs value_and_grad "
    "inverse determinant logdet eliminated"
)
RESERVED = frozenset({*_WORDS.split(), *SCRATCH, *PRIMITIVES, *MATH, *INDICES})


def emit(tasks: Iterable[Task], title: Iterable[str]) -> str:
    """A module that exports one function a task."""
    functions = [_Function(task) for task in tasks]
    parts = [function.text() for function in functions]
    rows = bodies({name for function in functions for name in function.functions})
    helpers = [[f"function {name}(x) {{", f"  return {_text(body)};", "}"]
               for name, body in rows.items() if name not in _SPECIAL]  # fmt: skip
    text = "\n".join(line for part in [*helpers, *parts] for line in part)
    special = [ERF.splitlines()] if re.search(r"\berfc?\(", text) else []
    if re.search(r"\b(inverse|determinant|logdet)\(", text):
        special.append(MATRICES.splitlines())
    lines = [line for each in title for line in each.splitlines() or [""]]
    head = [f"// {plain(line)}".rstrip() for line in "\n".join(lines).rstrip().split("\n")]
    every = [*special, *helpers, *parts]
    return "\n".join([*head, *(line for part in every for line in ("", *part)), ""])


def _text(tree: Tree) -> str:
    return printed(with_names(tree, _NAMES), _SYNTAX)


class _Function(Nests):
    """A task as a function; ``sizes`` are the lines of lengths that the arrays tell."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.program, task.comments)
        self.task = task
        program = task.program
        self.leaves = {**program.parameters, **program.inputs}
        labels = program.inputs.get(task.labels or "")
        self.labels = labels if labels and (labels.axes[-1].size or 0) > 1 else None

    def text(self) -> list[str]:
        """The lines of the function."""
        task, results = self.task, self.program.results
        steps = self.body(self.program.steps)
        held = [name for name in SCRATCH if any(f"{name} =" in line for line in steps)]
        found = [f"{json.dumps(key)}: {results[name].name}," for key, name in task.keys.items()]
        start, end = ("return {", "};")
        if task.value is not None:
            start, end = f"return [{results[task.value].name}, {{", "}];"
        body = [
            *self._unpacked(),
            *self._sizes(),
            *self._rows_of_labels(),
            *self._checks(),
            *([f"let {', '.join(held)};"] if held else []),
            *steps,
            start,
            *indented(found, 2),
            end,
        ]
        return [
            f"// {plain(task.doc)}",
            f"export function {task.name}({task.arguments}) {{",
            *indented(body, 2),
            "}",
        ]

    def _unpacked(self) -> Iterator[str]:
        """Inputs that come as one, parameters out of their object, and the type of results."""
        if self.task.together:
            names = ", ".join(self.program.inputs[key].name for key in self.task.together)
            by_key = f"{json.dumps(self.task.together)}.map((key) => {TOGETHER}[key])"
            yield f"const [{names}] = Array.isArray({TOGETHER}) ? {TOGETHER} : {by_key};"
        for key, value in self.program.parameters.items():
            yield f"const {value.name} = params[{json.dumps(key)}];"
        real = [v.name for v in self.leaves.values() if v.axes and v.source != "whole"]
        if real:
            single = f"{real[0]} instanceof Float32Array"
            yield f"const Numbers = {single} ? Float32Array : Float64Array;"
        else:
            yield "const Numbers = Float64Array;"

    def _sizes(self) -> Iterator[str]:
        """A line for each length that only the data tell, from arrays that leave no other open."""
        names = {self.length_name(axis) for leaf in self.leaves.values() for axis in leaf.axes}
        known: set[str | None] = {None}
        sure = [leaf for leaf in self.leaves.values() if leaf != self.labels]
        while left := names - known:
            open_axes = {
                leaf: [n for axis in leaf.axes if (n := self.length_name(axis)) not in known]
                for leaf in sure
            }
            leaf = next((each for each, axes in open_axes.items() if len(axes) == 1), None)
            if leaf is not None:
                (name,) = open_axes[leaf]
                rest = [axis for axis in leaf.axes if self.length_name(axis) != name]
                size = quote("a.length", a=variable(leaf.name))
                if rest:
                    size = call("Math.floor", quote("a / b", a=size, b=self._product(rest)))
                yield f"const {name} = {_text(size)};"
            else:
                leaf = next((each for each, axes in open_axes.items() if axes), self.labels)
                assert leaf is not None
                at = next(k for k, a in enumerate(leaf.axes) if self.length_name(a) in left)
                name = self.length_name(leaf.axes[at])
                axes = ", ".join(axis.name for axis in leaf.axes)
                says = f"{leaf.name} needs a shape: {leaf.name}.shape = [{axes}]"
                yield f"if (!{leaf.name}.shape) throw new TypeError({json.dumps(says)});"
                yield f"const {name} = {leaf.name}.shape[{at}];"
            known.add(name)
        stretches: dict[str, str] = {}  # slices of one length are of one axis
        for each in self.program.makers:
            if (length := self.program.length_made(each)) is not None:
                tree = self.stacked(each) if isinstance(each, Stack) else self._stretch(each)
                stretches.setdefault(length.name, _text(tree))
        yield from (f"const {name} = {length};" for name, length in stretches.items())

    def length_name(self, axis: Axis) -> str | None:
        """The variable that holds the length of an axis, if that is open."""
        return None if axis.size is not None else self.program.length(axis).name

    def _product(self, axes: Iterable[Axis]) -> Tree:
        """How many entries there are over some axes."""
        sizes = [axis.size for axis in axes if axis.size is not None]
        tree, known = None, math.prod(sizes)
        for axis in axes:
            if axis.size is None:
                tree = quote("a * b", a=tree, b=self.length(axis)) if tree else self.length(axis)
        if tree is None:
            return whole(known)
        return quote("a * b", a=tree, b=whole(known)) if known != 1 else tree

    def stacked(self, stack: Stack) -> Tree:
        if not stack.half:
            return super().stacked(stack)
        return quote("n * (n + 1) / 2", n=self.length(stack.parts[0]))  # there is no // here

    def _stretch(self, part: Slice) -> Tree:
        """The length of a slice."""
        n = self.length(part.column)

        def end(at: int | None, other: Tree) -> Tree:
            if at is None:
                return other
            if at < 0:
                return quote("max(n - k, 0)", n=n, k=whole(-at))
            return quote("min(k, n)", n=n, k=whole(at))

        start, stop = end(part.start, whole(0)), end(part.stop, n)
        return quote("max(b - a, 0)", a=start, b=stop)

    def _rows_of_labels(self) -> Iterator[str]:
        """The lines that make rows of class numbers, where these are given."""
        if (value := self.labels) is None:
            return
        name, classes = value.name, value.axes[-1].size
        yield f"if ({name}.length === {_text(self._product(value.axes[:-1]))}) {{  // class numbers"
        yield f"  const classes = {name};"
        check = _index_check("classes", str(classes), self.task.labels, str((classes or 0) - 1))
        yield from indented(check, 2)
        yield f"  {name} = new Numbers(classes.length * {classes});"
        row = f"{name}[i * {classes} + classes[i]] = 1;"
        yield f"  for (let i = 0; i < classes.length; i += 1) {row}"
        yield "}"

    def _checks(self) -> Iterator[str]:
        """What has to hold of the arrays that are given."""
        for key, value in self.leaves.items():
            if value.axes:
                wrong = f"{value.name}.length !== {_text(self._product(value.axes))}"
                yield from _refusal(wrong, other_shape(self.program, key, value))
        pairs = [*self.equal()]
        for each in self.program.slices:
            says = "the lengths of slices do not fit"
            pairs.append((self._stretch(each), self.length(each.row), says))
        for sides, says in self.unequal(pairs, _text).items():
            if not all(side.isdecimal() for side in sides):
                yield from _refusal(" !== ".join(sorted(sides)), says)
        for name, axis in self.program.indices.items():
            last = f"the length of {axis.name}" if axis.size is None else str(axis.size - 1)
            yield from _index_check(name, _text(self.length(axis)), name, last)

    def at(self, value: Value, places: Mapping[Axis, Tree] = MappingProxyType({})) -> Tree:
        if not value.axes:
            return variable(value.name)
        return indexed(variable(value.name), [self._flat(value.axes, places)])

    def _flat(self, axes: Axes, places: Mapping[Axis, Tree]) -> Tree:
        """The place of an entry among all, row by row."""
        flat: Tree | None = None
        for axis in axes:
            here = places.get(axis) or variable(self.index[axis])
            if flat is not None:
                here = quote("f * n + i", f=flat, n=self.length(axis), i=here)
            flat = here
        assert flat is not None
        return flat

    def declared(self, name: str, tree: Tree) -> str:
        return f"let {name} = {_text(tree)};"

    def set(self, place: Tree, tree: Tree) -> str:
        return f"{_text(place)} = {_text(tree)};"

    def added(self, place: Tree, tree: Tree) -> str:
        return f"{_text(place)} += {_text(tree)};"

    def counted(self, index: str, length: Tree, inside: Iterable[str]) -> list[str]:
        return _block(f"for (let {index} = 0; {index} < {_text(length)}; {index} += 1)", inside)

    def where(self, condition: Tree, inside: Iterable[str]) -> list[str]:
        return _block(f"if ({_text(condition)})", inside)

    def new(self, value: Value, zeros: bool = False, whole: bool = False) -> str:
        kind = "Int32Array" if whole else "Numbers"
        return f"const {value.name} = new {kind}({_text(self._product(value.axes))});"

    def remark(self, text: str) -> str:
        return f"// {text}"

    def lines(self, step: ProgramStep) -> list[str]:
        """Where all arrays lie alike one loop goes over all entries."""
        if isinstance(step, Detached | Reshaped):  # arrays are flat
            return [f"const {step.out.name} = {step.arg.name};"]
        if isinstance(step, LoopStep):
            return self._loop(step)
        if isinstance(step, OfMatrixStep):
            return [self._of_matrix(step)]
        if isinstance(step, ElementwiseStep) and step.out.axes:
            arrays = [value for _, value in step.leaves if value.axes]
            if arrays and all(value.axes == step.out.axes for value in arrays):
                return self._alike(step)
        return super().lines(step)

    def _of_matrix(self, step: OfMatrixStep) -> str:
        n = _text(self.length(step.arg.axes[0]))
        named = "" if step.kind == "determinant" else f", {json.dumps(step.called)}"
        made = f"{step.kind}({step.arg.name}, {n}{named})"
        return f"const {step.out.name} = {f'Numbers.from({made})' if step.out.axes else made};"

    def _alike(self, step: ElementwiseStep) -> list[str]:
        here = [variable("i0")]
        out, *arrays = (variable(value.name) for value in (step.out, *step.operands))
        names = {
            sym: indexed(array, here) if value.axes else array
            for (sym, value), array in zip(step.leaves, arrays, strict=True)
        }
        tree = scalar(step.expr, names, LOOP)
        self.functions |= called([tree])
        line = self.set(indexed(out, here), tree)
        return [self.new(step.out), *self.counted("i0", quote("a.length", a=out), [line])]

    def sum(self, out: Value, every: Axes, term: Tree) -> list[str]:
        """A sum in a variable, written once."""
        if not out.axes:
            return super().sum(out, every, term)
        gone = tuple(axis for axis in every if axis not in out.axes)
        total = variable("total")
        inside = [
            self.set(total, whole(0)),
            *self.loops(gone, [self.added(total, term)]),
            self.set(self.at(out), total),
        ]
        return [self.new(out), *self.loops(out.axes, inside)]

    def _loop(self, step: LoopStep) -> list[str]:
        """The turns one after the other: what each reads and leaves is a stretch of arrays."""
        turn, n = step.index, _text(self.length(step.over))
        inside: list[str] = []
        for now, of in step.reads:
            self.letters(now.axes)
            here = self.at(of, {step.over: variable(turn)})
            inside += self._filled(now, [self._made(now, here)])
        inside += self.body(step.turn.steps)
        for out, made in zip(step.outs, step.made, strict=True):
            inside.append(
                f"{out.name}.set({made.name}, {turn} * {made.name}.length);"
                if made.axes
                else f"{out.name}[{turn}] = {made.name};"
            )
        inside += [f"{before.name} = {after.name};" for before, _, after in step.states]
        turns = f"for (let {turn} = 0; {turn} < {n}; {turn} += 1)"
        if step.backward:
            turns = f"for (let {turn} = {n} - 1; {turn} >= 0; {turn} -= 1)"
        return [
            *map(self.new, step.outs),
            *(f"let {before.name} = {start.name};" for before, start, _ in step.states),
            *_block(turns, inside),
        ]


def _block(head: str, inside: Iterable[str]) -> list[str]:
    lines = list(inside)
    if len(lines) == 1 and len(head) + len(lines[0]) < 90:
        return [f"{head} {lines[0]}"]
    return [f"{head} {{", *indented(lines, 2), "}"]


def _refusal(wrong: str, says: str) -> list[str]:
    return [f"if ({wrong}) throw new RangeError({json.dumps(says)});"]


def _index_check(name: str, length: str, called: str | None, last: str) -> list[str]:
    wrong = f"!Array.from({name}).every((k) => k >= 0 && k < {length})"
    return _refusal(wrong, f"{called} holds a number that is not from 0 to {last}")
