"""``from_torch``: a module as a network with its parameters, checked on an example."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pullback.errors import ConfigError, ConversionError, PullbackError, ShapeError
from pullback.interop.assemble import named, settled
from pullback.interop.extras import library
from pullback.interop.graph import Array
from pullback.interop.torch.layers import LogSoftmax
from pullback.interop.torch.loss import loss_of
from pullback.interop.torch.read import ModuleReader
from pullback.nn import Block, Identity, Sequential, SquaredError
from pullback.run.network import Network


def from_torch(
    module: Any, loss: Any = None, example: Any = None
) -> tuple[Network, dict[str, Array]]:
    """The network that a torch module computes, and its parameters under the module's own names.

    ``loss`` is one of torch's or of pullback's; ``example`` (batch, features) is run through both
    models, which have to agree. A LogSoftmax before NLLLoss goes into CrossEntropy: the network's
    output is then the logits.
    Raises ConversionError that names an operation, a loss or an option without counterpart, and
    its place; ConfigError if torch is not installed or the module is none.

    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    >>> net, params = from_torch(module, loss=torch.nn.CrossEntropyLoss(), example=torch.ones(1, 4))
    >>> net
    Network(Sequential(Linear(4, 3), Tanh(), Linear(3, 2)), loss=CrossEntropy(reduction='mean'))
    >>> list(params) == list(module.state_dict())
    True
    """
    torch = library("torch", "torch")
    if not isinstance(module, torch.nn.Module):
        raise ConfigError(f"module is {module!r}; expected a torch.nn.Module")
    given = None if example is None else _example(torch, module, example)
    reader = ModuleReader(torch, module, given)
    model, end = _without_log_softmax(reader.read())
    model, params = settled(model, reader.store, by_place=False)
    outputs = [linear.out_features for _, linear in named(model)]
    try:
        net = Network(model, loss=loss_of(loss, outputs[-1] if outputs else None, end))
    except ShapeError as fault:
        raise ConversionError(f"the module's widths do not meet: {fault}") from None
    if given is not None:
        _compare(torch, module, net, params, given, end)
    return net, params


def _example(torch: Any, module: Any, example: Any) -> Any:
    """The example as a tensor of the module's own dtype and device."""
    like = next(module.parameters(), torch.zeros(()))
    return torch.as_tensor(example).detach().to(dtype=like.dtype, device=like.device)


def _without_log_softmax(model: Block) -> tuple[Block, str | None]:
    """The model up to a LogSoftmax that ends it, and where that stands."""
    if isinstance(model, LogSoftmax):
        return Identity(), model.place
    if isinstance(model, Sequential):
        *parts, last = model.blocks
        last, place = _without_log_softmax(last)
        if place is not None:
            return Sequential(*parts, last), place
    return model, None


def _compare(
    torch: Any, module: Any, net: Network, params: dict[str, Array], example: Any, end: str | None
) -> None:
    """Raise ConversionError unless the module and the network agree on the example.

    A trace does not show ``torch.no_grad``: the module's own gradient has to reach each parameter.
    """
    try:
        with torch.enable_grad():
            output = module(example)
    except Exception as fault:  # the module's own code, on data that do not fit it
        raise ConversionError(f"the module cannot run the example: {fault}") from fault
    precise = example.dtype == torch.float64
    x = example.reshape(len(example), -1).to(torch.float64 if precise else torch.float32)
    x = x.cpu().numpy()
    try:
        found = net.predict(params, x)
    except PullbackError as fault:
        raise ConversionError(f"the network cannot run the example: {fault}") from fault
    for name in _without_gradient(torch, module, params, output):
        squares = Network(net.model, loss=SquaredError())
        if squares.value_and_grad(params, x, found + 1)[1][name].any():
            raise ConversionError(
                f"no gradient of the module reaches {name!r}, as under torch.no_grad(); to keep a "
                "parameter as it is, set its requires_grad to False"
            )
    if end is not None:
        found = found - np.logaddexp.reduce(found, axis=1, keepdims=True)
    theirs = output.detach().double().cpu().numpy()
    # softplus is torch's to 2e-9; half precision keeps two or three digits
    loose = 1e-7 if precise else 1e-4 if example.dtype == torch.float32 else 0.05
    size = np.abs(theirs).max(initial=0.0)
    if theirs.shape != found.shape or np.abs(found - theirs).max(initial=0.0) > loose * size:
        raise ConversionError(
            f"the network and the module differ on the example: {found.shape} {_few(found)} and "
            f"{theirs.shape} {_few(theirs)}; what the module does is not what it was read as"
        )


def _without_gradient(torch: Any, module: Any, names: Iterable[str], output: Any) -> list[str]:
    """The parameters that are trained, but that no gradient of the module reaches."""
    held = dict(module.named_parameters())
    trained = {name: held[name] for name in names if name in held and held[name].requires_grad}
    if not trained or not output.requires_grad:
        return list(trained)
    grads = torch.autograd.grad(output.sum(), list(trained.values()), allow_unused=True)
    return [name for name, grad in zip(trained, grads, strict=True) if grad is None]


def _few(values: Array) -> str:
    return np.array2string(values.ravel()[:4], precision=4, separator=", ")
