"""From a graph of values to blocks: chains, x + scale · f(x), and functions of one unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp

from pullback.errors import ConversionError
from pullback.interop.formula import block_of, known_block
from pullback.interop.graph import (
    Affine,
    Applied,
    Array,
    Formula,
    Graph,
    Part,
    Source,
    Store,
    Value,
)
from pullback.ir import symbol
from pullback.nn import Activation, Block, Elementwise, Identity, Linear, Residual, Sequential
from pullback.nn.block import joined

# parts of a formula, counted as often as they are written: more is refused, or not merged
LONGEST, MERGED = 400, 64


class _NoWayError(Exception):
    """No blocks lead to a value; ``joint`` is the one that joins branches, if that is why."""

    def __init__(self, joint: Value | None = None) -> None:
        self.joint = joint


@dataclass(frozen=True)
class _Piece:
    """A function of one value that is no block yet: an expression in x0, and where it stands."""

    expr: Any
    place: str

    def block(self) -> Elementwise:
        try:
            return block_of(self.expr)
        except ConversionError as fault:
            raise ConversionError(f"{self.place}: {fault}") from None


Pieces = list[Block | _Piece]
Way = tuple[Pieces, Value]  # the pieces that compute a value, last first, and where they start


@dataclass
class Assembler:
    """Reads the values of one graph as blocks, each value once, and its weights as arrays."""

    graph: Graph
    _ways: dict[Value, Way | _NoWayError] = field(default_factory=dict)
    _affines: dict[int, tuple[Linear, Affine]] = field(default_factory=dict)  # by the Linear's id

    def block(self, output: Value) -> Block:
        """The block from the input to the output.

        Raises ConversionError, naming the place, for values that no block computes.
        """
        try:
            block = _joined(self._chain(output, self.graph.source))
            linears = [linear for _, linear in named(block)]
        except _NoWayError as fault:
            if fault.joint is None:
                raise ConversionError("the output does not depend on the input") from None
            raise ConversionError(
                f"{fault.joint.place} joins two branches; pullback reads x + scale·f(x), and "
                "functions of one value"
            ) from None
        except RecursionError:
            raise ConversionError("its branches are nested too deeply to be read") from None
        for linear in linears:
            if found := self._affines.get(id(linear)):
                _, value = found
                self.graph.store.linear(value.place, linear.name or "", value.weight, value.bias)
        return block

    def _chain(self, value: Value, stop: Value) -> Pieces:
        """The pieces from ``stop`` to a value; raises _NoWayError if it does not depend on it."""
        found: Pieces = []
        while value is not stop:
            if value.index < stop.index or isinstance(value, Source):
                raise _NoWayError
            if isinstance(value, Affine):
                found.append(self._linear(value))
                value = value.arg
            elif isinstance(value, (Applied, Part)):
                found.append(value.block)
                value = value.arg
            else:
                assert isinstance(value, Formula)
                pieces, value = self._formula(value)
                found += pieces
        return found[::-1]

    def _formula(self, value: Formula) -> Way:
        """The way to a formula, which is searched once."""
        if value not in self._ways:
            try:
                self._ways[value] = self._searched(value)
            except _NoWayError as fault:
                self._ways[value] = fault
        found = self._ways[value]
        if isinstance(found, _NoWayError):
            raise found
        return found

    def _searched(self, value: Formula) -> Way:
        inner = None
        try:
            if found := self._residual(value):
                return found
        except _NoWayError as fault:
            inner = fault
        try:
            return _pointwise(value)
        except _NoWayError as fault:
            raise inner if inner and inner.joint else fault from None

    def _linear(self, value: Affine) -> Linear:
        name = f"#{value.index}" if value.name is None else value.name
        n_out, n_in = value.weight.shape
        linear = Linear(n_in, n_out, bias=value.bias is not None, name=name)
        self._affines[id(linear)] = (linear, value)
        return linear

    def _residual(self, value: Formula) -> Way | None:
        """c · (x + scale · f(x)) as pieces, last first, and x; None if it is not of this form."""
        if len(value.args) != 2:
            return None
        c, d = (value.expr.coeff(symbol(at)) for at in (0, 1))
        if not (c * d).is_number or c * d == 0:
            return None
        if sp.expand(value.expr - c * symbol(0) - d * symbol(1)) != 0:
            return None
        # what is computed first is x; that may be what one of the two is a multiple of
        terms = sorted(zip(value.args, (c, d), strict=True), key=lambda term: term[0].index)
        (skip, c), (branch, d) = terms
        try:
            return self._skip(value, skip, c, *_bare(branch, d))
        except _NoWayError:
            bare = [_bare(*term) for term in terms]
            (skip, c), (branch, d) = sorted(bare, key=lambda term: term[0].index)
            return self._skip(value, skip, c, branch, d)

    def _skip(self, value: Value, skip: Value, c: Any, branch: Value, d: Any) -> Way:
        """c · skip + d · branch as pieces, last first, and the value that is skipped from."""
        inner = self._chain(branch, skip)
        if c == 0:  # 0·h + f(h): what is skipped from cancels
            return ([] if d == 1 else [_Piece(d * symbol(0), value.place)]) + inner[::-1], skip
        residual = Residual(_joined(inner), float(d / c))
        return ([residual] if c == 1 else [_Piece(c * symbol(0), value.place), residual]), skip


def _bare(value: Value, factor: Any) -> tuple[Value, Any]:
    """factor · value with the numbers that the value is a multiple of in the factor."""
    while isinstance(value, Formula) and len(value.args) == 1:
        share = value.expr.coeff(symbol(0))
        if not share.is_number or value.expr != share * symbol(0):
            break
        value, factor = value.args[0], factor * share
    return value, factor


def _pointwise(value: Formula) -> Way:
    """A formula as a function of the nearest value that all of it depends on, and that value.

    Raises _NoWayError if there is none, ConversionError if the function is too long.
    """
    leaves: dict[Value, Any] = {}

    def expression(of: Value) -> Any:
        args = of.args if isinstance(of, Formula) else (of.arg,)  # type: ignore[attr-defined]
        expr = of.expr if isinstance(of, Formula) else of.block.expression()  # type: ignore[attr-defined]
        names = {arg: leaves.setdefault(arg, sp.Dummy(real=True)) for arg in args}
        return expr.xreplace({symbol(at): names[arg] for at, arg in enumerate(args)})

    expr = expression(value)
    for _ in range(LONGEST):
        if len(leaves) == 1:
            ((base, name),) = leaves.items()
            return [_Piece(expr.xreplace({name: symbol(0)}), value.place)], base
        latest = max(leaves, key=lambda leaf: leaf.index)
        if not isinstance(latest, (Applied, Formula)):
            raise _NoWayError(value)
        name = leaves.pop(latest)
        expr = expr.xreplace({name: expression(latest)})
        if _length(expr) > LONGEST:
            break
    raise ConversionError(
        f"{value.place} is a function of one value, but one of more than {LONGEST} parts"
    )


def _length(expr: Any) -> int:
    """How many parts an expression has where it is written out; shared ones are counted once."""
    known: dict[Any, int] = {}

    def of(part: Any) -> int:
        if part not in known:
            known[part] = 1 + sum(map(of, part.args))
        return known[part]

    return of(expr)


def _joined(pieces: Pieces) -> Block:
    """One block for a chain; short formulas that follow each other are one."""
    found: Pieces = []
    for piece in pieces:
        if found and (one := _merged(found[-1], piece)):
            found[-1] = one
        else:
            found.append(piece)
    blocks = [piece.block() if isinstance(piece, _Piece) else piece for piece in found]
    if len(blocks) == 1:
        return blocks[0]
    return Sequential(*blocks) if blocks else Identity()


def _merged(before: Block | _Piece, after: Block | _Piece) -> _Piece | None:
    """Two functions as one, if either is a formula without a name of its own."""
    sides = [_named_block(each) for each in (before, after)]
    if not any(isinstance(side, (_Piece, Activation)) for side in sides):
        return None
    inner, outer = map(_expression, sides)
    if inner is None or outer is None:
        return None
    if outer.has(sp.Piecewise) and inner.has(sp.Piecewise):
        return None  # a condition about a condition is no formula of ours
    expr = outer.xreplace({symbol(0): inner})
    if _length(expr) > MERGED:
        return None
    places = [side.place for side in (after, before) if isinstance(side, _Piece)]
    return _Piece(expr, places[0] if places else "a formula")


def _expression(piece: Block | _Piece) -> Any:
    """A function of one unit as an expression in x0, None for other blocks."""
    if isinstance(piece, _Piece):
        return piece.expr
    return piece.expression() if isinstance(piece, Elementwise) else None


def _named_block(piece: Block | _Piece) -> Block | _Piece:
    """A piece as the block that has a name for it, if there is one."""
    return piece if isinstance(piece, Block) else known_block(piece.expr) or piece


def named(block: Block, path: str = "") -> Iterator[tuple[str, Linear]]:
    """Every Linear with its place."""
    if isinstance(block, Linear):
        yield path, block
    elif isinstance(block, Sequential):
        for at, part in enumerate(block.blocks):
            yield from named(part, joined(path, at))
    elif isinstance(block, Residual):
        yield from named(block.block, joined(path, "block"))


def without_names(block: Block) -> Block:
    """The same block with every Linear called by its place."""
    if isinstance(block, Linear):
        return replace(block, name=None)
    if isinstance(block, Sequential):
        return Sequential(*map(without_names, block.blocks))
    if isinstance(block, Residual):
        return replace(block, block=without_names(block.block))
    return block


def settled(block: Block, store: Store, by_place: bool) -> tuple[Block, dict[str, Array]]:
    """The block and its parameters by name; names that places give anyway are left out.

    With ``by_place`` all names are those of places.
    """
    arrays, places = store.arrays, dict(named(block))
    if by_place or all(place == linear.name for place, linear in places.items()):
        arrays = {place: arrays[linear.name or ""] for place, linear in places.items()}
        block = without_names(block)
    params: dict[str, Array] = {}
    for spec in block.parameters(""):
        name, _, part = spec.name.rpartition(".")
        weight, bias = arrays[name]
        array = weight if part == "weight" else bias
        assert array is not None
        params[spec.name] = array.copy()
    return block, params
