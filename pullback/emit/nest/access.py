"""How entries of arrays are read and written, one by one or in vectors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from llvmlite import ir

from pullback.emit.nest.layout import Spot
from pullback.ir import Axis, Index
from pullback.ir.pattern import Range
from pullback.machine.blas.writer import INT, WHOLE, Value, Writer, whole
from pullback.vmath.real import Real

At = Mapping[Axis, Value]


@dataclass
class Entries:
    """Where the arrays of a program begin, and where its numbers are.

    ``begins`` gives the address of an array; ``lengths`` holds the axes whose size only the data
    tell. Arrays in blocks have room for whole vectors of samples; where they are ``padded`` others
    have it, too.
    """

    w: Writer
    begins: Callable[[str], Value]
    lengths: dict[Axis, Value]
    whole: Collection[str] = ()  # the arrays of whole numbers
    variables: dict[str, Value] = field(default_factory=dict)
    padded: bool = False

    def length(self, axis: Axis) -> Value:
        """How long an axis is."""
        return self.lengths[axis] if axis.size is None else whole(axis.size)

    def variable(self, name: str) -> Value:
        """Where a number is kept."""
        if name not in self.variables:
            with self.w.goto_entry_block():
                self.variables[name] = self.w.alloca(self.w.real)
        return self.variables[name]

    def number(self, name: str) -> Value:
        """A number as it is now."""
        return self.w.load(self.variable(name))

    def address(self, place: Spot, at: At) -> Value:
        """Where the entry of some indices is."""
        return self.w.gep(self.begins(place.array), [self._offset(place, at)])

    def _offset(self, place: Spot, at: At) -> Value:
        w, offset = self.w, whole(place.offset)
        for axis, stride in place.strides:
            index = at[axis]
            if place.each and axis.size is None:  # which block, and where in it
                lane = w.and_(index, whole(w.lanes - 1))
                index = w.add(lane, w.mul(w.sub(index, lane), whole(place.each)))
            offset = w.add(offset, w.mul(index, whole(stride)))
        for index, stride in place.looked:
            found = w.load(self.address(index, at))
            offset = w.add(offset, w.mul(found, whole(stride)))
        return offset

    def read(self, place: Spot, at: At, along: Axis | None, count: Value | None) -> Real:
        """An entry, or a vector of them along an axis, of which ``count`` lanes are wanted.

        Outside of the ranges, and in other lanes, it is zero; nothing is read there.
        """
        if along is None:
            return self._one(place, at)
        w, stride = self.w, place.stride(along)
        inside = self._inside(place, at, along)
        if not place.array:
            found = self._lane_by_lane(lambda each: self._zero(place, each), at, along)
            return Real(w, found if inside is None else w.select(inside, found, w.zeros()))
        apart = place.looks(along) or place.array in self.whole
        if place.array in self.variables or (stride == 0 and inside is None and not apart):
            held = w.splat(self._one(replace(place, within=()), at).value)
            return Real(w, held if inside is None else w.select(inside, held, w.zeros()))
        mask = None if count is None else w.lanes_below(count)
        if inside is not None:
            mask = inside if mask is None else w.and_(mask, inside)
        if stride == 1 and not apart:
            return Real(w, w.read(self.address(place, at), mask))
        return Real(w, self._lane_by_lane(lambda each: self._load(place, each), at, along, mask))

    def _one(self, place: Spot, at: At) -> Real:
        w, zero = self.w, ir.Constant(self.w.real, 0.0)
        inside = self._inside(place, at, None)
        if not place.array:
            found = self._zero(place, at)
            return Real(w, found if inside is None else w.select(inside, found, zero))
        if place.array in self.variables:
            held = self.number(place.array)
            return Real(w, held if inside is None else w.select(inside, held, zero))
        return Real(w, self._load(place, at, inside))

    def _zero(self, place: Spot, at: At) -> Value:
        """1 where the offset is 0, else 0."""
        one, zero = (ir.Constant(self.w.real, number) for number in (1.0, 0.0))
        holds = self.w.icmp_signed("==", self._offset(place, at), whole(0))
        return self.w.select(holds, one, zero)

    def _load(self, place: Spot, at: At, there: Value | None = None) -> Value:
        """An entry as a real number; 0 where it is not there, which is then not looked for."""
        w = self.w
        address = self.address(place, at)
        if there is not None:
            address = w.select(there, address, self.begins(place.array))
        held = w.load(address)
        if place.array in self.whole:
            held = w.sitofp(held, w.real)
        return held if there is None else w.select(there, held, ir.Constant(w.real, 0.0))

    def _lane_by_lane(
        self, load: Callable[..., Value], at: At, along: Axis, mask: Value | None = None
    ) -> Value:
        """A vector of numbers that do not lie side by side."""
        w, total = self.w, self.w.zeros()
        for lane in range(w.lanes):
            number, here = ir.Constant(INT, lane), {**at, along: w.add(at[along], whole(lane))}
            if mask is None:
                held = load(here)
            else:
                held = self._guarded(load, here, w.extract_element(mask, number))
            total = w.insert_element(total, held, number)
        return total

    def _guarded(self, load: Callable[..., Value], at: At, there: Value) -> Value:
        """A number where it is there, else 0; nothing is read where it is not."""
        w = self.w
        with w.if_else(there) as (yes, no):
            with yes:
                held, from_yes = load(at), w.block
            with no:
                from_no = w.block
        found = w.phi(w.real)
        found.add_incoming(held, from_yes)
        found.add_incoming(ir.Constant(w.real, 0.0), from_no)
        return found

    def write(
        self, place: Spot, value: Real, at: At, along: Axis | None, count: Value | None
    ) -> None:
        """An entry, or ``count`` lanes of a vector along an axis."""
        w = self.w
        if place.array in self.variables:
            w.store(value.value, self.variables[place.array])
            return
        if along is None:
            w.store(value.value, self.address(place, at))
            return
        if place.stride(along) == 1 and not place.looks(along) and place.array not in self.whole:
            w.write(
                value.value,
                self.address(place, at),
                None if count is None else w.lanes_below(count),
            )
            return
        with w.first(whole(w.lanes) if count is None else count, w.lanes) as lanes:
            for lane in lanes:
                number = w.extract_element(value.value, ir.Constant(INT, lane))
                here = {**at, along: w.add(at[along], whole(lane))}
                w.store(number, self.address(place, here))

    def _inside(self, place: Spot, at: At, along: Axis | None) -> Value | None:
        """Which lanes lie inside of all ranges; None for all."""
        found: Value | None = None
        for each in place.within:
            for holds in self._held(each, at, along):
                found = holds if found is None else self.w.and_(found, holds)
        return found

    def _held(self, each: Range, at: At, along: Axis | None) -> list[Value]:
        w = self.w
        index = self._index(each.index, at)
        kind = WHOLE
        if along is not None:
            kind = ir.VectorType(WHOLE, w.lanes)
            step = each.index.of(along)
            steps = ir.Constant(kind, [step * lane for lane in range(w.lanes)])
            index = w.add(w.splat(index), steps)

        def number(of: int) -> Value:
            return ir.Constant(kind, [of] * w.lanes if along is not None else of)

        found = []
        if each.low is not None:
            found.append(w.icmp_signed(">=", index, number(each.low)))
        if each.high is not None:
            found.append(w.icmp_signed("<=", index, number(each.high)))
        return found

    def _index(self, index: Index, at: At) -> Value:
        w, total = self.w, whole(index.offset)
        for axis, times in index.terms:
            total = w.add(total, w.mul(at[axis], whole(times)))
        return total
