"""A gated recurrent unit that reads a sequence (Cho et al. 2014, appendix A, as torch has it)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pullback.bench.networks import JaxOutput
from pullback.net.network import Network
from pullback.nn import GRU, CrossEntropy, Linear, Sequential

TURNS, FEATURES, WIDTH = 50, 16, 64


class GatedRecurrent:
    """50 turns over 16 features with a state of 64, and a layer on the last state."""

    title = "GRU 16→64, 50 turns"

    @cached_property
    def net(self) -> Network:
        model = Sequential(GRU(FEATURES, WIDTH, output="last"), Linear(WIDTH, 10))
        return Network(model, CrossEntropy(), x=f"time={TURNS} features={FEATURES}")

    def torch_module(self) -> Any:
        from torch import nn

        class LastState(nn.GRU):  # type: ignore[misc]  # torch is untyped here
            def forward(self, x: Any) -> Any:
                return super().forward(x)[0][:, -1]

        return nn.Sequential(LastState(FEATURES, WIDTH, batch_first=True), nn.Linear(WIDTH, 10))

    def jax_output(self, training: bool) -> JaxOutput:
        import jax
        import jax.numpy as jnp

        def output(params: Mapping[str, Any], x: Any) -> tuple[Any, Mapping[str, Any]]:
            inputs = x @ params["0.weight_ih_l0"].T + params["0.bias_ih_l0"]

            def turn(state: Any, given: Any) -> tuple[Any, None]:
                own = state @ params["0.weight_hh_l0"].T + params["0.bias_hh_l0"]
                (r, z, n), (own_r, own_z, own_n) = (
                    jnp.split(each, 3, axis=-1) for each in (given, own)
                )
                r, z = jax.nn.sigmoid(r + own_r), jax.nn.sigmoid(z + own_z)
                n = jnp.tanh(n + r * own_n)
                return (1 - z) * n + z * state, None

            start = jnp.zeros((len(x), WIDTH), x.dtype)
            state, _ = jax.lax.scan(turn, start, inputs.swapaxes(0, 1))
            return state @ params["1.weight"].T + params["1.bias"], {}

        return output
