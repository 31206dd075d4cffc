"""``save`` and ``load``: a network in one file, with the preprocessing of its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from pullback.data import Preprocessing
from pullback.errors import ConfigError, DataError, require
from pullback.foreign import reading
from pullback.net.network import Network
from pullback.net.program import Array
from pullback.nn.plain import block_of, loss_of, to_plain
from pullback.train import checkpoint
from pullback.train.prediction import Prediction, predicted

_OURS = ("model", "preprocessing")
_KIND = "a network that pullback saved"


@dataclass(frozen=True)
class Trained:
    """A network with its parameters, the preprocessing of its data, and facts about its training.

    ``preprocessing`` is None where the samples are arrays as the network takes them.
    """

    net: Network
    params: dict[str, Array]
    preprocessing: Preprocessing | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, X: Array) -> Prediction:
        """What the network says of samples as ``preprocessing.encode`` makes them, unscaled.

        Raises ConfigError where the file has no preprocessing: ask ``net.predict(params, X)``.
        """
        made = self.preprocessing
        if made is None:
            raise ConfigError(
                "the network was saved without the preprocessing of its data; "
                "ask net.predict(params, X) for its output"
            )
        return predicted(self.net, self.params, made.scaled(X, "X"), made)


def save(
    path: str | Path,
    net: Network,
    params: Mapping[str, Array],
    preprocessing: Preprocessing | None = None,
    **facts: Any,
) -> Path:
    """Write a network, its parameters and facts about them to a safetensors file.

    Blocks and loss are written by name, with their options, the preprocessing as plain data: what
    ``load`` reads is never run. Raises ConfigError for blocks that are not pullback's own, whose
    parameters ``train.checkpoint.save`` writes; the errors of that, StorageError among them.

    >>> import tempfile
    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(4, 3), pb.Tanh()), loss=pb.MSELoss(), l2=0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = pb.load(pb.save(Path(folder) / "net.safetensors", net, net.init(seed=0)))
    >>> found.net
    Network(Sequential(Linear(4, 3), Tanh()), loss=MSELoss(reduction='mean'), l2=0.1)
    """
    require("net", net, Network, "a network such as pb.Network(model, loss=pb.CrossEntropy())")
    model = {
        "model": to_plain(net.model),
        "loss": to_plain(net.criterion),
        "l2": net.l2,
        "x": net.declared,
    }
    held = None if preprocessing is None else preprocessing.to_dict()
    return checkpoint.save(path, params, **facts, model=model, preprocessing=held)


def load(path: str | Path) -> Trained:
    """The network of a file that ``save`` or ``pullback train --save`` wrote.

    Raises DataError for a file that is missing, damaged, or holds parameters alone.
    """
    params, facts = checkpoint.load(path)
    told = facts.get("model")
    if not isinstance(told, Mapping):
        raise DataError(
            f"{path} holds parameters, and no network: build the network from its own code and "
            "read them with pullback.train.checkpoint.load"
        )
    with reading(path, _KIND):
        model = block_of(told["model"])
        net = Network(model, loss_of(told["loss"]), told["l2"], x=told["x"])
        made = facts.get("preprocessing")
        preprocessing = None if made is None else Preprocessing.from_dict(made)
    expected = {spec.name: spec.shape for spec in net.specs}
    found = {name: value.shape for name, value in params.items()}
    if found != expected:
        wrong = next(n for n in {**expected, **found} if expected.get(n) != found.get(n))
        raise DataError(
            f"{path} is damaged: {wrong!r} has shape {found.get(wrong)}, expected "
            f"{expected.get(wrong)}"
        )
    if preprocessing is not None and not _fits(preprocessing, net):
        raise DataError(f"{path} is damaged: its preprocessing is not that of its network")
    rest = {name: value for name, value in facts.items() if name not in _OURS}
    return Trained(net, params, preprocessing, rest)


def _fits(made: Preprocessing, net: Network) -> bool:
    """Are there as many features, and as many numbers to scale them by, as the network reads?"""
    sizes = [axis.size for axis in net.x.axes[1:]]
    width = len(made.features)
    scaled = made.scaling.get("x")
    shapes = [] if scaled is None else [scaled.mean.shape, scaled.deviation.shape]
    return (None in sizes or prod(size or 1 for size in sizes) == width) and all(
        shape in ((), (width,)) for shape in shapes
    )
