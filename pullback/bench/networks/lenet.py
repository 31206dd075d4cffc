"""LeNet-5 on pictures of 28×28 (LeCun et al. 1998, with rectifiers and max pooling)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pullback.bench.networks import JaxOutput
from pullback.net.network import Network
from pullback.nn import Conv2d, CrossEntropy, Flatten, Linear, MaxPool2d, ReLU, Sequential


class LeNet:
    """Two convolutions of 6 and 16 channels, layers of 120, 84 and 10."""

    title = "LeNet, 28×28"

    @cached_property
    def net(self) -> Network:
        model = Sequential(
            Conv2d(1, 6, 5, padding=2), ReLU(), MaxPool2d(2), Conv2d(6, 16, 5), ReLU(),
            MaxPool2d(2), Flatten(), Linear(400, 120), ReLU(), Linear(120, 84), ReLU(),
            Linear(84, 10),
        )  # fmt: skip
        return Network(model, CrossEntropy(), x="channels=1 height=28 width=28")

    def torch_module(self) -> Any:
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5),
            nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(),
            nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip

    def jax_output(self, training: bool) -> JaxOutput:
        import jax
        from jax import lax

        def pooled(x: Any) -> Any:
            window = (1, 1, 2, 2)
            return lax.reduce_window(x, -jax.numpy.inf, lax.max, window, window, "VALID")

        def output(params: Mapping[str, Any], x: Any) -> tuple[Any, Mapping[str, Any]]:
            for name, padding in (("0", 2), ("3", 0)):
                x = lax.conv(x, params[f"{name}.weight"], (1, 1), [(padding, padding)] * 2)
                x = pooled(jax.nn.relu(x + params[f"{name}.bias"][:, None, None]))
            x = x.reshape(len(x), -1)
            for name in ("7", "9", "11"):
                x = x @ params[f"{name}.weight"].T + params[f"{name}.bias"]
                x = x if name == "11" else jax.nn.relu(x)
            return x, {}

        return output
