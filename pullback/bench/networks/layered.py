"""Linear layers with an activation between each two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from pullback.bench.networks import JaxOutput
from pullback.net.network import Network
from pullback.nn import CrossEntropy, Linear, ReLU, Sequential, Tanh

ACTIVATIONS = {"relu": ReLU, "tanh": Tanh}


@dataclass(frozen=True)
class LinearLayers:
    """Layers of these widths, from the features to the classes."""

    widths: tuple[int, ...]
    activation: str

    @property
    def title(self) -> str:
        """
        >>> LinearLayers((64, 32, 10), "relu").title
        '64-32-10'
        """
        return "-".join(map(str, self.widths))

    @cached_property
    def net(self) -> Network:
        act = ACTIVATIONS[self.activation]
        blocks: list[Any] = [b for sizes in pairwise(self.widths) for b in (Linear(*sizes), act())]
        return Network(Sequential(*blocks[:-1]), loss=CrossEntropy())

    def torch_module(self) -> Any:
        from torch import nn

        act = {"relu": nn.ReLU, "tanh": nn.Tanh}[self.activation]
        layers = [b for sizes in pairwise(self.widths) for b in (nn.Linear(*sizes), act())]
        return nn.Sequential(*layers[:-1])

    def jax_output(self, training: bool) -> JaxOutput:
        import jax

        act = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[self.activation]
        layers = len(self.widths) - 1

        def output(params: Mapping[str, Any], x: Any) -> tuple[Any, Mapping[str, Any]]:
            for at in range(layers):
                x = x @ params[f"{2 * at}.weight"].T + params[f"{2 * at}.bias"]
                x = act(x) if at + 1 < layers else x
            return x, {}

        return output
