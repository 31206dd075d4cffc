"""``from_torch``: a module as a network with its parameters, checked on an example."""

from __future__ import annotations

import math
from typing import Any

from pullback.errors import ConfigError, ConversionError, ShapeError
from pullback.interop.assemble import named, settled
from pullback.interop.extras import library
from pullback.interop.graph import Array
from pullback.interop.torch.compare import compare
from pullback.interop.torch.copies import copied, undisturbed
from pullback.interop.torch.example import as_samples
from pullback.interop.torch.layers import LogSoftmax, refuse_hidden
from pullback.interop.torch.loss import loss_of
from pullback.interop.torch.read import ModuleReader
from pullback.net.network import Network
from pullback.nn import Block, Identity, Sequential


def from_torch(
    module: Any, loss: Any = None, example: Any = None
) -> tuple[Network, dict[str, Array]]:
    """The network that a torch module computes, and its parameters under the module's own names.

    ``loss`` is one of torch's or of pullback's. A LogSoftmax before NLLLoss goes into CrossEntropy:
    the network's output is then the logits. A copy of the module and the network run beside each
    other in float64, on ``example`` (batch, features) and on random inputs: values and gradients
    have to agree. Nothing of the module changes.
    Raises ConversionError that names an operation, a loss or an option without counterpart, and
    its place, or where the two differ; ConfigError if torch is not installed or the module is none;
    DTypeError, ShapeError or DataError for an example that is no batch of floats.

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
    given = None if example is None else as_samples(torch, example)
    with undisturbed(torch):
        refuse_hidden(module)
        reader = ModuleReader(torch, copied(module), given)
        model, end = _without_log_softmax(reader.read())
        model, params = settled(model, reader.store, by_place=False)
        outputs = [linear.out_features for _, linear in named(model)]
        try:
            net = Network(model, loss=loss_of(loss, outputs[-1] if outputs else None, end))
        except ShapeError as fault:
            raise ConversionError(f"the module's widths do not meet: {fault}") from None
        if given is not None and net.n_in not in (None, width := math.prod(given.shape[1:])):
            raise ConversionError(
                f"the module cannot run the example: it takes {net.n_in} features, and a sample of "
                f"the example has {width}"
            )
        compare(torch, module, net, params, given, end)
    return net, params


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
