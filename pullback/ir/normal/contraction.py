"""Products of many factors in normal form: flat, one number in front, no ones that say nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pullback.ir.axis import Axes, Axis
from pullback.ir.kinds import Add, Constant, Contract, Map, Named, Parameter, Rename
from pullback.ir.lookup import OneHot
from pullback.ir.node import Node, walk
from pullback.ir.normal.known import by_name, primitive, vanishes
from pullback.ir.normal.patterns import composed
from pullback.ir.normal.regions import mapped
from pullback.ir.normal.signs import outer_signs, paired, without
from pullback.ir.pattern import Pattern
from pullback.ir.scalar.function import symbol
from pullback.ir.source import bare
from pullback.ir.stack import Stack, unstacked

_LARGEST_POWER = 4  # up to here x·x·… is a product, beyond it is a function of x


class Products:
    """Builds contractions in normal form.

    ``shared`` holds products that others use too: opening one would compute it twice. ``names``
    gives the name of each equation's right side, and ``products`` those of them that stand for
    several factors; ``form`` is that of a scalar function.
    """

    def __init__(
        self,
        shared: Collection[Node],
        names: Mapping[Node, Named],
        products: Sequence[Named],
        form: Callable[[Any], Any],
    ) -> None:
        self._shared, self._names, self._products, self._form = shared, names, products, form

    def __call__(self, coefficient: float, factors: Sequence[Node], over: Axes) -> Node:
        """The product of the factors and a number, summed over all axes but ``over``."""
        coefficient, flat = self._flattened(coefficient, list(factors), over)
        if coefficient == 0 or vanishes(flat, over):
            return Constant(0.0, over)
        flat = by_name(self._without_pairs(flat), self._products)
        flat = composed(unstacked(flat, over), over)
        coefficient *= math.prod(f.value for f in flat if isinstance(f, Constant))
        if coefficient == 0:
            return Constant(0.0, over)
        ones = [axis for f in flat if isinstance(f, Constant) for axis in f.over]
        flat, renamed = _without_identities([f for f in flat if not isinstance(f, Constant)], over)
        scale, kept = _remaining_ones([*ones, *renamed], flat, over)
        coefficient *= scale
        if not flat and all(axis in over for one in kept for axis in one.axes):
            return Constant(coefficient, over)
        if coefficient != 1:
            kept.append(Constant(coefficient))
        if len(flat) == 1 and not kept and flat[0].axes == over:
            return flat[0]
        return Contract((*flat, *kept), over)

    def _flattened(
        self, coefficient: float, waiting: list[Node], over: Axes
    ) -> tuple[float, list[Node]]:
        """Every factor opened as far as may be; what is a number goes in front."""
        flat: list[Node] = []
        while waiting:
            may_open = self._openable(waiting, flat, over)
            inside: list[Node] = []
            for factor in waiting:
                if isinstance(factor, Constant):
                    coefficient *= factor.value
                    flat += [Constant(1.0, factor.over)] if factor.over else []
                elif factor in may_open:
                    inside += factor.args
                elif isinstance(factor, Contract) and factor not in self._shared:
                    scale, bare = _numberless(factor)
                    coefficient *= scale
                    flat.append(bare)
                elif isinstance(factor, Add):
                    scale, bare = primitive(factor)
                    coefficient *= scale
                    flat.append(bare)
                elif isinstance(factor, Map):
                    scale, several = self._unscaled(factor)
                    coefficient *= scale
                    flat += several
                else:
                    flat.append(factor)
            waiting = inside
        return coefficient, flat

    def _openable(self, waiting: list[Node], flat: list[Node], over: Axes) -> set[Node]:
        """The inner products whose factors can stand in the outer one without being meant twice."""
        inner = [factor for factor in waiting if isinstance(factor, Contract)]
        times = Counter(waiting)
        bound = Counter(axis.name for product in inner for axis in product.summed)
        outer = {axis.name for node in (*waiting, *flat) for axis in node.axes}
        outer |= {axis.name for axis in over}

        def may(product: Contract) -> bool:
            if not product.summed:
                return True
            if _moves_products(product):
                return False
            apart = all(bound[a.name] == 1 and a.name not in outer for a in product.summed)
            return apart and times[product] == 1 and product not in self._shared

        return {product for product in inner if may(product)}

    def _without_pairs(self, flat: list[Node]) -> list[Node]:
        """The factors with 1 for y², where y is ±1; y may stand inside a factor that is a sum."""
        if not (twice := paired(flat)):
            return flat
        found: list[Node] = []
        for factor in flat:
            signs = [sign for sign in outer_signs(factor) if sign in twice]
            found += signs
            if isinstance(factor, Contract) and signs:
                found.append(self(1.0, without(signs, factor), factor.over))
            elif not signs:
                found.append(factor)
        once = [f for f in found if f not in twice]
        odd = [sign for sign in twice if found.count(sign) % 2]
        return [*once, *odd, *(Constant(1.0, sign.axes) for sign in twice)]

    def _unscaled(self, node: Map) -> tuple[float, list[Node]]:
        """A map's numeric coefficient, and the map without it; x² as x times x."""
        scale, rest = node.function.expr.as_coeff_Mul()
        leaves = {symbol(i): arg for i, arg in enumerate(node.args)}
        power = rest.exp if rest.is_Pow and rest.base in leaves else None
        if power is not None and power.is_Integer and 2 <= power <= _LARGEST_POWER:
            return float(scale), [leaves[rest.base]] * int(power)
        if rest in leaves:
            return float(scale), [leaves[rest]]
        if scale == 1 or not rest.free_symbols:
            return 1.0, [node]
        bare = mapped(self._form(rest), leaves)
        return float(scale), [self._names.get(bare, bare)]


