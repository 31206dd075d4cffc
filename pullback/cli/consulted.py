"""What ``pullback doctor`` asks about: a module of a Python file, and data as it trains on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.data import Dataset, load
from pullback.doctor.outputs import NAMES
from pullback.errors import ConfigError, require, unknown
from pullback.foreign.columns import singles
from pullback.interop.extras import library
from pullback.net.network import Network
from pullback.net.recipe import names_in, squashed

_OWN = ("loss", "criterion", "optimizer", "batch_size", "epochs")


def consulted(
    source: str, data: str, table: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arguments of ``pb.doctor``, and what was guessed about the data.

    Raises the errors of ``names_in`` and ``load``; UnknownNameError for a loss or an optimiser.
    """
    torch: Any = library("torch", "torch")
    names, name = names_in(source, torch.nn.Module, Network)
    module = names[name]
    if not isinstance(module, torch.nn.Module):
        require(source, module, Network, "a torch.nn.Module or a Network")
    own = {each: names[each] for each in _OWN if each in names}
    found = load(data, **table)
    loss = own.get("loss", own.get("criterion"))
    if asked["loss"] is not None:
        loss = _loss(torch, asked["loss"])
    elif loss is None and isinstance(module, torch.nn.Module):
        loss = torch.nn.CrossEntropyLoss() if found.classes else torch.nn.MSELoss()
    optimizer = own.get("optimizer")
    if asked["optimizer"] is not None or asked["rate"] is not None:
        if not isinstance(module, torch.nn.Module):
            raise ConfigError("--optimizer and --lr are for torch modules, and this is a Network")
        optimizer = _optimizer(torch, asked["optimizer"] or "Adam", module, asked["rate"])
    X, Y = _arrays(torch, found, module, loss)
    sizes = {
        each: asked[each] if asked[each] is not None else own.get(each)
        for each in ("batch_size", "epochs")
    }
    given = dict(module_or_net=module, X=X, Y=Y, loss=loss, optimizer=optimizer, **sizes)
    return given, found.notes


def _arrays(torch: Any, data: Dataset, module: Any, loss: Any) -> tuple[Any, Any]:
    """Samples unscaled, pictures as a convolution takes them; targets as the loss does."""
    columns = zip(data.features, data.X.T, strict=True)
    X = np.column_stack([singles(f"{data.name}: column {name!r}", each) for name, each in columns])
    first = next((p for p in module.parameters()), None) if hasattr(module, "parameters") else None
    if data.image_shape is not None and first is not None and first.dim() == 4:
        X = X.reshape(len(X), 1, *data.image_shape)
    if not data.classes:
        Y = singles(f"{data.name}: {data.target!r}", data.Y)
        return X, Y.reshape(len(Y), -1)
    binary = isinstance(loss, (torch.nn.BCELoss, torch.nn.BCEWithLogitsLoss))
    return X, data.Y.astype(np.float32)[:, None] if binary else data.Y.astype(np.int64)


def _loss(torch: Any, name: str) -> Any:
    """A loss of torch's by the name of its class or of its function."""
    known = {squashed(each): kind for kind, each in NAMES.items()}
    known.update({squashed(kind): kind for kind in NAMES})
    kind = known.get(squashed(name), known.get(squashed(name) + "loss"))
    if kind is None:
        raise unknown("loss", name, NAMES)
    return getattr(torch.nn, kind)()


def _optimizer(torch: Any, name: str, module: Any, rate: float | None) -> Any:
    kinds = {
        squashed(each): kind
        for each, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    }
    kind = kinds.get(squashed(name))
    if kind is None or kind is torch.optim.Optimizer:
        raise unknown("optimizer", name, [each.__name__ for each in kinds.values()])
    held = [*module.parameters()]
    if not held:
        raise ConfigError("the module has no parameters: there is nothing to train")
    return kind(held) if rate is None else kind(held, lr=rate)
