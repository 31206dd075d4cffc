"""Simplification to a normal form, whatever the order in which the operands were written.

Contractions are flattened, elementwise chains fused, ones and zeros dropped, equal nodes merged.
Named nodes are barriers: nothing is moved across one, except that a function of an activation
becomes a function of the pre-activation where that is shorter (log σ(z) → −softplus(−z)).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pullback.ir.axis import Axes
from pullback.ir.elementwise import Region, is_elementwise, mapped, number, rebuild
from pullback.ir.node import (
    Add,
    Constant,
    Contract,
    Delta,
    Map,
    Named,
    Node,
    Rename,
    uses,
    walk,
)
from pullback.ir.scalar import symbol
from pullback.ir.stable import length, stabilise


def simplify(*roots: Node) -> tuple[Node, ...]:
    """The normal forms of some nodes, taken together so that they share what they can.

    >>> from pullback.ir import Axis, Input, Add
    >>> x = Input("x", (Axis("i", 3),))
    >>> simplify(Add((x, Constant(0.0))))[0] is x
    True
    """
    for _ in range(8):  # a pass can uncover work for the next; two nearly always suffice
        simpler = _Pass(roots).result
        if simpler == roots:
            break
        roots = simpler
    return roots


class _Pass:
    """One walk from the leaves to the roots."""

    def __init__(self, roots: tuple[Node, ...]) -> None:
        count = uses(roots)
        self._shared: set[Node] = set()
        self._names: dict[Node, Named] = {}
        self._named_maps: dict[Node, list[tuple[Map, Named]]] = {}
        done: dict[Node, Node] = {}
        for node in walk(roots):
            rebuilt = node.rebuild(tuple(done[arg] for arg in node.args))
            done[node] = self._simplify(rebuilt)
            if count[node] > 1 and isinstance(done[node], Contract):
                self._shared.add(done[node])
            if isinstance(rebuilt, Named):
                self._learn(rebuilt)
        self.result = tuple(done[root] for root in roots)

    def _learn(self, named: Named) -> None:
        """Remember an equation, so that its right side is called by its name from now on."""
        self._names.setdefault(named.arg, named)
        if isinstance(named.arg, Map) and len(named.arg.args) == 1:
            self._named_maps.setdefault(named.arg.args[0], []).append((named.arg, named))

    def _simplify(self, node: Node) -> Node:
        if isinstance(node, Rename):
            simpler = _rename(node)
        elif isinstance(node, Contract) and node.summed:
            simpler = self._product(1.0, list(node.factors), node.over)
        elif is_elementwise(node):
            simpler = self._elementwise(node)
        else:
            return node
        return self._names.get(simpler, simpler)

    def _elementwise(self, node: Node) -> Node:
        region = Region(node, stop=lambda inner: inner in self._shared)
        expr = stabilise(region.expr)
        expr = self._see_through_names(expr, region)
        expr = self._call_by_name(expr, region)
        leaves = region.nodes()
        return rebuild(expr, leaves, node.axes, self._product)

    def _see_through_names(self, expr: object, region: Region) -> object:
        """Where a function of an activation is shorter as one of its pre-activation, it is that."""
        for leaf, placeholder in list(region.leaves.items()):
            if not (isinstance(leaf, Named) and isinstance(leaf.arg, Map) and leaf.role == "a"):
                continue
            inner = leaf.arg.function.expr.xreplace(
                {symbol(i): region.placeholder(arg) for i, arg in enumerate(leaf.arg.args)}
            )
            composed = stabilise(expr.xreplace({placeholder: inner}))  # type: ignore[attr-defined]
            if length(composed) < length(expr):
                expr = composed
        return expr

    def _call_by_name(self, expr: object, region: Region) -> object:
        """σ(z) is called a where a = σ(z) is an equation already."""
        for leaf, placeholder in list(region.leaves.items()):
            for known, named in self._named_maps.get(leaf, ()):
                value = known.function.expr.xreplace({symbol(0): placeholder})
                if expr.has(value):  # type: ignore[attr-defined]
                    expr = expr.xreplace({value: region.placeholder(named)})  # type: ignore[attr-defined]
        return expr

    def _product(self, coefficient: float, factors: list[Node], over: Axes) -> Node:
        coefficient, flat = self._flatten(coefficient, factors, over)
        if coefficient == 0:
            return Constant(0.0, over)
        flat, ones = _without_ones(flat)
        flat, ones, over_axes = _without_deltas(flat, ones, over)
        carried = {axis for factor in flat for axis in factor.axes}
        kept: list[Node] = []
        for axis in dict.fromkeys(ones):
            if axis in carried:
                continue
            if axis not in over_axes and axis.size is not None:
                coefficient *= axis.size
            else:
                kept.append(Constant(1.0, (axis,)))
        if not flat and not kept:
            return Constant(coefficient, over)
        if coefficient != 1:
            kept.append(Constant(coefficient))
        if len(flat) == 1 and not kept and flat[0].axes == over_axes:
            return flat[0]
        return Contract((*flat, *kept), over_axes)

    def _flatten(
        self, coefficient: float, factors: list[Node], over: Axes
    ) -> tuple[float, list[Node]]:
        """Products inside the product become factors of it, where that shares nothing twice."""
        waiting, flat = list(factors), []
        while waiting:
            opened, waiting = self._open(waiting, flat, over), []
            for factor, inside in opened:
                if isinstance(factor, Constant):
                    coefficient *= factor.value
                    if factor.over:
                        flat.append(Constant(1.0, factor.over))
                elif inside is not None:
                    waiting.extend(inside)
                elif isinstance(factor, Map):
                    scale, node = self._unscaled(factor)
                    coefficient *= scale
                    flat.extend(node)
                else:
                    flat.append(factor)
        return coefficient, flat

    def _open(
        self, factors: list[Node], flat: list[Node], over: Axes
    ) -> list[tuple[Node, tuple[Node, ...] | None]]:
        times = Counter(factors)
        inner = [f for f in factors if isinstance(f, Contract)]
        bound = Counter(axis.name for f in inner for axis in f.summed)
        outer = {axis.name for f in [*factors, *flat] for axis in f.axes} | {a.name for a in over}
        result: list[tuple[Node, tuple[Node, ...] | None]] = []
        for factor in factors:
            inside = None
            if isinstance(factor, Contract):
                free = not factor.summed
                alone = times[factor] == 1 and factor not in self._shared
                apart = all(bound[a.name] == 1 and a.name not in outer for a in factor.summed)
                lost = {a for f in factor.factors for a in f.axes} - set(factor.over)
                if free or (alone and apart and lost == set(factor.summed)):
                    inside = factor.factors
            result.append((factor, inside))
        return result

    def _unscaled(self, node: Map) -> tuple[float, list[Node]]:
        """A map's numeric coefficient, and the map without it; x² as x times x."""
        scale, rest = node.function.expr.as_coeff_Mul()
        leaves = {symbol(i): arg for i, arg in enumerate(node.args)}
        if rest.is_Pow and rest.base in leaves and rest.exp.is_Integer and 2 <= rest.exp <= 4:
            return float(scale), [leaves[rest.base]] * int(rest.exp)
        if scale == 1 or not rest.free_symbols:
            return 1.0, [node]
        if rest in leaves:
            return float(scale), [leaves[rest]]
        bare: Node = mapped(stabilise(rest), leaves)
        return float(scale), [self._names.get(bare, bare)]


