"""The derivation of an expression's gradient, Jacobian and Hessian, without indices if possible."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pullback.calculus import pushforward
from pullback.derive.derivation import Step
from pullback.derive.formula.algebra import IDENTITY, transpose
from pullback.derive.formula.kronecker import stacked
from pullback.derive.formula.matrix import NoMatrixFormError
from pullback.derive.formula.repeated import repeated
from pullback.derive.formula.signs import explained
from pullback.derive.formula.structures import between, projected
from pullback.derive.formula.symbols import letter_and_index
from pullback.derive.formula.tidy import tidy
from pullback.derive.formula.tree import (
    Call,
    Formula,
    HigherPartial,
    Partial,
    SecondPartial,
    Sum,
    Symbol,
    walk,
)
from pullback.derive.formula.variables import (
    VariableEntries,
    VariableMatrices,
    sides_of,
    variable_symbols,
)
from pullback.derive.steps.length import check_length
from pullback.derive.steps.listing import Line
from pullback.derive.steps.residuals import residuals_named
from pullback.errors import ConfigError, ExpressionError, closest, nearest, shown, unknown
from pullback.ir import Input, Node, Role, as_printed
from pullback.ir.language.parse import Structure
from pullback.ir.stack import stacks_of
from pullback.net.expression import Expression, derivative_of, slopes_of
from pullback.net.structure import Symmetric, check_moves, structured

Layout = Literal["numerator", "denominator"]
NOTE = (
    "A name with two axes is a matrix, one with one axis a column; ⊙ and functions go entry by "
    "entry, 𝟏 is a column of ones, diag(v) a diagonal matrix. More than two axes are written "
    "with indices."
)
SYMMETRIC: Mapping[Symmetric, str] = {
    "entries": (
        "By a symmetric X the gradient is G + Gᵀ − G ⊙ I, where G is the one by any matrix: an "
        "entry and its mirror image move together (symmetric='part' takes ½ (G + Gᵀ) instead)."
    ),
    "part": "By a symmetric X the gradient is ½ (G + Gᵀ), where G is the one by any matrix.",
}
KINDS = {2: "second", 3: "third"}
DIAGONAL = "By a diagonal X the gradient is G ⊙ I, where G is the one by any matrix."
LAYOUTS: Mapping[Layout, str] = {
    "numerator": "A Jacobian has a row for each entry of the result (numerator layout).",
    "denominator": (
        "A Jacobian has a row for each entry of the variable (denominator layout): it is printed "
        "transposed, and computed as ever, with the axes of the result first."
    ),
}
KRONECKER = "vec(X) is all columns of X, one below the other; ⊗ is Kronecker's product."


class ExpressionSteps:
    """The steps for some variables of one expression, and the nodes that they compute."""

    def __init__(
        self,
        expression: Expression,
        wrt: Sequence[str],
        order: int,
        symmetric: Symmetric = "entries",
        layout: Layout = "numerator",
    ) -> None:
        if layout not in LAYOUTS:
            raise unknown("layout", layout, LAYOUTS)
        self.expression, self.order, self.symmetric = expression, order, symmetric
        self.layout = layout
        self.wrt = _variables(expression, wrt)
        if order not in (1, 2, 3):
            raise ConfigError(
                f"order is {shown(order)}; expected 1 (gradient), 2 (Hessian) or 3 (third "
                "derivatives)"
            )
        check_length(expression.node, {*self.wrt}, order)
        self.jacobian = bool(expression.node.axes)
        self.value = Symbol("f" if self.jacobian else "L", colour="loss")
        self.derivatives: dict[str, dict[tuple[str, ...], Node]] = {}
        self.directions: tuple[Input, ...] = ()
        self.symbols: dict[Node, Formula] = variable_symbols(expression, self.wrt, self.value)
        self.steps: list[Step] = []
        self._count = 0
        self._stacked = False  # is a Jacobian written by Kronecker's product?
        self._write()

    @property
    def note(self) -> str:
        """How the formulas are to be read, and what is meant by a slope by a structured matrix."""
        structures = {self.expression.structure(leaf.name) for leaf in self.wrt}
        more = [SYMMETRIC[self.symmetric]] if "sym" in structures else []
        more += [DIAGONAL] if "diag" in structures else []
        more += [KRONECKER] if self._stacked else []
        more += [LAYOUTS[self.layout]] if self.jacobian else []
        more += explained(each for line in self._lines() for each in walk(line.right))
        return " ".join([NOTE, *more, *self.expression.notes])

    def _lines(self) -> Iterator[Line]:
        return (line for step in self.steps for line in step.lines)

    def _add(self, title: str, lines: list[Line], reason: str) -> str:
        numbered = tuple(
            replace(line, number=self._count + k) for k, line in enumerate(lines, start=1)
        )
        self._count += len(numbered)
        self.steps.append(Step(title, numbered, reason))
        first, last = numbered[0].number, numbered[-1].number
        return f"({first})" if first == last else f"({first})–({last})"

    def _write(self) -> None:
        node = self.expression.node
        start = self._add(
            "The expression",
            [self._line("value", "loss", self.value, node)],
            "this is the text in normal form: what is multiplied and summed follows from the axes",
        )
        changes = self._add(
            "Total differential",
            [self._differential(leaf) for leaf in self.wrt],
            f"the change of {start} for a small change of one variable, the others held; it is "
            "linear in that change, by the product rule and the chain rule entry by entry",
        )
        if self.jacobian:
            blocks = {leaf: self._derivative(node, leaf) for leaf in self.wrt}
            found = self._add(
                "Jacobian",
                self._named(self._first(blocks)),
                f"the factor of the change in {changes}",
            )
            self._higher({(leaf,): block for leaf, block in blocks.items()}, found, 2)
            return
        slopes = {
            leaf: structured(slope, leaf.axes, self._structure(leaf), self.symmetric)
            for leaf, slope in slopes_of(node, self.wrt).items()
        }
        gradient = self._add(
            "Gradient",
            self._named(self._first(slopes)),
            f"{changes} read from the other side: the transpose of what multiplies the change, "
            "with the axes of the variable",
        )
        if self.order > 1:
            blocks_of_two, hessian = self._second(slopes, gradient)
            self._higher(blocks_of_two, hessian, 3)

    def _named(self, lines: list[Line]) -> list[Line]:
        """The lines, with what they have in common named once in a step of its own before them."""
        lets, named = residuals_named(lines, self.symbols.values())
        if lets:
            self._add(
                "What stands there more than once",
                lets,
                "the derivatives below read it several times: it is named once",
            )
        return named

    def _structure(self, leaf: Input) -> Structure:
        return self.expression.structure(leaf.name)

    def _derivative(self, node: Node, leaf: Input) -> Node:
        return derivative_of(node, leaf, self._structure(leaf), self.symmetric)

    def _higher(self, blocks: Mapping[tuple[Input, ...], Node], before: str, order: int) -> None:
        """The derivatives from some order on, entry by entry, each once for its variables."""
        for power in range(order, self.order + 1):
            found = {
                (*by, leaf): self._derivative(block, leaf)
                for by, block in blocks.items()
                for leaf in self.wrt
                if self.wrt.index(leaf) >= self.wrt.index(by[-1])
            }
            lines = []
            for by, node in found.items():
                name = self._keep(KINDS[power], node, *by)
                if len(node.axes) > 2:
                    lines.append(self._entry(name, "gradient", node, by, power))
                else:
                    left = HigherPartial(self.value, tuple(self.symbols[leaf] for leaf in by))
                    lines.append(self._line(name, "gradient", left, node, self._turned))
            before = self._add(
                f"{KINDS[power].capitalize()} derivatives", lines, f"the same rules on {before}"
            )
            blocks = found

    def _first(self, slopes: Mapping[Input, Node]) -> list[Line]:
        """A line for the derivative by each variable; the nodes are kept for the code."""
        lines = []
        for leaf, node in slopes.items():
            name = self._keep("jacobian" if self.jacobian else "gradient", node, leaf)
            if self.jacobian and (len(node.axes) > 2 or (leaf.axes and stacks_of([node]))):
                lines.append(self._block(name, leaf, node))
            else:
                lines.append(self._line(name, "gradient", self._by(leaf), node, self._turned))
        return lines

    @property
    def _turned(self) -> bool:
        """Are matrices of derivatives printed transposed?"""
        return self.jacobian and self.layout == "denominator"

    def _block(self, name: str, leaf: Input, node: Node) -> Line:
        """A Jacobian of more than two axes: by Kronecker's product, or else entry by entry."""
        over = len(self.expression.node.axes)
        try:
            found = self._by_kronecker(node, (), leaf)
        except NoMatrixFormError:
            return self._entry(name, "gradient", node, (leaf,), 1)
        left = Partial(Call("vec", (self.value,)) if over > 1 else self.value, self._all_of(leaf))
        return Line(
            name, "gradient", left, tidy(_each_transposed(found)) if self._turned else found
        )

    def _by_kronecker(self, node: Node, of: Sequence[Input], by: Input) -> Formula:
        """A derivative of more than two axes as one matrix, a row for each entry of the result.

        The result is the expression, or its slope by the variable ``of``. By structured matrices it
        is, where it has no such form itself, that by any matrix between what the structures make
        of it. Raises NoMatrixFormError.
        """
        try:
            found = self._as_one_matrix(node, len(node.axes) - len(by.axes))
        except NoMatrixFormError:
            before, after = ((*map(self._projected, of), IDENTITY)[0], self._projected(by))
            if before == after == IDENTITY:
                raise
            plain = self.expression.node
            for leaf in (*of, by):
                plain = derivative_of(plain, leaf)
            inner = self._as_one_matrix(plain, len(plain.axes) - len(by.axes))
            found = between(before, inner, after)
        self._stacked = True
        return found

    def _as_one_matrix(self, node: Node, rows: int) -> Formula:
        (printed,) = as_printed(node)
        form = VariableMatrices(self.symbols, None, None)
        return tidy(stacked(printed, printed.axes[:rows], printed.axes[rows:], form.read))

    def _projected(self, leaf: Input) -> Formula:
        return projected(self._structure(leaf), self.symmetric)

    def _all_of(self, leaf: Input) -> Formula:
        """A variable as a column."""
        symbol = self.symbols[leaf]
        return Call("vec", (symbol,)) if len(leaf.axes) > 1 else symbol

    def _entry(self, name: str, role: Role, node: Node, by: Sequence[Input], power: int) -> Line:
        """One entry of a derivative: ∂f[i,j]/∂X[k,l], or of one by several variables."""
        (node,) = as_printed(node)
        form = VariableEntries.of(self.symbols, None, node.axes)
        axes = list(node.axes)
        parts = []
        for symbol, rank in [
            (self.value, len(self.expression.node.axes)),
            *((self.symbols[leaf], len(leaf.axes)) for leaf in by),
        ]:
            parts.append(form.entry(symbol, tuple(axes[:rank])))
            del axes[:rank]
        of, *rest = parts
        left = Partial(of, rest[0]) if power == 1 else HigherPartial(of, tuple(rest))
        return Line(name, role, left, form.read(node).formula)

    def _second(
        self, slopes: Mapping[Input, Node], gradient: str
    ) -> tuple[dict[tuple[Input, ...], Node], str]:
        """Every block of the Hessian, and its product with a direction v."""
        lines = []
        blocks: dict[tuple[Input, ...], Node] = {}
        for first, slope in slopes.items():
            for second in self.wrt:
                found = self._derivative(slope, second)
                if self.wrt.index(second) >= self.wrt.index(first):
                    blocks[first, second] = found
                name = self._keep("hessian", found, first, second)
                lines.append(self._hessian_line(name, first, second, found))
        hessian = self._add(
            "Hessian", lines, f"the same rules on the gradient {gradient}: its Jacobian"
        )
        self.directions = tuple(Input(f"v_{leaf.name}", leaf.axes) for leaf in self.wrt)
        tangents: dict[Node, Node] = dict(zip(self.wrt, self.directions, strict=True))
        for leaf, tangent in zip(self.wrt, self.directions, strict=True):
            letter, index = letter_and_index(leaf.name)
            v = "V" if len(leaf.axes) > 1 else "v"
            of = "" if len(self.wrt) == 1 else Symbol(letter, index)
            self.symbols[tangent] = Symbol(v, of, sides=sides_of(leaf.axes))
        products = []
        for first, slope in slopes.items():
            found = pushforward(slope, tangents)
            name = self._keep("hessian_vector_product", found, first)
            left = Symbol("(H v)", letter_and_index(first.name)[0] if len(self.wrt) > 1 else "")
            products.append(self._line(name, "gradient", left, found))
        self._add(
            "Hessian times a direction v",
            products,
            f"the change of {gradient} along v: it costs no more than a gradient, and never "
            f"builds {hessian}",
        )
        return blocks, hessian

    def _keep(self, kind: str, node: Node, *by: Input) -> str:
        """Note what the code computes; its name as an equation."""
        variables = tuple(leaf.name for leaf in by)
        self.derivatives.setdefault(kind, {})[variables] = node
        return ".".join((kind, *variables))

    def _by(self, leaf: Input) -> Formula:
        return Partial(self.value, self.symbols[leaf], key=f"gradient.{leaf.name}")

    def _differential(self, leaf: Input) -> Line:
        tangent = Input(f"d{leaf.name}", leaf.axes)
        symbol = self.symbols[leaf]
        assert isinstance(symbol, Symbol)
        small = replace(symbol, letter=f"d{symbol.letter}", key="", colour="plain", place=10**6)
        self.symbols[tangent] = small
        change = pushforward(self.expression.node, {leaf: tangent})
        left = Symbol(f"d{self.value.letter}")
        return self._line(f"differential.{leaf.name}", "value", left, change)

    def _line(self, name: str, role: Role, left: Formula, node: Node, turned: bool = False) -> Line:
        (node,) = as_printed(node)
        try:
            found = VariableMatrices(self.symbols, None, None).read(node).along(node.axes).formula
            found = tidy(found)
            right = tidy(_each_transposed(found)) if turned else found
            return Line(name, role, left, repeated(right))
        except NoMatrixFormError:
            form = VariableEntries.of(self.symbols, None, node.axes)
            return Line(name, role, form.entry(left, node.axes), form.read(node).formula)

    def _hessian_line(self, name: str, first: Input, second: Input, node: Node) -> Line:
        a, b = self.symbols[first], self.symbols[second]
        (node,) = as_printed(node)
        try:
            right = tidy(
                VariableMatrices(self.symbols, None, None).read(node).along(node.axes).formula
            )
        except NoMatrixFormError:
            try:
                right = self._by_kronecker(node, (first,), second)
            except NoMatrixFormError:
                return self._entry(name, "gradient", node, (first, second), 2)
            a, b = self._all_of(first), self._all_of(second)
        beside = transpose(b) if second.axes and first.axes else b
        return Line(name, "gradient", SecondPartial(self.value, a, beside), right)


def _each_transposed(formula: Formula) -> Formula:
    """The transpose, of a sum that of each term."""
    if isinstance(formula, Sum):
        return Sum(tuple(map(_each_transposed, formula.terms)))
    return transpose(formula)


def _variables(expression: Expression, wrt: Sequence[str]) -> tuple[Input, ...]:
    """The variables asked for; each has to stand in the expression."""
    known = {leaf.name: leaf for leaf in expression.leaves}
    names = [wrt] if isinstance(wrt, str) else list(wrt)
    if not names:
        raise ConfigError(
            f"derive needs wrt, the variable to differentiate by: one of {', '.join(known)}"
        )
    for name in names:
        if name not in known:
            text = expression.text
            message = f"{name!r} does not occur in the expression: {nearest(name, known)}"
            raise ExpressionError(message, text, _place_of_nearest(text, name, known))
        check_moves(name, expression.structure(name))
    return tuple(known[name] for name in names)


def _place_of_nearest(text: str, name: str, known: Mapping[str, Input]) -> int:
    """Where the variable stands that was probably meant, else the beginning."""
    close = closest(name, known)
    found = re.search(rf"\b{close}\b", text) if close else None
    return found.start() if found else 0
