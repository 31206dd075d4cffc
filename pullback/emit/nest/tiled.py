"""Products of arrays whose samples lie in blocks: sums in registers, each a vector of samples.

Where one factor has no samples, each of its numbers is spread over a vector and meets those of the
other: 8 rows of 2 vectors, which is the innermost part of a product of matrices (``blas.tile``). Of
two factors with samples, 4 entries of one meet 4 of the other; where samples are summed, each lane
sums its own, and lanes are added up at the end. Narrow matrices so fill whole vectors. What is done
to each entry then is done to a row of a tile at once, for the processor to have enough at hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import sympy as sp
from llvmlite import ir

from pullback.emit.nest.access import Entries
from pullback.emit.nest.expression import Expressions
from pullback.emit.nest.language import Multiply, Statement, batch_of
from pullback.emit.nest.layout import Spot
from pullback.ir import Axis
from pullback.ir.scalar.primitives import primitive_of
from pullback.machine.blas.writer import Value, Writer, whole
from pullback.vmath.real import Real

VECTORS = 2  # of samples that one number meets
_ROWS, _SQUARE = 8, 4
_SHORT = ("relu", "step", "sign", "abs", "sqrt")  # functions of a few instructions

Ends = tuple[Value, Value]
# of a sum in a tile: its row, its column, and which vector of samples it is
Place = tuple[Value, int, int]


@dataclass(frozen=True)
class Cut:
    """A product cut into tiles: which axes of the two factors a tile has several entries of.

    A factor without samples is the left one.
    """

    unit: Multiply
    batch: Axis
    first: Axis | None
    second: Axis | None
    loops: tuple[Axis, ...]
    depth: tuple[Axis, ...]

    @classmethod
    def of(cls, unit: Multiply) -> Cut:
        """The cut of a product; one of its axes is that of the samples."""
        batch = batch_of(unit.loops)
        assert batch is not None
        if not unit.right.stride(batch):
            unit = replace(unit, left=unit.right, right=unit.left)
        first = _longest(unit, unit.left, unit.right)
        second = _longest(unit, unit.right, unit.left) if unit.left.stride(batch) else None
        loops = tuple(axis for axis in unit.axes if axis not in (batch, first, second))
        depth = tuple(axis for axis in unit.summed if axis != batch)
        return cls(unit, batch, first, second, loops, depth)

    @property
    def spread(self) -> bool:
        """Is one factor without samples?"""
        return not self.unit.left.stride(self.batch)


def _longest(unit: Multiply, one: Spot, other: Spot) -> Axis | None:
    """The longest of the axes that only one factor has, besides that of the samples."""
    own = [a for a in unit.axes if a.size is not None and one.stride(a) and not other.stride(a)]
    return max(own, key=lambda axis: axis.size or 0, default=None)


@dataclass
class _Tile:
    """Where the entries of arrays are that belong to a tile's sums; ``at`` is where it begins."""

    entries: Entries
    cut: Cut
    at: dict[Axis, Value]
    _begins: dict[Spot, Value] = field(default_factory=dict)

    def address(self, place: Spot, of: Place) -> Value:
        """Where the entry of a sum is."""
        if place not in self._begins:
            self._begins[place] = self.entries.address(place, self.at)
        w, cut, (row, column, vector) = self.entries.w, self.cut, of
        down, on = (0 if axis is None else place.stride(axis) for axis in (cut.first, cut.second))
        offset = column * on + vector * place.each * w.lanes
        return w.at(self._begins[place], (row, whole(down)), whole(offset))

    def vector(self, place: Spot, of: Place) -> Value:
        """The entries of a sum's samples; what has no samples is spread over all of them."""
        w = self.entries.w
        if place.array in self.entries.variables:
            return w.splat(self.entries.number(place.array))
        address = self.address(place, of)
        return w.read(address) if place.stride(self.cut.batch) else w.splat(w.load(address))


