"""A SymPy expression as arithmetic that the processor does, on one number or a vector of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp
from llvmlite import ir

from pullback.emit.expression.scalar import divisors, is_below
from pullback.emit.nest.refusal import refusal
from pullback.ir.normal.stable import stabilise
from pullback.ir.scalar.cases import branches
from pullback.ir.scalar.primitives import primitive_of
from pullback.vmath.functions import OWN, Functions
from pullback.vmath.real import Real, Truth

# these keep the C library: a reduction by π over the whole range does not vectorise honestly
LIBRARY = ("sin", "cos", "tan", "asin", "acos", "atan")
_FEW = 4  # powers up to which they are products


class Expressions:
    """Writes expressions in one precision, "float32" or "float64"."""

    def __init__(self, dtype: str) -> None:
        self._functions = Functions(dtype)
        self._ending = "f" if dtype == "float32" else ""

    def written(self, expr: Any, leaves: Mapping[Any, Real], like: Real) -> Real:
        """An expression over numbers; ``like`` is one of the kind that is wanted.

        Raises NotApplicableError for a function that is not a row of the primitives.
        """
        return _Expression(self._functions, self._ending, leaves, like).of(expr)


class _Expression:
    def __init__(
        self, functions: Functions, ending: str, leaves: Mapping[Any, Real], like: Real
    ) -> None:
        self.functions, self.ending, self.like = functions, ending, like
        self.known: dict[Any, Real] = dict(leaves)

    def of(self, expr: Any) -> Real:
        found = self.known.get(expr)
        if found is None:
            found = self.known[expr] = self._written(expr)
        return found

    def _written(self, expr: Any) -> Real:
        if expr.is_number:
            return self.like.like(float(expr))
        if expr.is_Add:
            return self._sum(expr)
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow:
            return self._power(expr)
        if isinstance(expr, sp.Piecewise):
            return self._cases(expr)
        if isinstance(expr, (sp.Max, sp.Min)):
            return self._extreme(expr)
        return self._called(expr)

    def _sum(self, expr: Any) -> Real:
        """Positive terms first, negative ones subtracted."""
        terms = sorted(expr.args, key=lambda term: bool(term.could_extract_minus_sign()))
        total = self.of(terms[0])
        for term in terms[1:]:
            minus = term.could_extract_minus_sign()
            total = total - self.of(-term) if minus else total + self.of(term)
        return total

    def _product(self, expr: Any) -> Real:
        number = sp.Mul(*(f for f in expr.args if f.is_number))
        factors = [f for f in expr.args if not f.is_number]
        below = [under for f in factors if is_below(f) for under in divisors(f)]
        above = [f for f in factors if not is_below(f)]
        if abs(number) != 1 or not above:
            above.insert(0, abs(number))
        total = self.of(above[0])
        for factor in above[1:]:
            total = total * self.of(factor)
        for under in below:
            total = total / self.of(under)
        return -total if number < 0 else total

    def _power(self, expr: Any) -> Real:
        base, exponent = expr.args
        if exponent == sp.Rational(1, 2):
            return self.of(base).root()
        if exponent.is_number and exponent < 0:
            total = self.like.like(1.0)
            for under in divisors(expr):
                total = total / self.of(under)
            return total
        if exponent.is_Integer and exponent <= _FEW:
            total = first = self.of(base)
            for _ in range(int(exponent) - 1):
                total = total * first
            return total
        return self._lanes(f"pow{self.ending}", self.of(base), self.of(exponent))

    def _cases(self, expr: Any) -> Real:
        branched, otherwise = branches(expr)
        found = self.of(otherwise)
        for value, condition in reversed(branched):
            found = self._holds(condition).choose(self.of(value), found)
        return found

    def _holds(self, condition: Any) -> Truth:
        left, right = (self.of(side) for side in condition.args)
        compare: dict[str, Callable[[], Truth]] = {
            ">": lambda: left > right,
            ">=": lambda: left >= right,
            "<": lambda: left < right,
            "<=": lambda: left <= right,
            "==": lambda: left.equals(right),
            "!=": lambda: left.differs(right),
        }
        return compare[condition.rel_op]()

    def _extreme(self, expr: Any) -> Real:
        """A number that is none stays none, whichever argument it is."""
        largest = isinstance(expr, sp.Max)
        first, *others = (self.of(arg) for arg in sorted(expr.args, key=lambda a: a.is_number))
        for other in others:
            wins = first > other if largest else first < other
            first = first.or_nan(wins.choose(first, other))
        return first

    def _called(self, expr: Any) -> Real:
        row = primitive_of(expr)
        if row is None:
            raise refusal(f"it has the function {type(expr).__name__}")
        x = self.of(expr.args[0]) if row.name in (*OWN, *LIBRARY, "abs", "sqrt") else None
        if x is None:
            return self.of(stabilise(row.definition(expr.args[0])))
        if row.name == "abs":
            return abs(x)
        if row.name == "sqrt":
            return x.root()
        if row.name in LIBRARY:
            return self._lanes(f"{row.name}{self.ending}", x)
        found: Real = getattr(self.functions, row.name)(x)
        return found

    def _lanes(self, name: str, *given: Real) -> Real:
        """A function of the C library, called for each number of a vector."""
        builder, kind = self.like.builder, self.like.value.type
        single = kind.element if isinstance(kind, ir.VectorType) else kind
        signature = ir.FunctionType(single, [single] * len(given))
        module = builder.module
        function = module.globals.get(name) or ir.Function(module, signature, name)
        if kind == single:
            return Real(builder, builder.call(function, [each.value for each in given]))
        total = ir.Constant(kind, ir.Undefined)
        for lane in range(kind.count):
            at = ir.Constant(ir.IntType(32), lane)
            one = [builder.extract_element(each.value, at) for each in given]
            total = builder.insert_element(total, builder.call(function, one), at)
        return Real(builder, total)


def is_finite(x: Real) -> Truth:
    """Is a number neither infinite nor none?"""
    return abs(x) < math.inf
