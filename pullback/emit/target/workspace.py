"""The arrays of a program that writes in place: which holds what, and how long their axes are."""

from __future__ import annotations

from collections import Counter
from math import prod

from pullback.emit.buffers import Buffers, assign, whole_of
from pullback.emit.expression.quote import literal
from pullback.emit.target.statements import words
from pullback.emit.target.views import span
from pullback.emit.values import Lowered, Value
from pullback.ir import Axes, Axis


class Workspace:
    """Which array of a program's holds which value, and how long axes are, as source."""

    def __init__(
        self,
        program: Lowered,
        in_place: bool,
        prefix: str = "A",
        buffers: Buffers | None = None,
    ) -> None:
        self.program, self.prefix = program, prefix
        self.inner: list[tuple[str, Axes]] = []  # the arrays of the loops' turns
        self.results = {value.name: key for key, value in program.results.items()}
        self.buffers = assign(program, given=self.results) if buffers is None else buffers
        self.at, self.copies = 0, Counter[Axes]()
        self.own = len(self.buffers.axes)  # arrays of values; those after them are for copies
        self.copied: dict[str, str] = {}  # the line that filled an array for copies last
        # where each value lies; values in one place overwrite each other
        self.place: dict[str, object] = {**self.buffers.of, **{n: n for n in self.results}}
        for part, whole in whole_of(program).items():
            if whole in self.place:
                self.place[part] = self.place[whole]
        if in_place:
            for name, key in self.results.items():
                if key in program.inputs:
                    self.place[name] = self.place[program.inputs[key].name] = key

    @property
    def arrays(self) -> list[tuple[str, Axes]]:
        """The arrays to work in, with their axes; known when the body is."""
        own = [(f"{self.prefix}{at}", axes) for at, axes in enumerate(self.buffers.axes)]
        return own + self.inner

    def begin(self, at: int) -> None:
        """The step of this number comes next."""
        self.at, self.copies = at, Counter()

    def made(self) -> list[str]:
        """The lines that make the arrays and give them back."""
        each = [f"    np.empty({self.shape(axes)}, dtype)," for _, axes in self.arrays]
        return ["return (", *each, ")"]

    @property
    def spares(self) -> list[Axes]:
        """The axes of the arrays that hold no value between two steps; known when the body is."""
        return self.buffers.axes[self.own :]

    def sizes(self) -> list[str]:
        return [value.name for value in self.program.sizes.values()]

    def lengths(self, body: list[str]) -> list[str]:
        """The lengths of slices that the lines ask for."""
        used = words("\n".join(body))
        lengths = {v.name: self.size(axis) for axis, v in self.program.lengths.items()}
        return [f"{name} = {size}" for name, size in lengths.items() if name in used]

    def shape(self, axes: Axes) -> str:
        sizes = [self.size(axis) for axis in axes]
        return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"

    def count(self, axes: Axes) -> str:
        """How many entries some axes have together."""
        known = prod(axis.size for axis in axes if axis.size is not None)
        names = [self.size(axis) for axis in axes if axis.size is None]
        return " * ".join([*names, *([str(known)] if known != 1 or not names else [])])

    def size(self, axis: Axis) -> str:
        if axis.size is not None:
            return str(axis.size)
        for each in self.program.slices:
            if each.row == axis:
                return f"len(range({self.size(each.column)})[{span(each.start, each.stop)}])"
        if (stack := self.program.stack_of(axis)) is not None:
            n, *others = (self.size(part) for part in stack.parts)
            half = f"({n} * ({n} + 1) // 2)"
            return half if stack.half else f"({' * '.join([n, *others])})"
        known = {axis, axis.unprimed} & {*self.program.sizes}
        if known or axis not in self.program.as_long_as:
            return self.program.length(axis).name
        return self.size(self.program.as_long_as[axis])

    def unpack(self) -> list[str]:
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
        if self.arrays:
            lines.append(f"({', '.join(name for name, _ in self.arrays)},) = work")
        return lines

    def array(self, value: Value) -> str:
        """Where a value is written: a result's own array, or a numbered one."""
        if value.name in self.results:
            return value.name
        return f"{self.prefix}{self.buffers.of[value.name]}"

    def set(self, value: Value, call: str) -> list[str]:
        """``value = call(out=…)``, or the plain assignment of a scalar."""
        if not value.axes:
            return [f"{value.name} = {call.replace(', out={out}', '')}"]
        line = call.replace("{out}", self.array(value))
        return [line if value.name in self.results else f"{value.name} = {line}"]

    def scratch(self, axes: Axes) -> str:
        """A spare array for use within this step."""
        self.copies[axes] += 1
        return self.spare(axes, self.copies[axes] - 1)

    def spare(self, axes: Axes, taken: int) -> str:
        """A spare array that will be written; ``taken`` counts those in use in this step."""
        name = f"{self.prefix}{self.buffers.scratch(axes, self.at, taken)}"
        self.copied.pop(name, None)
        return name

    def copy(self, value: str, axes: Axes) -> tuple[str, list[str]]:
        """A spare array that holds a copy, and the line that makes it, if it is not there still."""
        held = dict(self.copied)
        name = self.scratch(axes)
        line = f"{name}[...] = {value}"
        if int(name.removeprefix(self.prefix)) >= self.own:
            self.copied[name] = line
        return name, [] if held.get(name) == line else [line]
