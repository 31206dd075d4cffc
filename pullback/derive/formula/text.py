"""Formulas as Unicode text, for terminals and plain files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from unicodedata import combining

from pullback.derive.formula.alphabet import GREEK, SUBSCRIPTS, SUPERSCRIPTS
from pullback.derive.formula.render import ATOM, ELEMENTWISE, TIGHT, Renderer
from pullback.derive.formula.tree import (
    Blocks,
    Call,
    CasesFormula,
    Formula,
    HigherPartial,
    Indexed,
    Number,
    Partial,
    Quotient,
    SecondPartial,
    Symbol,
)
from pullback.ir.scalar.primitives import PRIMITIVES

_FRACTIONS = (Partial, SecondPartial, HigherPartial)
_VULGAR = {(1, 2): "½", (1, 3): "⅓", (2, 3): "⅔", (1, 4): "¼", (3, 4): "¾"}


class Text(Renderer):
    """Unicode: δ₁ = (W₂ᵀ δ₂) ⊙ (1 − a₁²)."""

    minus = "−"
    odot = "⊙"
    compose = "∘"
    kronecker = "⊗"
    correlation = "⋆"

    def level(self, formula: Formula) -> int:
        if isinstance(formula, Quotient):
            return ATOM if _vulgar(formula) else ELEMENTWISE
        return ELEMENTWISE if isinstance(formula, _FRACTIONS) else super().level(formula)

    def gap(self, before: Formula, after: Formula) -> str:
        bare = isinstance(before, Number) and isinstance(after, Symbol) and not after.key
        return "" if bare else " "

    def brackets(self, formula: Formula, text: str) -> str:
        return f"({text})"

    def number(self, value: int | float) -> str:
        mantissa, _, exponent = f"{value:.6g}".partition("e")
        if not exponent:
            return mantissa.replace("-", self.minus)
        power = "10" + "".join(SUPERSCRIPTS[c] for c in str(int(exponent)))
        return power if mantissa == "1" else f"{mantissa}·{power}"

    def symbol(self, symbol: Symbol) -> str:
        index = symbol.index if isinstance(symbol.index, str) else flat(symbol.index)
        return f"{symbol.letter}{_lowered(index)}{'′' * symbol.primes}"

    def ones(self) -> str:
        return "𝟏"

    def quotient(self, quotient: Quotient) -> str:
        over = self.inside(quotient.over, TIGHT)
        return _vulgar(quotient) or f"{over}/{self.inside(quotient.under, TIGHT)}"

    def power(self, base: str, exponent: Formula) -> str:
        if isinstance(exponent, Number) and isinstance(exponent.value, int):
            return base + "".join(SUPERSCRIPTS[digit] for digit in str(exponent.value))
        return f"{base}^{self.inside(exponent, ATOM)}"

    def entrywise_power(self, base: str, exponent: Formula) -> str:
        return self.power(base + self.odot, exponent)

    def matrix_power(self, base: str, exponent: int) -> str:
        sign = "⁻" if exponent < 0 else ""
        return base + sign + "".join(SUPERSCRIPTS[digit] for digit in str(abs(exponent)))

    def transposed(self, text: str) -> str:
        return f"{text}ᵀ"

    def inverse(self, text: str, turned: bool = False) -> str:
        return f"{text}⁻ᵀ" if turned else f"{text}⁻¹"

    def root(self, arg: Formula) -> str:
        return f"√{self.inside(arg, ATOM)}"

    def norm(self, arg: Formula) -> str:
        return f"‖{self(arg)}‖"

    def call(self, call: Call) -> str:
        if call.function == "abs":
            return f"|{self(call.args[0])}|"
        over = _lowered(call.over) if call.over else ""
        return f"{function_name(call.function)}{over}({', '.join(self(a) for a in call.args)})"

    def relation(self, sign: str) -> str:
        return sign

    def indicator(self, condition: Formula) -> str:
        return f"𝟏[{self(condition)}]"

    def cases(self, cases: CasesFormula) -> str:
        branches = [
            self(value) + ("" if condition is None else f" if {self(condition)}")
            for value, condition in cases.branches
        ]
        return f"{{{' else '.join(branches)}}}"

    def expected(self, arg: Formula) -> str:
        return f"E[{self(arg)}]"

    def definition(self, name: str) -> str:
        return f"let {name}"

    def partial(self, partial: Partial) -> str:
        return f"∂{self(partial.of)}/∂{self(partial.by)}"

    def second_partial(self, partial: SecondPartial) -> str:
        first, second = self(partial.first), self(partial.second)
        return f"∂²{self(partial.of)}/∂{first}∂{second}"

    def higher_partial(self, partial: HigherPartial) -> str:
        order = "".join(SUPERSCRIPTS[digit] for digit in str(len(partial.by)))
        return f"∂{order}{self(partial.of)}/{''.join(f'∂{self(each)}' for each in partial.by)}"

    def blocks(self, blocks: Blocks) -> str:
        between = "; " if blocks.stacked else "  "
        return f"[{between.join(map(self, blocks.blocks))}]"

    def indexed(self, entry: Indexed) -> str:
        symbol, places = entry.symbol, self.places(entry)
        if entry.raised and isinstance(symbol, Symbol):
            index = symbol.index if isinstance(symbol.index, str) else flat(symbol.index)
            above = f"⁽{_raised(index)}⁾" if index else ""
            letters = [each for each in entry.indices if isinstance(each, str)]
            if len(letters) < len(entry.indices):
                return f"{symbol.letter}{above}{'′' * symbol.primes}[{','.join(places)}]"
            below = _lowered("".join(letters)) if letters else ""
            return f"{symbol.letter}{'′' * symbol.primes}{below}{above}"
        if isinstance(symbol, Partial):
            return f"({self(symbol)})[{','.join(places)}]"
        return f"{self.inside(symbol, ATOM)}[{','.join(places)}]"

    def index_sum(self, indices: Sequence[str], body: str) -> str:
        return f"Σ{_lowered(''.join(indices))} {body}"


def flat(symbol: Symbol) -> str:
    """A symbol on one line, as h2: what stands in the index of another."""
    index = symbol.index if isinstance(symbol.index, str) else flat(symbol.index)
    return f"{symbol.letter.lower()}{index}{'′' * symbol.primes}"


def function_name(name: str) -> str:
    """A primitive's name as it is printed: σ for sigmoid, tanh for tanh."""
    row = PRIMITIVES.get(name)
    if row is None:
        return name
    bare = re.sub(r"\\operatorname\{(\w+)\}|\\(\w+)", r"\1\2", row.latex)
    return GREEK.get(bare, bare)


