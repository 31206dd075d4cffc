"""Reverse and forward mode: the factors' transposes, or the factors, applied in order.

Neither function knows any operation: both only follow ``linearise``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pullback.calculus.linearise import linearise
from pullback.ir import Add, Constant, Contract, Named, Node, simplify, walk


def cotangents(root: Node, wrt: Iterable[Node], seed: Node | None = None) -> dict[Node, Node]:
    """∂root/∂n for every node n between the root and ``wrt``: each δ, once.

    ``seed`` is the cotangent of the root (axes of the root); by default ones, which for a scalar
    root gives the gradient. The cotangent of a pre-activation z is named δ, so that every use
    of it shares it, and so is that of any other node that hands it on more than once. That of a
    node on which the root does not depend is 0.

    >>> from pullback.ir import Axis, Input
    >>> x = Input("x", (Axis("i", 3),))
    >>> cotangents(Contract((x, x), ()), [x])[x]
    Add(...)
    """
    targets = tuple(wrt)
    active = _depending_on(root, targets)
    arriving: dict[Node, list[Node]] = {root: [seed or Constant(1.0, root.axes)]}
    result: dict[Node, Node] = {}
    for node in reversed(list(walk((root,)))):
        if node not in active or node not in arriving:
            continue
        given = arriving.pop(node)
        total = given[0] if len(given) == 1 else Add(tuple(given))
        onward = [(arg, factor) for arg, factor in linearise(node) if arg in active]
        total = _named(node, total, len(onward), active)
        result[node] = total
        for arg, factor in onward:
            arriving.setdefault(arg, []).append(factor.T @ total)
    for target in targets:
        result.setdefault(target, Constant(0.0, target.axes))
    return result


def gradients(
    root: Node, wrt: Iterable[Node], seed: Node | None = None, beside: tuple[Node, ...] = ()
) -> tuple[Node, ...]:
    """∂root/∂p for each p of ``wrt``, simplified together with the root so that they share.

    The names of equations below ``beside`` may be used as well: σ(z) is then called a.
    """
    targets = tuple(wrt)
    (root,) = simplify(root)
    found = cotangents(root, targets, seed)
    return simplify(*beside, root, *(found[target] for target in targets))[len(beside) + 1 :]


def pushforward(root: Node, tangents: Mapping[Node, Node]) -> Node:
    """The change of the root for small changes of some leaves: one forward sweep.

    With a gradient as the root this is a Hessian-vector product.
    """
    active = _depending_on(root, tuple(tangents))
    change: dict[Node, Node] = dict(tangents)
    for node in walk((root,)):
        if node in active and node not in change:
            parts = tuple(factor @ change[arg] for arg, factor in linearise(node) if arg in active)
            change[node] = parts[0] if len(parts) == 1 else Add(parts)
    return simplify(change[root])[0] if root in change else Constant(0.0, root.axes)


def hessian_vector_product(
    root: Node, wrt: Iterable[Node], directions: Mapping[Node, Node]
) -> tuple[Node, ...]:
    """(∂²root/∂p∂q)·v for each p of ``wrt``: the gradient of ⟨gradient, v⟩, by the same rules."""
    targets = tuple(wrt)
    slopes = gradients(root, tuple(directions))
    along = tuple(
        Contract((slope, directions[q]), ()) for slope, q in zip(slopes, directions, strict=True)
    )
    (inner,) = simplify(along[0] if len(along) == 1 else Add(along))
    found = cotangents(inner, targets)
    return simplify(*(found[target] for target in targets))


def _depending_on(root: Node, targets: tuple[Node, ...]) -> set[Node]:
    active = set(targets)
    for node in walk((root,)):
        if any(arg in active for arg in node.moved_by):
            active.add(node)
    return active


def _named(node: Node, cotangent: Node, onward: int, active: set[Node]) -> Node:
    if not isinstance(node, Named):
        return cotangent
    shown = node.role == "z" or (node.role == "a" and onward and _forks(node, active))
    return Named(node.label.delta, cotangent) if shown else cotangent


def _forks(node: Named, active: set[Node]) -> bool:
    """Does a cotangent of this node go on along more than one way?"""
    return isinstance(node.arg, Add) or sum(arg in active for arg in node.arg.args) > 1
