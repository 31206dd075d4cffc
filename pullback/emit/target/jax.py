"""A program as pure functions in JAX: they can be jitted, vmapped and differentiated further."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pullback.emit.target.language import ArrayLanguage, Task
from pullback.emit.target.module import array_function, module

RESERVED = frozenset({"jax", "jnp", "params", "inputs", "value_and_grad"})
JAX = ArrayLanguage(
    key="jax",
    module="jnp",
    imports=("import jax", "import jax.numpy as jnp"),
    maximum="jnp.maximum(a, b)",
    minimum="jnp.minimum(a, b)",
    where="jnp.where(c, a, b)",
    sqrt="jnp.sqrt(a)",
    axis="axis",
    max_over="jnp.max(a, axis=o)",
    logsumexp="jax.nn.logsumexp(a, axis=o)",
    permute="a.transpose",
    cast="a.astype(d)",
    whole="int",
    pad="jnp.pad",
    scan="jax.lax.scan",
    argmax="jnp.argmax(a, axis=o)",
    triangle="jnp.ravel_multi_index(jnp.triu_indices(n), (n, n))",
    at="a.at[p].get(mode='fill', wrap_negative_indices=False)",  # jax else takes another place
    add_at="z.at[i].add(a)",
    adds_in_place=False,
    held="jax.lax.stop_gradient(a)",
    traced="isinstance(a, jax.core.Tracer)",
)
_HALF = "a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32"
# products read bfloat16 and add up in float32; all else stays in float32
BFLOAT16 = replace(JAX, matmul=f"jnp.matmul({_HALF})", einsum=f"jnp.einsum(p, {_HALF})")


def emit(tasks: Iterable[Task], title: Iterable[str], language: ArrayLanguage = JAX) -> str:
    """A module with one pure function a task."""
    parts = [array_function(task, language) for task in tasks]
    used = any("jax." in line for part in parts for line in part)
    return module(title, JAX.imports if used else JAX.imports[1:], parts)
