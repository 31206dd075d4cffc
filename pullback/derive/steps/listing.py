"""``EquationList``: the equations of a program in one convention, ready to be shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from textwrap import wrap as fill

from pullback.derive.formula.latex import Latex
from pullback.derive.formula.mathml import MathRow, equation_table
from pullback.derive.formula.notation import Convention, Notation
from pullback.derive.formula.text import Text, wrap
from pullback.derive.formula.tree import Formula
from pullback.derive.steps.equations import Equation, equations
from pullback.errors import unknown
from pullback.ir import Input, Node, Parameter, Role

WIDTH = 100


@dataclass(frozen=True)
class Line:
    """One equation on the page: the formulas of both its sides.

    ``where`` says for which layers a line stands that stands for several, ``covers`` names their
    equations; ``note`` says what is not in the formula, such as a shape; ``number`` is the line's
    own in a derivation.
    """

    name: str
    role: Role
    left: Formula
    right: Formula
    sign: str = "="
    where: str = ""
    note: str = ""
    covers: tuple[str, ...] = ()
    number: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The equations that this line stands for."""
        return self.covers or (self.name,)

    @property
    def remark(self) -> str:
        """What stands beside the formula."""
        told = f"for {self.where}" if self.where else ""
        return "; ".join(filter(None, [told, self.note]))

    def text(self) -> str:
        """On one line, in Unicode."""
        return f"{Text()(self.left)} {self.sign} {Text()(self.right)}"

    def latex(self) -> str:
        """As LaTeX without delimiters."""
        sign = {"←": r"\leftarrow"}.get(self.sign, self.sign)
        return f"{Latex()(self.left)} {sign} {Latex()(self.right)}"


@dataclass(frozen=True)
class EquationList:
    """The equations of a program, each after those that it needs, in one convention.

    The conventions are those of ``Notation``: ``columns`` and ``rows``. A line is found by its
    equation's name; raises UnknownNameError for an unknown name or convention.

    >>> from pullback.ir import Axis, Contract, Input, Named, Parameter
    >>> n, i, o = Axis("batch"), Axis("inputs", 3), Axis("outputs", 2)
    >>> x, W = Input("x", (n, i)), Parameter("0.weight", (o, i))
    >>> z = Named("z.0", Contract((x, W), (n, o)), "z")
    >>> EquationList.of([z])["z.0"].text()
    'z₁ = W₁ x'
    >>> EquationList.of([z], "rows")["z.0"].text()
    'Z₁ = X W₁'
    """

    equations: tuple[Equation, ...]
    convention: Convention = "columns"
    samples: bool = False
    leaves: tuple[Input | Parameter, ...] = ()

    @classmethod
    def of(
        cls,
        roots: Iterable[Node],
        convention: Convention = "columns",
        samples: bool = False,
        leaves: Iterable[Input | Parameter] = (),
    ) -> EquationList:
        """The equations at and below some nodes; ``samples`` shows the axis of the batch.

        ``leaves`` have symbols whether an equation reads them or not.
        """
        return cls(equations(roots), convention, samples, tuple(leaves))

    @cached_property
    def notation(self) -> Notation:
        return Notation(self.equations, self.convention, self.samples, self.leaves)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Each equation as a pair of formulas."""
        return tuple(Line(e.name, e.role, *self.notation.sides(e)) for e in self.equations)

    def __getitem__(self, name: str) -> Line:
        found = {line.name: line for line in self.lines}
        if name not in found:
            raise unknown("equation", name, found)
        return found[name]

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.equations)

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = WIDTH) -> str:
        """All equations in Unicode, aligned at the sign; then what the convention leaves out."""
        target = Text()
        left = [target(line.left) for line in self.lines]
        margin = max(map(len, left), default=0)
        rows: list[str] = []
        for name, line in zip(left, self.lines, strict=True):
            first, *more = wrap(target(line.right), width - margin - len(" = "))
            rows.append(f"{name:<{margin}} = {first}")
            rows.extend(" " * (margin + len(" = ")) + each for each in more)
        note = self.notation.note
        return "\n".join([*rows, *(["", *fill(note, width)] if note else [])])

    def latex(self) -> str:
        """All equations as one ``aligned`` environment."""
        target = Latex()
        rows = [f"{target(line.left)} &= {target(line.right)}" for line in self.lines]
        return "\n".join([r"\begin{aligned}", " \\\\\n".join(rows), r"\end{aligned}"])

    def html(self) -> str:
        """All equations as a table of MathML, coloured by what each symbol is."""
        target = Latex(classes=True)
        rows = [
            MathRow(target(line.left), target(line.right), line.latex(), line.role)
            for line in self.lines
        ]
        return equation_table(rows, self.notation.note)

    def _repr_html_(self) -> str:
        return self.html()

    def to_dict(self) -> dict[str, object]:
        """Plain data: the convention, its note, and each equation as text and LaTeX."""
        return {
            "convention": self.convention,
            "note": self.notation.note,
            "equations": [
                {"name": line.name, "role": line.role, "text": line.text(), "latex": line.latex()}
                for line in self.lines
            ],
        }
