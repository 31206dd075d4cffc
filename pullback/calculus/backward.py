"""Reverse and forward mode: the factors' transposes, or the factors, applied in order.

Neither function knows any operation: both only follow ``linearise``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pullback.calculus.linearise import linearise
from pullback.calculus.sweep import pull, push
from pullback.ir import Add, Constant, Contract, Node, simplify


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
    result = pull([(root, seed or Constant(1.0, root.axes))], targets, linearise)
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
    change = push((root,), tangents, linearise)
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
