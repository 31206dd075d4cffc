"""``derive``: from a network or an expression to the mathematics of its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pullback.derive.derivation import Derivation
from pullback.derive.formula.notation import Convention
from pullback.derive.of_expression import derive_expression
from pullback.derive.of_network import derive_network
from pullback.derive.steps.expression import Layout
from pullback.errors import ConfigError
from pullback.interop.subject import takes_module
from pullback.net.expression import Expression
from pullback.net.network import Network
from pullback.net.structure import Symmetric


@takes_module("example")
def derive(
    subject: Network | Expression,
    convention: Convention | str | Sequence[str] | None = None,
    *,
    wrt: str | Sequence[str] = (),
    order: int = 1,
    jacobian: bool = False,
    symmetric: Symmetric = "entries",
    layout: Layout = "numerator",
    loss: Any = None,
    example: Any = None,
) -> Derivation:
    """The backward pass of a network or an expression as ordered steps with their reasons.

    A network is derived in a convention: ``columns`` (the default: one sample, z = W x + b),
    ``rows`` (samples as rows, Z = X W + 𝟏 bᵀ), ``ng`` (Θ with the bias first, summed sample by
    sample) or ``index`` (entry by entry). An expression is derived by the variables
    ``wrt``, which may come second, as in ``derive(e, "w")``; it need not be scalar: a Jacobian has
    the axes of the result, then those of the variable, or with ``layout="denominator"`` is printed
    the other way round, and
    ``jacobian=True`` says no more than that it is known to be one. ``order=2`` goes on to second
    derivatives, ``order=3`` to third ones: Hessians of an expression, Hessian-vector products of
    both. By a symmetric variable, ``"n n sym"``, the gradient is G + Gᵀ − G ⊙ I, or with
    ``symmetric="part"`` the symmetric part of G, the one by any matrix. A torch module is derived
    with its ``loss``, and with an ``example`` (batch, …) where its layers do not say what they
    take.
    Raises UnknownNameError for an unknown convention or layout, ConfigError for options that do
    not fit, ExpressionError with a caret for a ``wrt`` that does not occur.

    >>> import pullback as pb
    >>> e = pb.expr("sum((X@w-y)**2)/2", X="n d", y="n", w="d")
    >>> print(derive(e, "w").steps[-1].equation)
    ∂L/∂w = Xᵀ (X w − y)
    >>> net = pb.Network(pb.Sequential(pb.Linear(3, 2), pb.Tanh(), pb.Linear(2, 1)),
    ...                  loss=pb.SquaredError())
    >>> print(derive(net, convention="index").steps[4].lines[0].text())
    δᵢ⁽ˡ⁾ = (Σⱼ Wⱼᵢ⁽ˡ⁺¹⁾ δⱼ⁽ˡ⁺¹⁾) f′(zᵢ⁽ˡ⁾)
    """
    if isinstance(subject, Expression):
        if convention is not None and (wrt or convention in get_args(Convention)):
            raise ConfigError(
                f"convention={convention!r} is for networks; an expression has names of its own"
            )
        wrt = wrt or convention or ()  # of an expression the variables come second
        if not isinstance(wrt, str | Sequence):
            raise ConfigError(f"wrt is {wrt!r}; expected the name of a variable, or several")
        return derive_expression(subject, wrt, order, symmetric, layout)
    if not isinstance(subject, Network):
        raise ConfigError(f"derive takes a Network or an expression, found {subject!r}")
    if wrt or jacobian:
        raise ConfigError("wrt and jacobian are for expressions; a network has its parameters")
    return derive_network(subject, convention, order)
