"""The derivation of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

from pullback.derive.derivation import Derivation
from pullback.derive.formula.notation import Convention
from pullback.derive.roots import Roots
from pullback.derive.steps.network import NetworkSteps
from pullback.errors import unknown
from pullback.ir import Input, Parameter
from pullback.net.network import Network


def derive_network(
    subject: Network, convention: Convention | str | Sequence[str] | None, order: int
) -> Derivation:
    """The steps to the gradients of all its parameters, in one convention.

    Raises UnknownNameError for an unknown convention, ConfigError for an unknown order.
    """
    chosen = _convention(convention)
    built = NetworkSteps(subject, chosen, order)
    leaves: tuple[Input | Parameter, ...]
    leaves = (*subject.inputs, *subject.parameters.values())
    several = tuple(subject.xs) if len(subject.xs) > 1 else ()
    labels = subject.target.name if subject.criterion.target == "classes" else None
    roots = Roots(subject.total, built.derivatives, leaves, built.directions, several, labels)
    return Derivation(repr(subject), chosen, built.note, tuple(built.steps), roots, subject)


def _convention(given: str | Sequence[str] | None) -> Convention:
    """That of a network; raises UnknownNameError for what is none."""
    for each in get_args(Convention):
        if each == (given or "columns"):
            return cast(Convention, each)
    raise unknown("convention", str(given), get_args(Convention))
