"""A network's forward pass as compiled code, called with arrays as they are.

Nothing of a parameter is kept between two calls: each reads where the arrays lie by then, so one
that was changed, or replaced, is seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from math import prod
from operator import itemgetter
from typing import Any, Protocol

import numpy as np

from pullback import emit
from pullback.errors import ConfigError, NotApplicableError
from pullback.ir import Axis, Contract, Input, Node, Parameter, Pattern, walk
from pullback.machine.arrays import ROWS, WORK, WRONG, ArraySpec, are_readable, new_table
from pullback.machine.threads import Workers, processors
from pullback.net.program import Array, Arrays, Compiled

# multiplications, some 10 µs, up to which a call keeps the GIL: to let it go costs as much
_AT_ONCE = 400_000
_GRAIN = 30_000_000  # multiplications, some ms, that are worth another thread
# what has been asked for before code is compiled, which takes tenths of a second: calls, and
# multiplications that count as one
_CALLS, _AS_A_CALL = 32, 250_000_000


class Predicted(Protocol):
    """A network, as far as its forward pass goes."""

    @property
    def output(self) -> Node: ...
    @property
    def xs(self) -> Mapping[str, Input]: ...
    @property
    def noise(self) -> Mapping[str, Any]: ...
    @property
    def parameters(self) -> Mapping[str, Parameter]: ...
    @property
    def index_sizes(self) -> Mapping[str, int]: ...
    @property
    def index_limits(self) -> list[Any]: ...
    def signature(self) -> str | None: ...


class _Here(threading.local):
    """What a thread has of its own: the table that code reads, and its room."""

    table: Array | None = None
    work: Array | None = None


class Predictor:
    """Calls the compiled forward pass of a network in one precision, from any thread.

    Raises NotApplicableError for a network that cannot be compiled.
    """

    def __init__(self, net: Predicted, dtype: np.dtype[Any]) -> None:
        leaves = (*net.xs.values(), *(each.leaf for each in net.noise.values()))
        self._program = emit.forward_program(
            lambda: net.output,
            (*net.parameters.values(), *leaves),
            dtype.name,
            net.index_sizes,
            net.signature(),
        )
        self.forward, self._call = self._program.forward, self._program.call
        self._dtype, self._outputs = dtype, self.forward.outputs
        # a draw, or a limit of one column, is not for compiled code to look at
        self._looks = not net.noise and not net.index_limits
        self._names, self._count = self.forward.inputs, len(self.forward.parameters)
        self._values = _getter(self.forward.parameters)
        of = {leaf.name: leaf for leaf in (*leaves, *net.parameters.values())}
        named = (of[name] for name in (*self._names, *self.forward.parameters))
        output = ArraySpec(dtype, (ROWS, *self._outputs))
        self._expected = [output, *(_expected(leaf, dtype) for leaf in named)]
        self._at_once = min(_AT_ONCE // max(self.forward.work, 1), self.forward.block)
        self._here = _Here()

    def __call__(self, params: Mapping[str, Any], X: Any) -> Array | None:
        """The output for X, or None where these are not just the arrays that code can take."""
        if type(params) is not dict or len(params) != self._count or not self._looks:
            return None
        try:
            values = self._values(params)
            if type(X) is np.ndarray:
                return self._predicted((X, *values))
            if type(X) in (dict, tuple) and len(X) == len(self._names) > 1:
                given = X if type(X) is tuple else tuple([X[name] for name in self._names])
                if type(given[0]) is np.ndarray:
                    return self._predicted((*given, *values))
        except (LookupError, TypeError):
            pass  # what is wrong is named by those who look at everything
        return None

    def run(self, params: Arrays, inputs: Arrays) -> Array | None:
        """The same for arrays of any precision, which may lie in memory in any order."""
        names = (*self._names, *self.forward.parameters)
        every = [inputs[name] if name in inputs else params[name] for name in names]
        pairs = zip(every, self._expected[1:], strict=True)
        return self._predicted(
            tuple(np.require(array, each.dtype, ["C", "A"]) for array, each in pairs)
        )

    def _predicted(self, arrays: tuple[Any, ...]) -> Array | None:
        here = self._here
        table = here.table
        if table is None:
            work = here.work = np.zeros(self.forward.room, self._dtype)
            table = here.table = new_table(self._expected, self._at_once, work)
        out = np.empty((len(arrays[0]), *self._outputs), self._dtype)
        rows = self._call((table, out, *arrays))
        if rows > self._at_once:
            return out if self._in_blocks(rows, table) else None
        return out if rows > 0 else None

    def _in_blocks(self, rows: int, table: Array) -> bool:
        """Predict many samples, of which threads take a share each; are their numbers as expected?

        The threads end with the call: a process that is forked has none of them.
        """
        here, forward = self._here, self.forward
        blocks = -(-rows // forward.block)
        most = min(blocks, rows * forward.work // _GRAIN)
        workers = min(processors(), most) if most > 1 else 1
        if here.work is None or len(here.work) < workers * forward.room:
            here.work = np.zeros(workers * forward.room, self._dtype)
            table[WORK] = here.work.ctypes.data
        table[WRONG] = 0
        given = (workers, rows, table.ctypes.data)
        if workers == 1:
            self._program.run(0, *given)
        else:
            Workers(workers).run(self._program.run, given)
        return not table[WRONG]


class ForwardPass:
    """A network's forward pass in evaluation: NumPy's program, or compiled code where that pays.

    It pays from the 32nd call on, of which large ones are several. That depends on nothing else:
    whether code lies in the cache, and how long things take, changes no bit of a result. Where
    ``ready`` is not None it is what ran last.
    """

    def __init__(self, net: Predicted, program: Compiled) -> None:
        self._net, self._program = net, program
        self._asked = 0.0
        self._making = threading.Lock()
        self._known: dict[Any, Predictor | None] = {}
        self.ready: Predictor | None = None

    def __call__(self, params: Arrays, inputs: Arrays) -> Array:
        """The output for arrays that have been checked."""
        self.ready = predictor = self._chosen(params, inputs)
        out = None if predictor is None else predictor.run(params, inputs)
        if out is None:
            out = self._program(params, inputs)["output"]
        return np.asarray(out)

    def _chosen(self, params: Arrays, inputs: Arrays) -> Predictor | None:
        if self._asked < _CALLS:
            rows = len(next(iter(inputs.values())))
            self._asked += 1 + rows * self._work / _AS_A_CALL
        real = {
            each.dtype for each in (*params.values(), *inputs.values()) if each.dtype.kind == "f"
        }
        if self._asked < _CALLS or not real:
            return None
        dtype = np.result_type(*real)
        with self._making:
            if dtype not in self._known:
                self._known[dtype] = self._made(dtype)
        return self._known[dtype]

    def _made(self, dtype: np.dtype[Any]) -> Predictor | None:
        try:
            return Predictor(self._net, dtype) if are_readable() else None
        except (NotApplicableError, ConfigError):
            return None  # NumPy takes every network

    @cached_property
    def _work(self) -> int:
        """About how many multiplications a sample takes."""
        nodes = walk((self._net.output,))
        return sum(_multiplications(node) for node in nodes if isinstance(node, Contract))


def _multiplications(node: Contract) -> int:
    """The entries, times what is summed for each: the axes that the smallest factor has besides."""
    factors = [each for each in node.args if not isinstance(each, Pattern)]
    more = (_size(axis for axis in each.axes if axis not in node.axes) for each in factors)
    return _size(node.axes) * min(more, default=0)


def _size(axes: Iterable[Axis]) -> int:
    return prod(axis.size or 1 for axis in axes)


def _expected(leaf: Input | Parameter, dtype: np.dtype[Any]) -> ArraySpec:
    sizes = tuple(ROWS if axis.size is None else axis.size for axis in leaf.axes)
    return ArraySpec(np.dtype(np.int64) if isinstance(leaf, Input) and leaf.whole else dtype, sizes)


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What gives the values of these names as a tuple."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple([values[name] for name in names])
