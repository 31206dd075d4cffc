"""Writes LLVM code: loops, and vectors of real numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

WHOLE, INT = ir.IntType(64), ir.IntType(32)
Value = Any  # llvmlite has no types for its values


def whole(number: int) -> Value:
    """A constant."""
    return ir.Constant(WHOLE, number)


class Writer(ir.IRBuilder):  # type: ignore[misc]
    """An IRBuilder that knows loops and vectors.

    A vector is ``lanes`` numbers of the type ``real`` side by side. Where a mask is given, what it
    leaves out is neither read nor written.
    """

    def __init__(self, function: ir.Function, real: ir.Type, lanes: int) -> None:
        super().__init__(function.append_basic_block())
        self.real, self.lanes = real, lanes
        self.vector = ir.VectorType(real, lanes)
        self.bytes = 4 if isinstance(real, ir.FloatType) else 8
        self._kind = f"v{lanes}f{8 * self.bytes}"

    @contextmanager
    def loop(self, begin: Value, end: Value, step: Value | int) -> Iterator[Value]:
        """``for number in range(begin, end, step)``."""
        before, step = self.block, whole(step) if isinstance(step, int) else step
        head, body, after = (self.append_basic_block(name) for name in ("head", "body", "after"))
        self.branch(head)
        self.position_at_end(head)
        number = self.phi(WHOLE)
        number.add_incoming(begin, before)
        self.cbranch(self.icmp_signed("<", number, end), body, after)
        self.position_at_end(body)
        yield number
        number.add_incoming(self.add(number, step), self.block)
        self.branch(head)
        self.position_at_end(after)

    @contextmanager
    def stepping(
        self, count: Value, starts: Sequence[Value], steps: Sequence[Value]
    ) -> Iterator[Sequence[Value]]:
        """So many times round: how often from here on, and numbers that make a step each time."""
        before = self.block
        body, after = self.append_basic_block("body"), self.append_basic_block("after")
        self.cbranch(self.icmp_signed(">", count, whole(0)), body, after)
        self.position_at_end(body)
        phis = [self.phi(WHOLE) for _ in (count, *starts)]
        yield phis
        following = [self.add(*pair) for pair in zip(phis, (whole(-1), *steps), strict=True)]
        for phi, start, after_it in zip(phis, (count, *starts), following, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(after_it, self.block)
        self.cbranch(self.icmp_signed(">", following[0], whole(0)), body, after)
        self.position_at_end(after)

    @contextmanager
    def first(self, count: Value, most: int) -> Iterator[Iterator[int]]:
        """The numbers from 0 to ``most`` − 1, the code for each run only if it is below count."""
        after = self.append_basic_block("after")

        def numbers() -> Iterator[int]:
            for number in range(most):
                there = self.append_basic_block("there")
                self.cbranch(self.icmp_signed("<", whole(number), count), there, after)
                self.position_at_end(there)
                yield number

        yield numbers()
        self.branch(after)
        self.position_at_end(after)

    def smaller(self, x: Value, y: Value) -> Value:
        return self.select(self.icmp_signed("<", x, y), x, y)

    def larger(self, x: Value, y: Value) -> Value:
        return self.select(self.icmp_signed(">", x, y), x, y)

    def is_one(self, x: Value) -> Value:
        return self.icmp_signed("==", x, whole(1))

    def at(self, address: Value, *steps: Value | tuple[Value, Value]) -> Value:
        """The address some numbers further on; a pair of steps is multiplied."""
        parts = [self.mul(*step) if isinstance(step, tuple) else step for step in steps]
        total = parts[0]
        for part in parts[1:]:
            total = self.add(total, part)
        return self.gep(address, [total])

    def splat(self, x: Value) -> Value:
        """A vector with x in each lane."""
        kind = ir.VectorType(x.type, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        one = self.insert_element(nothing, x, ir.Constant(INT, 0))
        return self.shuffle_vector(one, nothing, _places([0] * self.lanes))

    def lanes_below(self, count: Value, begin: int = 0) -> Value:
        """The mask of those lanes whose number, counted from ``begin``, is below count."""
        numbers = ir.Constant(
            ir.VectorType(WHOLE, self.lanes), [begin + lane for lane in range(self.lanes)]
        )
        return self.icmp_signed("<", numbers, self.splat(count))

    def zeros(self) -> Value:
        return ir.Constant(self.vector, [0.0] * self.lanes)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x · y + z, rounded once where the processor can."""
        return self._call(f"fmuladd.{self._kind}", self.vector, [x, y, z])

    def totals(self, vectors: Sequence[Value]) -> list[Value]:
        """The sum over the lanes of each vector: halves are added until one number is left.

        Halves of two vectors are added at once, so that each sum takes few instructions.
        """
        nothing, found = ir.Constant(self.vector, ir.Undefined), list[Value]()
        for begin in range(0, len(vectors), self.lanes):
            left = list(vectors[begin : begin + self.lanes])
            count = len(left)
            left += [nothing] * (self.lanes - count)
            half = self.lanes // 2
            while half:  # each part of two halves: every second part is one of y
                parts = [at // half % 2 * self.lanes + at // (2 * half) * 2 * half + at % half
                         for at in range(self.lanes)]  # fmt: skip
                low, high = _places(parts), _places([at + half for at in parts])
                pairs = zip(left[:half], left[half:], strict=True)
                left = [
                    self.fadd(self.shuffle_vector(x, y, low), self.shuffle_vector(x, y, high))
                    for x, y in pairs
                ]
                half //= 2
            found += [self.extract_element(left[0], ir.Constant(INT, at)) for at in range(count)]
        return found

    def joined(self, vectors: Sequence[Value]) -> Value:
        """Vectors, as many as a power of two, side by side in a long one."""
        while len(vectors) > 1:
            places = _places([*range(2 * vectors[0].type.count)])
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [self.shuffle_vector(*pair, places) for pair in pairs]
        return vectors[0]

    def parted(self, vector: Value) -> list[Value]:
        """The vectors that are side by side in a long one."""
        parts = [range(at, at + self.lanes) for at in range(0, vector.type.count, self.lanes)]
        return [self.shuffle_vector(vector, vector, _places([*part])) for part in parts]

    def read(self, address: Value, mask: Value | None = None) -> Value:
        """A vector from memory."""
        place = self.bitcast(address, self.vector.as_pointer())
        if mask is None:
            return self.load(place, align=self.bytes)
        given = [place, ir.Constant(INT, self.bytes), mask, self.zeros()]
        return self._call(f"masked.load.{self._kind}.p0", self.vector, given)

    def write(self, vector: Value, address: Value, mask: Value | None = None) -> None:
        """A vector to memory."""
        place = self.bitcast(address, self.vector.as_pointer())
        if mask is None:
            self.store(vector, place, align=self.bytes)
            return
        given = [vector, place, ir.Constant(INT, self.bytes), mask]
        self._call(f"masked.store.{self._kind}.p0", ir.VoidType(), given)

    def copy(self, source: Value, target: Value, size: int) -> None:
        """So many bytes from one address to another."""
        byte = ir.IntType(8).as_pointer()
        places = [self.bitcast(place, byte) for place in (target, source)]
        given = [*places, whole(size), ir.Constant(ir.IntType(1), 0)]
        self._call("memcpy.p0.p0.i64", ir.VoidType(), given)

    def all_lanes(self, vector: Value, kind: str) -> Value:
        """The sum, or the maximum, of a vector's numbers, in an order that is always the same."""
        signature = ir.FunctionType(self.real, [self.vector])
        given, name = [vector], f"llvm.vector.reduce.fmax.{self._kind}"
        if kind == "sum":
            signature = ir.FunctionType(self.real, [self.real, self.vector])
            given = [ir.Constant(self.real, -0.0), vector]
            name = f"llvm.vector.reduce.fadd.{self._kind}"
        known = self.module.globals.get(name) or ir.Function(self.module, signature, name)
        return self.call(known, given, fastmath=("reassoc",) if kind == "sum" else ())

    def fetch(self, address: Value) -> None:
        """Have the line of memory at an address brought near, to be written soon."""
        place = self.bitcast(address, ir.IntType(8).as_pointer())
        for_writing, near, data = (ir.Constant(INT, number) for number in (1, 3, 1))
        self._call("prefetch.p0", ir.VoidType(), [place, for_writing, near, data])

    def transposed(self, rows: Sequence[Value]) -> Sequence[Value]:
        """As many vectors as lanes, rows made columns.

        One perfect shuffle of all numbers rotates the bits of their places by one; after as many
        as a lane number has bits, row and lane have changed places.
        """
        n = self.lanes
        low = [place for k in range(n // 2) for place in (k, n + k)]
        halves = [_places(low), _places([place + n // 2 for place in low])]
        for _ in range(n.bit_length() - 1):
            pairs = zip(rows[: n // 2], rows[n // 2 :], strict=True)
            rows = [self.shuffle_vector(x, y, half) for x, y in pairs for half in halves]
        return rows

    def _call(self, intrinsic: str, result: ir.Type, given: list[Value]) -> Value:
        name = f"llvm.{intrinsic}"
        known = self.module.globals.get(name)
        kind = ir.FunctionType(result, [each.type for each in given])
        return self.call(known or ir.Function(self.module, kind, name), given)


def _places(numbers: Sequence[int]) -> Value:
    return ir.Constant(ir.VectorType(INT, len(numbers)), numbers)
