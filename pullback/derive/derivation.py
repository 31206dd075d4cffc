"""``Derivation``: ordered steps, each with a title, equations and the reason why they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from textwrap import wrap as fill
from typing import TYPE_CHECKING, Any

from pullback.derive import neurons as single
from pullback.derive.code import emit_code
from pullback.derive.diagrams import expression_diagram, network_diagram
from pullback.derive.formula.latex import Latex
from pullback.derive.formula.mathml import MathRow, equation_table
from pullback.derive.formula.text import Text, width_of, wrap
from pullback.derive.proof import Proof, prove
from pullback.derive.roots import Roots
from pullback.derive.steps.listing import WIDTH, Line
from pullback.diagram.page import WIDTH as PIXELS
from pullback.errors import ConfigError
from pullback.ir import Node
from pullback.net.structure import Symmetric

if TYPE_CHECKING:
    from pullback.diagram import Diagram
    from pullback.net.expression import Expression
    from pullback.net.network import Network

_INDENT = "     "
# LaTeX's text mode knows no more than these words for what stands in a reason
_PLAIN = str.maketrans(
    {"×": "x", "δ": "delta", "Δ": "Delta", "Θ": "Theta", "…": "...", "−": "-", "–": "--",
     "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "ℓ": "l", "⊙": "(.)",
     "ᵀ": "^T", "η": "eta", "′": "'", "∂": "d", "ₖ": "k"}
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One step: what is done, the equations that come of it, and which rule says so.

    ``reason`` speaks of earlier equations by their numbers.
    """

    title: str
    lines: tuple[Line, ...]
    reason: str

    @property
    def equation(self) -> str:
        """The step's equations as text, one a line."""
        return "\n".join(line.text() for line in self.lines)

    def text(self, width: int = WIDTH) -> str:
        """The equations with their numbers, aligned at the sign; then the reason."""
        target = Text()
        left = [target(line.left) for line in self.lines]
        margin = max(map(width_of, left), default=0)
        rows: list[str] = []
        for name, line in zip(left, self.lines, strict=True):
            padded = name + " " * (margin - width_of(name))
            head = f"{f'({line.number})':>5} {padded} {line.sign} "
            room = width - width_of(head)
            first, *more = wrap(target(line.right), room)
            body = [head + first, *(" " * width_of(head) + each for each in more)]
            remark = f"   [{line.remark}]" if line.remark else ""
            if width_of(body[-1] + remark) > width:
                body.append(" " * (width_of(head) - 3))
            rows += [*body[:-1], body[-1] + remark]
        why = fill(f"because {self.reason}", width - len(_INDENT))
        return "\n".join([self.title, *rows, *(_INDENT + line for line in why)])

    def to_dict(self) -> dict[str, object]:
        """Plain data: title, reason, and each equation as text and LaTeX."""
        return {
            "title": self.title,
            "reason": self.reason,
            "equations": [
                {
                    "number": line.number,
                    "name": line.name,
                    "stands_for": list(line.names),
                    "text": line.text(),
                    "latex": line.latex(),
                    "remark": line.remark,
                }
                for line in self.lines
            ],
        }


