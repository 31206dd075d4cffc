"""Numbers that write LLVM code: what Python's operators do to them is done when the code runs.

A number is a float of one precision, or a vector of such floats. Products and sums may be fused,
nothing else is reordered. Both sides of a choice are computed, so that no branch keeps a loop from
being vectorised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

_FUSED = ("contract",)


@dataclass(frozen=True, eq=False)
class Truth:
    """What a comparison gives."""

    builder: Any
    value: Any

    def choose(self, yes: Real | float, no: Real | float) -> Real:
        """One number where it holds, else the other."""
        known = yes if isinstance(yes, Real) else no
        assert isinstance(known, Real)
        one, other = known.like(yes), known.like(no)
        return Real(self.builder, self.builder.select(self.value, one.value, other.value))

    def __and__(self, other: Truth) -> Truth:
        return Truth(self.builder, self.builder.and_(self.value, other.value))


@dataclass(frozen=True, eq=False)
class Bits:
    """A whole number as wide as a float: its bits, or an exponent."""

    builder: Any
    value: Any

    def _like(self, number: int) -> Any:
        return constant(self.value.type, number)

    def __add__(self, number: int) -> Bits:
        return Bits(self.builder, self.builder.add(self.value, self._like(number)))

    def __sub__(self, other: Bits | int) -> Bits:
        given = other.value if isinstance(other, Bits) else self._like(other)
        return Bits(self.builder, self.builder.sub(self.value, given))

    def __and__(self, number: int) -> Bits:
        return Bits(self.builder, self.builder.and_(self.value, self._like(number)))

    def __lshift__(self, places: int) -> Bits:
        return Bits(self.builder, self.builder.shl(self.value, self._like(places)))

    def __rshift__(self, places: int) -> Bits:
        return Bits(self.builder, self.builder.ashr(self.value, self._like(places)))

    def as_float(self, like: Real) -> Real:
        """The float that has these bits."""
        return Real(self.builder, self.builder.bitcast(self.value, like.value.type))

    def converted(self, like: Real) -> Real:
        """The float that is this whole number."""
        return Real(self.builder, self.builder.sitofp(self.value, like.value.type))


@dataclass(frozen=True, eq=False)
class Real:
    """A float, or a vector of floats, in code that a builder writes."""

    builder: Any
    value: Any

    def like(self, other: Real | float) -> Real:
        """The other as a number of this kind."""
        if isinstance(other, Real):
            return other
        return Real(self.builder, constant(self.value.type, other))

    def _fused(self, operation: str, other: Real | float, *, turned: bool = False) -> Real:
        pair = (self.value, self.like(other).value)
        write = getattr(self.builder, operation)
        return Real(self.builder, write(*(pair[::-1] if turned else pair), flags=_FUSED))

    def __add__(self, other: Real | float) -> Real:
        return self._fused("fadd", other)

    def __radd__(self, other: float) -> Real:
        return self._fused("fadd", other, turned=True)

    def __sub__(self, other: Real | float) -> Real:
        return self._fused("fsub", other)

    def __rsub__(self, other: float) -> Real:
        return self._fused("fsub", other, turned=True)

    def __mul__(self, other: Real | float) -> Real:
        return self._fused("fmul", other)

    def __rmul__(self, other: float) -> Real:
        return self._fused("fmul", other, turned=True)

    def __truediv__(self, other: Real | float) -> Real:
        return self._fused("fdiv", other)

    def __rtruediv__(self, other: float) -> Real:
        return self._fused("fdiv", other, turned=True)

    def __neg__(self) -> Real:
        return Real(self.builder, self.builder.fneg(self.value))

    def __lt__(self, other: Real | float) -> Truth:
        return self._compared("<", other)

    def __le__(self, other: Real | float) -> Truth:
        return self._compared("<=", other)

    def __gt__(self, other: Real | float) -> Truth:
        return self._compared(">", other)

    def __ge__(self, other: Real | float) -> Truth:
        return self._compared(">=", other)

    def equals(self, other: Real | float) -> Truth:
        return self._compared("==", other)

    def differs(self, other: Real | float) -> Truth:
        given = self.like(other).value
        return Truth(self.builder, self.builder.fcmp_unordered("!=", self.value, given))

    def _compared(self, sign: str, other: Real | float) -> Truth:
        given = self.like(other).value
        return Truth(self.builder, self.builder.fcmp_ordered(sign, self.value, given))

    def or_nan(self, found: Real | float) -> Real:
        """What was found, but this number itself where it is none."""
        nan = self.builder.fcmp_unordered("uno", self.value, self.value)
        return Truth(self.builder, nan).choose(self, found)

    def __abs__(self) -> Real:
        return self._called("fabs", self)

    def floor(self) -> Real:
        return self._called("floor", self)

    def root(self) -> Real:
        return self._called("sqrt", self)

    def with_sign_of(self, other: Real) -> Real:
        return self._called("copysign", self, other)

    def bits(self) -> Bits:
        """Its bits as a whole number."""
        return Bits(self.builder, self.builder.bitcast(self.value, _whole(self.value.type)))

    def whole(self) -> Bits:
        """The whole number that it is."""
        return Bits(self.builder, self.builder.fptosi(self.value, _whole(self.value.type)))

    def fma(self, factor: Real, term: Real) -> Real:
        """Its product with a factor, and a term, rounded once where the processor can.

        Where two sums take one product, it is for neither of them alone to be fused.
        """
        return self._called("fmuladd", self, factor, term)

    def polynomial(self, coefficients: Sequence[float]) -> Real:
        """The value here of a polynomial, the highest power first: straight arithmetic."""
        first, *others = coefficients
        total = self.like(first)
        for number in others:
            total = total * self + number
        return total

    def _called(self, intrinsic: str, *given: Real) -> Real:
        kind = self.value.type
        single = _single(kind)
        name = f"f{32 if isinstance(single, ir.FloatType) else 64}"
        name = f"v{kind.count}{name}" if isinstance(kind, ir.VectorType) else name
        signature = ir.FunctionType(kind, [kind] * len(given))
        module = self.builder.module
        symbol = f"llvm.{intrinsic}.{name}"
        known = module.globals.get(symbol) or ir.Function(module, signature, symbol)
        return Real(self.builder, self.builder.call(known, [each.value for each in given]))


def constant(kind: Any, number: float) -> Any:
    """A number as a constant of a type, in each lane of a vector."""
    lanes = [number] * kind.count if isinstance(kind, ir.VectorType) else number
    return ir.Constant(kind, lanes)


def _single(kind: Any) -> Any:
    return kind.element if isinstance(kind, ir.VectorType) else kind


def _whole(kind: Any) -> Any:
    """The whole numbers as wide as the floats of a type."""
    single = ir.IntType(32 if isinstance(_single(kind), ir.FloatType) else 64)
    return ir.VectorType(single, kind.count) if isinstance(kind, ir.VectorType) else single
