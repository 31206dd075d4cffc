"""Simplification to a normal form, whatever the order in which the operands were written.

Contractions are flattened, elementwise chains fused, ones and zeros dropped, equal nodes merged.
Named nodes are barriers: nothing is moved across one, except that a function of an activation
becomes a function of the pre-activation where that is shorter (log σ(z) → −softplus(−z)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sympy as sp

from pullback.ir.build import with_axes
from pullback.ir.kinds import Add, Contract, Map, Named, Rename
from pullback.ir.node import Node, uses, walk
from pullback.ir.normal.contraction import Products, renaming
from pullback.ir.normal.exponentials import through_logarithms
from pullback.ir.normal.known import factored, is_product
from pullback.ir.normal.regions import Region, is_elementwise, rebuild
from pullback.ir.normal.renames import sunk
from pullback.ir.normal.signs import is_even, is_sign, of_signs, outer_signs, unsigned
from pullback.ir.normal.stable import is_unlike_textbook, length, stabilise, textbook
from pullback.ir.scalar.cases import has_guard, unguarded
from pullback.ir.scalar.function import symbol
from pullback.ir.scalar.primitives import fn
from pullback.ir.scan import Body, Scan

_Form = Callable[[Any], Any]
_LOGS = (sp.log, fn("log1p"))


def simplify(*roots: Node) -> tuple[Node, ...]:
    """The normal forms of some nodes, taken together so that they share what they can.

    >>> from pullback.ir import Add, Axis, Constant, Input
    >>> x = Input("x", (Axis("i", 3),))
    >>> simplify(Add((x, Constant(0.0))))[0] is x
    True
    """
    return _settled(roots, stabilise)


def as_printed(*roots: Node) -> tuple[Node, ...]:
    """The same nodes in the words of a textbook, to be read and not computed: 1 − a² for tanh′.

    >>> from pullback.ir import Axis, Input, Scalar
    >>> z = Input("z", (Axis("i", 3),))
    >>> a = Named("a", Map(Scalar.of(fn("tanh")(symbol(0))), (z,)), "a")
    >>> slope = Map(a.arg.function.partial(0), (z,))
    >>> slope.function, as_printed(a, slope)[1].function
    (sech2(x0), 1 - x0**2)
    """
    maps = [node.function.expr for node in walk(roots) if isinstance(node, Map)]
    if any(map(has_guard, maps)):  # what a guard has kept apart comes together first
        roots = _settled(roots, lambda expr: stabilise(unguarded(expr)))
    return _settled(roots, textbook) if any(map(is_unlike_textbook, maps)) else roots


def _settled(roots: tuple[Node, ...], form: _Form) -> tuple[Node, ...]:
    for _ in range(8):  # a pass can uncover work for the next; two nearly always suffice
        simpler = _Pass(sunk(roots), form).result
        if simpler == roots:
            break
        roots = simpler
    return roots


class _Pass:
    """One walk from the leaves to the roots."""

    def __init__(self, roots: tuple[Node, ...], form: _Form) -> None:
        self._formed = form
        count = uses(roots)
        self._shared: set[Node] = set()
        self._names: dict[Node, Named] = {}
        self._activations: dict[Node, list[tuple[Map, Named]]] = {}  # by their pre-activation
        self._bodies: dict[Body, Body] = {}
        self._products: list[Named] = []
        self._product = Products(self._shared, self._names, self._products, form)
        self._whole: dict[Node, Node] = {}  # with everything below simplified, itself not yet
        self._done: dict[Node, Node] = {}
        for node in walk(roots):
            if is_elementwise(node):
                self._elementwise(node, shared=count[node] > 1)
                continue
            rebuilt = node.rebuild(tuple(map(self._form, node.args)))
            self._whole[node] = self._done[node] = self._simplify(rebuilt)
            if count[node] > 1 and isinstance(self._done[node], Contract):
                self._shared.add(self._done[node])
            if isinstance(node, Named) and isinstance(rebuilt, Named):
                self._learn(rebuilt)
                if node.arg.args and not isinstance(node.arg, Named):
                    # whoever reads the right side from here on reads the equation
                    self._whole[node.arg] = self._done[node.arg] = self._done[node]
        self.result = tuple(map(self._form, roots))

    def _elementwise(self, node: Node, shared: bool) -> None:
        """An elementwise node waits for the whole of its region.

        Simplified by itself it could take a form in which what surrounds it is not recognised, and
        the result would depend on where a person put the brackets.
        """
        rebuilt = node.rebuild(tuple(self._whole[arg] for arg in node.args))
        # a sum's operands are sorted, so its axes may stand in another order than before
        self._whole[node] = with_axes(rebuilt, node.axes)
        if shared and isinstance(form := self._form(node), Contract):
            self._whole[node] = form
            self._shared.add(form)

    def _form(self, node: Node) -> Node:
        """The simplified form of a node."""
        if node not in self._done:
            self._done[node] = self._simplify(self._whole[node])
        return self._done[node]

    def _learn(self, named: Named) -> None:
        """Remember an equation, so that its right side is called by its name from now on."""
        if named.arg not in self._names:
            self._names[named.arg] = named
            self._products += [named] if is_product(named) else []
        if isinstance(named.arg, Map):
            self._activations.setdefault(named.arg.args[0], []).append((named.arg, named))

    def _simplify(self, node: Node) -> Node:
        simpler = node
        if isinstance(node, Rename):
            simpler = renaming(node.arg, node.names)
        elif isinstance(node, Contract) and node.summed:
            simpler = self._product(1.0, node.factors, node.over)
        elif isinstance(node, Scan):
            simpler = self._loop(node)
        elif is_elementwise(node):
            simpler = self._region(node)
        if isinstance(simpler, Add):
            simpler = factored(simpler)
        return self._names.get(simpler, simpler)

    def _loop(self, node: Scan) -> Node:
        """The same loop with one turn in normal form, whichever of its values is asked for."""
        body = node.body
        if body not in self._bodies:
            nexts = _settled(body.nexts, self._formed)
            self._bodies[body] = Body(body.states, nexts, body.reads)
        turn = self._bodies[body]
        known: dict[Node, Node] = dict(zip(body.nexts, turn.nexts, strict=True))
        if node.of not in known and isinstance(node.of, Named):
            named = {each.label: each for each in turn.equations()}
            known[node.of] = named.get(node.of.label, node.of)
        of = known.get(node.of) or _settled((*turn.nexts, node.of), self._formed)[-1]
        return replace(node, body=turn, of=of)

    def _region(self, node: Node) -> Node:
        region = Region(node, stop=lambda inner: inner in self._shared)
        expr = self._of_signs(self._formed(region.expr), region)
        expr = through_logarithms(expr, region, self._product)
        expr = self._see_through_names(expr, region)
        expr = self._call_by_name(expr, region)
        return rebuild(expr, region.nodes(), node.axes, self._product)

    def _of_signs(self, expr: Any, region: Region) -> Any:
        """With y² = 1 for a variable of ±1, and an even function of y u as one of u."""
        signs = [place for leaf, place in region.leaves.items() if is_sign(leaf)]
        signed = [n for n in region.leaves if isinstance(n, Contract) and outer_signs(n)]
        if not signs and not signed:
            return expr
        expr = of_signs(expr, signs)
        bare = {
            region.leaves[leaf]: region.placeholder(self._product(1.0, unsigned(leaf), leaf.axes))
            for leaf in signed
        }
        even = {call: call.xreplace(bare) for call in expr.atoms(sp.Function) if is_even(call)}
        return self._formed(expr.xreplace(even))

    def _see_through_names(self, expr: Any, region: Region) -> Any:
        """A function of an activation that is shorter as one of its pre-activation becomes that.

        So does one whose logarithm disappears: log σ(z) is −softplus(−z), which is never −∞.
        """
        for leaf, placeholder in list(region.leaves.items()):
            if not (isinstance(leaf, Named) and isinstance(leaf.arg, Map) and leaf.role == "a"):
                continue
            args = {symbol(i): region.placeholder(arg) for i, arg in enumerate(leaf.arg.args)}
            inner = leaf.arg.function.expr.xreplace(args)
            composed = self._formed(expr.xreplace({placeholder: inner}))
            without_log = expr.has(*_LOGS) and not composed.has(*_LOGS)
            if without_log or length(composed) < length(expr):
                expr = composed
        return expr

    def _call_by_name(self, expr: Any, region: Region) -> Any:
        """σ(z) is called a where a = σ(z) is an equation already; so is a softmax exp(z − s)."""
        for leaf in list(region.leaves):
            for known, named in self._activations.get(leaf, ()):
                if not all(arg in region.leaves for arg in known.args):
                    continue
                places = {symbol(at): region.leaves[arg] for at, arg in enumerate(known.args)}
                value = known.function.expr.xreplace(places)
                if expr.has(value):
                    expr = expr.xreplace({value: region.placeholder(named)})
        return expr