@dataclass(frozen=True, repr=False)
class Derivation:
    """The steps from a network or an expression to its gradients, in one convention."""

    subject: str
    convention: str
    note: str
    steps: tuple[Step, ...]
    program: Roots = field(default=Roots(), compare=False)
    network: Network | None = field(default=None, compare=False)
    expression: Expression | None = field(default=None, compare=False)
    symmetric: Symmetric = "entries"

    def neurons(self, params: Mapping[str, Any], x: Any, y: Any) -> single.Neurons:
        """The per-neuron dynamic programme of a small network, for one sample.

        ``x`` is (features), or a dict of inputs by name, and ``y`` (outputs) or a class number.
        Any network has one: weights that are shared gather the gradients of their edges, and
        where an equation is no weighted sum its local slopes are the weights of the edges.
        Raises ConfigError for an expression and for a network with too many edges to look at,
        NotApplicableError for one in which nothing is a weighted sum.

        >>> import pullback as pb
        >>> net = pb.Network(pb.Sequential(pb.Linear(1, 1), pb.Tanh()), loss=pb.SquaredError())
        >>> table = pb.derive(net).neurons({"0.weight": [[0.5]], "0.bias": [0.0]}, [1.0], [0.0])
        >>> print(table.entries[-1].text())
        g₁ = v₁ x₁ = 0.363431
        """
        if self.network is None:
            raise ConfigError(f"{self.subject} is an expression; neurons are a network's")
        return single.Neurons(single.graph_of(self.network, params, x, y))

    def code(self, target: str = "numpy") -> str:
        """Source of a module for ``numpy``, ``numba``, ``jax``, ``torch`` or ``javascript``.

        It needs that library only, and its comments are the numbers of the equations.
        JavaScript needs none: its arrays are typed and flat, an array's entries row by row. Its
        function ``value_and_grad`` takes (params, x, target), with every input by its name where
        there are several, or an expression's variables, and gives the value and the gradients by
        name; for torch there is a ``Loss``, too, a ``torch.autograd.Function`` of the inputs and
        then the parameters. Second derivatives are functions beside it.
        Raises UnknownNameError for another target.

        >>> import numpy as np, pullback as pb
        >>> e = pb.expr("sum((X@w-y)**2)/2", X="n d", y="n", w="d")
        >>> namespace = {}
        >>> exec(pb.derive(e, wrt="w").code("numpy"), namespace)
        >>> value, grads = namespace["value_and_grad"](np.eye(2), np.array([1., 2.]), np.zeros(2))
        >>> value, grads["w"].tolist()
        (np.float64(2.5), [-1.0, -2.0])
        """
        return emit_code(self.subject, self.program, self.numbers, target)

    @cached_property
    def proof(self) -> Proof | None:
        """An expression's derivatives beside complex steps at three random points.

        It has the largest relative ``error``, and ``ok``; a network has ``check`` for that.

        >>> import pullback as pb
        >>> d = pb.derive(pb.expr("logdet(X)", X="n n"), wrt="X")
        >>> d.proof.ok, d.proof.error < 1e-12
        (True, True)
        """
        if self.expression is None:
            return None
        return prove(self.program, dict(self.expression.structures), self.symmetric)

    def diagram(self, width: int = PIXELS) -> Diagram:
        """Its equations as tensor diagrams: those of a network, or a value and its derivatives.

        Raises ConfigError for a width below 160 pixels, and where there is too much to look at.

        >>> import pullback as pb
        >>> net = pb.Network(pb.Sequential(pb.Linear(3, 2), pb.Tanh()), loss=pb.SquaredError())
        >>> [line.name for line in pb.derive(net).diagram().lines]
        ['z₁', 'a₁', '①', 'L', 'δ₁', '∂L/∂W₁', '∂L/∂b₁']
        """
        if self.network is not None:
            return network_diagram(self.network, width)
        return expression_diagram(self.subject, self.lines, self.program, width)

    @property
    def roots(self) -> Mapping[str, Node]:
        """The nodes of the value and of its derivatives, by name."""
        return self.program.nodes

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every equation, in the order of their numbers."""
        return tuple(line for step in self.steps for line in step.lines)

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each equation of the program, by its name.

        One that stands twice, for a sample and for the batch, has that of the batch.
        """
        return {name: line.number for line in self.lines for name in line.names}

    def __repr__(self) -> str:
        return f"<derivation of {self.subject}: {len(self.steps)} steps, {self.convention}>"

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = WIDTH) -> str:
        """The whole derivation in Unicode, at most ``width`` characters wide."""
        head = fill(f"Derivation of {self.subject}, convention {self.convention!r}", width)
        head += fill(self.note, width) if self.note else []
        steps = [f"{at}. {step.text(width)}" for at, step in enumerate(self.steps, start=1)]
        proof = [] if self.proof is None else ["\n".join(fill(self.proof.text(), width))]
        return "\n\n".join(["\n".join(head), *steps, *proof])

    def latex(self) -> str:
        r"""One ``aligned`` environment for math mode: titles and reasons stand in it as text."""
        target = Latex()
        rows: list[str] = []
        for at, step in enumerate(self.steps, start=1):
            rows.append(rf"& \textbf{{{at}. {_words(step.title)}}}")
            for line in step.lines:
                sign = {"←": r"\leftarrow"}.get(line.sign, line.sign)
                remark = rf"\quad \text{{{_words(line.remark)}}}" if line.remark else ""
                number = rf"\text{{({line.number})}}\quad"
                rows.append(
                    f"{number} {target(line.left)} &{sign} {target(line.right)} {remark}".rstrip()
                )
            rows += [rf"& \text{{{each}}}" for each in fill(_words(f"because {step.reason}"), 90)]
        return "\n".join([r"\begin{aligned}", " \\\\\n".join(rows), r"\end{aligned}"])

    def html(self) -> str:
        """A section for each step, its equations as MathML: nothing is loaded from elsewhere."""
        target = Latex(classes=True)
        parts = [f"<section class='pullback-derivation'><p>{escape(self.note)}</p>"]
        for at, step in enumerate(self.steps, start=1):
            rows = [
                MathRow(
                    target(line.left),
                    target(line.right),
                    line.latex(),
                    line.role,
                    sign=line.sign,
                    number=f"({line.number})",
                    remark=line.remark,
                )
                for line in step.lines
            ]
            parts.append(f"<h4>{at}. {escape(step.title)}</h4>")
            parts.append(equation_table(rows, styled=at == 1))
            parts.append(f"<p class='reason'>because {escape(step.reason)}</p>")
        if self.proof is not None:
            parts.append(f"<p class='proof'>{escape(self.proof.text())}</p>")
        return "\n".join([*parts, "</section>"])

    def _repr_html_(self) -> str:
        return self.html()

    def to_dict(self) -> dict[str, object]:
        """Plain data: subject, convention, note, the steps and what a check has found."""
        return {
            "subject": self.subject,
            "convention": self.convention,
            "note": self.note,
            "steps": [step.to_dict() for step in self.steps],
            "proof": None if self.proof is None else self.proof.text(),
        }


def _words(text: str) -> str:
    """Words for LaTeX's text mode, in ASCII."""
    return text.translate(_PLAIN).encode("ascii", "ignore").decode()
