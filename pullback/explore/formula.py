"""What the page of formulas shows: an expression's derivative, its steps, its picture, its code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from textwrap import dedent
from typing import Any

from pullback.derive import Derivation, Latex, derive
from pullback.derive.formula.mathml import MathRow, equation_table
from pullback.derive.formula.tree import Definition
from pullback.derive.steps.expression import Layout
from pullback.errors import ConfigError, ExpressionError, PullbackError, require, unknown, whole
from pullback.ir.language.dialect import DIALECTS, Dialect, dialect_of, is_in_either
from pullback.ir.language.syntax import SourceText
from pullback.net.expression import Expression, expr
from pullback.net.structure import Symmetric
from pullback.report.sections.derivation import steps_html

LONGEST, MOST_NAMES = 2000, 40  # characters of a text that a page reads; variables
WIDEST = 1200  # pixels of a diagram
ORDERS = (1, 2)
CONSTANTS = ("e", "pi")
USUAL = ("x", "X", "w", "W")  # what is differentiated by, if nobody says by what
_NAMES = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class AskedFormula:
    """What a page asks: the text, the axes of its variables, and how to differentiate it.

    Raises ConfigError for what a page does not send.
    """

    text: str = ""
    axes: tuple[tuple[str, str], ...] = ()
    wrt: str = ""
    order: int = 1
    dialect: str = ""
    symmetric: Symmetric = "entries"
    layout: Layout = "numerator"
    width: int = 340
    code: str = ""

    def __post_init__(self) -> None:
        for each in ("text", "wrt", "dialect", "symmetric", "layout", "code"):
            require(each, getattr(self, each), str, "a text")
        if len(self.text) > LONGEST:
            raise ConfigError(
                f"the expression has {len(self.text):,} characters; a page reads {LONGEST:,}, "
                "pb.expr more"
            )
        if whole("order", self.order) not in ORDERS:
            raise ConfigError(f"order is {self.order}; a page shows 1 and 2, pb.derive 3 as well")
        whole("width", self.width)

    @classmethod
    def of(cls, given: object) -> AskedFormula:
        """The question in a page's message; raises ConfigError or UnknownNameError."""
        if not isinstance(given, Mapping):
            raise ConfigError("formula is missing; expected an object with text, axes, wrt")
        known = [each.name for each in fields(cls)]
        for name in given:
            if name not in known:
                raise unknown("part of a formula", str(name), known)
        axes = given.get("axes") or {}
        if not isinstance(axes, Mapping) or len(axes) > MOST_NAMES:
            raise ConfigError(f"axes is no object of at most {MOST_NAMES} names with their axes")
        if not all(isinstance(each, str) and len(each) <= LONGEST for each in axes.values()):
            raise ConfigError('the axes of a variable are a text such as "n d"')
        return cls(**{**given, "axes": tuple((str(name), axes[name]) for name in axes)})

    @property
    def spoken(self) -> Dialect:
        """The dialect that is chosen, or told by the text."""
        if self.dialect and self.dialect not in DIALECTS:
            raise unknown("dialect", self.dialect, DIALECTS)
        return dialect_of(self.text, self.dialect or None)

    def expression(self) -> tuple[Expression, list[str]]:
        """The expression, and the variables whose axes are assumed; the others occur in it.

        What only MATLAB's notation gives a meaning, as A*x, is in that.
        """
        spoken = self.spoken
        try:
            return self._read(spoken)
        except ExpressionError:
            if self.dialect or not is_in_either(self.text):
                raise
            try:
                return self._read("matlab")
            except PullbackError:
                pass
            raise

    def _read(self, spoken: Dialect) -> tuple[Expression, list[str]]:
        occurring = set(_NAMES.findall(self.text))
        given = {name: axes for name, axes in self.axes if name in occurring}
        assumed: list[str] = []
        if spoken == "numpy":
            assumed = [n for n in SourceText(self.text).names() if n not in {*given, *CONSTANTS}]
        e = expr(self.text, dialect=spoken, **given, **{name: habit(name) for name in assumed})
        if spoken == "matlab":
            assumed = [leaf.name for leaf in e.leaves if leaf.name not in given]
        return e, assumed

    def by(self, e: Expression) -> str:
        """The variable to differentiate by: the one that is asked for, if it still occurs."""
        names = [leaf.name for leaf in e.leaves]
        if not names:
            raise ExpressionError("there is no variable to differentiate by", self.text, 0)
        if self.wrt in names:
            return self.wrt
        return next((name for name in USUAL if name in names), names[-1])


