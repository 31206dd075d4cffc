"""A SymPy expression as source that reads like the formula: ``a1 * (1.0 - a1)``.

What differs between array libraries is a ``Dialect``: how each function is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from pullback.emit.arithmetic import literal
from pullback.ir.primitives import primitive_of


@dataclass(frozen=True)
class Dialect:
    """One array library: its imports and the source of everything that is not an operator.

    ``functions`` has a template with {x} for each primitive; the others take {0}, {1}, …
    """

    module: str
    imports: tuple[str, ...]
    functions: Mapping[str, str]
    maximum: str
    minimum: str
    where: str
    sqrt: str
    axis: str  # the keyword of an axis
    max_over: str
    logsumexp: str
    permute: str  # {0}: the array, {1}: the order

    def call(self, name: str, argument: str) -> str:
        """A primitive of one argument."""
        return self.functions[name].replace("{x}", argument)


def infix(expr: Any, names: Mapping[Any, str], dialect: Dialect) -> str:
    """The expression over named operands.

    Raises TypeError for a function that is not a row of the primitives.
    """
    return _Infix(names, dialect).source(expr)


class _Infix:
    def __init__(self, names: Mapping[Any, str], dialect: Dialect) -> None:
        self.names, self.dialect = names, dialect

    def source(self, expr: Any) -> str:
        if expr in self.names:
            return self.names[expr]
        if expr.is_number:
            return literal(expr)
        if expr.is_Add:
            return self._sum(expr)
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow:
            return self._power(expr)
        if isinstance(expr, sp.Piecewise):
            return self._cases(expr)
        args = [self.source(arg) for arg in expr.args]
        if isinstance(expr, (sp.Max, sp.Min)):
            return self._fold(isinstance(expr, sp.Max), args)
        row = primitive_of(expr)
        if row is None:
            raise TypeError(f"no source for {type(expr).__name__}")
        template = self.dialect.functions[row.name]
        # inside a template that is an operator the argument needs brackets of its own
        operator = not template.endswith("({x})")
        return self.dialect.call(row.name, self._wrapped(expr.args[0]) if operator else args[0])

    def _sum(self, expr: Any) -> str:
        numbers = [term for term in expr.args if term.is_number]
        terms = [term for term in expr.args if not term.is_number]
        in_order = [*(numbers if all(map(_minus, terms)) else []), *sorted(terms, key=_minus)]
        in_order += [term for term in numbers if term not in in_order]
        text = self.source(in_order[0])
        for term in in_order[1:]:
            minus = _minus(term)
            text += f" {'-' if minus else '+'} {self._operand(-term if minus else term)}"
        return text

    def _operand(self, expr: Any) -> str:
        text = self.source(expr)
        return f"({text})" if expr.is_Add or text.startswith("-") else text

    def _product(self, expr: Any) -> str:
        number = sp.Mul(*(f for f in expr.args if f.is_number))
        factors = [f for f in expr.args if not f.is_number]
        if number < 0:
            return f"-{self._wrapped(sp.Mul(-number, *factors), product=True)}"
        below = [f for f in factors if f.is_Pow and f.exp.is_number and f.exp < 0]
        above = [f for f in factors if f not in below]
        texts = [*([literal(number)] if number != 1 else []), *map(self._wrapped, above)]
        text = " * ".join(texts) or "1.0"
        return text + "".join(f" / {self._wrapped(1 / f)}" for f in below)

    def _power(self, expr: Any) -> str:
        base, exponent = expr.args
        if exponent == sp.Rational(1, 2):
            return self.dialect.sqrt.format(self.source(base))
        if exponent.is_number and exponent < 0:
            return f"1.0 / {self._wrapped(base ** (-exponent))}"
        power = str(int(exponent)) if exponent.is_Integer else self._wrapped(exponent)
        return f"{self._wrapped(base)} ** {power}"

    def _cases(self, expr: Any) -> str:
        *branches, (otherwise, _) = expr.args
        text = self.source(otherwise)
        for value, condition in reversed(branches):
            left, right = (self.source(side) for side in condition.args)
            holds = f"{left} {condition.rel_op} {right}"
            text = self.dialect.where.format(holds, self.source(value), text)
        return text

    def _fold(self, largest: bool, args: list[str]) -> str:
        template = self.dialect.maximum if largest else self.dialect.minimum
        numbers = [arg for arg in args if _is_literal(arg)]
        rest = [arg for arg in args if not _is_literal(arg)]
        text, *more = [*rest, *numbers]
        for arg in more:
            text = template.format(text, arg)
        return text

    def _wrapped(self, expr: Any, product: bool = False) -> str:
        text = self.source(expr)
        loose = expr.is_Add or (not product and (expr.is_Mul or _is_power(expr, text)))
        return f"({text})" if loose or text.startswith("-") else text


def _is_power(expr: Any, text: str) -> bool:
    return bool(expr.is_Pow) and ("**" in text or text.startswith("1.0 /"))


def _is_literal(text: str) -> bool:
    return text.replace(".", "").replace("-", "").replace("e", "").isdigit()


def _minus(term: Any) -> bool:
    return bool(term.could_extract_minus_sign())
