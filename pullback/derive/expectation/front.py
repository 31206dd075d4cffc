"""``expect``: the expectation of an expression over Gaussian tensors."""

from __future__ import annotations

from collections.abc import Mapping

from pullback.derive.derivation import Derivation
from pullback.derive.expectation.expectation import Expectation
from pullback.derive.expectation.law import GaussianLaw, RandomTensor, bound
from pullback.derive.expectation.steps import ExpectationSteps
from pullback.errors import ConfigError, require, shown, unknown
from pullback.ir import Node
from pullback.net.expression import Expression


def expect(
    e: Expression,
    laws: Mapping[str, GaussianLaw],
    order: int = 1,
    *,
    central: bool = False,
    name: str = "",
) -> Expectation:
    """The mean of an expression over Gaussian tensors, or its second moments, as a formula.

    ``laws`` gives each random variable its ``pb.normal``; different variables are independent, and
    all others are given. ``order=2`` is E[e eᵀ], with the axes of the expression twice, E[e²] of a
    number; ``central=True`` takes the product of the means off: Cov(e), Var(e). ``name`` is what
    the expression is called in the formulas.
    Products of Gaussians are paired off (Isserlis 1918), a function beside a Gaussian goes by
    Stein's lemma (1981), and what is left are integrals over one Gaussian or two, or simulated
    where it is neither; the steps say which.
    Raises UnknownNameError for another variable, ConfigError for other options and laws that do not
    fit, NotApplicableError where there is no mean, as of 1/x, where Stein's lemma would need the
    slope of a jump, and for products of more than 8 Gaussians
    or 5 functions.

    >>> import pullback as pb
    >>> e = pb.expr("x.T@A@x", x="n", A="n n")
    >>> pb.expect(e, {"x": pb.normal("m", cov="Sigma")}).formula
    'E[xᵀ A x] = mᵀ A m + tr(A Σ)'
    """
    require("e", e, Expression, "an expression, as pb.expr('x.T@A@x', x='n', A='n n')")
    require("laws", laws, Mapping, "a law for each random variable, as {'W': pb.normal(0, 1)}")
    if isinstance(order, bool) or order not in (1, 2):
        raise ConfigError(f"order is {shown(order)}; expected 1 (the mean) or 2 (second moments)")
    require("central", central, bool, "True or False")
    require("name", name, str, "a name, as 'delta'")
    if name and not name.isidentifier():
        raise ConfigError(f"name is {shown(name)}; expected letters and digits, as 'delta'")
    if central and order == 1:
        raise ConfigError("the central first moment is 0: central=True is for order=2")
    bound_laws = _bound(e, laws)
    found = ExpectationSteps(e, bound_laws, order, central, name)
    integrals = tuple(integral for integral, _ in found.integrals.found.values())
    subject = f"{'the second moments' if order == 2 else 'the mean'} of {e!r}"
    derivation = Derivation(subject, "entries", found.note, tuple(found.steps))
    return Expectation(e, bound_laws, order, central, found.node, integrals, derivation)


def _bound(e: Expression, laws: Mapping[str, GaussianLaw]) -> dict[Node, RandomTensor]:
    """The law of each random variable; raises where one does not fit its variable."""
    known = {leaf.name: leaf for leaf in e.leaves}
    if not laws:
        raise ConfigError(
            f"expect needs a law for what is random, one of {', '.join(known)}: "
            f"{{{next(iter(known), 'W')!r}: pb.normal(0, 1)}}"
        )
    for name, law in laws.items():
        if name not in known:
            raise unknown("variable", name, known)
        require(f"the law of {name}", law, GaussianLaw, "a normal law, as pb.normal(0, 1)")
        if e.structure(name) == "sign":
            raise ConfigError(f"{name} is declared sign, 1 or -1, and a normal law has any number")
        if e.structure(name):
            raise ConfigError(
                f"{name} is declared symmetric or diagonal, and the entries of a normal law are "
                f"not: declare a square {name} and write ({name} + {name}.T)/2 or diag"
            )
    fixed = {name: leaf for name, leaf in known.items() if name not in laws}
    declared = frozenset(known[name] for name, kind in e.structures if kind in ("sym", "diag"))
    found: dict[Node, RandomTensor] = {}
    for name, law in laws.items():
        for given in (law.mean, law.std, law.cov, law.rows, law.columns):
            if isinstance(given, str) and given.split() and given.split()[0] in laws:
                raise ConfigError(
                    f"the law of {name} reads {given!r}, which is random itself: average in two "
                    "steps, or write the sum of the two into the expression"
                )
        found[known[name]] = bound(known[name], law, fixed, declared)
    return found
