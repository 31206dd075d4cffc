"""Emitted source, compiled once and kept: the only place where source text is executed.

The text comes from our own emitter. Names that a user chose reach it as identifiers or as quoted
keys only.
"""

from __future__ import annotations

import ast
import linecache
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback import emit
from pullback.ir import Axis, Input, Node, Parameter, walk
from pullback.ir.sizes import axis_sizes

if TYPE_CHECKING:
    from pullback.emit.values import Lowered

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]


class Fit(NamedTuple):
    """What follows from the leaves' shapes and dtypes: open lengths, results' shapes, the dtype."""

    lengths: tuple[int, ...]
    shapes: dict[str, tuple[int, ...]]
    dtype: Any


@dataclass
class Compiled:
    """A program ready to run: its source, and the arrays that it writes to, kept between runs."""

    source: str
    roots: Mapping[str, Node]
    leaves: Mapping[str, Node]
    open_axes: tuple[Axis, ...]
    measures: Sequence[Node]
    _namespace: dict[str, Any]
    _fits: dict[Any, Fit] = field(default_factory=dict)
    _spare: threading.local = field(default_factory=threading.local)

    def __call__(
        self, parameters: Arrays, inputs: Arrays, results: Arrays | None = None
    ) -> dict[str, Any]:
        """The roots by key: arrays of their own, or written into ``results`` where given.

        Raises ShapeError where an array does not have the axes of its leaf, or a slice no length.
        """
        held = [parameters[n] if n in parameters else inputs[n] for n in self.leaves]
        given = tuple([(array.shape, array.dtype) for array in held])
        fit = self._fits.get(given) or self._fitted(given)
        out = dict(results) if results is not None else {}
        for key, shape in fit.shapes.items():
            if key not in out:
                out[key] = np.empty(shape, fit.dtype)
        work = self._work(fit.lengths, fit.dtype)
        scalars = self._namespace["run"](parameters, inputs, work, out)
        if not scalars:
            return out
        without_axes = [key for key, root in self.roots.items() if not root.axes]
        for key, scalar in zip(without_axes, scalars, strict=True):
            if key in out:
                out[key][...] = scalar
            else:
                out[key] = scalar
        return out

    def release(self) -> None:
        """Free the arrays that this thread keeps between runs."""
        self._spare.__dict__.clear()

    def _fitted(self, given: tuple[tuple[tuple[int, ...], Any], ...]) -> Fit:
        order = (*self.leaves.values(), *self.measures, *walk(self.roots.values()))
        given_shapes = [shape for shape, _ in given]
        sizes = axis_sizes(order, dict(zip(self.leaves, given_shapes, strict=True)))
        shapes = {
            key: tuple(axis.size or sizes.of(axis) for axis in root.axes)
            for key, root in self.roots.items()
            if root.axes
        }
        real = {dtype for _, dtype in given if dtype.kind not in "iub"}
        dtype = np.result_type(*real) if real else np.dtype(float)  # whole numbers have no say
        while len(self._fits) >= 64:
            self._fits.pop(next(iter(self._fits)))
        self._fits[given] = fit = Fit(tuple(sizes[axis] for axis in self.open_axes), shapes, dtype)
        return fit

    def _work(self, lengths: tuple[int, ...], dtype: Any) -> Any:
        """The workspace of these sizes; each thread has its own, and keeps the last few."""
        kept = self._spare.__dict__.setdefault("kept", {})
        key = (lengths, dtype)
        if key not in kept:
            while len(kept) >= 4:
                kept.pop(next(iter(kept)))
            kept[key] = self._namespace["workspace"](*lengths, dtype)
        return kept[key]


def compile_program(
    roots: Mapping[str, Node],
    title: str,
    in_place: bool = False,
    leaves: Sequence[Input | Parameter] = (),
    measures: Sequence[Node] = (),
) -> Compiled:
    """The NumPy program that computes the roots.

    With ``in_place`` a root overwrites the input of the same name, where there is one. ``leaves``
    are given whether a root reads them or not: a constant's length may be that of the batch.
    ``measures`` are constants that say how long axes are.
    """
    program = emit.lower(roots, emit.inplace.RESERVED, leaves, direct=True, measures=measures)
    source = emit.inplace.emit(program, title, in_place)
    return compiled_from(program, source, roots, leaves, measures)


def compiled_from(
    program: Lowered,
    source: str,
    roots: Mapping[str, Node],
    leaves: Sequence[Input | Parameter],
    measures: Sequence[Node] = (),
) -> Compiled:
    """A lowered program of some roots and its source, ready to run."""
    nodes = {
        n.name: n for n in (*leaves, *walk(roots.values())) if isinstance(n, Input | Parameter)
    }
    return Compiled(
        source=source,
        roots=dict(roots),
        leaves={name: nodes[name] for name in (*program.parameters, *program.inputs)},
        open_axes=tuple(program.sizes),
        measures=measures,
        _namespace=_execute(source),
    )


@lru_cache(maxsize=512)
def _execute(source: str) -> dict[str, Any]:
    """The namespace of emitted source."""
    return execute(source, {})


def execute(
    source: str, namespace: dict[str, Any], syntax: ast.Module | None = None
) -> dict[str, Any]:
    """Emitted source run in a namespace; a traceback through it shows its lines.

    ``syntax`` is what runs, where that is not the source as it stands.
    """
    name = f"<pullback {abs(hash(source)):x}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(syntax or source, name, "exec"), namespace)  # noqa: S102  our own emitter's text
    return namespace
