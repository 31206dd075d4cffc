"""``expr``: a formula as text in, its value and its gradients out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pullback.calculus import gradients
from pullback.errors import AxisError, unknown
from pullback.ir import Constant, Graph, Input, Node, simplify, walk
from pullback.ir.axis import show
from pullback.ir.language.parse import parse, parse_axes
from pullback.ir.language.syntax import blaming
from pullback.ir.language.text import as_text
from pullback.ir.scalar.primitives import Array
from pullback.net.arrays import checked_arrays
from pullback.net.program import compile_program
from pullback.notebook import headline, paragraph, table


def expr(text: str, /, **axes: str) -> Expression:
    """An expression in variables with named axes, as in ``X="n d"``; ``b=""`` is a scalar.

    Raises ExpressionError with a caret under the place that is not understood, and AxisError
    for a declaration that is not a row of names.

    >>> e = expr("mean(log(1+exp(-y*(X@w))))", X="n d", y="n", w="d")
    >>> value, grads = e.function(wrt=["w"])(X=[[1, 2], [3, 4]], y=[1, -1], w=[0, 0])
    >>> round(value, 4), grads["w"].tolist()
    (0.6931, [0.5, 0.5])
    """
    declared = {name: parse_axes(name, names) for name, names in axes.items()}
    with blaming(text):
        (node,) = simplify(parse(text, declared))
    return Expression(text, node, tuple(Input(name, over) for name, over in declared.items()))


@dataclass(frozen=True, repr=False)
class Expression:
    """A formula: its text, the node that it means, and the variables that it reads."""

    text: str
    node: Node
    leaves: tuple[Input, ...]

    def __repr__(self) -> str:
        over = {
            leaf.name: " ".join(axis.unprimed.name for axis in leaf.axes) for leaf in self.leaves
        }
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

    def gradient(self, name: str) -> Expression:
        """∂/∂name of a scalar expression: an expression with the axes of that variable.

        Raises AxisError if this one is not scalar, UnknownNameError for another name.

        >>> expr("sum(x**2)", x="n").gradient("x")(x=[1, 2])
        array([2., 4.])
        """
        node = self._gradients([name])[name]
        return Expression(as_text(node), node, self.leaves)

    def function(
        self, wrt: str | Sequence[str] = ()
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
        slopes = self._gradients([wrt] if isinstance(wrt, str) else wrt)
        compute = compile_nodes(self.leaves, (self.node, *slopes.values()))

        def function(**arrays: Any) -> tuple[Any, dict[str, Array]]:
            checked, dtype = checked_arrays(self.leaves, arrays)
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

    def _gradients(self, names: Sequence[str]) -> dict[str, Node]:
        known = {leaf.name: leaf for leaf in self.leaves}
        for name in names:
            if name not in known:
                raise unknown("variable", name, known)
        if names and self.node.axes:
            raise AxisError(
                f"a gradient is taken of a scalar, and {self.text!r} has axes "
                f"{show(self.node.axes)}: reduce it with sum or mean"
            )
        if not names:
            return {}
        with blaming(self.text):
            slopes = slopes_of(self.node, [known[name] for name in names])
        return {name: slopes[known[name]] for name in names}


def slopes_of(node: Node, leaves: Sequence[Input]) -> dict[Input, Node]:
    """The gradient by each variable: zeros for one that has cancelled out of the formula."""
    reached = set(walk((node,)))
    found = [leaf for leaf in leaves if leaf in reached]
    slopes = dict(zip(found, gradients(node, found), strict=True))
    return {leaf: slopes.get(leaf, Constant(0.0, leaf.axes)) for leaf in leaves}


@lru_cache(maxsize=128)
def compile_nodes(
    leaves: tuple[Input, ...], roots: tuple[Node, ...]
) -> Callable[[Mapping[str, Array]], tuple[Array, ...]]:
    """A function from the leaves' arrays, by name, to the arrays of the roots."""
    keys = [f"result {at}" for at in range(len(roots))]
    # every leaf, because one that the roots do not read may still set an axis's size
    program = compile_program(dict(zip(keys, roots, strict=True)), "An expression.", leaves=leaves)

    def compute(arrays: Mapping[str, Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):  # an infinity is an answer, and stands in the result
            found = program({}, arrays)
        return tuple(np.asarray(found[key]) for key in keys)

    return compute


def _cast(array: Array, dtype: Any) -> Any:
    """An array of this dtype; without axes, a number that prints and formats as one."""
    return array.astype(dtype, copy=False)[()]
