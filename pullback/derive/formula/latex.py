"""Formulas as LaTeX; the same LaTeX is what MathML is made from."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.derive.formula.alphabet import BAR, DOT, GREEK
from pullback.derive.formula.render import ATOM, JUXTAPOSED, Renderer
from pullback.derive.formula.tree import (
    Blocks,
    Call,
    CasesFormula,
    Formula,
    HigherPartial,
    Indexed,
    IndexSum,
    Indicator,
    Number,
    Ones,
    Partial,
    Quotient,
    SecondPartial,
    Symbol,
    walk,
)
from pullback.ir.scalar.primitives import PRIMITIVES

_COMMANDS = {letter: f"\\{name}" for name, letter in GREEK.items()}
_COMMANDS |= {"⋯": r"\cdots", "ℓ": r"\ell", "∇": r"\nabla"}
_COMMANDS |= {"𝐞": r"\mathbf{e}", "𝐊": r"\mathbf{K}", "𝐋": r"\mathbf{L}", "𝚿": r"\mathbf{\Psi}"}
_ABOVE = {DOT: r"\dot", BAR: r"\bar"}
_RELATIONS = {"≥": r"\ge", "≤": r"\le", "≠": r"\ne"}
_BUILT_IN = {"max": r"\max", "min": r"\min"}


class Latex(Renderer):
    r"""LaTeX: \delta_1 = (W_2^\top \delta_2) \odot (1 - a_1^2).

    With ``classes`` each symbol stands in \class{colour key}{…}, which MathML takes over: the
    colour by its role (forward, backward, parameter, data, loss), the key to find it again.
    """

    minus = "-"
    odot = r"\odot"
    compose = r"\circ"
    kronecker = r"\otimes"
    correlation = r"\star"

    def __init__(self, classes: bool = False) -> None:
        self.classes = classes

    def level(self, formula: Formula) -> int:
        if isinstance(formula, Number) and "e" in f"{formula.value:.6g}":
            return JUXTAPOSED
        return super().level(formula)

    def gap(self, before: Formula, after: Formula) -> str:
        digits = isinstance(before, Number) and isinstance(after, (Number, Ones, Indicator))
        return r" \, " if digits else " "

    def brackets(self, formula: Formula, text: str) -> str:
        return self._fence("(", text, ")", (formula,))

    def number(self, value: int | float) -> str:
        mantissa, _, exponent = f"{value:.6g}".partition("e")
        if not exponent:
            return mantissa
        power = f"10^{{{int(exponent)}}}"
        return power if mantissa == "1" else rf"{mantissa} \times {power}"

    def symbol(self, symbol: Symbol) -> str:
        index = _escaped(symbol.index) if isinstance(symbol.index, str) else Latex()(symbol.index)
        primes = "'" * symbol.primes
        text = _letter(symbol.letter) + (_low(index) if index else "") + primes
        return self._classed(text, symbol.colour, symbol.key) if symbol.key else text

    def ones(self) -> str:
        return r"\mathbf{1}"

    def quotient(self, quotient: Quotient) -> str:
        return rf"\frac{{{self(quotient.over)}}}{{{self(quotient.under)}}}"

    def power(self, base: str, exponent: Formula) -> str:
        return _raised(base, self(exponent))

    def entrywise_power(self, base: str, exponent: Formula) -> str:
        return _raised(base, rf"\odot {self(exponent)}")

    def matrix_power(self, base: str, exponent: int) -> str:
        return _raised(base, str(exponent))

    def transposed(self, text: str) -> str:
        return _raised(text, r"\top")

    def inverse(self, text: str, turned: bool = False) -> str:
        return _raised(text, r"-\top" if turned else "-1")

    def root(self, arg: Formula) -> str:
        return rf"\sqrt{{{self(arg)}}}"

    def norm(self, arg: Formula) -> str:
        return self._fence(r"\lVert ", self(arg), r" \rVert", (arg,))

    def call(self, call: Call) -> str:
        if call.function == "abs":
            return self._fence(r"\lvert ", self(call.args[0]), r" \rvert", call.args)
        row = PRIMITIVES.get(call.function)
        name = row.latex if row else _BUILT_IN.get(call.function, _operator(call.function))
        over = _low(_escaped(call.over)) if call.over else ""
        return name + over + self._fence("(", ", ".join(map(self, call.args)), ")", call.args)

    def relation(self, sign: str) -> str:
        return _RELATIONS.get(sign, sign)

    def indicator(self, condition: Formula) -> str:
        return r"\mathbf{1}" + self._fence("[", self(condition), "]", (condition,))

    def cases(self, cases: CasesFormula) -> str:
        rows = [
            rf"{self(value)} & " + (r"\text{otherwise}" if when is None else self(when))
            for value, when in cases.branches
        ]
        return "\\begin{cases} " + " \\\\ ".join(rows) + " \\end{cases}"

    def expected(self, arg: Formula) -> str:
        return rf"\mathbb{{E}}{self._fence('[', self(arg), ']', (arg,))}"

    def definition(self, name: str) -> str:
        return rf"\text{{let }} {name}"

    def partial(self, partial: Partial) -> str:
        plain = Latex()
        over, under = plain(partial.of), plain(partial.by)
        text = rf"\frac{{\partial {over}}}{{\partial {under}}}"
        return self._classed(text, "backward", partial.key) if partial.key else text

    def second_partial(self, partial: SecondPartial) -> str:
        plain = Latex()
        under = rf"\partial {plain(partial.first)} \partial {plain(partial.second)}"
        return rf"\frac{{\partial^2 {plain(partial.of)}}}{{{under}}}"

    def higher_partial(self, partial: HigherPartial) -> str:
        below = r" \, ".join(rf"\partial {self(each)}" for each in partial.by)
        return rf"\frac{{\partial^{len(partial.by)} {self(partial.of)}}}{{{below}}}"

    def blocks(self, blocks: Blocks) -> str:
        between = r" \\ " if blocks.stacked else " & "
        inside = between.join(map(self, blocks.blocks))
        return rf"\begin{{bmatrix}} {inside} \end{{bmatrix}}"

    def places(self, entry: Indexed) -> list[str]:
        return [_escaped(each) if isinstance(each, str) else self(each) for each in entry.indices]

    def indexed(self, entry: Indexed) -> str:
        all_letters = all(isinstance(each, str) for each in entry.indices)
        symbol, indices = entry.symbol, ("" if all_letters else ", ").join(self.places(entry))
        if entry.raised and isinstance(symbol, Symbol):
            index = symbol.index if isinstance(symbol.index, str) else Latex()(symbol.index)
            above = f"^{{({index})}}" if index else ""
            letter = _letter(symbol.letter) + "'" * symbol.primes
            text = letter + (_low(indices) if indices else "") + above
            return self._classed(text, symbol.colour, symbol.key) if symbol.key else text
        text = self.inside(symbol, ATOM)
        bracketed = text.isalpha() or self.level(symbol) < ATOM
        base = text if bracketed else f"({text})"
        return base + _low(indices)

    def index_sum(self, indices: Sequence[str], body: str) -> str:
        return rf"\sum{_low(_escaped(''.join(indices)))} {body}"

    def _classed(self, text: str, colour: str, key: str) -> str:
        return rf"\class{{{colour} {css_name(key)}}}{{{text}}}" if self.classes else text

    def _fence(self, left: str, text: str, right: str, inside: Sequence[Formula]) -> str:
        """Brackets that grow where something tall stands between them."""
        tall = (Quotient, IndexSum, Partial, SecondPartial, CasesFormula)
        if any(isinstance(part, tall) for each in inside for part in walk(each)):
            return rf"\left{left}{text}\right{right.lstrip()}"
        return f"{left}{text}{right}"


def css_name(key: str) -> str:
    """A quantity's name as a class: s-0-weight for 0.weight."""
    return "s-" + "".join(c if c.isalnum() else "-" for c in key)


def _letter(letter: str) -> str:
    if letter[-1:] in _ABOVE:
        return f"{_ABOVE[letter[-1]]}{{{_letter(letter[:-1])}}}"
    if letter in _COMMANDS:
        return _COMMANDS[letter]
    return letter if len(letter) == 1 else rf"\mathrm{{{_escaped(letter)}}}"


def _raised(base: str, exponent: str) -> str:
    """Something to a power; what is raised already, as a⁽¹⁾, is one group."""
    depth, above = 0, False
    for at, char in enumerate(base):
        depth += (char == "{") - (char == "}")
        above |= char in "^'" and depth == 0 and base[at - 1 : at] != "\\"
    whole = f"{{{base}}}" if above and base[-1] != ")" else base
    single = len(exponent) == 1 or (exponent[0] == "\\" and exponent[1:].isalpha())
    return f"{whole}^{exponent}" if single else f"{whole}^{{{exponent}}}"


def _operator(name: str) -> str:
    return rf"\operatorname{{{_escaped(name)}}}"


def _escaped(word: str) -> str:
    return word.replace("_", r"\_").replace("′", "'")


def _low(index: str) -> str:
    return f"_{index}" if len(index) == 1 else f"_{{{index}}}"
