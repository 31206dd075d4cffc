"""The derivation of an expression's gradient, Jacobian and Hessian, without indices if possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pullback.calculus import jacobian, pushforward
from pullback.derive.derivation import Step
from pullback.derive.formula.algebra import transpose
from pullback.derive.formula.entries import IndexForm
from pullback.derive.formula.forms import MatrixForm
from pullback.derive.formula.matrix import NoMatrixFormError
from pullback.derive.formula.symbols import letter_and_index
from pullback.derive.formula.tree import Formula, Partial, SecondPartial, Symbol
from pullback.derive.steps.listing import Line
from pullback.errors import ConfigError, ExpressionError, closest, nearest, shown
from pullback.ir import Axes, Axis, Input, Node, Role, as_printed
from pullback.ir.axis import show
from pullback.ir.language.syntax import SourceText
from pullback.net.expression import Expression, slopes_of

NOTE = (
    "A name with two axes is a matrix, one with one axis a column; ⊙ and functions go entry by "
    "entry, 𝟏 is a column of ones, diag(v) a diagonal matrix. More than two axes are written "
    "with indices."
)


class ExpressionSteps:
    """The steps for some variables of one expression, and the nodes that they compute."""

    def __init__(self, expression: Expression, wrt: Sequence[str], order: int, jac: bool) -> None:
        self.expression, self.order = expression, order
        self.wrt = _variables(expression, wrt)
        if order not in (1, 2):
            raise ConfigError(f"order is {shown(order)}; expected 1 (gradient) or 2 (Hessian)")
        if expression.node.axes and not (jac and order == 1):
            raise _not_scalar(expression)
        self.jacobian = bool(expression.node.axes)
        self.value = Symbol("f" if self.jacobian else "L", colour="loss")
        self.derivatives: dict[str, dict[tuple[str, ...], Node]] = {}
        self.directions: tuple[Input, ...] = ()
        self.symbols: dict[Node, Formula] = _symbols(expression, self.wrt, self.value)
        self.steps: list[Step] = []
        self._count = 0
        self._write()

    @property
    def note(self) -> str:
        """How the formulas are to be read."""
        return NOTE

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
            blocks = {leaf: jacobian(node, leaf) for leaf in self.wrt}
            self._add("Jacobian", self._first(blocks), f"the factor of the change in {changes}")
            return
        slopes = slopes_of(node, self.wrt)
        gradient = self._add(
            "Gradient",
            self._first(slopes),
            f"{changes} read from the other side: the transpose of what multiplies the change, "
            "with the axes of the variable",
        )
        if self.order == 2:
            self._second(slopes, gradient)

    def _first(self, slopes: Mapping[Input, Node]) -> list[Line]:
        """A line for the derivative by each variable; the nodes are kept for the code."""
        lines = []
        for leaf, node in slopes.items():
            name = self._keep("jacobian" if self.jacobian else "gradient", node, leaf)
            lines.append(self._line(name, "gradient", self._by(leaf), node))
        return lines

    def _second(self, slopes: Mapping[Input, Node], gradient: str) -> None:
        """Every block of the Hessian, and its product with a direction v."""
        lines = []
        for first, slope in slopes.items():
            for second in self.wrt:
                found = jacobian(slope, second)
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
            self.symbols[tangent] = Symbol(v, of)
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
        self.symbols[tangent] = Symbol(f"d{symbol.letter}", symbol.index, place=10**6)
        change = pushforward(self.expression.node, {leaf: tangent})
        left = Symbol(f"d{self.value.letter}")
        return self._line(f"differential.{leaf.name}", "value", left, change)

    def _line(self, name: str, role: Role, left: Formula, node: Node) -> Line:
        (node,) = as_printed(node)
        try:
            return Line(name, role, left, _Matrices(self.symbols, None, None).read(node).formula)
        except NoMatrixFormError:
            form = _Entries.of(self.symbols, None, node.axes)
            return Line(name, role, form.entry(left, node.axes), form.read(node).formula)

    def _hessian_line(self, name: str, first: Input, second: Input, node: Node) -> Line:
        a, b = self.symbols[first], self.symbols[second]
        (node,) = as_printed(node)
        try:
            right = _Matrices(self.symbols, None, None).read(node).formula
        except NoMatrixFormError:
            form = _Entries.of(self.symbols, None, node.axes)
            rows = node.axes[: len(first.axes)]
            sides = form.entry(a, rows), form.entry(b, node.axes[len(rows) :])
            return Line(
                name, "gradient", SecondPartial(self.value, *sides), form.read(node).formula
            )
        beside = transpose(b) if second.axes and first.axes else b
        return Line(name, "gradient", SecondPartial(self.value, a, beside), right)


class _Matrices(MatrixForm):
    """Matrix form in which an axis without a size is as long as its name says."""

    def size(self, axis: Axis) -> Formula:
        return super().size(axis) if axis.size is not None else Symbol(axis.name.rstrip("′"))


class _Entries(IndexForm):
    """Index form whose letters are the axes' own names where they are letters."""

    def within(self, axes: Axes, letters: Mapping[Axis, str] | None = None) -> IndexForm:
        own = dict(self.letters if letters is None else letters)
        taken = {*own.values(), *self.letters.values()}
        rest = []
        for axis in axes:
            if len(axis.name.rstrip("′")) == 1 and axis.name not in taken:
                own[axis] = axis.name
                taken.add(axis.name)
            else:
                rest.append(axis)
        more = super().within(tuple(rest), own).letters
        return _Entries(self.symbols, self.batch, more, self.dropped, self.raised)

    def size(self, axis: Axis) -> Formula:
        """|n| is how long n is; n alone is an index here."""
        return super().size(axis) if axis.size is not None else Symbol(f"|{axis.name}|")


def _symbols(expression: Expression, wrt: Sequence[Input], value: Symbol) -> dict[Node, Formula]:
    """Each variable by its own name; beta_1 is β₁."""
    taken = {(value.letter, "")}
    found: dict[Node, Formula] = {}
    for place, leaf in enumerate(expression.leaves):
        letter, index = letter_and_index(leaf.name)
        primes = 0
        while (letter + "′" * primes, index) in taken:
            primes += 1
        taken.add((letter + "′" * primes, index))
        found[leaf] = Symbol(
            letter,
            index,
            primes,
            colour="parameter" if leaf in wrt else "data",
            key=leaf.name,
            place=place,
        )
    return found


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
    return tuple(known[name] for name in names)


def _place_of_nearest(text: str, name: str, known: Mapping[str, Input]) -> int:
    """Where the variable stands that was probably meant, else the beginning."""
    close = closest(name, known)
    return SourceText(text).names().get(close, 0) if close else 0


def _not_scalar(expression: Expression) -> ExpressionError:
    source = SourceText(expression.text)
    return source.error(
        f"a gradient is taken of a scalar, and this has axes {show(expression.node.axes)}: reduce "
        "it with sum or mean, or say jacobian=True",
        source.tree,
    )
