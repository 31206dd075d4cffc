"""A program whose arrays lie in one arena, as a plan for a memory limit has placed them."""

from __future__ import annotations

import re

from pullback.emit.recompute.placed import PlacedBuffers
from pullback.emit.target.inplace import NumpyWriter
from pullback.emit.values import Lowered
from pullback.ir import Axes

_LOCAL = re.compile(r"(s[0-9]+|top|total) = ")  # what NumPy makes on the way


def emit(program: Lowered, buffers: PlacedBuffers, title: str, itemsize: int) -> str:
    """The Python source of a program whose steps stand as a plan runs them.

    Numbers have ``itemsize`` bytes. Batches may be smaller than the one that it is planned for.
    """
    return _Writer(program, buffers, itemsize).source(title)


class _Writer(NumpyWriter):
    def __init__(self, program: Lowered, buffers: PlacedBuffers, itemsize: int) -> None:
        self._placed, self._itemsize = buffers, itemsize
        super().__init__(program, in_place=False, buffers=buffers)

    def begin(self, at: int) -> None:
        super().begin(at)
        made = self._placed.made[at]
        self.buffers.of |= made
        self.place |= made

    def body(self) -> list[str]:
        found: list[str] = []
        for at, step in enumerate(self.program.steps):
            self.begin(at)
            lines = self.lines(step)
            matches = (_LOCAL.match(line) for line in lines)
            local = dict.fromkeys(match[1] for match in matches if match)
            found += [*lines, *([f"del {', '.join(local)}"] if local else [])]
        return found

    def made(self) -> list[str]:
        own = zip(self._placed.axes, self._placed.begins, strict=True)
        each = [f"    {self._part(axes, begin)}," for axes, begin in (*own, *self._placed.inner)]
        return [
            f"arena = np.empty({self._numbers(self._placed.total)}, dtype)",
            "return (",
            *each,
            ")",
        ]

    def _part(self, axes: Axes, begin: int) -> str:
        first = self._numbers(begin)
        return f"arena[{first} : {first} + {self.count(axes)}].reshape({self.shape(axes)})"

    def _numbers(self, size: int) -> int:
        return -(-size // self._itemsize)
