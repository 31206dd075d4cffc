"""A residual network of eight layers on pictures of 8×8 (He et al. 2015, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pullback.bench.networks import JaxOutput
from pullback.net.network import Network
from pullback.nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Block,
    Conv2d,
    CrossEntropy,
    Flatten,
    Linear,
    Parallel,
    ReLU,
    Residual,
    Sequential,
)

MOMENTUM, EPSILON = 0.1, 1e-5  # of the running statistics, as torch has them


class ResNet8:
    """Blocks of 16, 32 and 64 channels with batch normalisation; two of them halve the picture."""

    title = "ResNet-8, 8×8"

    @cached_property
    def net(self) -> Network:
        def normed(inputs: int, outputs: int, taps: int, stride: int) -> list[Block]:
            return [
                Conv2d(inputs, outputs, taps, stride, taps // 2, bias=False),
                BatchNorm2d(outputs),
            ]

        def inner(inputs: int, outputs: int, stride: int) -> Block:
            last = normed(outputs, outputs, 3, 1)
            return Sequential(*normed(inputs, outputs, 3, stride), ReLU(), *last)

        def halved(inputs: int, outputs: int) -> Block:
            short = Sequential(*normed(inputs, outputs, 1, 2))
            return Parallel(short, inner(inputs, outputs, 2), join="sum")

        model = Sequential(
            *normed(1, 16, 3, 1), ReLU(), Residual(inner(16, 16, 1)), ReLU(), halved(16, 32),
            ReLU(), halved(32, 64), ReLU(), AdaptiveAvgPool2d(1), Flatten(), Linear(64, 10),
        )  # fmt: skip
        return Network(model, CrossEntropy(), x="channels=1 height=8 width=8")

    def torch_module(self) -> Any:
        from torch import nn

        class Skip(nn.Module):  # type: ignore[misc]  # torch is untyped here
            def __init__(self, block: Any) -> None:
                super().__init__()
                self.block = block

            def forward(self, x: Any) -> Any:
                return x + self.block(x)

        class Sum(nn.ModuleList):  # type: ignore[misc]  # torch is untyped here
            def forward(self, x: Any) -> Any:
                short, inner = self
                return short(x) + inner(x)

        def normed(inputs: int, outputs: int, taps: int, stride: int) -> list[Any]:
            return [
                nn.Conv2d(inputs, outputs, taps, stride, taps // 2, bias=False),
                nn.BatchNorm2d(outputs),
            ]

        def inner(inputs: int, outputs: int, stride: int) -> Any:
            last = normed(outputs, outputs, 3, 1)
            return nn.Sequential(*normed(inputs, outputs, 3, stride), nn.ReLU(), *last)

        def halved(inputs: int, outputs: int) -> Any:
            short = nn.Sequential(*normed(inputs, outputs, 1, 2))
            return Sum([short, inner(inputs, outputs, 2)])

        return nn.Sequential(
            *normed(1, 16, 3, 1), nn.ReLU(), Skip(inner(16, 16, 1)), nn.ReLU(), halved(16, 32),
            nn.ReLU(), halved(32, 64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(64, 10),
        )  # fmt: skip

    def jax_output(self, training: bool) -> JaxOutput:
        import jax
        from jax import lax

        def output(params: Mapping[str, Any], x: Any) -> tuple[Any, Mapping[str, Any]]:
            after: dict[str, Any] = {}

            def normed(x: Any, place: str, at: int, stride: int = 1) -> Any:
                weight = params[f"{place}{at}.weight"]
                edge = weight.shape[-1] // 2
                z = lax.conv(x, weight, (stride, stride), [(edge, edge)] * 2)
                norm = f"{place}{at + 1}"
                mean, variance = (params[f"{norm}.running_{name}"] for name in ("mean", "var"))
                if training:
                    before, mean, variance = (mean, variance), z.mean((0, 2, 3)), z.var((0, 2, 3))
                    count = z.size // len(mean)
                    seen = (mean, variance * count / (count - 1))
                    for name, old, new in zip(("mean", "var"), before, seen, strict=True):
                        after[f"{norm}.running_{name}"] = old + MOMENTUM * (new - old)
                scale = params[f"{norm}.weight"] * lax.rsqrt(variance + EPSILON)
                shift = params[f"{norm}.bias"] - mean * scale
                return z * scale[:, None, None] + shift[:, None, None]

            def inner(x: Any, place: str, stride: int) -> Any:
                return normed(jax.nn.relu(normed(x, place, 0, stride)), place, 3)

            x = jax.nn.relu(normed(x, "", 0))
            x = jax.nn.relu(x + inner(x, "3.block.", 1))
            for at in ("5", "7"):
                x = jax.nn.relu(normed(x, f"{at}.0.", 0, 2) + inner(x, f"{at}.1.", 2))
            x = x.mean((2, 3)) @ params["11.weight"].T + params["11.bias"]
            return x, jax.lax.stop_gradient(after)

        return output
