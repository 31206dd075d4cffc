"""The calculus: local Jacobians as factors, their transposes, and sweeps over them."""

from pullback.calculus.backward import (
    cotangents,
    gradients,
    hessian_vector_product,
    pushforward,
)
from pullback.calculus.factor import Factor
from pullback.calculus.jacobian import jacobian
from pullback.calculus.linearise import linearise

__all__ = [
    "Factor",
    "cotangents",
    "gradients",
    "hessian_vector_product",
    "jacobian",
    "linearise",
    "pushforward",
]