def _without_ones(factors: list[Node]) -> tuple[list[Node], list[object]]:
    ones = [axis for f in factors if isinstance(f, Constant) for axis in f.over]
    return [f for f in factors if not isinstance(f, Constant)], ones  # type: ignore[return-value]


def _without_deltas(flat: list[Node], ones: list, over: Axes):  # type: ignore[no-untyped-def]
    """Σ_j δ_ij v_j is v_i: an identity with a summed axis only renames."""
    for delta in [f for f in flat if isinstance(f, Delta)]:
        for old, new in ((delta.row, delta.column), (delta.column, delta.row)):
            rest = [f for f in flat if f is not delta]
            carriers = [f for f in rest if old in f.axes]
            if old in over or not carriers or any(new in f.axes for f in carriers):
                continue
            flat = [_rename(Rename(f, ((old, new),))) if f in carriers else f for f in rest]
            ones = [*ones, new]
            break
    return flat, ones, over


def _rename(node: Rename) -> Node:
    names = tuple((old, new) for old, new in node.names if old != new)
    arg = node.arg
    if not names:
        return arg
    new = dict(names)
    if isinstance(arg, Constant):
        return Constant(arg.value, tuple(new.get(a, a) for a in arg.over))
    if isinstance(arg, Rename):
        inner = {new_: old for old, new_ in arg.names}
        merged = [(old, new.get(mid, mid)) for old, mid in arg.names]
        merged += [(mid, final) for mid, final in names if mid not in inner]
        return _rename(Rename(arg.arg, tuple(merged)))
    return Rename(arg, tuple(sorted(names)))


__all__ = ["Add", "number", "simplify"]
