"""The calculus: local Jacobians as factors, their transposes, and sweeps over them."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.calculus.backward import (
        cotangents,
        gradients,
        hessian_vector_product,
        pushforward,
    )
    from pullback.calculus.equation import local_map
    from pullback.calculus.factor import Factor, LinearMap
    from pullback.calculus.jacobian import jacobian
    from pullback.calculus.linearise import linearise
    from pullback.calculus.routes import Routes

lazy(
    __name__,
    {
        "cotangents": "pullback.calculus.backward",
        "gradients": "pullback.calculus.backward",
        "hessian_vector_product": "pullback.calculus.backward",
        "pushforward": "pullback.calculus.backward",
        "Factor": "pullback.calculus.factor",
        "LinearMap": "pullback.calculus.factor",
        "jacobian": "pullback.calculus.jacobian",
        "linearise": "pullback.calculus.linearise",
        "local_map": "pullback.calculus.equation",
        "Routes": "pullback.calculus.routes",
    },
)

__all__ = [
    "Factor",
    "LinearMap",
    "Routes",
    "cotangents",
    "gradients",
    "hessian_vector_product",
    "jacobian",
    "linearise",
    "local_map",
    "pushforward",
]