def _moves_products(product: Contract) -> bool:
    """Are there windows or look-ups of what several factors, data among them, give together?

    Such a product is best computed by itself: in a larger one the places of one would have to be
    brought together with those of the other.
    """
    moves = [f for f in product.factors if isinstance(f, OneHot) or _is_window(f)]
    rest = [f for f in product.factors if not isinstance(f, (OneHot, Pattern, Constant))]
    return bool(moves) and len(rest) > 1 and not all(isinstance(bare(f), Parameter) for f in rest)


def _is_window(node: Node) -> bool:
    return isinstance(node, Pattern) and node.slice is None


def is_sum_of_squares(node: Node) -> bool:
    """Is it Σ v², perhaps times a number or a length: at least 0, and flat where it is 0?"""
    if not isinstance(node, Contract):
        return False
    factors = [f for f in node.factors if not is_positive_number(f)]
    times = Counter(f for f in factors if not _is_even_power(f))
    return bool(factors) and all(count % 2 == 0 for count in times.values())


def is_positive_number(node: Node) -> bool:
    """A number above 0, or what comes of lengths, such as the 1/n of a mean."""
    if isinstance(node, Constant):
        return node.value > 0
    leaves = [leaf for leaf in walk((node,)) if not leaf.args]
    return isinstance(node, Map) and all(map(is_positive_number, leaves))


def _is_even_power(node: Node) -> bool:
    power = node.function.expr if isinstance(node, Map) else None
    return power is not None and bool(power.is_Pow and power.exp.is_even and power.exp > 0)


def _numberless(product: Contract) -> tuple[float, Node]:
    """The number in front of an inner product, and the product without it."""
    numbers = [f for f in product.factors if isinstance(f, Constant) and not f.over]
    rest = tuple(f for f in product.factors if f not in numbers)
    if not numbers or not rest:
        return 1.0, product
    scale = math.prod(number.value for number in numbers)
    if len(rest) == 1 and rest[0].axes == product.over:
        return scale, rest[0]
    return scale, Contract(rest, product.over)


def _remaining_ones(ones: list[Axis], flat: list[Node], over: Axes) -> tuple[float, list[Node]]:
    """Ones along an axis that nothing else carries: a broadcast, or the length of a summed axis."""
    carried = {axis for factor in flat for axis in factor.axes}
    scale, kept = 1.0, list[Node]()
    for axis in dict.fromkeys(ones):
        if axis in carried:
            continue
        if axis not in over and axis.size is not None:
            scale *= axis.size
        else:
            kept.append(Constant(1.0, (axis,)))
    return scale, kept


def _without_identities(flat: list[Node], over: Axes) -> tuple[list[Node], list[Axis]]:
    """Σ_j δ_ij v_j is v_i: an identity with a summed axis only renames."""
    renamed: list[Axis] = []
    for pattern in [factor for factor in flat if isinstance(factor, Pattern)]:
        found = pattern.slice
        ends = found.axes if found is not None and found.is_whole else ()
        for old, new in (ends, ends[::-1]) if ends else ():
            rest = [factor for factor in flat if factor is not pattern]
            carriers = [factor for factor in rest if old in factor.axes]
            if old in over or not carriers or any(new in f.axes for f in carriers):
                continue
            flat = [renaming(f, ((old, new),)) if f in carriers else f for f in rest]
            renamed = [*(axis for axis in renamed if axis != old), new]
            break
    return flat, renamed


def renaming(arg: Node, names: tuple[tuple[Axis, Axis], ...]) -> Node:
    """The node under other axes, with as few renamings as possible."""
    changes = {old: new for old, new in names if old != new}
    if not changes:
        return arg
    if isinstance(arg, Constant):
        return Constant(arg.value, tuple(changes.get(axis, axis) for axis in arg.over))
    if isinstance(arg, Pattern | Stack):
        return arg.renamed(changes)
    if isinstance(arg, Rename):
        earlier = {new: old for old, new in arg.names}
        merged = {old: changes.get(new, new) for old, new in arg.names}
        merged |= {old: new for old, new in changes.items() if old not in earlier}
        return renaming(arg.arg, tuple(merged.items()))
    return Rename(arg, tuple(sorted(changes.items(), key=lambda pair: pair[0].name)))
