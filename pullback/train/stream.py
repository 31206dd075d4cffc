"""Data larger than memory, as parts that fit: a mapped file, a Parquet data set, batches.

A source gives its samples part by part, each epoch anew; training mixes the samples of a part, and
where it can a source mixes the order of its parts.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.errors import (
    ConfigError,
    DataError,
    NotApplicableError,
    PullbackError,
    ShapeError,
    unknown,
    whole,
)
from pullback.foreign import reading
from pullback.foreign.columns import checked_type, from_arrow, index_columns, singles
from pullback.ir.axis import show
from pullback.net.checks import as_array, as_floats, by_input, called, checked_whole, dtype_of
from pullback.net.inputs import are_batches
from pullback.net.program import Array
from pullback.train.member import Member
from pullback.train.samples import Samples, Source, digest_of, steps_of

if TYPE_CHECKING:
    from pullback.net.network import Network

PART = 32 * 2**20  # bytes of inputs that are in memory at a time
_CHANGING = "batches that are others in each epoch"


def streamed(
    net: Network,
    X: Any,
    Y: Any,
    batch_size: int | None,
    params: object = None,
    member: Member = Member(),  # noqa: B008  frozen
) -> Source | None:
    """The source that X and Y are, or None for arrays in memory.

    X is a ``np.memmap`` (batch, …), or has one among several inputs, with Y as ever; a
    ``pyarrow.dataset.Dataset``, with Y the name of the target's column, or several; or batches
    (x, y), with Y None: an iterable, an iterator for a single epoch, or a function that makes one.
    Of several processes each reads its own rows of a file and its own row groups of a data set; of
    batches it takes its own samples.
    Raises ConfigError for other combinations, NotApplicableError for a table of columns where the
    network takes something else, and the errors of ``value_and_grad`` for data.
    """
    if batch_size is not None:
        whole("batch_size", batch_size, also=", or None")
    several = X.values() if isinstance(X, Mapping) else X if isinstance(X, tuple) else (X,)
    if any(isinstance(each, np.memmap) for each in several):
        return Mapped(net, X, Y, batch_size, params, member)
    if hasattr(X, "to_batches") and hasattr(X, "count_rows"):
        return Parquet(net, X, Y, batch_size, member)
    if are_batches(X, Y):
        return Batches(net, X, params)
    return None


def rows_of_a_part(row: int, batch_size: int) -> int:
    """How many rows of so many bytes are a part: whole batches, at least one."""
    return max(1, PART // max(1, row * batch_size)) * batch_size


class Unweighted:
    """Samples of which each counts as much."""

    def weights(self) -> str:
        return "none"


class Mapped(Unweighted):
    """Files mapped into memory: looked through once, then copied part by part.

    Of several processes each has a run of rows of each part.
    """

    def __init__(
        self,
        net: Network,
        X: Any,
        Y: Any,
        batch_size: int | None,
        params: object = None,
        member: Member = Member(),  # noqa: B008  frozen
    ) -> None:
        self._net, self._params, self._member = net, params, member
        self._x = {name: as_array(called(net, name), x) for name, x in by_input(net, X).items()}
        for name, x in self._x.items():
            what, leaf = called(net, name), net.xs[name]
            if x.ndim != len(leaf.axes) or len(x) == 0:
                raise ShapeError(
                    f"{what} has shape {x.shape}; expected {show(leaf.axes)}, not empty"
                )
            (checked_whole if leaf.whole else as_floats)(what, x[:0])
        self.dtype = dtype_of(self._x, params)
        self._y = as_array("Y", Y)
        self.count = len(next(iter(self._x.values())))
        for what, other in (*((called(net, n), x) for n, x in self._x.items()), ("Y", self._y)):
            if other.ndim == 0 or len(other) != self.count:
                found = f"{len(other)} rows" if other.ndim else "no rows"
                raise ShapeError(f"{what} has {found}; X has {self.count} (axis batch)")
        row = sum(x[:1].nbytes for x in self._x.values())
        self._size = min(batch_size or self.count, self.count)
        rows = rows_of_a_part(row, self._size) * member.processes
        self._parts = [slice(at, at + rows) for at in range(0, self.count, rows)]
        for part in self._parts:
            self._look_at(part)

    def _samples(self, part: slice) -> Samples:
        together = None
        if self._member.processes > 1:
            together = len(range(self.count)[part])
            run = self._member.run_of(together, self._size)
            run = run if run.stop > run.start else slice(0, 1)  # one that is not looked at
            part = slice(part.start + run.start, part.start + run.stop)
        x = {name: np.array(each[part]) for name, each in self._x.items()}
        return replace(Samples.of(self._net, x, self._y[part], self._params), together=together)

    def _release(self) -> None:
        for x in self._x.values():
            release(x)

    def _look_at(self, part: slice) -> None:
        try:
            self._samples(part)
        except PullbackError as fault:
            fault.args = (f"rows {part.start} to {part.stop - 1}: {fault}",)
            raise
        finally:
            self._release()

    def parts(self, random: np.random.Generator | None) -> Iterator[Samples]:
        parts = self._parts
        if random is not None and len(parts) > 1:
            parts = [parts[at] for at in random.permutation(len(parts))]
        for part in parts:
            samples = self._samples(part)
            self._release()
            yield samples

    def digest(self) -> str:
        return f"{self.count} samples, {self._digest}"

    @cached_property
    def _digest(self) -> str:
        told = hashlib.blake2b(digest_size=16)
        for part in self._parts:
            x = (each[part] for each in self._x.values())
            told.update(digest_of(*x, self._y[part]).encode())
            self._release()
        return told.hexdigest()

    def steps(self, batch_size: int | None) -> int:
        return steps_of(self.count, batch_size)


def release(mapped: Array) -> None:
    """Give back the pages of a mapped file that have been read; the file keeps what they hold."""
    base: Any = mapped
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "c":
            return  # its pages hold what the file does not
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


class Parquet(Unweighted):
    """A data set in columns: numbers, and among them the targets; computed in float32.

    An index that pandas wrote is neither. Of several processes each reads the row groups that its
    run of the rows of an epoch lies in. Raises DataError for a column that is no number, for
    missing entries, and for what float32 cannot tell apart.
    """

    def __init__(
        self,
        net: Network,
        dataset: Any,
        target: Any,
        batch_size: int | None,
        member: Member = Member(),  # noqa: B008  frozen
    ) -> None:
        self._net, self._dataset, self._member = net, dataset, member
        if any(leaf.whole or len(leaf.axes) != 2 for leaf in net.xs.values()) or len(net.xs) > 1:
            takes = ", ".join(f"{leaf.name} {show(leaf.axes)}" for leaf in net.xs.values())
            raise NotApplicableError(
                f"a data set in columns is numbers (batch, features), but this network takes "
                f"{takes}; give X as batches (x, y)"
            )
        self._targets = [target] if isinstance(target, str) else list(target or ())
        names = dataset.schema.names
        if not self._targets:
            raise ConfigError("Y is None; expected the name of the target's column, or several")
        for name in self._targets:
            if name not in names:
                raise unknown("target column", str(name), names)
        index = index_columns(dataset.schema)
        for name in self._targets:
            if name in index:
                raise ConfigError(f"Y is {name!r}, the index of a pandas table; name a column")
        self._features = [name for name in names if name not in (*self._targets, *index)]
        for name in (*self._features, *self._targets):
            checked_type(f"column {name!r}", dataset.schema.field(name).type, text=False)
        self.dtype = np.dtype(np.float32)
        with reading("the data set", "a Parquet data set"):
            self.count: int | None = dataset.count_rows()
        if not self.count:
            raise DataError("the data set is empty: it has no rows")
        row = self.dtype.itemsize * len(names)
        self._size = min(batch_size or self.count, self.count)
        self._rows = rows_of_a_part(row, self._size)
        try:
            dataset.get_fragments()
        except ValueError as fault:
            raise ConfigError(
                f"the data set cannot be read in parts: {fault} Write what is left of it to a file "
                "first, or give X as batches"
            ) from None
        self._known = False

    def parts(self, random: np.random.Generator | None) -> Iterator[Samples]:
        fragments = list(self._dataset.get_fragments())
        alone = self._member.processes == 1
        if not alone:
            fragments = [each for file in fragments for each in file.split_by_row_group()]
        if random is not None and len(fragments) > 1:
            fragments = [fragments[at] for at in random.permutation(len(fragments))]
        if alone:
            for x, y in _gathered(map(self._arrays, self._batches(fragments)), self._rows):
                yield self._samples(x, y)
        else:
            yield from self._own_parts(fragments)
        self._known = True

    def _samples(self, x: Array, y: Array) -> Samples:
        return Samples.of(self._net, x, y if y.shape[1] > 1 else y[:, 0])

    def _own_parts(self, groups: Sequence[Any]) -> Iterator[Samples]:
        """This process's samples of each part: all processes have as many parts, in step."""
        count, rows = self.count or 0, self._rows * self._member.processes
        own = self._own_rows(groups, self._member.run_of(count, self._size))
        run = self._member.run_of(rows, self._size)
        pieces = _gathered(own, run.stop - run.start)
        for start in range(0, count, rows):
            together = min(rows, count - start)
            if (piece := next(pieces, None)) is not None:
                samples = self._samples(*piece)
            yield replace(samples, together=together)  # none of its own: those are not looked at

    def _own_rows(self, groups: Sequence[Any], run: slice) -> Iterator[tuple[Array, Array]]:
        """The rows of a run, from the row groups that it lies in and no others."""
        at = 0
        for group in groups:
            rows = group.row_groups[0].num_rows  # count_rows is of the whole file
            if at < run.stop and at + rows > run.start:
                place = at
                for x, y in map(self._arrays, self._batches([group])):
                    part = slice(max(run.start - place, 0), max(run.stop - place, 0))
                    place += len(x)
                    yield x[part], y[part]
            at += rows

    def _batches(self, fragments: Sequence[Any]) -> Iterator[Any]:
        for fragment in fragments:
            with reading(getattr(fragment, "path", "the data set"), "a Parquet file"):
                yield from fragment.to_batches(
                    schema=self._dataset.schema,
                    columns=[*self._features, *self._targets],
                    batch_size=self._rows,
                    batch_readahead=1,
                    fragment_readahead=1,
                )

    def _arrays(self, batch: Any) -> tuple[Array, Array]:
        """One record batch as (rows, features) and (rows, targets)."""
        columns = []
        for name in batch.schema.names:
            label = f"column {name!r}"
            column = from_arrow(label, batch.column(name))
            # what float32 keeps apart is looked at once, in the first epoch
            columns.append(column.astype(self.dtype) if self._known else singles(label, column))
        split = len(self._features)
        return np.stack(columns[:split], axis=1), np.stack(columns[split:], axis=1)

    def digest(self) -> str:
        return f"{self.count} rows, {self._digest}"

    @cached_property
    def _digest(self) -> str:
        """Of the numbers themselves, for a file may be written again; file by file, as they mix."""
        told = hashlib.blake2b(repr((self._features, self._targets)).encode(), digest_size=16)
        for fragment in self._dataset.get_fragments():
            rows = 0
            for x, y in map(self._arrays, self._batches([fragment])):
                told.update(np.hstack([x, y]).data)
                rows += len(x)
            told.update(f"{rows} rows".encode())
        return told.hexdigest()

    def steps(self, batch_size: int | None) -> int:
        return steps_of(self.count or 0, batch_size)


