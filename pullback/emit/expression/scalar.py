"""A SymPy expression as a tree of source that reads like the formula: ``a1 * (1.0 - a1)``.

One printer for every language: a ``Language`` says how it spells what is not an operator.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.core.relational import Relational

from pullback.emit.expression import quote as source
from pullback.emit.expression.printer import Tree
from pullback.emit.expression.quote import quote
from pullback.ir.normal.stable import stabilise
from pullback.ir.scalar.cases import branches
from pullback.ir.scalar.primitives import Primitive, primitive_of

_COMPARISON = {
    ">": ast.Gt,
    ">=": ast.GtE,
    "<": ast.Lt,
    "<=": ast.LtE,
    "==": ast.Eq,
    "!=": ast.NotEq,
}


@dataclass(frozen=True)
class Language:
    """How a language spells what is not an operator, as templates over a, b and c.

    ``key`` finds a row's own spelling in its ``code``; a row without one is its definition.
    ``number`` is around each number, ``choose`` takes one of two numbers. Powers up to
    ``products_up_to`` are products.
    """

    key: str
    maximum: str
    minimum: str
    where: str  # a where c holds, else b
    sqrt: str
    number: str = "a"
    clamp_min: str = ""  # b is a number
    clamp_max: str = ""
    choose: str = ""  # a and b are numbers; d is some array of the condition
    products_up_to: int = 1
    own: frozenset[str] = frozenset()  # functions that are called by their row's name

    def spelled(self, row: Primitive) -> str | None:
        """The expression in x of a row, if there is one in this language."""
        if row.name in self.own:
            return f"{row.name}(x)"
        return row.code.get(self.key)


def scalar(expr: Any, names: Mapping[Any, Tree], language: Language) -> Tree:
    """The expression over named operands.

    Raises TypeError for a function that is not a row of the primitives.

    >>> from pullback.emit.expression.printer import printed
    >>> x = sp.Symbol("x")
    >>> printed(scalar(1 - sp.tanh(x) ** 2 / 3, {x: source.variable("z")}, PYTHON))
    '1.0 - 0.3333333333333333 * tanh(z) ** 2'
    """
    return _Scalar(names, language).tree(expr)


def calculated(expr: Any) -> set[Any]:
    """The symbols that an expression calculates with, and does not only compare."""
    if expr.is_Symbol or isinstance(expr, Relational):
        return {expr} if expr.is_Symbol else set()
    return set().union(*map(calculated, expr.args))


def is_arithmetic(expr: Any) -> bool:
    """Only sums, products and whole powers of symbols and numbers."""
    if expr.is_Symbol or expr.is_number:
        return True
    if expr.is_Pow:
        return bool(expr.exp.is_Integer) and is_arithmetic(expr.base)
    return bool(expr.is_Add or expr.is_Mul) and all(map(is_arithmetic, expr.args))


def divisors(power: Any) -> list[Any]:
    """What to divide by, one after the other, for b⁻ᵏ: bᵏ itself may be 0 or infinite."""
    base, exponent = power.args
    few = exponent.is_Integer and exponent >= -4
    return [base] * int(-exponent) if few else [1 / power]


class _Scalar:
    def __init__(self, names: Mapping[Any, Tree], language: Language) -> None:
        self.names, self.language = names, language

    def tree(self, expr: Any) -> Tree:
        if expr in self.names:
            return self.names[expr]
        if expr.is_number:
            return quote(self.language.number, a=source.number(float(expr)))
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
        row = primitive_of(expr)
        if row is None:
            raise TypeError(f"no source for {type(expr).__name__}")
        spelled = self.language.spelled(row)
        if spelled is None:
            return self.tree(stabilise(row.definition(expr.args[0])))
        return quote(spelled, x=self.tree(expr.args[0]))

    def _sum(self, expr: Any) -> Tree:
        """Positive terms first, negative ones subtracted, numbers last or where only they add."""
        numbers = [term for term in expr.args if term.is_number]
        terms = [term for term in expr.args if not term.is_number]
        in_order = [*(numbers if all(map(_minus, terms)) else []), *sorted(terms, key=_minus)]
        in_order += [term for term in numbers if term not in in_order]
        total = self.tree(in_order[0])
        for term in in_order[1:]:
            minus = _minus(term)
            template = "a - b" if minus else "a + b"
            total = quote(template, a=total, b=self.tree(-term if minus else term))
        return total

    def _product(self, expr: Any) -> Tree:
        signed = sp.Mul(*(f for f in expr.args if f.is_number))
        number = abs(signed)
        factors = [f for f in expr.args if not f.is_number]
        below = [under for f in factors if is_below(f) for under in divisors(f)]
        above = [self.tree(f) for f in factors if not is_below(f)]
        if number != 1 or not above:
            above.insert(0, self.tree(number))
        total = quote("-a", a=above[0]) if signed < 0 else above[0]
        for factor in above[1:]:
            total = quote("a * b", a=total, b=factor)
        return self._divided(total, below)

    def _divided(self, total: Tree, under: Sequence[Any]) -> Tree:
        for each in under:
            total = quote("a / b", a=total, b=self.tree(each))
        return total

    def _power(self, expr: Any) -> Tree:
        base, exponent = expr.args
        if exponent == sp.Rational(1, 2):
            return quote(self.language.sqrt, a=self.tree(base))
        if exponent.is_number and exponent < 0:
            return self._divided(self.tree(sp.Integer(1)), divisors(expr))
        tree = self.tree(base)
        if exponent.is_Integer and exponent <= self.language.products_up_to:
            power = tree
            for _ in range(int(exponent) - 1):
                power = quote("a * b", a=power, b=tree)
            return power
        power = source.whole(int(exponent)) if exponent.is_Integer else self.tree(exponent)
        return quote("a ** b", a=tree, b=power)

    def _cases(self, expr: Any) -> Tree:
        branched, otherwise = branches(expr)
        tree = self.tree(otherwise)
        numbers = otherwise.is_number
        for value, condition in reversed(branched):
            holds, chosen = self._comparison(condition), self.tree(value)
            if numbers and value.is_number and self.language.choose:
                held = next(self.names[each] for each in condition.free_symbols)
                tree = quote(self.language.choose, c=holds, a=chosen, b=tree, d=held)
            else:
                tree = quote(self.language.where, c=holds, a=chosen, b=tree)
            numbers = False
        return tree

    def _comparison(self, condition: Any) -> Tree:
        left, right = (self.tree(side) for side in condition.args)
        return ast.Compare(left, [_COMPARISON[condition.rel_op]()], [right])

    def _extreme(self, expr: Any) -> Tree:
        language, largest = self.language, isinstance(expr, sp.Max)
        numbers = [self.tree(arg) for arg in expr.args if arg.is_number]
        trees = [self.tree(arg) for arg in expr.args if not arg.is_number]
        plain = language.maximum if largest else language.minimum
        clamp = (language.clamp_min if largest else language.clamp_max) or plain
        total = _folded(plain, trees)
        for each in numbers:
            total = quote(clamp, a=total, b=each)
        return total


def _folded(template: str, trees: Sequence[Tree]) -> Tree:
    total = trees[0]
    for tree in trees[1:]:
        total = quote(template, a=total, b=tree)
    return total


def is_below(factor: Any) -> bool:
    """Does a factor of a product stand under its fraction bar?"""
    return bool(factor.is_Pow and factor.exp.is_number and factor.exp < 0)


def _minus(term: Any) -> bool:
    return bool(term.could_extract_minus_sign())


# one number, by Python's own functions and those of the module math
PYTHON = Language(
    key="loop",
    maximum="max(a, b)",
    minimum="min(a, b)",
    where="a if c else b",
    sqrt="sqrt(a)",
)
