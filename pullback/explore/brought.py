"""What the command line brings to the study page: a network of one's own, data of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from pullback.data import Dataset, load
from pullback.errors import ConfigError
from pullback.explore.samples import LABELS, samples
from pullback.interop.recipe import module_recipe
from pullback.interop.torch.tensors import is_module
from pullback.net.network import Network
from pullback.net.recipe import Recipe, from_file
from pullback.nn import SquaredError

OWN = "own"  # the loss, or the start, that the network brings along
FILE, NORMAL = "file", "normal"
_DRAWN = 400  # samples of normal numbers, where no data fit


@dataclass(frozen=True)
class Brought:
    """A network in a file, as ``--net`` names it, and data in a file with its target; or neither.

    ``shape`` are the sizes of a sample, by which a torch module is read where there are no data.
    """

    net: str | None = None
    data: str | None = None
    target: str | None = None
    shape: tuple[int, ...] | None = None

    @cached_property
    def dataset(self) -> Dataset | None:
        """The data of the file; raises the errors of ``load``."""
        return None if self.data is None else load(self.data, self.target)

    @cached_property
    def recipe(self) -> Recipe | None:
        """The network of the file.

        Raises the errors of ``from_file``, ConfigError for several inputs and for whole numbers.
        """
        if self.net is None:
            return None
        row, picture = None, None
        if self.dataset is not None:
            row, picture = self.dataset.X[0], self.dataset.image_shape
        elif self.shape is not None:
            row = np.zeros(self.shape, np.float32)
        found = from_file(
            self.net, lambda each: module_recipe(each, row, picture) if is_module(each) else None
        )
        net = found.network(SquaredError())
        if len(net.xs) > 1 or net.x.whole or not all(axis.size for axis in net.x.axes[1:]):
            raise ConfigError(
                f"{self.net} takes {len(net.xs)} inputs, whole numbers or samples of any length; "
                "the page takes one input of real numbers: pullback derive, forecast and report "
                "take others"
            )
        return found

    @property
    def sizes(self) -> tuple[int, int] | None:
        """How many numbers a sample and an output of the network have."""
        if self.recipe is None:
            return None
        net = self.recipe.network(SquaredError())
        return _count(net), net.output.axes[-1].size or 1

    @property
    def choices(self) -> dict[str, str]:
        """The data that may be picked, with what they are called: those that fit the network."""
        found = {FILE: Path(self.data).name} if self.data is not None else {}
        if self.sizes is None:
            return found | LABELS
        found |= {name: label for name, label in LABELS.items() if self._fits(samples(name))}
        return found or {NORMAL: "normal numbers"}

    def samples(self, name: str) -> Dataset:
        """The data of that name.

        Raises UnknownNameError for another name, ConfigError where a sample or the targets are not
        those of the network.
        """
        if name == FILE and self.dataset is not None:
            found = self.dataset
        elif name == NORMAL and self.sizes is not None:
            found = _normal(*self.sizes)
        else:
            found = samples(name)
        if self.sizes is not None and not self._fits(found):
            features, outputs = self.sizes
            raise ConfigError(
                f"{self.net} takes {features} features and has {outputs} outputs; {found.name} has "
                f"{found.X.shape[1]} features and asks for {found.outputs} outputs: give data that "
                f"fit, as pullback explore data.csv --net {self.net}"
            )
        return found

    def _fits(self, data: Dataset) -> bool:
        assert self.sizes is not None
        features, outputs = self.sizes
        one = outputs == 1 and len(data.classes) in (0, 2)
        return data.X.shape[1] == features and (outputs == data.outputs or one)

    def form(self) -> Mapping[str, Any]:
        """What the form says at first, where it says something else than without a network."""
        found: dict[str, Any] = {"data": next(iter(self.choices))}
        data = self.samples(found["data"])
        recipe, outputs = self.recipe, self.sizes[1] if self.sizes else data.outputs
        if recipe is not None and (recipe.initial is not None or recipe.weights is not None):
            found["init"] = OWN
        if recipe is not None and recipe.loss is not None:
            return found | {"loss": OWN}
        if not data.classes:
            return found | {"loss": "squared_error"}
        return found | {"loss": "binary_cross_entropy" if outputs == 1 else "cross_entropy"}


def _count(net: Network) -> int:
    return prod(axis.size or 1 for axis in net.x.axes[1:])


def _normal(features: int, outputs: int) -> Dataset:
    """Normal numbers, their classes in turn."""
    rng, classes = np.random.default_rng(0), max(outputs, 2)
    X = rng.standard_normal((_DRAWN, features), np.float32)
    names = tuple(map(str, range(classes)))
    features_of = tuple(f"x{at}" for at in range(features))
    return Dataset("normal numbers", X, np.arange(_DRAWN) % classes, features_of, "class", names)
