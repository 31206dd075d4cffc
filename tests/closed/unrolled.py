"""A recurrence step by step in jax, and numbers to put in."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import pullback as pb

jax.config.update("jax_enable_x64", True)
Array = np.ndarray[Any, np.dtype[Any]]


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def by_jax(recurrence: pb.Recurrence, delta: Array) -> dict[str, Array]:
    """∂L/∂W, ∂L/∂h_0 and ∂L/∂u of the unrolled network, L = ⟨δ, h_T⟩."""
    functions = {"Tanh": jnp.tanh, "Identity": lambda z: z, "ReLU": jax.nn.relu}
    f = functions[type(recurrence.activation).__name__]
    n, steps = recurrence.units, recurrence.steps

    def loss(W, state, inputs):
        h = state
        for t in range(steps):
            h = f(W @ h + (inputs[t] if inputs.ndim == 2 else inputs))
        return delta @ h

    state = np.zeros(n) if recurrence.state is None else recurrence.state
    inputs = np.zeros(n) if recurrence.inputs is None else recurrence.inputs
    found = jax.grad(loss, (0, 1, 2))(recurrence.W, state, inputs)
    return dict(zip(("W", "state", "inputs"), map(np.asarray, found), strict=True))
