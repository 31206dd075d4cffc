"""What a page has picked, checked: the data, the network, its start and its training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import pairwise
from math import prod

import numpy as np

from pullback.data import Dataset, Scaling, split
from pullback.data.dataset import Array
from pullback.errors import ConfigError, from_zero, positive, require, unknown, whole
from pullback.explore.brought import OWN, Brought
from pullback.net.network import Network, Parameters
from pullback.net.recipe import from_layers, loss_named, scheme_named
from pullback.nn import Loss
from pullback.nn.init import Scheme
from pullback.train.optim import SGD

MOST_LAYERS, MOST_WIDTH, MOST_PARAMETERS, MOST_EPOCHS = 40, 1024, 500_000, 5000
LONGEST = 200  # characters of a formula or a list of widths
_WIDTHS = re.compile(r"\s*(\d{1,9})\s*(?:x\s*(\d{1,9})\s*)?")
PACES = {"full": 0.0, "watch": 0.03, "slow": 0.25}  # seconds an epoch takes at least
TEST = 0.25  # share of the samples that are held out


@dataclass(frozen=True)
class Setup:
    """The choices of a page; ``hidden`` are the widths of the hidden layers, such as "16, 8x3".

    Raises ConfigError or UnknownNameError for a choice that makes no sense.
    """

    data: str = "moons"
    hidden: str = "4, 3"
    activation: str = "tanh"
    init: str = "glorot"
    loss: str = "cross_entropy"
    seed: int = 0
    rate: float = 0.03
    momentum: float = 0.9
    batch: int = 32
    epochs: int = 150
    pace: str = "watch"

    def __post_init__(self) -> None:
        for name in ("data", "hidden", "activation", "init", "loss", "pace"):
            value = getattr(self, name)
            require(name, value, str, "a text")
            if len(value) > LONGEST:
                raise ConfigError(f"{name} has {len(value)} characters; at most {LONGEST} are read")
        if self.pace not in PACES:
            raise unknown("pace", self.pace, PACES)
        if whole("seed", self.seed, least=0) > 2**32:
            raise ConfigError(f"seed is {self.seed}; expected at most 2³²")
        if whole("epochs", self.epochs) > MOST_EPOCHS:
            raise ConfigError(f"epochs is {self.epochs}; the page trains at most {MOST_EPOCHS:,}")
        whole("batch", self.batch)
        positive("rate", self.rate)
        if from_zero("momentum", self.momentum) >= 1:
            raise ConfigError(f"momentum is {self.momentum}; expected a number below 1")

    @classmethod
    def of(cls, choices: object) -> Setup:
        """The setup that a page sends; raises UnknownNameError for an unknown choice."""
        if not isinstance(choices, Mapping):
            raise ConfigError("setup is missing; expected an object with data, hidden, activation")
        known = [each.name for each in fields(cls)]
        for name in choices:
            if name not in known:
                raise unknown("choice", str(name), known)
        return cls(**choices)

    @property
    def optimizer(self) -> SGD:
        """Gradient descent with momentum."""
        return SGD(self.rate, momentum=self.momentum)


@dataclass(frozen=True, eq=False)
class LookedAt:
    """The network of a setup with its data, ready to be looked at and trained."""

    setup: Setup
    net: Network
    scheme: Scheme
    data: Dataset
    train: tuple[Array, Array]
    test: tuple[Array, Array]

    given: Brought
    weights: Parameters | None

    @property
    def widths(self) -> list[int]:
        """The widths of all layers of a network of the form, features first."""
        return [self.data.X.shape[1], *(s.shape[0] for s in self.net.specs if s.kind == "weight")]

    @property
    def plane(self) -> bool:
        """Whether a sample is a point of the plane, and its target a class."""
        return self.train[0].shape[1:] == (2,) and bool(self.data.classes)

    @property
    def parameters(self) -> int:
        """How many numbers are learnt."""
        return sum(int(np.prod(spec.shape)) for spec in self.net.specs)

    @property
    def start(self) -> Parameters:
        """The parameters before training: drawn, or those that the given network has."""
        if self.weights is not None:
            return dict(self.weights)
        return self.net.init(self.setup.seed, self.scheme, dtype=np.float32)


@lru_cache(maxsize=8)
def work_of(setup: Setup, given: Brought = Brought()) -> LookedAt:  # noqa: B008
    """The network and the data of a setup, in place of the form's those that are given.

    Raises ConfigError for a network that cannot be, or that is too large for a page.

    >>> work_of(Setup(hidden="5x2")).widths
    [2, 5, 5, 2]
    """
    data = given.samples(setup.data)
    recipe = given.recipe
    own = recipe is not None and recipe.loss is not None and setup.loss == OWN
    loss = recipe.loss if recipe is not None and own else None
    loss = loss or loss_named(setup.loss)
    if recipe is None:
        widths = [data.X.shape[1], *_hidden(setup.hidden), _outputs(data, loss)]
        _bounded(sum(a * b for a, b in pairwise(widths)))
        recipe = from_layers(widths, setup.activation)
    net = recipe.network(loss)
    _bounded(sum(prod(spec.shape) for spec in net.specs))
    kept = setup.init == OWN and given.net is not None
    learn, held = split(data, TEST, seed=0)
    train, test = _arrays(net, learn, held)
    return LookedAt(
        setup,
        net,
        recipe.scheme if kept else scheme_named(setup.init),
        data,
        train,
        test,
        given,
        recipe.weights if kept else None,
    )


def _bounded(weights: int) -> None:
    if weights > MOST_PARAMETERS:
        raise ConfigError(
            f"the network would have more than {MOST_PARAMETERS:,} weights, too many for a page; "
            "pb.fit trains it"
        )


def _hidden(text: str) -> list[int]:
    """The widths of the hidden layers; an empty text is none of them."""
    found: list[int] = []
    for part in text.split(",") if text.strip() else ():
        match = _WIDTHS.fullmatch(part)
        if match is None:
            raise ConfigError(f"hidden is {text!r}; expected widths such as 16, 8 or 16x4")
        width, times = int(match[1]), int(match[2] or 1)
        if width > MOST_WIDTH:
            raise ConfigError(f"a layer of {width} units is too wide for a page: {MOST_WIDTH:,} go")
        whole("a width", width)
        if len(found) + whole("the number of layers", times) > MOST_LAYERS:
            raise ConfigError(f"hidden is {text!r}; a page takes at most {MOST_LAYERS} layers")
        found += [width] * times
    return found


def _outputs(data: Dataset, loss: Loss) -> int:
    """One output for two classes where the loss reads it so; else one a class."""
    single = loss.target in ("probabilities", "signs") and data.outputs == 2
    return 1 if single else data.outputs


def _arrays(
    net: Network, learn: Dataset, held: Dataset
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Samples and targets of both parts, as the network takes them."""
    made = learn.preprocessing
    if learn.table is not None:  # the page's own sets fit into a picture as they are
        made = replace(made, scaling={"x": made.scaling_of(learn.X)})
    outputs = net.output.axes[-1].size or 1
    targets = [_targets(part, net.criterion, outputs) for part in (learn, held)]
    if not learn.classes:
        scaling = Scaling.of(targets[0])
        targets = [scaling(each).astype(np.float32) for each in targets]
    shape = [axis.size or -1 for axis in net.x.axes[1:]]
    first, second = (
        made.scaled(part.X, part.name).reshape(len(part), *shape) for part in (learn, held)
    )
    return (first, targets[0]), (second, targets[1])


def _targets(data: Dataset, loss: Loss, outputs: int) -> Array:
    """Targets as the loss reads them; the values to be hit are 1 at the class and 0 elsewhere."""
    if not data.classes:
        if loss.target != "values":
            raise ConfigError(
                f"{data.target!r} holds values, and this loss is for classes: pick squared error"
            )
        return data.Y.reshape(len(data), -1)
    kind = "probabilities" if loss.target == "values" else loss.target
    return data.targets(kind, outputs)
