"""Sums of exponentials by their logarithm: log Σ eᵘ and eᵛ / Σ eᵘ without eᵘ, which overflows.

A sum S = Σ eᵘ that a scalar function reads becomes exp(l) with l = logsumexp u. Where the rules for
scalars then leave no exp(l) that could overflow, the function is stable, and S is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy as sp

from pullback.ir.axis import Axis
from pullback.ir.kinds import Add, Constant, Contract, Map
from pullback.ir.node import Node
from pullback.ir.normal.regions import Product as Multiply
from pullback.ir.normal.regions import Region, number, rebuild
from pullback.ir.normal.stable import stabilise
from pullback.ir.reduction import LogSumExp
from pullback.ir.scalar.function import Scalar, symbol


def through_logarithms(expr: Any, region: Region, multiply: Multiply) -> Any:
    """The expression with sums of exponentials by their logarithm, wherever that is stable."""
    sums: dict[Any, tuple[Any, Any]] = {}  # of each sum's placeholder: its logarithm, its value
    for leaf, placeholder in list(region.leaves.items()):
        found = _logarithm(leaf, multiply) if expr.has(placeholder) else None
        if found is not None:
            log = region.placeholder(found[0])
            factors = (_factor(each, region) for each in found[1])
            sums[placeholder] = log, sp.Mul(sp.exp(log), *factors)
    # all of them, as log(Σ eᵘ + Σ eᵛ) needs both; else whichever help alone
    for chosen in [tuple(sums), *((each,) for each in sums)]:
        if not any(expr.has(each) for each in chosen):
            continue
        better = stabilise(expr.xreplace({each: sums[each][1] for each in chosen}))
        logs = [sums[each][0] for each in chosen]
        if all(_falls(part, log) for part in better.atoms(sp.exp) for log in logs):
            expr = better
            for log in logs:
                expr = _into_sums(expr, log, region, multiply)
    return expr


def _logarithm(node: Node, multiply: Multiply) -> tuple[Node, tuple[Node, ...]] | None:
    """l and f with node = exp(l) · Π f, if it is such a sum; of Σ w eᵘ one f is Σ w exp(u − l)."""
    if not (isinstance(node, Contract) and node.summed):
        return None
    summed = set(node.summed)
    inside = [factor for factor in node.factors if summed & set(factor.axes)]
    powers = [factor for factor in inside if _is_exponential(factor)]
    if any(isinstance(arg, LogSumExp) for factor in powers for arg in factor.args):
        return None  # exp(u − l) overflows no more
    if not summed <= _axes(powers):
        return None
    exponents = [_exponent(factor, multiply) for factor in powers]
    total = exponents[0] if len(exponents) == 1 else Add(tuple(exponents))
    logarithm = total
    for axis in node.summed:
        logarithm = LogSumExp(logarithm, axis)
    others = [factor for factor in node.factors if factor not in inside]
    if weights := [factor for factor in inside if factor not in powers]:
        share = Map(Scalar.of(sp.exp(symbol(0) - symbol(1))), (total, logarithm))
        carried = _axes([*weights, share])
        kept = tuple(axis for axis in node.over if axis in carried)
        others.append(multiply(1.0, [*weights, share], kept))
    return logarithm, tuple(others)


def _axes(nodes: Iterable[Node]) -> set[Axis]:
    return {axis for node in nodes for axis in node.axes}


def _is_exponential(node: Node) -> bool:
    return isinstance(node, Map) and isinstance(node.function.expr, sp.exp)


def _exponent(node: Node, multiply: Multiply) -> Node:
    assert isinstance(node, Map)
    leaves = {symbol(at): arg for at, arg in enumerate(node.args)}
    return rebuild(node.function.expr.args[0], leaves, node.axes, multiply)


def _factor(node: Node, region: Region) -> Any:
    plain = isinstance(node, Constant) and not node.over
    return number(node.value) if isinstance(node, Constant) and plain else region.placeholder(node)


def _falls(exponential: Any, log: Any) -> bool:
    """Does exp(u) not hold the logarithm, or only with a minus?"""
    return bool(exponential.args[0].coeff(log) < 0) or not exponential.has(log)


def _into_sums(expr: Any, log: Any, region: Region, multiply: Multiply) -> Any:
    """(Σ w eᵘ) · exp(−l) as Σ w exp(u − l): divided before it is summed, nothing overflows."""
    if not expr.is_Mul:
        return expr
    shrinking = next((f for f in expr.args if isinstance(f, sp.exp) and f.has(log)), None)
    nodes = region.nodes()
    if shrinking is None:
        return expr
    shift = shrinking.args[0]
    axes = _axes(nodes[each] for each in shift.free_symbols)
    for factor in expr.args:
        node = nodes.get(factor)
        if not isinstance(node, Contract) or axes & set(node.summed):
            continue
        for inside in filter(_is_exponential, node.factors):
            assert isinstance(inside, Map)
            leaves = [inside.args, tuple(nodes[each] for each in shift.free_symbols)]
            held = {leaf: symbol(at) for at, leaf in enumerate(dict.fromkeys(sum(leaves, ())))}
            own = {symbol(at): held[arg] for at, arg in enumerate(inside.args)}
            moved = shift.xreplace({each: held[nodes[each]] for each in shift.free_symbols})
            exponent = inside.function.expr.args[0].xreplace(own) + moved
            by_place = {place: leaf for leaf, place in held.items()}
            over = Add(tuple(held)).axes
            shrunk = rebuild(stabilise(sp.exp(exponent)), by_place, over, multiply)
            rest = [each for each in node.factors if each is not inside]
            placeholder = region.placeholder(multiply(1.0, [*rest, shrunk], node.over))
            return expr / (factor * shrinking) * placeholder
    return expr