def width_of(text: str) -> int:
    """How wide a text is: a dot or a bar above a letter needs no room of its own."""
    return sum(not combining(char) for char in text)


def wrap(text: str, width: int) -> list[str]:
    """A formula in lines, broken before an operator, as far outside brackets as possible."""
    lines: list[str] = []
    while len(text) > width:
        at = _best_break(text, width)
        if at is None:
            break
        lines.append(text[:at].rstrip())
        text = text[at:].lstrip()
    return [*lines, text]


def _best_break(text: str, width: int) -> int | None:
    depth, best = 0, None
    for at, char in enumerate(text[: width + 1]):
        depth += (char in "([{") - (char in ")]}")
        if char != " " or at == 0:
            continue
        before_operator = text[at + 1 : at + 3] in {"+ ", "− ", "⊙ "}
        after_operator = text[at - 1] in "+−⊙"
        rank = (-depth, before_operator, at)
        if not after_operator and (best is None or rank > best[0]):
            best = rank, at
    return None if best is None else best[1]


def _vulgar(quotient: Quotient) -> str:
    over, under = quotient.over, quotient.under
    if isinstance(over, Number) and isinstance(under, Number):
        return _VULGAR.get((int(over.value), int(under.value)), "")
    return ""


def _raised(index: str) -> str:
    """The index as small characters above the line, as far as Unicode has them."""
    return "".join(SUPERSCRIPTS.get(char, char) for char in index)


def _lowered(index: str) -> str:
    """The index as small characters, or after a low line where Unicode lacks one."""
    if all(char in SUBSCRIPTS or char == "′" for char in index):
        return "".join(SUBSCRIPTS.get(char, char) for char in index)
    return f"_{index}"
