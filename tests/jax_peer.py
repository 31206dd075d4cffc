"""The networks of the zoo in jax: pure functions of the parameters by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from zoo import OWN, Case

import pullback as pb

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)  # these are compiled to run once

FUNCTIONS = {
    pb.Identity: lambda x: x,
    pb.Sigmoid: jax.nn.sigmoid,
    pb.Tanh: jnp.tanh,
    pb.ReLU: jax.nn.relu,
    pb.SELU: jax.nn.selu,
    pb.GELU: lambda x: jax.nn.gelu(x, approximate=False),
    pb.SiLU: jax.nn.silu,
    pb.Softplus: jax.nn.softplus,
    pb.Sin: jnp.sin,
    pb.Erf: jax.scipy.special.erf,
    pb.Mish: jax.nn.mish,
    pb.LogSigmoid: jax.nn.log_sigmoid,
    pb.Softsign: jax.nn.soft_sign,
    pb.ReLU6: jax.nn.relu6,
    pb.Hardsigmoid: jax.nn.hard_sigmoid,
    pb.Hardswish: jax.nn.hard_swish,
}


def apply(block: Any, params: Mapping[str, Any], x: Any, path: str = "") -> Any:
    """The output of a block whose parameters stand under a path."""

    def below(part: Any, name: Any, x: Any) -> Any:
        return apply(part, params, x, f"{path}{name}.")

    match block:
        case pb.Linear():
            z = x @ params[f"{path}weight"].T
            return z + params[f"{path}bias"] if block.bias else z
        case pb.Sequential():
            for at, part in enumerate(block.blocks):
                x = below(part, at, x)
            return x
        case pb.Residual():
            return x + block.scale * below(block.block, "block", x)
        case pb.LeakyReLU():
            return jax.nn.leaky_relu(x, block.slope)
        case pb.ELU():
            return jax.nn.elu(x, block.alpha)
        case pb.Hardtanh():
            return jnp.clip(x, block.min_val, block.max_val)
        case pb.Activation():
            return OWN[block.formula](jnp, x)
    return FUNCTIONS[type(block)](x)


def per_sample(loss: Any, z: Any, y: Any) -> Any:
    """The loss of each sample from output and target, both (batch, outputs)."""
    match loss:
        case pb.SquaredError():
            return jnp.sum((z - y) ** 2, 1) / 2
        case pb.MSELoss(reduction=reduction):
            return (jnp.mean if reduction == "mean" else jnp.sum)((z - y) ** 2, 1)
        case pb.CrossEntropy():
            return -jnp.sum(y * jax.nn.log_softmax(z), 1)
        case pb.BinaryCrossEntropy(from_logits=True):
            return -jnp.sum(y * jax.nn.log_sigmoid(z) + (1 - y) * jax.nn.log_sigmoid(-z), 1)
        case pb.BinaryCrossEntropy():
            return -jnp.sum(y * jnp.log(z) + (1 - y) * jnp.log1p(-z), 1)
        case pb.LogisticLoss():
            return jnp.sum(jnp.logaddexp(0, -y * z), 1)
    raise TypeError(loss)


def loss(case: Case, params: Mapping[str, Any]) -> Any:
    """The loss of a case's data as a function of its parameters."""
    X, Y = case.data()
    z = apply(case.model, params, jnp.asarray(X))
    classes = Y.ndim == 1 and isinstance(case.loss, pb.CrossEntropy)
    target = jax.nn.one_hot(Y, case.outputs) if classes else jnp.asarray(Y).reshape(z.shape)
    each = per_sample(case.loss, z, target.astype(z.dtype))
    penalty = sum(jnp.sum(p**2) for name, p in params.items() if name.endswith("weight"))
    return (each.mean() if case.loss.reduction == "mean" else each.sum()) + case.l2 / 2 * penalty


@dataclass(frozen=True)
class Answer:
    """What jax says about a case."""

    value: float
    gradient: dict[str, Any]
    output: Any
    hessian_product: dict[str, Any]  # with the direction ``case.params(seed=1)``


@cache
def answer(case: Case) -> Answer:
    """Everything about a case, compiled once: compiling is what takes the time."""

    def everything(params: Any, along: Any) -> Any:
        value_and_grad = jax.value_and_grad(lambda p: loss(case, p))
        (value, gradient), (_, change) = jax.jvp(value_and_grad, (params,), (along,))
        return value, gradient, apply(case.model, params, jnp.asarray(case.data()[0])), change

    found = jax.jit(everything)(case.params(), case.params(seed=1))
    return Answer(*jax.tree.map(np.asarray, found))