@dataclass
class TiledCode:
    """Writes such products; there is room for whole tiles of samples.

    What is ``local`` is never stored.
    """

    w: Writer
    entries: Entries
    expressions: Expressions
    local: Collection[str]
    _rooms: list[Value] = field(default_factory=list)

    def write(self, unit: Multiply, ends: Ends) -> None:
        """The code of a product for the samples between two ends."""
        cut, w = Cut.of(unit), self.w
        with ExitStack() as stack:
            at: dict[Axis, Value] = {}
            if cut.batch in unit.axes:
                step = w.lanes * (VECTORS if cut.spread else 1)
                at[cut.batch] = stack.enter_context(w.loop(*ends, step))
            for axis in cut.loops:
                at[axis] = stack.enter_context(w.loop(whole(0), whole(axis.size or 1), 1))
            self._tiles(cut, at, ends)

    def _tiles(self, cut: Cut, at: dict[Axis, Value], ends: Ends) -> None:
        most = _ROWS if cut.spread else _SQUARE
        for rows, begin, end in _pieces(cut.first, most):
            with self.w.loop(whole(begin), whole(end), rows) as i:
                for columns, start, stop in _pieces(cut.second, most):
                    with self.w.loop(whole(start), whole(stop), columns) as j:
                        here = dict(at)
                        here |= {cut.first: i} if cut.first is not None else {}
                        here |= {cut.second: j} if cut.second is not None else {}
                        self._tile(cut, here, ends, rows, columns)

    def _tile(self, cut: Cut, at: dict[Axis, Value], ends: Ends, rows: int, columns: int) -> None:
        w, lanes, unit = self.w, self.w.lanes, cut.unit
        vectors = VECTORS if cut.spread and cut.batch in unit.axes else 1
        sums = self._sums(rows * columns * vectors)
        for each in sums:
            w.store(w.zeros(), each)

        def step(at: dict[Axis, Value], mask: Value | None = None) -> None:
            one = self._read(unit.left, at, cut, cut.first, rows, vectors, mask)
            other = self._read(unit.right, at, cut, cut.second, columns, vectors, mask)
            pairs = [(x, y) for row in one for column in other
                     for x, y in zip(row, column, strict=True)]  # fmt: skip
            for (x, y), total in zip(pairs, sums, strict=True):
                w.store(w.fma(x, y, w.load(total)), total)

        with ExitStack() as stack:
            inside = dict(at)
            for axis in cut.depth:
                inside[axis] = stack.enter_context(w.loop(whole(0), whole(axis.size or 1), 1))
            if cut.batch in unit.axes:
                step(inside)
            else:
                begin, end = ends
                full = w.add(begin, w.and_(w.sub(end, begin), whole(-lanes)))
                with w.loop(begin, full, lanes) as n:
                    step({**inside, cut.batch: n})
                with w.if_then(w.icmp_signed("<", full, end)):
                    step({**inside, cut.batch: full}, w.lanes_below(w.sub(end, full)))
        self._put(cut, at, sums, rows, columns, vectors)

    def _put(
        self, cut: Cut, at: dict[Axis, Value], sums: Sequence[Value], rows: int, columns: int,
        vectors: int,
    ) -> None:  # fmt: skip
        w, unit = self.w, cut.unit
        tile, values = _Tile(self.entries, cut, at), [w.load(total) for total in sums]
        row = [(c, v) for c in range(columns) for v in range(vectors)]
        if unit.then:
            for number, here in self._rows(unit, values, len(row)):
                for part in _powers(len(row)):
                    self._finish(tile, number, row[part], here[part])
            return
        summed = cut.batch not in unit.axes
        places = [(whole(r), *each) for r in range(rows) for each in row]
        for place, value in zip(places, w.totals(values) if summed else values, strict=True):
            address = tile.address(unit.out, place)
            if summed:
                w.store(value, address)
            else:
                w.write(value, address)

    def _finish(
        self, tile: _Tile, row: Value, columns: Sequence[tuple[int, int]], sums: Sequence[Value]
    ) -> None:
        """What is done to the sums of a row of a tile, and where it goes."""
        w, unit = self.w, tile.cut.unit
        places, long = [(row, *each) for each in columns], w.joined(sums)
        known, made = {unit.out: Real(w, long)}, [(unit.name, unit.out)]
        like = Real(w, ir.Constant(long.type, ir.Undefined))
        for statement in unit.then:
            for _, place in statement.reads:
                if place not in known:
                    vectors = [tile.vector(place, each) for each in places]
                    known[place] = Real(w, w.joined(vectors))
            leaves = {sym: known[place] for sym, place in statement.reads}
            known[statement.into] = self.expressions.written(statement.expr, leaves, like)
            made.append((statement.name, statement.into))
        for name, into in made:
            if name not in self.local:
                for each, part in zip(places, w.parted(known[into].value), strict=True):
                    w.write(part, tile.address(into, each))

    def _read(
        self, place: Spot, at: dict[Axis, Value], cut: Cut, along: Axis | None, count: int,
        vectors: int, mask: Value | None,
    ) -> list[list[Value]]:  # fmt: skip
        """Entries along an axis, each as vectors of samples."""
        w, start = self.w, self.entries.address(place, at)
        step = 0 if along is None else place.stride(along)
        if not place.stride(cut.batch):
            return [[w.splat(w.load(w.at(start, whole(n * step))))] * vectors for n in range(count)]
        far = place.each * w.lanes
        return [
            [w.read(w.at(start, whole(n * step + v * far)), mask) for v in range(vectors)]
            for n in range(count)
        ]

    def _rows(
        self, unit: Multiply, sums: Sequence[Value], width: int
    ) -> Iterator[tuple[Value, Sequence[Value]]]:
        """Each row of some sums, and its number; one after the other, for code that is long."""
        w, rows = self.w, len(sums) // width
        if not any(map(_is_long, unit.then)):
            yield from ((whole(n), sums[n * width : (n + 1) * width]) for n in range(rows))
            return
        with w.goto_entry_block():
            held = w.alloca(w.vector, len(sums))
        for at, value in enumerate(sums):
            w.store(value, w.gep(held, [whole(at)]))
        with w.loop(whole(0), whole(rows), 1) as number:
            first = w.mul(number, whole(width))
            yield number, [w.load(w.at(held, first, whole(at))) for at in range(width)]

    def _sums(self, count: int) -> list[Value]:
        """So many vectors to sum in."""
        with self.w.goto_entry_block():
            while len(self._rooms) < count:
                self._rooms.append(self.w.alloca(self.w.vector))
        return self._rooms[:count]


def _is_long(statement: Statement) -> bool:
    """Does a statement call a function that takes many instructions?"""
    rows = map(primitive_of, statement.expr.atoms(sp.Function))
    return any(row is None or row.name not in _SHORT for row in rows)


def _powers(count: int) -> Iterator[slice]:
    """So many places in a row in pieces, each of a power of two."""
    begin = 0
    while begin < count:
        end = begin + (1 << ((count - begin).bit_length() - 1))
        yield slice(begin, end)
        begin = end


def _pieces(axis: Axis | None, most: int) -> list[tuple[int, int, int]]:
    """An axis in pieces of nearly one length: how long, and between where they begin."""
    size = 1 if axis is None else axis.size or 1
    each = -(-size // -(-size // most))
    full = size // each * each
    return [(each, 0, full), *([(size - full, full, size)] if full < size else [])]
