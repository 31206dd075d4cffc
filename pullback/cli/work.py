"""What a command works on: the data in two parts, and a network that fits them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import Any

import numpy as np

from pullback.cli.subject import sizes
from pullback.data import Dataset, Preprocessing, Scaling, load, split
from pullback.errors import ConfigError, ShapeError
from pullback.foreign.columns import singles
from pullback.interop.recipe import module_recipe
from pullback.interop.torch.tensors import is_module
from pullback.net.network import Network, Parameters
from pullback.net.recipe import Recipe, from_file, from_layers, loss_named, scheme_named
from pullback.nn import BinaryCrossEntropy, CrossEntropy, Loss, SquaredError
from pullback.nn.init import Scheme

HIDDEN = (64, 32)
L2 = 1e-4


@dataclass(frozen=True)
class Wanted:
    """The options about data and network as the command line has them; None is not given."""

    data: str
    target: str | None
    header: bool | None
    drop: Sequence[str] | None
    test: float
    scale: bool
    layers: str | None
    activation: str | None
    net: str | None
    loss: str | None
    l2: float | None
    init: str | None
    seed: int
    keep: Sequence[str] | None = None
    missing: Sequence[str] | None = None
    task: str | None = None
    drop_unlabelled: bool = False
    shape: str | None = None


@dataclass(frozen=True)
class Work:
    """Data and network, ready to be trained; ``preprocessing`` is how the data became X and Y.

    ``truth`` holds the targets of the test samples, classes by number or values in their own units.

    ``notes`` say what was guessed about the data.
    """

    net: Network
    scheme: Scheme
    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int] | None
    features: tuple[str, ...]
    train: tuple[Any, Any]
    test: tuple[Any, Any]
    truth: Any
    preprocessing: Preprocessing
    notes: tuple[str, ...]
    weights: Parameters | None = None

    def start(self, seed: int) -> Parameters:
        """What training starts from: the weights of a torch module, or drawn ones."""
        return self.net.init(seed, self.scheme) if self.weights is None else dict(self.weights)

    @property
    def task(self) -> str:
        """What is learnt, in words."""
        name = self.preprocessing.target.name
        if not self.classes:
            return f"regression of {name}"
        return f"classification of {name}, {len(self.classes)} classes"

    @property
    def facts(self) -> dict[str, Any]:
        """What a file of parameters says about where they come from."""
        return {
            "network": repr(self.net),
            "data": self.name,
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_dict(),
        }


def loaded(wanted: Wanted) -> Dataset:
    """The data that the options ask for; raises the errors of ``load``."""
    return load(
        wanted.data,
        wanted.target,
        header=wanted.header,
        drop=wanted.drop or (),
        keep=wanted.keep or (),
        missing=wanted.missing or (),
        task=wanted.task,
        unlabelled="drop" if wanted.drop_unlabelled else "refuse",
    )


def prepare(wanted: Wanted) -> Work:
    """Load, split and scale the data, and build the network for it.

    Raises ShapeError for a network whose widths do not meet the data, and the errors of ``load``,
    ``split`` and ``from_file``.
    """
    parts = cache(lambda: _parts(wanted))
    # before the data, unless a torch module needs a sample: a misspelt option is found at once
    recipe = _recipe(wanted, lambda: (parts()[0].X[0], parts()[0].image_shape))
    data, test = parts()
    if recipe is None:
        widths = (data.X.shape[1], *HIDDEN, data.outputs)
        recipe = replace(from_layers(widths, wanted.activation or "tanh"), l2=L2)
    recipe = _with_options(recipe, wanted)
    first = replace(recipe, loss=None).network(SquaredError())
    features, outputs = _features(first), first.output.axes[-1].size
    net = recipe.network(_suited(data, outputs or 0))
    _meet(data, net, features, outputs or 0)
    made = replace(data.preprocessing, scaling=_scaling(data, net) if wanted.scale else {})
    values = net.criterion.target == "values"
    return Work(
        net=net,
        scheme=recipe.scheme,
        name=data.name,
        classes=data.classes,
        image_shape=data.image_shape,
        features=data.features,
        train=_arrays(data, net, outputs or 0, made),
        test=_arrays(test, net, outputs or 0, made),
        truth=test.targets("values", 0) if values else test.Y,
        preprocessing=made,
        notes=data.notes,
        weights=None if wanted.init is not None else recipe.weights,
    )


def _parts(wanted: Wanted) -> tuple[Dataset, Dataset]:
    """The rows to learn from, by which the features are made, and those to test with."""
    whole = loaded(wanted)
    train, test = split(whole, wanted.test, wanted.seed)
    return replace(train, notes=whole.notes), test


def _recipe(wanted: Wanted, sample: Callable[[], tuple[Any, ...]] = lambda: ()) -> Recipe | None:
    """The network that is asked for; ``sample`` is called where a torch module is."""
    if wanted.net is not None and (wanted.layers is not None or wanted.activation is not None):
        raise ConfigError("give either --net or --layers with --activation")
    if wanted.net is not None:
        return from_file(
            wanted.net, lambda found: module_recipe(found, *sample()) if is_module(found) else None
        )
    if wanted.layers is not None:
        return replace(from_layers(wanted.layers, wanted.activation or "tanh"), l2=L2)
    if wanted.activation is not None:
        from_layers((1, 1), wanted.activation)
    return None


def _with_options(recipe: Recipe, wanted: Wanted) -> Recipe:
    if wanted.loss is not None:
        recipe = replace(recipe, loss=loss_named(wanted.loss))
    if wanted.init is not None:
        recipe = replace(recipe, initial=scheme_named(wanted.init))
    return recipe if wanted.l2 is None else replace(recipe, l2=wanted.l2)


def _suited(data: Dataset, outputs: int) -> Loss:
    """The loss for the data where nobody named one."""
    if not data.classes:
        return SquaredError()
    return BinaryCrossEntropy() if outputs == 1 else CrossEntropy()


def _features(net: Network) -> int | None:
    """How many numbers a sample has, where the network says so."""
    sizes = [axis.size for axis in net.x.axes[1:]]
    return prod(size or 1 for size in sizes) if all(sizes) else None


def _meet(data: Dataset, net: Network, features: int | None, outputs: int) -> None:
    if features is not None and features != data.X.shape[1]:
        raise ShapeError(
            f"the network takes {features} features, {data.name} has {data.X.shape[1]}: "
            f"start --layers with {data.X.shape[1]}"
        )
    values = net.criterion.target == "values"
    wanted = 1 if values and data.classes else data.outputs
    two = len(data.classes) == 2 and net.criterion.target != "classes"
    if outputs != wanted and not (two and outputs == 1):
        what = "classes" if data.classes and not values else "values to predict"
        raise ShapeError(
            f"the network has {outputs} outputs, {data.name} has {wanted} {what}: "
            f"end --layers with {wanted}"
        )


def _scaling(train: Dataset, net: Network) -> dict[str, Scaling]:
    """Columns get mean 0 and deviation 1, values to predict too; pictures at most the range 1."""
    if train.image_shape is not None:
        peak = np.abs(train.X).max()
        return {"x": Scaling(np.zeros(()), np.asarray(peak))} if peak > 1 else {}
    scaling = {"x": train.preprocessing.scaling_of(train.X)}
    if net.criterion.target == "values":
        scaling["y"] = Scaling.of(train.targets("values", 0))
    return scaling


def _arrays(part: Dataset, net: Network, outputs: int, made: Preprocessing) -> tuple[Any, Any]:
    """Samples and targets scaled, and only then in float32."""
    Y = part.targets(net.criterion.target, outputs)
    if "y" in made.scaling:
        Y = made.scaling["y"](Y)
    scaled = singles(f"{part.name}: {part.target!r}", Y) if Y.dtype.kind == "f" else Y
    X = made.scaled(part.X, part.name)
    shape = [axis.size or -1 for axis in net.x.axes[1:]]
    return X.reshape(len(X), *shape), scaled  # a convolution takes pictures


def forecastable(wanted: Wanted) -> tuple[Network, Scheme | None, Any, Any, tuple[str, ...]]:
    """A network, the scheme that a torch module's weights have, data to forecast on, and notes.

    Without data the inputs are normal, and classes come in turn.
    """
    if wanted.data and wanted.shape is not None:
        raise ConfigError("--shape says what a sample is where there are no data; leave it out")
    if wanted.data:
        work = prepare(wanted)
        return (
            work.net,
            (work.scheme if work.weights is not None else None),
            *work.train,
            work.notes,
        )
    shape = wanted.shape
    recipe = _recipe(wanted, lambda: () if shape is None else (np.zeros(sizes(shape)),))
    if recipe is None:
        raise ConfigError("there is neither data nor a network; give --layers 784,300x20,10")
    net = _with_options(recipe, wanted).network(CrossEntropy())
    rng = np.random.default_rng(wanted.seed)
    outputs = net.output.axes[-1].size or 1
    X = rng.standard_normal((256, *(axis.size or 1 for axis in net.x.axes[1:])))
    turn = np.arange(len(X)) % outputs
    shares = np.eye(outputs)[turn]
    kinds = {"classes": turn, "signs": 2 * shares - 1}
    scheme = recipe.scheme if recipe.weights is not None else None
    return net, scheme, X, kinds.get(net.criterion.target, shares), ()
