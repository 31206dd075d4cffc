"""The peers of ``ntk.py``: the same networks by hand in jax, and their tangent kernels.

It needs jax alone, and runs in another process: ``neural_tangents`` wants an older jax. One line
in, one line out: "network method", the CPU seconds of one call. ``python tangents_peer.py FOLDER``
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["NPROC"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numpy as np


def resnet(p: Any, x: Any) -> Any:
    """Convolutions of 16, 32 and 64 channels with norms in evaluation, as ``ntk.resnet``."""

    def normed(at: str, norm: str, x: Any, stride: int = 1) -> Any:
        kernel = p[f"{at}.weight"]
        pads = [(kernel.shape[2] // 2,) * 2] * 2
        z = jax.lax.conv_general_dilated(x, kernel, (stride, stride), pads)
        shift, mean, gain = (
            p[f"{norm}.{k}"][:, None, None] for k in ("bias", "running_mean", "weight")
        )
        return (z - mean) / jnp.sqrt(p[f"{norm}.running_var"][:, None, None] + 1e-5) * gain + shift

    def inner(at: str, x: Any, stride: int) -> Any:
        x = jnp.maximum(normed(f"{at}.0", f"{at}.1", x, stride), 0)
        return normed(f"{at}.3", f"{at}.4", x)

    x = jnp.maximum(normed("0", "1", x), 0)
    x = jnp.maximum(x + inner("3.block", x, 1), 0)
    for at in ("5", "7"):
        skip = normed(f"{at}.1.0", f"{at}.1.1", x, 2)
        x = jnp.maximum(inner(f"{at}.0", x, 2) + skip, 0)
    return x.mean((2, 3)) @ p["11.weight"].T + p["11.bias"]


def transformer(p: Any, x: Any) -> Any:
    """Two layers of attention and of two products a token, as ``ntk.transformer``."""
    heads = 4

    def layer(at: str, x: Any) -> Any:
        def norm(name: str, x: Any) -> Any:
            centred = x - x.mean(-1, keepdims=True)
            scale = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
            return centred * scale * p[f"{at}.{name}.weight"] + p[f"{at}.{name}.bias"]

        n, t, d = x.shape
        qkv = x @ p[f"{at}.self_attn.in_proj_weight"].T + p[f"{at}.self_attn.in_proj_bias"]
        q, k, v = qkv.reshape(n, t, 3, heads, d // heads).transpose(2, 0, 3, 1, 4)
        shares = jax.nn.softmax(q @ k.swapaxes(2, 3) / np.sqrt(d // heads), axis=-1)
        joined = (shares @ v).transpose(0, 2, 1, 3).reshape(n, t, d)
        out = joined @ p[f"{at}.self_attn.out_proj.weight"].T + p[f"{at}.self_attn.out_proj.bias"]
        x = norm("norm1", x + out)
        a = jax.nn.gelu(
            x @ p[f"{at}.linear1.weight"].T + p[f"{at}.linear1.bias"], approximate=False
        )
        return norm("norm2", x + a @ p[f"{at}.linear2.weight"].T + p[f"{at}.linear2.bias"])

    x = layer("1", layer("0", x)).mean(1)
    return x @ p["3.weight"].T + p["3.bias"]


MODELS = {"resnet": resnet, "transformer": transformer}


def kernels(model: Any, trained: Any, frozen: Any, x: Any) -> dict[str, Any]:
    """Each method by name, jitted."""

    def f(p: Any, x: Any) -> Any:  # neural-tangents gives x after the parameters, too
        return model({**p, **frozen}, x)

    def rows(J: Any) -> Any:
        flat = [each.reshape(each.shape[0] * each.shape[1], -1) for each in jax.tree.leaves(J)]
        return jnp.concatenate(flat, 1)

    def product(J: Any) -> Any:
        return rows(J) @ rows(J).T

    def one(p: Any, x: Any) -> Any:
        return f(p, x[None])[0]

    found = {
        "jax.jacrev": jax.jit(lambda p, x: product(jax.jacrev(f)(p, x))),
        "jax.jacrev, vmap over samples": jax.jit(
            lambda p, x: product(jax.vmap(jax.jacrev(one), (None, 0))(p, x))
        ),
    }
    try:
        import neural_tangents as nt
    except ImportError:
        return found
    kinds = nt.NtkImplementation
    for name, kind in (
        ("neural-tangents, structured", kinds.STRUCTURED_DERIVATIVES),
        ("neural-tangents, contraction", kinds.JACOBIAN_CONTRACTION),
    ):
        of_pairs = nt.empirical_ntk_fn(f, trace_axes=(), vmap_axes=0, implementation=kind)

        def kernel(p: Any, x: Any, of_pairs: Any = of_pairs) -> Any:
            K = of_pairs(x, None, p)  # (batch, batch, outputs, outputs)
            return K.transpose(0, 2, 1, 3).reshape(K.shape[0] * K.shape[2], -1)

        found[name] = jax.jit(kernel)
    return found


def main(folder: Path) -> None:
    """Answer lines until there are no more."""
    held: dict[str, Any] = {}
    for name, model in MODELS.items():
        data = {key: jnp.asarray(value) for key, value in np.load(folder / f"{name}.npz").items()}
        x = data.pop("x")
        frozen = {key: data.pop(key) for key in list(data) if "running" in key}
        for method, kernel in kernels(model, data, frozen, x).items():
            held[f"{name} {method}"] = kernel, data, x
    print("\t".join(held), flush=True)
    for line in sys.stdin:
        kernel, data, x = held[line.strip()]
        start = time.process_time()
        try:
            K = kernel(data, x).block_until_ready()
        except Exception as error:  # a peer that cannot is a row of the table
            print(f"{type(error).__name__}: {str(error)[:80]!r}", flush=True)
            continue
        taken = time.process_time() - start
        np.save(folder / "kernel.npy", np.asarray(K))
        print(taken, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
