"""``expr``: a formula as text in, its value and its gradients out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from pullback import diagram
from pullback.calculus import gradients, jacobian, pushforward
from pullback.diagram.page import WIDTH
from pullback.errors import AxisError, UnknownNameError, unknown, whole
from pullback.ir import Constant, Graph, Input, Node, as_printed, simplify, walk
from pullback.ir.axis import show
from pullback.ir.language.dialect import Dialect, dialect_of, is_in_either
from pullback.ir.language.parse import SIGN, Structure, meaning_of, parse_declaration
from pullback.ir.language.reader import MOST_AXES
from pullback.ir.language.square import in_order
from pullback.ir.language.syntax import blaming
from pullback.ir.language.text import as_text
from pullback.ir.pick import Meeting
from pullback.ir.scalar.primitives import Array
from pullback.net.arrays import checked_arrays
from pullback.net.program import compile_program
from pullback.net.structure import Symmetric, check_moves, check_structures, structured
from pullback.notebook import headline, paragraph, table


def expr(text: str, /, *, dialect: Dialect | None = None, **axes: str) -> Expression:
    """An expression in variables with named axes, as in ``X="n d"``; ``b=""`` is a scalar.

    A square matrix is ``"n n"``, a symmetric one ``"n n sym"``, a diagonal one ``"n n diag"``; with
    ``"n sign"`` every entry is 1 or −1, so that y² is 1.
    ``dialect`` is "numpy" or "matlab"; by default it is told by the text, where x' or .* can only
    be MATLAB's. There, and where nothing is declared at all, names without axes are numbers (a to
    g), vectors (h to z) and matrices (capitals), and ``notes`` says so.
    Raises ExpressionError with a caret under the place that is not understood, and AxisError
    for a declaration that is not a row of names.

    >>> e = expr("mean(log(1+exp(-y*(X@w))))", X="n d", y="n", w="d")
    >>> value, grads = e.function(wrt=["w"])(X=[[1, 2], [3, 4]], y=[1, -1], w=[0, 0])
    >>> round(value, 4), grads["w"].tolist()
    (0.6931, [0.5, 0.5])
    """
    declared = {name: parse_declaration(name, names) for name, names in axes.items()}
    over = {name: found for name, (found, _) in declared.items()}
    structures = tuple((name, known) for name, (_, known) in declared.items() if known)
    signs = {name for name, known in structures if known == SIGN}
    spoken = dialect_of(text, dialect)
    with blaming(text):
        told = dialect is not None or not is_in_either(text)
        meaning = meaning_of(text, over, spoken, signs, told)
        (node,) = simplify(meaning.node)
    leaves = tuple(Input(name, over, signs=name in signs) for name, over in meaning.axes.items())
    lengths = meaning.meetings, meaning.measures
    return Expression(text, node, leaves, structures, meaning.notes, spoken, *lengths)


@dataclass(frozen=True, repr=False)
class Expression:
    """A formula: its text, the node that it means, and the variables that it reads."""

    text: str
    node: Node
    leaves: tuple[Input, ...]
    structures: tuple[tuple[str, Structure], ...] = ()  # of variables that are not any matrix
    notes: tuple[str, ...] = ()  # what was understood in one of two ways
    dialect: Dialect = "numpy"  # of the text
    meetings: tuple[Meeting, ...] = ()  # of slices, that tell how long an axis is
    measures: tuple[Node, ...] = ()  # constants that say how long axes are

    def __repr__(self) -> str:
        known = dict(self.structures)
        over = {
            leaf.name: " ".join([*(a.unprimed.name for a in leaf.axes), known.get(leaf.name, "")])
            for leaf in self.leaves
        }
        over = {name: axes.strip() for name, axes in over.items()}
        if self.dialect != "numpy":
            over = {"dialect": self.dialect, **over}
        return f"expr({self.text!r}{''.join(f', {name}={axes!r}' for name, axes in over.items())})"

    def _repr_html_(self) -> str:
        rows = [(n.name, " ".join(f"{a.name}" for a in n.axes) or "a number") for n in self.leaves]
        over = (
            f"An expression with the axes {show(self.node.axes)}."
            if self.node.axes
            else "A scalar expression."
        )
        return f"{headline(over)}{paragraph(self.text)}{table(['variable', 'axes'], rows)}"

    @property
    def graph(self) -> Graph:
        """The formula as a graph, whose only root is its value.

        >>> expr("X @ w", X="n d", w="d").graph.roots["value"].axes
        (n,)
        """
        return Graph({"value": self.node})

    def gradient(self, name: str, symmetric: Symmetric = "entries") -> Expression:
        """∂/∂name of a scalar expression: an expression with the axes of that variable.

        By a symmetric variable it is G + Gᵀ − G ⊙ I, with G the gradient by any matrix; or, with
        ``symmetric="part"``, ½ (G + Gᵀ). By a diagonal one it is G ⊙ I.
        Raises AxisError if this one is not scalar, UnknownNameError for another name, ConfigError
        for a variable that is ±1.

        >>> expr("sum(x**2)", x="n").gradient("x")(x=[1, 2])
        array([2., 4.])
        """
        return self._derived(self._gradients([name], symmetric)[name])

    def derivative(self, wrt: str, order: int = 1, symmetric: Symmetric = "entries") -> Expression:
        """The derivative of every entry by every entry of a variable, whatever the axes of either.

        Its axes are those of this expression and then those of the variable (numerator layout), as
        many times as the ``order``. What ``symmetric`` says is as for ``gradient``.
        Raises UnknownNameError for another name, ConfigError for an order that is no number from 1,
        AxisError where the result has more than 16 axes.

        >>> e = expr("A @ x", A="m n", x="n")
        >>> e.derivative("x")(A=[[1, 2], [3, 4]], x=[0, 0])
        array([[1., 2.],
               [3., 4.]])
        """
        leaf, node = self._leaf(wrt), self.node
        for _ in range(whole("order", order)):
            if len(node.axes) + len(leaf.axes) > MOST_AXES:
                raise AxisError(
                    f"the derivative of order {order} by {wrt!r} has more than {MOST_AXES} axes"
                )
            with blaming(self.text):
                node = derivative_of(node, leaf, self.structure(wrt), symmetric)
        return self._derived(node)

    def along(self, *names: str) -> Expression:
        """The directional derivative: the change for a change dx of x, the others held.

        It is an expression in the same variables and in ``d`` before each name.
        Raises UnknownNameError for another name, or for one that is a variable with a d before it.

        >>> expr("sum(x**2)", x="n").along("x")(x=[1, 2], dx=[1, 0])
        2.0
        """
        moving = [self._leaf(name) for name in names]
        known = {leaf.name for leaf in self.leaves}
        if taken := [name for name in names if f"d{name}" in known]:
            raise UnknownNameError(f"d{taken[0]} is the change of {taken[0]}, and a variable here")
        changes: dict[Node, Input] = {leaf: Input(f"d{leaf.name}", leaf.axes) for leaf in moving}
        with blaming(self.text):
            node = pushforward(self.node, changes)
        leaves = (*self.leaves, *changes.values())
        return replace(self._derived(node), leaves=leaves)

    def diagram(self, width: int = WIDTH) -> diagram.Diagram:
        """The expression as a tensor diagram, in lines of at most ``width`` pixels.

        So are its derivatives, where matrices end: ``e.derivative("X", order=2).diagram()``.
        Raises ConfigError for a width below 160, and where there is too much to look at.

        >>> d = expr("A @ exp(x)", A="m n", x="n").derivative("x").diagram()
        >>> [tensor.label for tensor in d.lines[0].terms[0].tensors]
        ['A', 'exp(x)']
        >>> d.svg.startswith("<svg")
        True
        """
        (node,) = as_printed(self.node)
        return diagram.diagram_of([("", node)], self.text, width=width)

    def structure(self, name: str) -> Structure:
        """What is known of a variable: symmetric, diagonal, ±1 entry by entry, or nothing."""
        return dict(self.structures).get(name, "")

    def _derived(self, node: Node) -> Expression:
        return replace(self, text=as_text(node), node=node, notes=(), dialect="numpy")

    def _leaf(self, name: str) -> Input:
        known = {leaf.name: leaf for leaf in self.leaves}
        if name not in known:
            raise unknown("variable", name, known)
        check_moves(name, self.structure(name))
        return known[name]

    def function(
        self, wrt: str | Sequence[str] = (), symmetric: Symmetric = "entries"
    ) -> Callable[..., tuple[Any, dict[str, Array]]]:
        """A function of all the variables, by keyword, that gives ``(value, {name: gradient})``.

        The value of a scalar expression is a float, that of any other an array with its axes; a
        gradient has the shape of its variable. Arrays are float32 or float64; lists and whole
        numbers become float64. The result is float32 where all arrays are.
        Raises AxisError if there are gradients to take and the expression is not scalar,
        UnknownNameError for other names; the function itself UnknownNameError, ShapeError,
        DTypeError, and DataError for arrays that are empty or not finite.

        >>> expr("b*(1-exp(-c*t))", t="", b="", c="").function(wrt="b")(t=1, b=2, c=0)
        (0.0, {'b': np.float64(0.0)})
        """
        slopes = self._gradients([wrt] if isinstance(wrt, str) else wrt, symmetric)
        structures = dict(self.structures)
        compute = compile_nodes(self.leaves, (self.node, *slopes.values()), self.measures)

        def function(**arrays: Any) -> tuple[Any, dict[str, Array]]:
            checked, dtype = checked_arrays(self.leaves, arrays, self.meetings)
            check_structures(structures, checked)
            value, *found = compute(checked)
            grads = {name: _cast(slope, dtype) for name, slope in zip(slopes, found, strict=True)}
            return _cast(value, dtype) if self.node.axes else float(value), grads

        return function

    def __call__(self, /, **arrays: Any) -> Any:
        """The value alone.

        >>> expr("X @ w", X="n d", w="d")(X=[[1, 2]], w=[3, 4])
        array([11.])
        """
        return self.function()(**arrays)[0]

    def _gradients(self, names: Sequence[str], symmetric: Symmetric = "entries") -> dict[str, Node]:
        leaves = {name: self._leaf(name) for name in names}
        if names and self.node.axes:
            raise AxisError(
                f"a gradient is taken of a scalar, and {self.text!r} has axes "
                f"{show(self.node.axes)}: reduce it with sum or mean, or take its derivative, "
                f"e.derivative({names[0]!r})"
            )
        if not names:
            return {}
        with blaming(self.text):
            slopes = slopes_of(self.node, list(leaves.values()))
            return {
                name: structured(slopes[leaf], leaf.axes, self.structure(name), symmetric)
                for name, leaf in leaves.items()
            }


def slopes_of(node: Node, leaves: Sequence[Input]) -> dict[Input, Node]:
    """The gradient by each variable: zeros for one that has cancelled out of the formula."""
    reached = set(walk((node,)))
    found = [leaf for leaf in leaves if leaf in reached]
    slopes = dict(zip(found, gradients(node, found), strict=True))
    return {leaf: slopes.get(leaf, Constant(0.0, leaf.axes)) for leaf in leaves}


def derivative_of(
    node: Node, leaf: Input, structure: Structure = "", symmetric: Symmetric = "entries"
) -> Node:
    """The derivative of every entry of a node by a variable: the axes of both, in order."""
    found = in_order(jacobian(node, leaf) if node.axes else slopes_of(node, [leaf])[leaf])
    ends = found.axes[len(node.axes) :]
    return structured(simplify(found)[0], ends, structure, symmetric)


@lru_cache(maxsize=128)
def compile_nodes(
    leaves: tuple[Input, ...], roots: tuple[Node, ...], measures: tuple[Node, ...] = ()
) -> Callable[[Mapping[str, Array]], tuple[Array, ...]]:
    """A function from the leaves' arrays, by name, to the arrays of the roots."""
    keys = [f"result {at}" for at in range(len(roots))]
    # every leaf, because one that the roots do not read may still set an axis's size
    wanted = dict(zip(keys, roots, strict=True))
    program = compile_program(wanted, "An expression.", leaves=leaves, measures=measures)

    def compute(arrays: Mapping[str, Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):  # an infinity is an answer, and stands in the result
            found = program({}, arrays)
        return tuple(np.asarray(found[key]) for key in keys)

    return compute


def _cast(array: Array, dtype: Any) -> Any:
    """An array of this dtype; without axes, a number that prints and formats as one."""
    return array.astype(dtype, copy=False)[()]
