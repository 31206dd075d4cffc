"""A program as NumPy source that a person can read: one line an operation, no array made twice.

The source holds two functions. ``workspace`` makes the arrays that a step writes; ``run`` fills
them. It imports NumPy, SciPy and our own kernels only.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatchmethod

from pullback.emit.buffers import with_inherited_names
from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import docstring, indented, literal, quote, variable
from pullback.emit.expression.scalar import PYTHON, is_arithmetic, scalar
from pullback.emit.expression.ufuncs import Atom, ufunc_lines
from pullback.emit.kernels import Convolved, MaxPoolBackStep, MaxPoolStep, SumPoolStep
from pullback.emit.names import Reserved
from pullback.emit.of_matrix import OfMatrixStep
from pullback.emit.target.gemm import Gemm, gemm, lined_up, summed_last, turned
from pullback.emit.target.indices import apart, holds, is_reshape, stride
from pullback.emit.target.matrix import oriented
from pullback.emit.target.short import first_places, hits, is_short, largest
from pullback.emit.target.views import along, column, entries, entry, span, view
from pullback.emit.target.workspace import Workspace
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
from pullback.ir import Axes, Axis, Index

_OWN_NAMES = (
    "np as_strided expit ndtr erf run workspace work results parameters inputs dtype top total "
    "inverse log_determinant"
)
_KERNELS = "pooled pooled_back summed summed_back to_places to_positions to_taps"
# and those of arrays, of counters, and of what is on the way
RESERVED = Reserved(frozenset(f"{_OWN_NAMES} {_KERNELS}".split()), r"[Ais][0-9]+(_[0-9]+)*")


def emit(program: Lowered, title: str, in_place: bool = False) -> str:
    """The Python source of a lowered program.

    With ``in_place`` the array of a result may be the array of the input of the same name.
    """
    return NumpyWriter(with_inherited_names(program), in_place).source(title)


class NumpyWriter(Workspace):
    """The NumPy source of a program's steps, one after the other."""

    def source(self, title: str) -> str:
        body = self.body()
        scalars = [v for v in self.program.results.values() if not v.axes]
        back = ", ".join(value.name for value in scalars) + ("," if len(scalars) == 1 else "")
        return "\n".join(
            [
                docstring(title),
                "",
                "import numpy as np",
                *self._imports(body),
                "",
                "",
                f"def workspace({''.join(f'{n}, ' for n in self.sizes())}dtype):",
                '    """The arrays that run writes to, made once."""',
                *[f"    {line}" for line in self.made()],
                "",
                "",
                "def run(parameters, inputs, work, results):",
                f'    """Fill the results; the scalars come back: ({back})."""',
                *[f"    {line}" for line in self.unpack()],
                *[f"    {line}" for line in self.lengths(body)],
                *[f"    {line}" for line in body],
                f"    return ({back})",
                "",
            ]
        )

    def body(self) -> list[str]:
        """The lines of all steps."""
        found: list[str] = []
        for at, step in enumerate(self.program.steps):
            self.begin(at)
            found += self.lines(step)
        return found

    def _imports(self, body: list[str]) -> list[str]:
        text = "\n".join(body)
        used = [name for name in ("erf", "expit", "ndtr") if f"{name}(" in text]
        views = ["from numpy.lib.stride_tricks import as_strided"] if "as_strided(" in text else []
        kernels = [name for name in _KERNELS.split() if f"{name}(" in text]
        own = [f"from pullback.machine.window.call import {', '.join(kernels)}"] if kernels else []
        square = [name for name in ("inverse", "log_determinant") if f"{name}(" in text]
        own += [f"from pullback.machine.matrix import {', '.join(square)}"] if square else []
        return [*views, *([f"from scipy.special import {', '.join(used)}"] if used else []), *own]

    @singledispatchmethod
    def lines(self, step: ProgramStep) -> list[str]:
        raise TypeError(f"no NumPy source for {type(step).__name__}")

    @lines.register
    def _(self, step: Eye) -> list[str]:
        eye = f"np.eye({self.size(step.out.axes[1])})"
        whole = step.start is None and step.stop is None
        lines = self._named(step.out)
        part = "" if whole else f"[{span(step.start, step.stop)}]"
        return [*lines, f"{step.out.name}[...] = {eye}{part}"]

    @lines.register
    def _(self, step: Part) -> list[str]:
        gone = len(step.out.axes) < len(step.arg.axes)
        cut = entry(step.start) if gone else span(step.start, step.stop)
        return [f"{step.out.name} = {step.arg.name}[{along(step.arg.axes, step.axis, cut)}]"]

    @lines.register
    def _(self, step: Unfolded) -> list[str]:
        arg, out, axis, index = step.arg, step.out, step.axis, step.index
        if not index.terms:
            return [f"{out.name} = {arg.name}[{along(arg.axes, axis, str(index.offset))}]"]
        if not any(each in arg.axes for each in index.axes) and (part := stride(index)) is not None:
            return [f"{out.name} = {arg.name}[{along(arg.axes, axis, ':'.join(map(str, part)))}]"]
        return [f"{out.name} = {self.strided(arg, out.axes, axis, index, str(index.offset))}"]

    def strided(self, value: Value, axes: Axes, axis: Axis, index: Index, start: str) -> str:
        """A view of an array in which the place along one axis is an index on others."""
        name, have = value.name, value.axes
        steps = []
        for each in axes:
            own = [f"{name}.strides[{have.index(each)}]"] if each in have else []
            if (by := index.of(each)) != 0:
                times = "" if by == 1 else f" * {by}"
                own.append(f"{name}.strides[{have.index(axis)}]{times}")
            steps.append(" + ".join(own))
        first = name if start == "0" else f"{name}[{along(have, axis, f'{start}:')}]"
        return f"as_strided({first}, {self.shape(axes)}, ({', '.join(steps)},))"

    @lines.register
    def _(self, step: Folded) -> list[str]:
        arg, out, axis, index = step.arg, step.out, step.axis, step.index
        array, name = self.array(out), out.name
        lines = [] if array == name else [f"{name} = {array}"]
        free = Index(tuple(term for term in index.terms if term[0] not in out.axes))
        if len(free.terms) == len(index.terms) and is_reshape(index, axis):
            ordered = turned(arg.name, arg.axes, step.before)
            return [*lines, f"{name}[...] = {ordered}.reshape({self.shape(out.axes)})"]
        # places that meet are added one after the other
        counters = {each: f"i{at}" for at, each in enumerate(apart(free)[0])}
        start = [f"{by} * {counters[each]}" for each, by in index.terms if each in counters]
        start += [str(index.offset)] if index.offset or not start else []
        rest = Index(tuple(term for term in index.terms if term[0] not in counters))
        axes = tuple(each for each in arg.axes if each not in counters)
        here = ", ".join(counters.get(each, ":") for each in arg.axes)
        view = self.strided(out, axes, axis, rest, " + ".join(start))
        added = [f"{view}[...] += {arg.name}[{here}]"]
        for each, counter in reversed(counters.items()):
            added = [f"for {counter} in range({each.size}):", *(f"    {line}" for line in added)]
        return [*lines, f"{name}.fill(0.0)", *added]

    @lines.register
    def _(self, step: Convolved) -> list[str]:
        array, name, form = self.array(step.out), step.out.name, step.form
        held = (step.left, step.right, step.out)
        texts = [step.left.name, step.right.name, array]
        x, weight, y = (
            lined_up(texts[at], held[at].axes, axes)
            for at, axes in zip(form.order, (form.x, form.weight, form.y), strict=True)
        )
        given = {"positions": (x, weight, y), "places": (y, weight, x), "taps": (x, y, weight)}
        windows = "".join(f"({w.stride}, {w.dilation}, {w.offset}), " for w in form.windows)
        bias = "" if step.bias is None else f", {step.bias.name}[None]"
        lines = [f"to_{form.to}({', '.join(given[form.to])}, ({windows.rstrip()}){bias})"]
        return [*lines, *([] if array == name else [f"{name} = {array}"])]

    @lines.register
    def _(self, step: MaxPoolStep) -> list[str]:
        array, name, form = self.array(step.out), step.out.name, step.form
        x = lined_up(step.arg.name, step.arg.axes, form.places)
        y = lined_up(array, step.out.axes, form.positions)
        lines = [] if array == name else [f"{name} = {array}"]
        return [f"pooled({x}, {y}, {form.windows})", *lines]

    @lines.register
    def _(self, step: MaxPoolBackStep) -> list[str]:
        array, name, form = self.array(step.out), step.out.name, step.form
        x = lined_up(step.arg.name, step.arg.axes, form.places)
        delta = lined_up(step.delta.name, step.delta.axes, form.positions)
        into = lined_up(array, step.out.axes, form.places)
        lines = [] if array == name else [f"{name} = {array}"]
        return [f"pooled_back({x}, {delta}, {into}, {form.windows})", *lines]

    @lines.register
    def _(self, step: SumPoolStep) -> list[str]:
        array, name, form = self.array(step.out), step.out.name, step.form
        read, made = (form.places, form.positions)[:: -1 if step.back else 1]
        arg = lined_up(step.arg.name, step.arg.axes, read)
        out = lined_up(array, step.out.axes, made)
        call = "summed_back" if step.back else "summed"
        lines = [] if array == name else [f"{name} = {array}"]
        return [f"{call}({arg}, {out}, {form.windows})", *lines]

    @lines.register
    def _(self, step: Mask) -> list[str]:
        array, name = self.array(step.out), step.out.name
        lines = [] if array == name else [f"{name} = {array}"]
        there = holds(step.pattern, "np", lambda axis: quote(self.size(axis)))
        return [*lines, f"{name}[...] = {printed(there)}"]

    @lines.register
    def _(self, step: Diagonal) -> list[str]:
        first, second = (step.arg.axes.index(axis) for axis in (step.first, step.second))
        return [f"{step.out.name} = np.diagonal({step.arg.name}, axis1={first}, axis2={second})"]

    @lines.register
    def _(self, step: Padded) -> list[str]:
        array, name = self.array(step.out), step.out.name
        cut = along(step.out.axes, step.axis, span(step.start, step.stop))
        part = view(step.arg, step.before)
        if step.adds:
            return [f"{name}[{cut}] += {part}"]
        lines = [] if array == name else [f"{name} = {array}"]
        return [*lines, f"{name}.fill(0.0)", f"{name}[{cut}] = {part}"]

    @lines.register
    def _(self, step: Triangle) -> list[str]:
        return [f"{step.out.name} = np.flatnonzero(np.tri({self.size(step.column)}).T)"]

    @lines.register
    def _(self, step: OfMatrixStep) -> list[str]:
        arg, out = step.arg.name, step.out
        if step.kind == "determinant":
            return [f"{out.name} = np.linalg.det({arg})"]
        called = literal(step.called)
        if step.kind == "logdet":
            return [f"{out.name} = log_determinant({arg}, {called})"]
        return [*self._named(out), f"{out.name}[...] = inverse({arg}, {called})"]

    @lines.register(Detached)
    @lines.register(Reshaped)
    def _(self, step: Detached | Reshaped) -> list[str]:
        shape = f".reshape({self.shape(step.out.axes)})" if isinstance(step, Reshaped) else ""
        return [f"{step.out.name} = {step.arg.name}{shape}"]

    @lines.register
    def _(self, step: Places) -> list[str]:
        if step.out.axes and is_short(step.axis):
            return first_places(step)
        found = f"np.argmax({step.arg.name}, axis={step.arg.axes.index(step.axis)})"
        return [f"{step.out.name} = {found}"]

    @lines.register
    def _(self, step: Hits) -> list[str]:
        if step.index.axes and is_short(step.axis):
            return hits(step, self.array(step.out))
        index, every = column(step.index.name, 1), f"np.arange({self.size(step.axis)})"
        return self.set(step.out, f"np.equal({index}, {every}, out={{out}}, casting='unsafe')")

    @lines.register
    def _(self, step: Gather) -> list[str]:
        index, axes = step.index, step.arg.axes
        shared = tuple(axis for axis in index.axes if axis in axes)
        if not shared:
            at = axes.index(step.axis)
            call = f"np.take({step.arg.name}, {index.name}, axis={at}, out={{out}})"
            return self.set(step.out, call)
        front = (*shared, step.axis)
        arg = turned(step.arg.name, axes, (*front, *(a for a in axes if a not in front)))
        found = f"{arg}[{self._beside(step, shared)}]"
        if not step.out.axes:
            return [f"{step.out.name} = {found}"]
        return [*self._named(step.out), f"{step.out.name}[...] = {found}"]

    @lines.register
    def _(self, step: Scatter) -> list[str]:
        name, index = step.out.name, step.index.axes
        kept = tuple(axis for axis in index if axis in step.out.axes)
        rest = tuple(a for a in step.out.axes if a not in (*kept, step.axis))
        arg = turned(step.arg.name, step.arg.axes, (*index, *rest))
        adds = f"np.add.at({name}, ({self._beside(step, kept)},), {arg})"
        return [*self._named(step.out), f"{name}.fill(0.0)", adds]

    def _beside(self, step: AtPlaces, shared: Axes) -> str:
        """Where to index: each shared axis at its own place, then the axis of the places."""
        axes = step.index.axes
        own = [
            column(f"np.arange({self.size(axis)})", len(axes) - 1 - axes.index(axis))
            for axis in shared
        ]
        return ", ".join([*own, step.index.name])

    def _named(self, value: Value) -> list[str]:
        """The line that calls an array by the value's name, where it is another."""
        array = self.array(value)
        return [] if array == value.name else [f"{value.name} = {array}"]

    @lines.register
    def _(self, step: ElementwiseStep) -> list[str]:
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
        return ufunc_lines(
            step.expr,
            operands,
            out.name,
            self.array(out) if axes else "",
            in_place,
            scratch=lambda k: self.spare(axes, k),
        )

    @lines.register
    def _(self, step: Reduction) -> list[str]:
        arg, gone = step.arg, [i for i, a in enumerate(step.arg.axes) if a not in step.out.axes]
        left, out = tuple(a for a in arg.axes if a in step.out.axes), step.out.axes
        assert left == out
        axis = gone[0] if len(gone) == 1 else tuple(gone)
        where = "" if len(gone) == len(arg.axes) else f", axis={axis}"
        if step.kind == "sum":
            return self.set(step.out, f"np.sum({arg.name}{where}, out={{out}})")
        if step.kind == "max" and out and len(gone) == 1 and is_short(arg.axes[gone[0]]):
            return largest(step, self.array(step.out), arg.axes[gone[0]])
        if step.kind == "max":
            return self.set(step.out, f"np.max({arg.name}{where}, out={{out}})")
        spare = self.scratch(arg.axes)
        return [
            f"top = np.max({arg.name}, axis={axis}, keepdims=True)",
            f"np.exp(np.subtract({arg.name}, top, out={spare}), out={spare})",
            f"total = np.log(np.sum({spare}, axis={axis}))",
            *self.set(step.out, f"np.add(total, np.squeeze(top, axis={axis}), out={{out}})"),
        ]

    @lines.register
    def _(self, step: Product) -> list[str]:
        if (sides := oriented(step)) is not None:
            a, b = (f"{value.name}{'.T' * turn}" for value, turn in sides)
            return self.set(step.out, f"np.matmul({a}, {b}, out={{out}})")
        if (matrices := gemm(step)) is None:
            return self.set(step.out, entries(step))
        if (axis := summed_last(step, matrices)) is not None:
            axes = (axis, *step.out.axes)
            each = replace(step, out=Value(self.scratch(axes), axes))
            if (for_each := gemm(each)) is not None:
                product = self.multiplied(each.out, for_each, each.out.name)
                total = f"np.sum({each.out.name}, axis=0, out={{out}})"
                return [*product, *self.set(step.out, total)]
        return self.multiplied(step.out, matrices, self.array(step.out))

    def multiplied(self, out: Value, product: Gemm, array: str) -> list[str]:
        """A product of matrices, written to an array that the value's name calls."""
        copies, views = list[str](), list[str]()
        for value, matrices in (product.left, product.right):
            name, axes = value.name, value.axes
            if not matrices.lie_in(axes):
                axes = matrices.copied(axes)
                name, copy = self.copy(turned(value.name, value.axes, axes), axes)
                copies += copy
            views.append(matrices.view(name, axes, self.count))
        left, right = views
        name, matrices = out.name, product.out
        lines = [] if array == name else [f"{name} = {array}"]
        if not matrices.lie_in(out.axes):
            array = self.scratch(matrices.axes)
            lines.append(f"{name}[...] = {turned(array, matrices.axes, out.axes)}")
            place = matrices.view(array, matrices.axes, self.count)
        else:
            place = matrices.view(array, out.axes, self.count)
        return [*copies, f"np.matmul({left}, {right}, out={place})", *lines]

    @lines.register
    def _(self, step: LoopStep) -> list[str]:
        """A turn writes into its place of each result; what is not kept has a place as well."""
        turn = NumpyWriter(with_inherited_names(step.turn), False, f"{self.prefix}{self.at}_")
        stacks = dict(zip(step.made, (self.array(out) for out in step.outs), strict=True))
        for _, _, after in step.states:
            if after not in stacks:
                stacks[after] = self.scratch((step.over, *after.axes))
        inside = [f"{now.name} = {each}" for now, each in step.entries()]
        inside += [f"{v.name} = {a}[{step.index}]" for v, a in stacks.items() if v.axes]
        inside += turn.body()
        inside += [f"{a}[{step.index}] = {v.name}" for v, a in stacks.items() if not v.axes]
        inside += [f"{before.name} = {after.name}" for before, _, after in step.states]
        self.inner += turn.arrays
        arrays = ((out.name, self.array(out)) for out in step.outs)
        turns = f"range({self.size(step.over)})"
        return [
            *[f"{name} = {array}" for name, array in arrays if name != array],
            *[f"{before.name} = {start.name}" for before, start, _ in step.states],
            f"for {step.index} in {f'reversed({turns})' if step.backward else turns}:",
            *indented(inside),
        ]
