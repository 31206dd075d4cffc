"""An encoder of two layers (Vaswani et al. 2017, section 3.1, with GELU)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pullback.bench.networks import JaxOutput
from pullback.ir import Node
from pullback.ir.build import mean_over
from pullback.net.network import Network
from pullback.nn import Block, CrossEntropy, Linear, Scope, Sequential, TransformerEncoderLayer

TOKENS, WIDTH, HEADS, INNER = 32, 64, 4, 256
EPSILON = 1e-5  # of layer normalisation, as torch has it


@dataclass(frozen=True)
class TokenMean(Block):
    """The mean over the tokens."""

    def build(self, x: Node, at: Scope) -> Node:
        return at.a(mean_over(x, x.axes[1:2]))


class Transformer:
    """Two layers of 64 with 4 heads over 32 tokens, and the mean of the tokens."""

    title = "transformer 2×64, 32 tokens"

    @cached_property
    def net(self) -> Network:
        layers = (
            TransformerEncoderLayer(WIDTH, HEADS, INNER, dropout=0.0, activation="gelu")
            for _ in range(2)
        )
        model = Sequential(*layers, TokenMean(), Linear(WIDTH, 10))
        return Network(model, CrossEntropy(), x=f"tokens={TOKENS} features={WIDTH}")

    def torch_module(self) -> Any:
        from torch import nn

        class Mean(nn.Module):  # type: ignore[misc]  # torch is untyped here
            def forward(self, x: Any) -> Any:
                return x.mean(1)

        layers = (
            nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.0, "gelu", batch_first=True)
            for _ in range(2)
        )
        return nn.Sequential(*layers, Mean(), nn.Linear(WIDTH, 10))

    def jax_output(self, training: bool) -> JaxOutput:
        import jax
        import jax.numpy as jnp

        def output(params: Mapping[str, Any], x: Any) -> tuple[Any, Mapping[str, Any]]:
            def linear(x: Any, name: str, joint: str = ".") -> Any:
                return x @ params[f"{name}{joint}weight"].T + params[f"{name}{joint}bias"]

            def normed(x: Any, name: str) -> Any:
                centred = x - x.mean(-1, keepdims=True)
                unit = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
                return unit * params[f"{name}.weight"] + params[f"{name}.bias"]

            def attended(x: Any, name: str) -> Any:
                parts = jnp.split(linear(x, f"{name}.in_proj", "_"), 3, axis=-1)
                q, k, v = (part.reshape(*part.shape[:2], HEADS, -1) for part in parts)
                scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
                mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v)
                return linear(mixed.reshape(x.shape), f"{name}.out_proj")

            for at in ("0", "1"):
                x = normed(x + attended(x, f"{at}.self_attn"), f"{at}.norm1")
                inner = jax.nn.gelu(linear(x, f"{at}.linear1"), approximate=False)
                x = normed(x + linear(inner, f"{at}.linear2"), f"{at}.norm2")
            return linear(x.mean(1), "3"), {}

        return output
