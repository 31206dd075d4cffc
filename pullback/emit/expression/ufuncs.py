"""One elementwise expression as a row of NumPy ufunc calls, each into a given array.

The expression becomes instructions that each write one register; then registers are laid onto
arrays: the result's own array wherever its old content is not needed any more, scratch elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import number, quote, variable
from pullback.emit.expression.scalar import divisors, is_below
from pullback.ir.normal.stable import stabilise
from pullback.ir.scalar.cases import branches
from pullback.ir.scalar.primitives import primitive_of

_IN_PLACE = {
    f"np.{name}({{0}}, {{1}}, out={{out}})": sign
    for name, sign in {"add": "+=", "subtract": "-=", "multiply": "*=", "divide": "/="}.items()
}


@dataclass(frozen=True)
class Atom:
    """A number, an operand or a register, as source text."""

    text: str
    full: bool = False  # has every axis of the result
    register: int | None = None


@dataclass
class Instruction:
    """``template`` with {0}, {1} … for the sources and {out} for where the result goes."""

    template: str
    sources: tuple[Atom, ...]
    full: bool
    last_use: int = -1


@dataclass
class Tape:
    """The instructions of one expression, in static single assignment."""

    operands: dict[Any, Atom]
    code: list[Instruction] = field(default_factory=list)
    _known: dict[Any, Atom] = field(default_factory=dict)

    def visit(self, expr: Any) -> Atom:
        """The atom that holds the expression; instructions are appended as needed."""
        if expr in self.operands:
            return self.operands[expr]
        if expr.is_number:
            return Atom(_number(expr))
        if expr not in self._known:
            self._known[expr] = self._compute(expr)
        return self._known[expr]

    def _compute(self, expr: Any) -> Atom:
        if expr.is_Add:
            return self._sum(expr)
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow:
            return self._power(expr)
        if isinstance(expr, sp.Piecewise):
            return self._piecewise(expr)
        if isinstance(expr, (sp.Max, sp.Min)):
            name = "np.maximum" if isinstance(expr, sp.Max) else "np.minimum"
            return self._fold(name, [self.visit(arg) for arg in expr.args])
        row = primitive_of(expr)
        if row is None:
            raise TypeError(f"no NumPy source for {type(expr).__name__}")
        if row.numpy is None:
            return self.visit(stabilise(row.definition(expr.args[0])))
        if callable(row.numpy):
            return self.visit(row.numpy(expr.args[0]))
        arg, apart = self.visit(expr.args[0]), row.code.get("numpy")
        if apart and not arg.full:  # no array says the type, and a comparison makes truth values
            return self._emit(printed(quote(apart, x=variable("{0}"))), arg)
        return self._emit(row.numpy.replace("{x}", "{0}"), arg)

    def _emit(self, template: str, *sources: Atom) -> Atom:
        for source in sources:
            if source.register is not None:
                self.code[source.register].last_use = len(self.code)
        full = any(source.full for source in sources)
        self.code.append(Instruction(template, sources, full))
        register = len(self.code) - 1
        return Atom(f"@{register}", full, register)

    def _fold(self, name: str, atoms: list[Atom]) -> Atom:
        total = atoms[0]
        for atom in atoms[1:]:
            total = self._emit(f"{name}({{0}}, {{1}}, out={{out}})", total, atom)
        return total

    def _sum(self, expr: Any) -> Atom:
        """Positive terms first, negative ones subtracted, numbers last."""
        terms = [t for t in expr.args if not t.is_number]
        plus = [t for t in terms if not t.could_extract_minus_sign()]
        minus = [-t for t in terms if t.could_extract_minus_sign()]
        constant = sum((t for t in expr.args if t.is_number), sp.Integer(0))
        if plus:
            total = self._fold("np.add", self._largest_first(plus))
        else:
            first = self.visit(minus.pop(0))
            total = self._emit("np.subtract({0}, {1}, out={out})", Atom(_number(constant)), first)
            constant = sp.Integer(0)
        for term in minus:
            total = self._emit("np.subtract({0}, {1}, out={out})", total, self.visit(term))
        if constant != 0:
            total = self._emit("np.add({0}, {1}, out={out})", total, Atom(_number(constant)))
        return total

    def _largest_first(self, exprs: list[Any]) -> list[Atom]:
        return sorted((self.visit(e) for e in exprs), key=lambda atom: not atom.full)

    def _product(self, expr: Any) -> Atom:
        coefficient, factors = expr.as_coeff_mul()
        below = [d for f in factors if is_below(f) for d in divisors(f)]
        above = [f for f in factors if not is_below(f)]
        if not above:
            total = Atom(_number(coefficient))
        else:
            total = self._fold("np.multiply", self._largest_first(above))
            if coefficient == -1:
                total = self._emit("np.negative({0}, out={out})", total)
            elif coefficient != 1:
                number = Atom(_number(coefficient))
                total = self._emit("np.multiply({0}, {1}, out={out})", total, number)
        for factor in below:
            total = self._emit("np.divide({0}, {1}, out={out})", total, self.visit(factor))
        return total

    def _power(self, expr: Any) -> Atom:
        base, exponent = expr.args
        if exponent.is_number and exponent < 0:
            first, *rest = divisors(expr)
            total = self._emit("np.divide(1.0, {0}, out={out})", self.visit(first))
            for under in rest:
                total = self._emit("np.divide({0}, {1}, out={out})", total, self.visit(under))
            return total
        if exponent == 2:
            return self._emit("np.square({0}, out={out})", self.visit(base))
        if exponent == sp.Rational(1, 2):
            return self._emit("np.sqrt({0}, out={out})", self.visit(base))
        return self._emit("np.power({0}, {1}, out={out})", self.visit(base), self.visit(exponent))

    def _piecewise(self, expr: Any) -> Atom:
        chosen, otherwise = branches(expr)
        total = self.visit(otherwise)
        for value, condition in reversed(chosen):
            sides = [self.visit(side) for side in condition.args]
            template = f"np.where(({{0}} {condition.rel_op} {{1}}), {{2}}, {{3}})"
            total = self._emit(template, *sides, self.visit(value), total)
        return total


def _number(expr: Any) -> str:
    return printed(number(float(expr)))


def ufunc_lines(
    expr: Any,
    operands: dict[Any, Atom],
    name: str,
    array: str,
    in_place: Collection[str],
    scratch: Callable[[int], str],
) -> list[str]:
    """Source lines that leave the expression in ``array`` under ``name``; '' for a scalar.

    ``operands`` gives each placeholder's source text, ``in_place`` the texts of those that lie in
    ``array`` itself, and ``scratch(k)`` names the k-th spare array of the result's shape.
    """
    tape = Tape(operands)
    final = tape.visit(expr)
    if final.register is None:
        named = [f"{name} = {array}"] if array not in ("", name) else []
        return [*named, f"{name}[...] = {final.text}" if array else f"{name} = {final.text}"]
    reads = [at for at, step in enumerate(tape.code) for s in step.sources if s.text in in_place]
    places = _lay_out(tape.code, array, max(reads, default=-1), scratch)
    lines: list[str] = []
    for at, instruction in enumerate(tape.code):
        sources = [_text(source, places) for source in instruction.sources]
        target = name if at == final.register else places[at] or f"s{at}"
        lines += _lines(instruction, sources, target, places[at])
    if array and not final.full:  # constant along an axis of the result
        lines[-1:] = [f"{array}[...] = {lines[-1].partition(' = ')[2]}"]
        lines += [f"{name} = {array}"] if name != array else []
    return lines


def _text(source: Atom, places: list[str]) -> str:
    if source.register is None:
        return source.text
    return places[source.register] or f"s{source.register}"


def _lines(instruction: Instruction, sources: list[str], target: str, array: str) -> list[str]:
    if not array:
        template = instruction.template.replace(", out={out}", "")
        return [f"{target} = {template.format(*sources)}"]
    operator = _IN_PLACE.get(instruction.template)
    if operator and sources[0] == target:
        return [f"{target} {operator} {sources[1]}"]
    call = instruction.template.format(*sources, out=array)
    if "{out}" not in instruction.template:
        return [f"{array}[...] = {call}", *([f"{target} = {array}"] if target != array else [])]
    return [call if target == array else f"{target} = {call}"]


def _lay_out(
    code: list[Instruction], array: str, needed_until: int, scratch: Callable[[int], str]
) -> list[str]:
    """The array of each register: '' where it has fewer axes and NumPy makes one.

    The last register takes the result's array; so do earlier ones, once nobody reads the operand
    that lies there.
    """
    places: list[str] = []
    free_after: dict[str, int] = {array: needed_until}
    for at, instruction in enumerate(code):
        if not instruction.full:
            places.append("")
            continue
        if at == len(code) - 1:
            places.append(array)
            continue
        k = -1
        choice = array
        while free_after.get(choice, -1) > at:
            k += 1
            choice = scratch(k)
        free_after[choice] = instruction.last_use
        places.append(choice)
    return places
