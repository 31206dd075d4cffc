"""From text to nodes: ``mean(log(1+exp(-y*(X@w))))`` with axes by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pullback.errors import AxisError, shown
from pullback.ir.axis import Axes, Axis
from pullback.ir.kinds import Add, Input
from pullback.ir.language.dialect import Dialect
from pullback.ir.language.functions import OVER_AXES
from pullback.ir.language.guessed import guessed_axes
from pullback.ir.language.matlab import MatlabText
from pullback.ir.language.reader import CONSTANTS, MOST_AXES, Reader
from pullback.ir.language.square import numbered
from pullback.ir.language.syntax import SourceText, blaming, check_name
from pullback.ir.language.unit import unit_at_zero
from pullback.ir.node import Node, walk
from pullback.ir.normal.regions import Region, is_finite_real
from pullback.ir.normal.stable import stabilise
from pullback.ir.pick import Meeting, Meetings
from pullback.ir.scalar.exact import NOT_REAL
from pullback.ir.scalar.function import Scalar, symbol
from pullback.ir.sizes import measures

Structure = Literal["", "sym", "diag", "sign"]
STRUCTURES: Mapping[str, Structure] = {
    "sym": "sym", "symmetric": "sym", "diag": "diag", "diagonal": "diag",
}  # fmt: skip
SIGN: Literal["sign"] = "sign"  # the last word: every entry is 1 or −1


@dataclass(frozen=True)
class Meaning:
    """What a text means: a node, the axes of its variables, and what else was understood.

    Where slices meet that are of one length for one length of their axis only, it has that length.
    ``measures`` are constants that say how long axes are.
    """

    node: Node
    axes: Mapping[str, Axes]
    notes: tuple[str, ...]
    meetings: tuple[Meeting, ...]
    measures: tuple[Node, ...]


def parse(text: str, axes: Mapping[str, Axes]) -> Node:
    """The node that a text in NumPy's notation means; each name of ``axes`` is an Input.

    ``+ - * / **`` broadcast by axis name: one of the operands has the axes of all; who means every
    entry of one with every entry of the other writes ``outer(a, b)`` or ``broadcast(a, "m")``.
    ``A @ b`` sums the last axis of A, which has to be the only or second-to-last axis of b.
    ``A.T`` transposes, ``rename(A, d="k")`` renames an axis, ``where(a > b, x, y)`` chooses.
    ``x[1:]``, ``X[:, 0]`` slice; slices of one axis meet entry by entry.
    The functions are those of ``pullback.ir.language.functions``; the ones over axes take
    ``axis="n d"`` and by default go over all axes (softmax: the last one; dot: the shared ones).
    Raises ExpressionError, with a caret under the place, for whatever else the text holds and
    for names that are not declared, or declared and not used; AxisError for a bad declaration.

    >>> n, d = Axis("n"), Axis("d")
    >>> parse("X @ w", {"X": (n, d), "w": (d,)}).axes
    (n,)
    """
    return meaning_of(text, axes).node


def meaning_of(
    text: str,
    axes: Mapping[str, Axes],
    dialect: Dialect = "numpy",
    signs: Collection[str] = (),
    told: bool = True,
) -> Meaning:
    """What a text means in a dialect, with the axes of its variables; ``signs`` are those of ±1.

    In MATLAB's, names that ``axes`` does not have are numbers (a to g), vectors (h to z) and
    matrices (capitals) by their first letters; sides that meet are one axis, and ``notes`` says so.
    So are those of NumPy's where ``axes`` has none; ``told`` is whether it is known to be NumPy's.
    Raises what ``parse`` raises.

    >>> meaning = meaning_of("A*exp(x)", {}, "matlab")
    >>> meaning.node.axes, meaning.axes
    ((n,), {'A': (n, m), 'x': (m,)})
    """
    for name in axes:
        check_name("a variable", name)
    over, notes = axes, list[str]()
    with blaming(text):
        source = MatlabText(text, axes) if dialect == "matlab" else SourceText(text)
        if isinstance(source, MatlabText):
            over, notes = source.axes, source.notes
        elif not axes:
            over, notes = guessed_axes(source, told)
        node, more, meetings = _read(source, over, signs)
        if meetings:
            over = {name: _sized(each, meetings) for name, each in over.items()}
            node, more, _ = _read(source, over, signs, meetings)
    _refuse_unused(source, axes)
    met = tuple(meetings.values())
    every = dict.fromkeys([*notes, *more, *(f"{each}." for each in met)])
    return Meaning(unit_at_zero(node), over, tuple(every), met, measures(walk((node,))))


def _read(
    source: SourceText,
    axes: Mapping[str, Axes],
    signs: Collection[str],
    told: Meetings | None = None,
) -> tuple[Node, list[str], Meetings]:
    """What a text means, notes, and which axes of the variables its slices tell the length of."""
    variables = {name: Input(name, over, signs=name in signs) for name, over in axes.items()}
    reader = Reader(source, variables, told)
    node = reader.node(source.tree)
    declared = {axis.name for over in axes.values() for axis in over}
    met = {name: each for name, each in reader.slices.meetings.items() if name in declared}
    return node, reader.notes, met


def _sized(axes: Axes, told: Meetings) -> Axes:
    """The axes with the lengths that are told."""
    return tuple(
        Axis(axis.name, told[axis.unprimed.name].axis.size) if axis.unprimed.name in told else axis
        for axis in axes
    )


def parse_scalar(text: str) -> Scalar:
    """The function of one variable, of any name, that a text means.

    Raises ExpressionError, with a caret under the place, unless exactly one name is free.

    >>> parse_scalar("1.7159*tanh(2*x/3)")
    1.7159*tanh(2*x0/3)
    """
    source = SourceText(text)
    free = _free(source)
    if len(free) != 1:
        found = " and ".join(map(repr, list(free)[:4])) or "none"
        place = list(free.values())[1] if free else None
        raise source.error(f"expected a function of one variable, found {found}", place)
    return _function(source, tuple(free))


def parse_function(text: str, names: tuple[str, ...]) -> Scalar:
    """The function of some variables, in this order, that a text means; the first is needed.

    Raises ExpressionError, with a caret under the place, for another name.

    >>> parse_function("abs(z - y)", ("z", "y"))
    abs(x0 - x1)
    """
    source = SourceText(text)
    free = _free(source)
    if strange := [name for name in free if name not in names]:
        known = " and ".join(names)
        raise source.error(
            f"expected a function of {known}, found {strange[0]!r}", free[strange[0]]
        )
    if names[0] not in free:
        raise source.error(f"expected a function of {names[0]}, which does not stand there")
    return _function(source, names)


def _refuse_unused(source: SourceText, declared: Iterable[str]) -> None:
    used = source.names()
    for name in declared:
        if name not in used:
            raise source.error(f"{name!r} is declared, but {source.text!r} does not use it")


def _free(source: SourceText) -> dict[str, int]:
    """The variables of a text, and where each stands first."""
    return {name: at for name, at in source.names().items() if name not in CONSTANTS}


def _function(source: SourceText, names: tuple[str, ...]) -> Scalar:
    variables = {name: Input(name, ()) for name in names}
    with blaming(source.text):
        node = Reader(source, variables).node(source.tree)
        region = Region(Add((node,)), stop=lambda inner: False)
        places = {
            region.leaves[leaf]: symbol(at)
            for at, leaf in enumerate(variables.values())
            if leaf in region.leaves
        }
        expr = stabilise(region.expr.xreplace(places))
    if node.axes or source.calls(source.tree, tuple(OVER_AXES)):
        raise source.error("a function of one number has no axes to go over", source.tree)
    if not is_finite_real(expr):
        raise source.error(NOT_REAL, source.tree)
    return Scalar.of(expr, len(names))


def parse_declaration(variable: str, names: str) -> tuple[Axes, Structure]:
    """The axes of a variable, and what is known of it: ``"n n sym"``, ``"n n diag"``, ``"n sign"``.

    Raises AxisError for what is not a name.

    >>> parse_declaration("A", "n n sym")
    ((n, n′), 'sym')
    """
    words = _words(variable, names)
    if len(words) == 3 and words[0] == words[1] and words[2] in STRUCTURES:
        return parse_axes(variable, " ".join(words[:2])), STRUCTURES[words[2]]
    if words and words[-1] == SIGN:
        return parse_axes(variable, " ".join(words[:-1])), SIGN
    return parse_axes(variable, names), ""


def parse_axes(variable: str, names: str) -> Axes:
    """The axes of a variable, as in ``"n d"``; their sizes are not known.

    A square matrix is ``"n n"``: its second axis is as long as its first. Raises AxisError for
    what is not a name.

    >>> parse_axes("X", "n d"), parse_axes("A", "n n")
    ((n, d), (n, n′))
    """
    each, written = _words(variable, names), f"{variable}={shown(names)}"
    if len(each) > MOST_AXES:
        raise AxisError(f"{written} has {len(each)} axes; at most {MOST_AXES} are read")
    for axis in each:
        check_name(f"an axis of {written}", axis)
    for axis, times in Counter(each).items():
        if times > 2:
            raise AxisError(
                f"{written} has the axis {axis!r} {times} times: a square matrix has one twice; "
                f"give the others names of their own, as {axis}2"
            )
    return numbered(Axis(axis) for axis in each)


def _words(variable: str, names: str) -> list[str]:
    if not isinstance(names, str):
        raise AxisError(
            f"the axes of {variable!r} are a string such as 'n d', found {shown(names)}"
        )
    return names.split()