def _gathered(pieces: Iterable[tuple[Array, Array]], rows: int) -> Iterator[tuple[Array, Array]]:
    """Pieces of any length as parts of so many rows; the last one may be shorter."""
    waiting: list[tuple[Array, Array]] = []
    for piece in pieces:
        waiting.append(piece)
        while sum(len(x) for x, _ in waiting) >= rows:
            x, y = (np.concatenate(side) for side in zip(*waiting, strict=True))
            yield x[:rows], y[:rows]
            waiting = [(x[rows:], y[rows:])]
    if sum(len(x) for x, _ in waiting):
        x, y = (np.concatenate(side) for side in zip(*waiting, strict=True))
        yield x, y


class Batches(Unweighted):
    """Batches (x, y) as they come: each is one step, whatever the batch size."""

    count = None

    def __init__(
        self,
        net: Network,
        batches: Iterable[Any] | Callable[[], Iterable[Any]],
        params: object = None,
    ) -> None:
        self._net, self._given, self._params = net, batches, params
        made = self._made()
        first = next(made, None)
        if first is None:
            raise DataError("X is empty: not one batch came")
        self._first = [first] if made is batches else []
        self._passes: list[tuple[str, int]] | None = None
        self.once = made is batches
        self.dtype = self._samples(0, first).dtype

    def _made(self) -> Iterator[Any]:
        made = self._given() if callable(self._given) else self._given
        if not isinstance(made, Iterable):
            raise ConfigError(f"X() gives {made!r}; expected an iterator of batches (x, y)")
        return iter(made)

    def parts(self, random: np.random.Generator | None) -> Iterator[Samples]:
        first, self._first = self._first, []
        told, count = hashlib.blake2b(digest_size=16), 0
        for at, batch in enumerate(chain(first, self._made())):
            samples = self._samples(at, batch).astype(self.dtype)
            if self._passes is not None:
                told.update(digest_of(*samples.arrays.values()).encode())
            yield samples
            count = at + 1
        if self._passes is not None:
            self._passes.append((told.hexdigest(), count))

    def _samples(self, at: int, batch: Any) -> Samples:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ConfigError(f"batch {at + 1} is a {type(batch).__name__}; expected a pair (x, y)")
        try:
            x, y = batch
            return Samples.of(self._net, x, y, self._params)
        except PullbackError as fault:
            fault.args = (f"batch {at + 1}: {fault}",)
            raise

    def note(self) -> None:
        """Keep a digest of each pass: what goes on later can tell whether the same comes again."""
        self._passes = []

    def digest(self) -> str:
        """Of the passes so far; where there was none, one is made to see what comes."""
        if not self._passes:
            self.note()
            for _ in self.parts(None):
                pass
        told = {each for each, _ in self._passes or ()}
        return f"batches, {told.pop()}" if len(told) == 1 else _CHANGING

    def steps(self, batch_size: int | None) -> int | None:
        return self._passes[-1][1] if self._passes else None
