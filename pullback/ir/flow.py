"""Flow: what each equation is, read from its node alone.

A form names what an equation does to the equations and inputs that it reads. ``Opaque`` is as legal
an answer as any: whoever reads it then uses the equation's Jacobian, and not its form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Any, Literal

from pullback.ir.build import shares
from pullback.ir.forms import (
    Affine,
    Form,
    Gate,
    Join,
    Lookup,
    Normalise,
    Opaque,
    Pointwise,
    Recursion,
    Reduce,
    Rescale,
    Softmax,
)
from pullback.ir.graph import Graph
from pullback.ir.kinds import (
    Add,
    Constant,
    Contract,
    Map,
    Named,
    Parameter,
    inside,
)
from pullback.ir.lookup import OneHot
from pullback.ir.node import Node
from pullback.ir.normal.regions import Region, is_elementwise
from pullback.ir.normal.simplify import simplify
from pullback.ir.reduction import LogSumExp, Max
from pullback.ir.scalar.function import Scalar, symbol
from pullback.ir.scalar.primitives import fn
from pullback.ir.scan import Scan
from pullback.ir.source import bare, is_read, is_source, sources
from pullback.ir.window import windowed


def flow(graph: Graph) -> Mapping[Named, Form]:
    """The form of every equation, in order.

    >>> from pullback.ir import Axis, Input, Parameter
    >>> i, o = Axis("in", 3), Axis("out", 2)
    >>> x, W = Input("x", (i,)), Parameter("W", (o, i))
    >>> z = Named("z.0", Contract((x, W), (o,)), "z")
    >>> a = Named("a.0", Map(Scalar.of(fn("tanh")(symbol(0))), (z,)), "a")
    >>> [type(form).__name__ for form in flow(Graph({"output": a})).values()]
    ['Affine', 'Pointwise']
    """
    return {equation: form(equation) for equation in graph.equations}


def form(equation: Named) -> Form:
    """What one equation does to the equations and inputs that it reads."""
    return (
        affine(equation.arg)
        or _elementwise(equation)
        or _rescaled(equation)
        or _normalised(equation)
        or _reduction(equation.arg)
        or _softmax(equation.arg)
        or _lookup(equation.arg)
        or windowed(equation.arg)
        or _recursion(equation)
        or Opaque(tuple(node for node in inside(equation) if is_source(node)))
    )


def _recursion(equation: Named) -> Recursion | None:
    node = equation.arg
    if not isinstance(node, Scan):
        return None
    return Recursion(sources(node), node.over, node.body.equations())


def affine(node: Node) -> Affine | None:
    """The form of a right side W a + b, if it is one."""
    terms = node.args if isinstance(node, Add) else (node,)
    products = [term for term in terms if isinstance(term, Contract)]
    biases = [term for term in terms if isinstance(term, Parameter)]
    if len(products) != 1 or len(biases) > 1 or len(terms) != 1 + len(biases):
        return None
    product = products[0]
    numbers = [f for f in product.factors if isinstance(f, Constant) and not f.over]
    factors = [f for f in product.factors if f not in numbers]
    weights = [f for f in factors if isinstance(bare(f), Parameter)]
    args = [f for f in factors if is_read(f)]
    if len(factors) != 2 or len(weights) != 1 or len(args) != 1:
        return None
    (weight,), (arg,) = weights, args
    both = tuple(axis for axis in weight.axes if axis in arg.axes)
    if any(axis not in both for axis in product.summed):
        return None
    held = bare(weight)
    assert isinstance(held, Parameter)
    return Affine(
        held,
        biases[0] if biases else None,
        bare(arg),
        tuple(axis for axis in both if axis not in product.over),
        tuple(axis for axis in both if axis in product.over),
        prod((number.value for number in numbers), start=1.0),
        tuple((old, new) for old, new in zip(held.axes, weight.axes, strict=True) if old != new),
    )


def _elementwise(equation: Named) -> Pointwise | Join | Gate | None:
    node = equation.arg
    if is_read(node):
        return Pointwise(Scalar.of(symbol(0), 1), bare(node))
    if isinstance(node, Map) and len(node.args) == 1 and is_read(node.args[0]):
        return Pointwise(node.function, bare(node.args[0]))
    if not is_elementwise(node):
        return None
    region = Region(node, stop=is_source)
    sources = tuple(map(bare, region.leaves))
    if not sources or not all(map(is_read, region.leaves)) or len(set(sources)) < len(sources):
        return None
    if any(set(leaf.axes) != set(equation.axes) for leaf in region.leaves):
        return None
    places = {placeholder: symbol(at) for at, placeholder in enumerate(region.leaves.values())}
    function = Scalar.of(region.expr.xreplace(places), len(sources))
    if len(sources) == 1:
        return Pointwise(function, sources[0])
    return (Gate if _is_product(function.expr) else Join)(sources, function)


def _rescaled(equation: Named) -> Rescale | None:
    node = equation.arg
    if not is_elementwise(node):
        return None
    region = Region(node, stop=is_source)
    read = [leaf for leaf in region.leaves if is_read(leaf)]
    given = [leaf for leaf in region.leaves if isinstance(leaf, Parameter)]
    if len(read) != 1 or not given or len(given) + 1 != len(region.leaves):
        return None
    if {*read[0].axes} != {*equation.axes}:
        return None
    places = {region.leaves[leaf]: symbol(at) for at, leaf in enumerate(given)}
    x = region.leaves[read[0]]
    scale, shift = (region.expr.diff(x), region.expr.subs(x, 0))
    if x in scale.free_symbols:
        return None
    functions = (Scalar.of(each.xreplace(places), len(given)) for each in (scale, shift))
    return Rescale(bare(read[0]), tuple(given), *functions)


def _normalised(equation: Named) -> Normalise | None:
    node = equation.arg
    if not is_elementwise(node):
        return None
    region = Region(node, stop=is_source)
    places = {leaf: place for leaf, place in region.leaves.items() if is_read(leaf)}
    given = {leaf: place for leaf, place in region.leaves.items() if isinstance(leaf, Parameter)}
    whole = [leaf for leaf in places if set(leaf.axes) == set(equation.axes)]
    stats = [s for s in places if isinstance(s, Named) and s.role == "stat" and s not in whole]
    if len(whole) != 1 or len(whole) + len(stats) + len(given) != len(region.leaves):
        return None
    (x,) = whole
    for factor in stats:
        means = [None, *(stat for stat in stats if stat is not factor)]
        for mean, gain, bias in product(means, [None, *given], [None, *given]):
            used = [each for each in (mean, factor, gain, bias) if each is not None]
            if len(set(used)) != len(used) or len(used) + 1 != len(region.leaves):
                continue
            centred = places[x] - (0 if mean is None else places[mean])
            scaled = centred * places[factor] * (1 if gain is None else given[gain])
            formula = scaled + (0 if bias is None else given[bias])
            if (region.expr - formula).expand() == 0:
                axes = tuple(axis for axis in x.axes if axis not in factor.axes)
                return Normalise(bare(x), axes, factor, mean, gain, bias)
    return None


def _is_product(expr: Any) -> bool:
    """Is it a product of functions of different arguments?"""
    _, factors = expr.as_coeff_mul()
    symbols = [factor.free_symbols for factor in factors if factor.free_symbols]
    return len(symbols) > 1 and sum(map(len, symbols)) == len(set().union(*symbols))


def _reduction(node: Node) -> Reduce | None:
    if isinstance(node, (Max, LogSumExp)) and is_read(node.arg):
        kind: Literal["max", "logsumexp"] = "max" if isinstance(node, Max) else "logsumexp"
        return Reduce(bare(node.arg), (node.axis,), kind, where=node.where)
    if not isinstance(node, Contract) or not node.summed:
        return None
    numbers = [f for f in node.factors if isinstance(f, Constant) and not f.over]
    rest = [f for f in node.factors if f not in numbers]
    if len(rest) != 1 or not is_read(rest[0]):
        return None
    scale = prod((number.value for number in numbers), start=1.0)
    return Reduce(bare(rest[0]), node.summed, "sum", scale)


def _softmax(node: Node) -> Softmax | None:
    for arg, given, is_log in _less(node):
        named, total = _total(given)
        if total is not None and total.arg is arg and total.where is None and is_read(arg):
            return Softmax(bare(arg), total.axis, named, is_log)
    for given in node.args if isinstance(node, Map) else ():
        named, total = _total(given)
        if total is None or total.where is None or not is_read(total.arg):
            continue
        share = shares(total.arg, given, total.where)
        if node in (share, *simplify(share)):
            return Softmax(bare(total.arg), total.axis, named, where=total.where)
    return None


def _total(given: Node) -> tuple[Named | None, LogSumExp | None]:
    """The log Σ exp that a node is, with the name that it has as a statistic."""
    named = given if isinstance(given, Named) and given.role == "stat" else None
    total = given if named is None else named.arg
    return named, total if isinstance(total, LogSumExp) else None


def _lookup(node: Node) -> Lookup | None:
    if not isinstance(node, Contract) or len(node.factors) != 2:
        return None
    for table, hit in (node.factors, node.factors[::-1]):
        if isinstance(hit, OneHot) and node.summed == (hit.axis,) and hit.axis in table.axes:
            held = bare(table)
            apart = not set(hit.index.axes) & set(table.axes)
            if apart and (isinstance(held, Parameter) or is_read(table)):
                return Lookup(held, hit.index, hit.axis)
    return None


def _less(node: Node) -> Iterator[tuple[Node, Node, bool]]:
    """The u and v of exp(u − v), and those of u − v."""
    if isinstance(node, Map) and len(node.args) == 2:
        for at in (0, 1):
            if node.function.expr == fn("exp")(symbol(at) - symbol(1 - at)):
                yield node.args[at], node.args[1 - at], False
    if isinstance(node, Add) and len(node.terms) == 2:
        for at in (0, 1):
            match node.terms[1 - at]:
                case Contract(factors=(Constant(value=-1.0), given), over=over):
                    if over == given.axes:
                        yield node.terms[at], given, True
