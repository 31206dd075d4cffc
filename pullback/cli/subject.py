"""The network that a command is about: saved, described on the command line, or in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pullback.errors import ConfigError
from pullback.interop.recipe import module_recipe
from pullback.net.network import Network
from pullback.net.recipe import Recipe, from_file, from_layers
from pullback.nn import SquaredError
from pullback.train.saved import load


def subject(
    saved: Path | None,
    layers: str | None,
    activation: str | None,
    net: str | None,
    shape: str | None,
) -> Network:
    """The network; ``shape`` are the sizes of a sample, by which a torch module is read.

    Raises ConfigError unless exactly one is asked for, and the errors of what reads it.
    """
    if sum(each is not None for each in (saved, layers, net)) != 1:
        raise ConfigError("give a saved network, or --layers 64,32,10, or --net file.py:name")
    if saved is not None:
        return load(saved).net
    if net is None:
        return from_layers(layers or "", activation or "tanh").network(SquaredError())
    return recipe_of(net, shape).network(SquaredError())


def recipe_of(net: str, shape: str | None) -> Recipe:
    """The recipe of a file; a torch module is read by a sample of that ``shape``.

    Raises ConfigError for a shape that is none, and the errors of ``from_file``.
    """
    sample = np.zeros(sizes(shape), np.float32) if shape is not None else None
    return from_file(net, lambda found: module_recipe(found, sample))


def sizes(shape: str) -> list[int]:
    """What ``--shape`` says; raises ConfigError where that is no list of sizes."""
    parts = [part.strip() for part in shape.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"--shape is {shape!r}; expected the sizes of a sample, such as 1,28,28")
    return [int(part) for part in parts]