def habit(name: str) -> str:
    """The axes of an undeclared name, as the well-known web form has them: numbers a to g, vectors
    h to z, square matrices.

    >>> habit("c"), habit("x"), habit("A")
    ('', 'n', 'n n')
    """
    if not name[:1].islower():
        return "n n"
    return "" if name[0] in "abcdefg" else "n"


def formula(given: object) -> dict[str, Any]:
    """The answer to a page: a derivative with all that belongs to it, or what is wrong and where.

    A text that is half typed is no failure of the page, so its error is an answer as well.
    """
    try:
        return _answered(AskedFormula.of(given))
    except ExpressionError as fault:
        message, *place = str(fault).split("\n")
        return {"fault": {"message": message, "place": dedent("\n".join(place))}}
    except PullbackError as fault:
        return {"fault": {"message": str(fault), "place": ""}}


@lru_cache(maxsize=256)
def _answered(asked: AskedFormula) -> dict[str, Any]:
    e, assumed = asked.expression()
    wrt = asked.by(e)
    found = derive(e, wrt=wrt, order=asked.order, symmetric=asked.symmetric, layout=asked.layout)
    if asked.code:
        return {"source": found.code(asked.code)}
    return {
        "dialect": e.dialect,
        "notes": list(dict.fromkeys([*_choices(e, asked), *e.notes, *_assumptions(e, assumed)])),
        "variables": [
            {"name": leaf.name, "axes": declared(e, leaf.name), "assumed": leaf.name in assumed}
            for leaf in e.leaves
        ],
        "wrt": wrt,
        "symmetric": any(structure == "sym" for _, structure in e.structures),
        "scalar": not e.node.axes,
        **_result(found),
        "steps": steps_html(found),
        "latex": found.latex(),
        "diagram": _diagram(e, wrt, asked),
    }


def declared(e: Expression, name: str) -> str:
    """The axes of a variable as a person declares them: "n n sym"."""
    leaf = next(each for each in e.leaves if each.name == name)
    return " ".join([*(a.unprimed.name for a in leaf.axes), e.structure(name)]).strip()


def _choices(e: Expression, asked: AskedFormula) -> list[str]:
    """What the page has chosen, and what a choice does not change."""
    found = []
    if e.dialect != asked.spoken:
        found.append(
            "Read as MATLAB writes it, with * as the product of matrices: entry by entry, as in "
            "NumPy, it has no meaning here."
        )
    if asked.layout != "numerator" and e.node.axes:
        found.append(
            "The layout is that of the formulas; the diagram and the code have the axes of the "
            "result before those of the variable."
        )
    return found


def _assumptions(e: Expression, assumed: list[str]) -> list[str]:
    """Which axes nobody has declared, in NumPy's notation; MATLAB's says it itself."""
    if e.dialect != "numpy" or not assumed:
        return []
    told = ", ".join(f"{name} ({declared(e, name) or 'a number'})" for name in assumed)
    return [
        f"Axes that are assumed: {told}. By the first letter a to g are numbers, h to z vectors, "
        "capitals square matrices; change them above."
    ]


def _result(found: Derivation) -> dict[str, Any]:
    """The derivatives as formulas, and how they were checked."""
    wanted = {
        ".".join((kind, *variables))
        for kind, several in found.program.derivatives.items()
        for variables in several
        if kind != "hessian_vector_product"
    }
    lines = [
        line
        for line in found.lines
        if wanted & set(line.names) or isinstance(line.left, Definition)
    ]
    target = Latex(classes=True)
    rows = [
        MathRow(target(line.left), target(line.right), line.latex(), line.role, sign=line.sign)
        for line in lines
    ]
    proof = found.proof
    return {
        "result": equation_table(rows, styled=False),
        "text": "\n".join(line.text() for line in lines),
        "proof": "" if proof is None else proof.text(),
        "proven": proof is not None and proof.ok,
    }


def _diagram(e: Expression, wrt: str, asked: AskedFormula) -> str:
    """The derivative of the highest order as a tensor diagram; what is too large is not drawn."""
    width = max(160, min(asked.width, WIDEST))
    try:
        return e.derivative(wrt, asked.order, asked.symmetric).diagram(width).svg
    except PullbackError:
        return ""
