"""What a product has of equations that are there: deviations that sum to 0, and products by name.

With x̂ = (x − μ) s among the equations, s³ (x − μ) Σ g (x − μ) is s x̂ Σ g x̂, and Σ (x − μ) is 0: so
the backward pass of a norm is the compact one, with nothing written by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import isclose, prod

from pullback.ir.axis import Axes, Axis
from pullback.ir.build import mean_over
from pullback.ir.kinds import Add, Constant, Contract, Map, Named
from pullback.ir.node import Node


def primitive(node: Node) -> tuple[float, Node]:
    """A number, and the difference x − m that it multiplies; (1, node) for anything else."""
    parts = _difference(node)
    if parts is None:
        return 1.0, node
    (one, c), (other, d) = parts
    if c != -d or not (_is_deviation(one, other) or _is_deviation(other, one)):
        return 1.0, node
    x, m, scale = (one, other, c) if _is_deviation(one, other) else (other, one, d)
    return scale, Add((x, Contract((Constant(-1.0), m), m.axes)))


def vanishes(factors: Sequence[Node], over: Axes) -> bool:
    """Is it a sum of x − mean x over what the mean is taken over, times what is constant there?"""
    for factor in factors:
        gone = _sums_to_zero(factor)
        rest = {a for each in factors if each is not factor for a in each.axes}
        if gone and not gone & {*over, *rest} and factors.count(factor) == 1:
            return True
    return False


def _sums_to_zero(node: Node) -> set[Axis]:
    """The axes along which it is x − mean x, times what is constant there."""
    if isinstance(node, Named):
        node = node.arg
    if isinstance(node, Contract) and not node.summed:
        for factor in node.factors:
            rest = {axis for each in node.factors if each is not factor for axis in each.axes}
            gone = _sums_to_zero(factor) if node.factors.count(factor) == 1 else set()
            if gone and not gone & rest:
                return gone
    parts = _difference(node)
    if parts is None or parts[0][1] != -parts[1][1]:
        return set()
    (one, _), (other, _) = parts
    m = other if _is_deviation(one, other) else one if _is_deviation(other, one) else None
    return set() if m is None else {axis for axis in node.axes if axis not in m.axes}


def by_name(factors: list[Node], products: Sequence[Named]) -> list[Node]:
    """The factors with ``products``, which are equations, under their names.

    A factor that is constant in an inner sum goes into it, or out of it, where that makes one.
    """
    inside = {a for f in factors for a in (f, *(f.args if isinstance(f, Contract) else ()))}
    for known in products:
        parts = Counter(known.arg.args)
        if not any(part in inside and _is_statistical(part) for part in parts):
            continue
        while True:
            have = Counter(factors)
            if all(have[part] >= times for part, times in parts.items()):
                factors = [*(have - parts).elements(), known]
                continue
            moved = _moved_inside(factors, known, parts) or _moved_outside(factors, parts)
            if moved is None:
                break
            factors = moved
    return factors


def factored(total: Add) -> Node:
    """A sum whose terms all have the same statistics as factors, with these in front of it."""
    held = [_factors(term) for term in total.terms]
    common = Counter(held[0])
    for each in held[1:]:
        common &= each
    common = Counter({f: n for f, n in common.items() if isinstance(f, Named) and f.role == "stat"})
    # what a term sums over cannot stand in front of it
    kept = set(total.terms[0].axes).intersection(*(term.axes for term in total.terms[1:]))
    common = Counter({f: n for f, n in common.items() if {*f.axes} <= kept})
    terms: list[Node] = []
    for term, factors in zip(total.terms, held, strict=True):
        rest = [*(factors - common).elements()]
        carried = {axis for each in rest for axis in each.axes}
        if not common or not {*term.axes} <= carried:
            return total
        terms.append(rest[0] if rest[0].axes == term.axes and not rest[1:]
                     else Contract(tuple(rest), term.axes))  # fmt: skip
    return Contract((*common.elements(), Add(tuple(terms))), total.axes)


def _factors(term: Node) -> Counter[Node]:
    """The factors of a term; statistics that are constant in an inner sum stand beside it."""
    found: Counter[Node] = Counter()
    for factor in term.factors if isinstance(term, Contract) else (term,):
        inner = factor.factors if isinstance(factor, Contract) and factor.summed else ()
        apart = [f for f in inner if isinstance(f, Named) and f.role == "stat"]
        apart = [f for f in apart if {*f.axes} <= {*factor.axes}]
        rest = Counter(inner) - Counter(apart)
        if apart and {*factor.axes} <= {axis for each in rest for axis in each.axes}:
            found += Counter([*apart, Contract((*rest.elements(),), factor.axes)])
        else:
            found[factor] += 1
    return found


def is_product(named: Named) -> bool:
    """Is an equation the product of several things, one of them a deviation or a statistic?"""
    right = named.arg
    several = isinstance(right, Contract) and len(right.args) > 1 and not right.summed
    return several and any(map(_is_statistical, right.args))


def _is_statistical(node: Node) -> bool:
    """Is it a sum of two, as a deviation is, or a statistic?"""
    return _difference(node) is not None or (isinstance(node, Named) and node.role == "stat")


def _moved_inside(factors: Sequence[Node], known: Named, parts: Counter[Node]) -> list[Node] | None:
    for inner in factors:
        if not isinstance(inner, Contract) or not inner.summed:
            continue
        held = Counter(inner.args)
        missing = parts - held
        constant = all({*part.axes} <= {*inner.over} for part in missing)
        outside = Counter(each for each in factors if each is not inner)
        if not missing or missing == parts or not constant:
            continue
        if any(outside[part] < times for part, times in missing.items()):
            continue
        whole = Contract((*(held - parts).elements(), known), inner.over)
        again = [each for each in factors if each is inner][1:]
        return [*(outside - missing).elements(), whole, *again]
    return None


def _moved_outside(factors: Sequence[Node], parts: Counter[Node]) -> list[Node] | None:
    missing = parts - Counter(factors)
    for inner in factors if missing and missing != parts else ():
        if not isinstance(inner, Contract) or not inner.summed:
            continue
        held = Counter(inner.args)
        rest = held - missing
        carried = {axis for each in rest for axis in each.axes}
        constant = all({*part.axes} <= {*inner.over} for part in missing)
        if missing <= held and constant and {*inner.over} <= carried:
            outside = Counter(factors) - Counter([inner])
            return [*(outside + missing).elements(), Contract((*rest.elements(),), inner.over)]
    return None


def _difference(node: Node) -> tuple[tuple[Node, float], tuple[Node, float]] | None:
    """The two terms of a sum, each with its number."""
    if not isinstance(node, Add) or len(node.terms) != 2:
        return None
    one, other = (_scaled(term) for term in node.terms)
    return one, other


def _scaled(term: Node) -> tuple[Node, float]:
    if isinstance(term, Contract) and not term.summed:
        numbers = [f for f in term.factors if isinstance(f, Constant) and not f.over]
        rest = [f for f in term.factors if f not in numbers]
        if len(rest) == 1 and rest[0].axes == term.axes:
            return rest[0], prod((number.value for number in numbers), start=1.0)
    return term, 1.0


@lru_cache(maxsize=4096)
def _is_deviation(x: Node, m: Node) -> bool:
    """Is m the mean of x along the axes that it lacks?"""
    gone: tuple[Axis, ...] = tuple(axis for axis in x.axes if axis not in m.axes)
    if not gone or not isinstance(m, Named) or not isinstance(m.arg, Contract):
        return False
    held, expected = Counter(m.arg.factors), mean_over(x, gone)
    if m.arg.over != expected.axes or held[x] != 1:
        return False
    number, rest = _apart(held - Counter([x]))
    share, shares = _apart(Counter(expected.args) - Counter([x]))
    return rest == shares and isclose(number, share, rel_tol=1e-12)


def _apart(factors: Counter[Node]) -> tuple[float, Counter[Node]]:
    """The number that some factors are together, and the factors that are none."""
    found, others = 1.0, Counter[Node]()
    for factor in factors.elements():
        if isinstance(factor, Map) and all(isinstance(a, Constant) for a in factor.args):
            found *= float(factor.function(*(a.value for a in factor.args)))  # type: ignore[attr-defined]
        elif isinstance(factor, Constant) and not factor.over:
            found *= factor.value
        else:
            others[factor] += 1
    return found, others
