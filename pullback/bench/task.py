"""What every peer gets: a network, its data, its first parameters, and what is done with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from pullback.bench.networks import Contender, published
from pullback.bench.networks.given import OwnNetwork
from pullback.bench.networks.layered import ACTIVATIONS, LinearLayers
from pullback.errors import ConfigError
from pullback.net.network import Network
from pullback.net.program import Array
from pullback.nn import CrossEntropy, MSELoss

__all__ = ["ACTIVATIONS", "CASES", "GivenTask", "PublishedTask", "BenchmarkTask", "TrainingTask"]

Work = Literal["training", "predicting"]
WORKS: tuple[Work, ...] = ("training", "predicting")
RATE, MOMENTUM = 0.01, 0.9
ADAM_RATE = 0.001  # with more the largest network diverges, and ε alone makes its losses differ
OPTIMIZERS = ("sgd", "momentum", "adam")
CASES = (
    ((64, 32, 10), 32),
    ((400, 25, 10), 64),
    ((784, 128, 64, 10), 64),
    ((784, 512, 512, 10), 128),
    ((1024, 1024, 1024, 1024, 10), 256),
)
BATCHES = {"lenet": 64, "resnet8": 64, "transformer": 16, "gru": 32}


class BenchmarkTask(ABC):
    """In float32, on data that are drawn: batches in order are learnt from, or one is predicted."""

    batch: int  # samples of a step, or of a call
    optimizer: str
    work: Work

    @property
    @abstractmethod
    def contender(self) -> Contender:
        """The network, in every library."""

    @property
    def batches(self) -> int:
        """How many steps a pass over the data has: enough to be more than a call's overhead."""
        return 20 if self.work == "training" else 1

    @property
    def network(self) -> str:
        """How tables call the network.

        >>> TrainingTask((64, 32, 10), 32, "relu", "sgd").network
        '64-32-10'
        """
        return self.contender.title

    @property
    def manner(self) -> str:
        """What is done with it, as a row of a table says it."""
        return self.optimizer if self.work == "training" else "predict"

    def __str__(self) -> str:
        return f"{self.network} {self.manner.replace(',', '')}"

    @property
    def rate(self) -> float:
        return ADAM_RATE if self.optimizer == "adam" else RATE

    @property
    def net(self) -> Network:
        """The network as pullback has it."""
        return self.contender.net

    @cached_property
    def data(self) -> tuple[Array, Array]:
        """Samples (samples, …) and what is to be learnt of each, the same in every process."""
        rng = np.random.default_rng(0)
        samples, net = self.batch * self.batches, self.net
        sizes = [axis.size or 1 for axis in net.x.axes[1:]]
        places = net.index_sizes.get(net.x.name)
        x: Array = (
            rng.standard_normal((samples, *sizes), dtype=np.float32)
            if places is None
            else rng.integers(0, places, (samples, *sizes))
        )
        outputs = [axis.size or 1 for axis in net.output_axes[1:]]
        if isinstance(net.criterion, CrossEntropy):
            return x, rng.integers(0, outputs[-1], (samples, *outputs[:-1]))
        return x, rng.standard_normal((samples, *outputs), dtype=np.float32)

    def params(self) -> dict[str, Array]:
        """The first parameters, the same in every process: weights (out, in), biases (out)."""
        return {name: value.astype(np.float32) for name, value in self.net.init(seed=0).items()}

    def rows(self, step: int) -> slice:
        """The samples of one step of a pass."""
        return slice(step * self.batch, (step + 1) * self.batch)

    def resized(self, batch: int) -> BenchmarkTask:
        """The same in batches of another size."""
        return from_dict({**self.to_dict(), "batch": batch})

    def predicting(self, rows: int) -> BenchmarkTask:
        """Of the same network so many rows predicted in a call; nothing is learnt."""
        changes = {"batch": rows, "optimizer": OPTIMIZERS[0], "work": "predicting"}
        return from_dict({**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # each is a dataclass


@dataclass(frozen=True)
class TrainingTask(BenchmarkTask):
    """Softmax cross-entropy on a network of these widths."""

    widths: tuple[int, ...]
    batch: int
    activation: str
    optimizer: str
    work: Work = "training"

    @cached_property
    def contender(self) -> LinearLayers:
        return LinearLayers(self.widths, self.activation)

    @property
    def batches(self) -> int:
        few = 8 if max(self.widths) >= 1000 else 64
        return few if self.work == "training" else 1

    @property
    def manner(self) -> str:
        return f"{self.activation}, {super().manner}"


@dataclass(frozen=True)
class PublishedTask(BenchmarkTask):
    """One of ``networks.PUBLISHED``, as people know it."""

    name: str
    batch: int
    optimizer: str
    work: Work = "training"

    @cached_property
    def contender(self) -> Contender:
        return published(self.name)


@dataclass(frozen=True)
class GivenTask(BenchmarkTask):
    """A person's network, of ``file.py:name``; a torch module is read by a sample of ``sizes``."""

    source: str
    batch: int
    optimizer: str
    work: Work = "training"
    sizes: tuple[int, ...] | None = None

    @cached_property
    def contender(self) -> Contender:
        """The network, read from its file; raises the errors of that."""
        return OwnNetwork(self.source, self.sizes)

    def check(self) -> None:
        """Raise ConfigError for a network whose data could not be drawn."""
        net, kinds = self.net, (CrossEntropy, MSELoss)
        drawable = len(net.xs) == 1 and not net.noise and isinstance(net.criterion, kinds)
        if not drawable or any(axis.size is None for axis in (*net.x.axes[1:],)):
            raise ConfigError(
                f"{self.source}: bench takes a network of one input of known sizes, without noise, "
                "that learns classes by CrossEntropy or values by MSELoss"
            )


_KINDS: tuple[type[BenchmarkTask], ...] = (TrainingTask, PublishedTask, GivenTask)


def from_dict(data: Mapping[str, Any]) -> BenchmarkTask:
    """The task of ``to_dict``, whatever kind it is.

    >>> from_dict(PublishedTask("gru", 32, "sgd").to_dict())
    PublishedTask(name='gru', batch=32, optimizer='sgd', work='training')
    """
    fields = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
    }
    kind = next(kind for kind in _KINDS if set(kind.__annotations__) == set(fields))
    return kind(**fields)
