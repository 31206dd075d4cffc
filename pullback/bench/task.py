"""What every peer gets: a network, its data, its first parameters, and a rule to learn by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.net.network import Network
from pullback.net.program import Array
from pullback.nn import CrossEntropy, Linear, ReLU, Sequential, Tanh

RATE, MOMENTUM = 0.01, 0.9
ADAM_RATE = 0.001  # with more the largest network diverges, and ε alone makes its losses differ
ACTIVATIONS = {"relu": ReLU, "tanh": Tanh}
OPTIMIZERS = ("sgd", "momentum", "adam")
CASES = (
    ((64, 32, 10), 32),
    ((400, 25, 10), 64),
    ((784, 128, 64, 10), 64),
    ((784, 512, 512, 10), 128),
    ((1024, 1024, 1024, 1024, 10), 256),
)


@dataclass(frozen=True)
class TrainingTask:
    """Softmax cross-entropy on a network of these widths, in float32, in batches in order."""

    widths: tuple[int, ...]
    batch: int
    activation: str
    optimizer: str

    @property
    def network(self) -> str:
        """
        >>> TrainingTask((64, 32, 10), 32, "relu", "sgd").network
        '64-32-10'
        """
        return "-".join(map(str, self.widths))

    def __str__(self) -> str:
        return f"{self.network} {self.activation} {self.optimizer}"

    @property
    def rate(self) -> float:
        return ADAM_RATE if self.optimizer == "adam" else RATE

    @property
    def batches(self) -> int:
        """How many steps a pass over the data has: enough to be more than a call's overhead."""
        return 64 if max(self.widths) < 1000 else 8

    @cached_property
    def data(self) -> tuple[Array, Array]:
        """Samples (samples, features) and their labels (samples), the same in every process."""
        rng = np.random.default_rng(0)
        samples = self.batch * self.batches
        x = rng.standard_normal((samples, self.widths[0]), dtype=np.float32)
        return x, rng.integers(0, self.widths[-1], samples)

    @cached_property
    def net(self) -> Network:
        """The network as pullback has it."""
        act = ACTIVATIONS[self.activation]
        blocks: list[Any] = [b for sizes in pairwise(self.widths) for b in (Linear(*sizes), act())]
        return Network(Sequential(*blocks[:-1]), loss=CrossEntropy())

    def params(self) -> dict[str, Array]:
        """The first parameters, the same in every process: weights (out, in), biases (out)."""
        return {name: value.astype(np.float32) for name, value in self.net.init(seed=0).items()}

    def rows(self, step: int) -> slice:
        """The samples of one step of a pass."""
        return slice(step * self.batch, (step + 1) * self.batch)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingTask:
        """The task of ``to_dict``."""
        return cls(**{**data, "widths": tuple(data["widths"])})
