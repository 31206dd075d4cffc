"""A program as pure functions in JAX: they can be jitted, vmapped and differentiated further."""

from __future__ import annotations

from collections.abc import Iterable

from pullback.emit.infix import Dialect
from pullback.emit.statements import Task, array_function, module
from pullback.ir.primitives import SELU_ALPHA, SELU_SCALE

_SAME = ("exp", "log", "expm1", "log1p", "tanh", "sinh", "cosh", "sin", "cos", "tan", "abs")
RESERVED = frozenset({"jax", "jnp", "params", "value_and_grad"})
JAX = Dialect(
    module="jnp",
    imports=("import jax", "import jax.numpy as jnp"),
    functions={
        **{name: f"jnp.{name}({{x}})" for name in _SAME},
        "sign": "jnp.sign({x})",
        "heaviside": "jnp.heaviside({x}, 0.5)",
        "atan": "jnp.arctan({x})",
        "erf": "jax.scipy.special.erf({x})",
        "step": "jnp.heaviside({x}, 0.0)",
        "relu": "jnp.maximum({x}, 0.0)",
        "sigmoid": "jax.nn.sigmoid({x})",
        "sigmoid_slope": "(jax.nn.sigmoid({x}) * jax.nn.sigmoid(-{x}))",
        "sech2": "(4.0 * jax.nn.sigmoid(2.0 * {x}) * jax.nn.sigmoid(-2.0 * {x}))",
        "log_cosh": "jnp.where(jnp.abs({x}) < 1.0, jnp.log1p(2.0 * jnp.sinh(0.5 * "
        "jnp.clip({x}, -1.0, 1.0)) ** 2), jnp.logaddexp({x}, -{x}) - jnp.log(2.0))",
        "softplus": "jnp.logaddexp({x}, 0.0)",
        "normal_cdf": "jax.scipy.special.ndtr({x})",
        "gelu": "{x} * jax.scipy.special.ndtr({x})",
        "silu": "{x} * jax.nn.sigmoid({x})",
        "elu": "(jnp.maximum({x}, 0.0) + jnp.expm1(jnp.minimum({x}, 0.0)))",
        "selu": f"{SELU_SCALE!r} * (jnp.maximum({{x}}, 0.0) + "
        f"{SELU_ALPHA!r} * jnp.expm1(jnp.minimum({{x}}, 0.0)))",
    },
    maximum="jnp.maximum({0}, {1})",
    minimum="jnp.minimum({0}, {1})",
    where="jnp.where({0}, {1}, {2})",
    sqrt="jnp.sqrt({0})",
    axis="axis",
    max_over="jnp.max({0}, {1})",
    logsumexp="jax.nn.logsumexp({0}, {1})",
    permute="{0}.transpose{1}",
)


def emit(tasks: Iterable[Task], title: Iterable[str]) -> str:
    """A module with one pure function a task."""
    parts = [array_function(task, JAX) for task in tasks]
    used = any("jax." in line for part in parts for line in part)
    return module(title, JAX.imports if used else JAX.imports[1:], parts)
