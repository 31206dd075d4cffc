"""From a graph of values to blocks: chains, x + scale · f(x), and functions of one unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from pullback.errors import ConversionError
from pullback.interop.formula import block_of
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


class _NoWayError(Exception):
    """No blocks lead to a value; ``joint`` is the one that joins branches, if that is why."""

    def __init__(self, joint: Value | None = None) -> None:
        self.joint = joint


@dataclass
class Assembler:
    """Reads the values of one graph as blocks, and its weights as the graph's arrays."""

    graph: Graph

    def block(self, output: Value) -> Block:
        """The block from the input to the output.

        Raises ConversionError, naming the place, for values that no block computes.
        """
        try:
            return _joined(self._chain(output, self.graph.source))
        except _NoWayError as fault:
            if fault.joint is None:
                raise ConversionError("the output does not depend on the input") from None
            raise ConversionError(
                f"{fault.joint.place} joins two branches; pullback reads x + scale·f(x), and "
                "functions of one value"
            ) from None

    def _chain(self, value: Value, stop: Value) -> list[Block]:
        """The blocks from ``stop`` to a value; raises _NoWayError if it does not depend on it."""
        found: list[Block] = []
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
                blocks, value = self._formula(value, stop)
                found += blocks
        return found[::-1]

    def _formula(self, value: Formula, stop: Value) -> tuple[list[Block], Value]:
        """The blocks that compute a formula, last first, and the value that they start from."""
        inner = None
        try:
            if found := self._residual(value):
                return found
        except _NoWayError as fault:
            inner = fault
        try:
            return _pointwise(value, stop)
        except _NoWayError as fault:
            raise inner if inner and inner.joint else fault from None

    def _linear(self, value: Affine) -> Linear:
        name = f"#{value.index}" if value.name is None else value.name
        return self.graph.store.linear(value.place, name, value.weight, value.bias)

    def _residual(self, value: Formula) -> tuple[list[Block], Value] | None:
        """c · (x + scale · f(x)) as blocks, last first, and x; None if it is not of this form."""
        if len(value.args) != 2:
            return None
        c, d = (value.expr.coeff(symbol(at)) for at in (0, 1))
        if not (c * d).is_number or c * d == 0:
            return None
        if sp.expand(value.expr - c * symbol(0) - d * symbol(1)) != 0:
            return None
        # what is computed first is x; that may be what one of the two is a multiple of
        (skip, c), (branch, d) = sorted(
            zip(value.args, (c, d), strict=True), key=lambda term: term[0].index
        )
        try:
            return self._skip(skip, c, *_bare(branch, d))
        except _NoWayError:
            bare = (_bare(skip, c), _bare(branch, d))
            (skip, c), (branch, d) = sorted(bare, key=lambda term: term[0].index)
            return self._skip(skip, c, branch, d)

    def _skip(self, skip: Value, c: Any, branch: Value, d: Any) -> tuple[list[Block], Value]:
        """c · skip + d · branch as blocks, last first, and the value that is skipped from."""
        arrays = self.graph.store.arrays
        read = set(arrays)
        try:
            inner = self._chain(branch, skip)
        except _NoWayError:
            for name in set(arrays) - read:
                del arrays[name]
            raise
        if c == 0:  # 0·h + f(h): what is skipped from cancels
            return ([] if d == 1 else [block_of(d * symbol(0))]) + inner[::-1], skip
        residual = Residual(_joined(inner), float(d / c))
        return ([residual] if c == 1 else [block_of(c * symbol(0)), residual]), skip


def _bare(value: Value, factor: Any) -> tuple[Value, Any]:
    """factor · value with the numbers that the value is a multiple of in the factor."""
    while isinstance(value, Formula) and len(value.args) == 1:
        share = value.expr.coeff(symbol(0))
        if not share.is_number or value.expr != share * symbol(0):
            break
        value, factor = value.args[0], factor * share
    return value, factor


def _pointwise(value: Formula, stop: Value) -> tuple[list[Block], Value]:
    """One activation for as much as is a function of one value, and that value."""
    leaves: dict[Value, Any] = {}

    def expression(of: Value) -> Any:
        args = of.args if isinstance(of, Formula) else (of.arg,)  # type: ignore[attr-defined]
        expr = of.expr if isinstance(of, Formula) else of.block.expression()  # type: ignore[attr-defined]
        names = {arg: leaves.setdefault(arg, sp.Dummy(real=True)) for arg in args}
        return expr.xreplace({symbol(at): names[arg] for at, arg in enumerate(args)})

    expr, found = expression(value), None
    while True:
        if len(leaves) == 1:
            ((base, name),) = leaves.items()
            found = base, expr.xreplace({name: symbol(0)})
        latest = max(leaves, key=lambda leaf: leaf.index)
        if latest is stop or not isinstance(latest, (Applied, Formula)):
            break
        name = leaves.pop(latest)
        expr = expr.xreplace({name: expression(latest)})
    if found is None:
        raise _NoWayError(value)
    base, expr = found
    try:
        return [block_of(expr)], base
    except ConversionError as fault:
        raise ConversionError(f"{value.place}: {fault}") from None


def _joined(blocks: list[Block]) -> Block:
    """One block for a chain; formulas that follow each other are one."""
    found: list[Block] = []
    for block in blocks:
        if found and (one := _merged(found[-1], block)):
            found[-1] = one
        else:
            found.append(block)
    if len(found) == 1:
        return found[0]
    return Sequential(*found) if found else Identity()


def _merged(before: Block, after: Block) -> Elementwise | None:
    """Two activations as one, if either is a formula."""
    if not (isinstance(before, Elementwise) and isinstance(after, Elementwise)):
        return None
    if not (isinstance(before, Activation) or isinstance(after, Activation)):
        return None
    return block_of(after.expression().xreplace({symbol(0): before.expression()}))


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
