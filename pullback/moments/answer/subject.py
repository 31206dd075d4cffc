"""What a forecast is of: a network of ours, or a torch module with the weights that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from pullback.errors import ConfigError, require
from pullback.interop.measured import ASSUMED, measured
from pullback.interop.torch.convert import from_torch
from pullback.interop.torch.tensors import as_given, format_of, is_module, look_at_numbers
from pullback.moments.law.setting import Setting
from pullback.net.checks import as_floats
from pullback.net.network import Network
from pullback.nn import CrossEntropy, MSELoss, init


@dataclass(frozen=True)
class Subject:
    """A network with its data and its scheme, and what had to be assumed to have them.

    ``params`` are the weights to judge where they are a module's own.
    """

    net: Network
    X: Any
    Y: Any
    scheme: init.Scheme
    assumptions: tuple[str, ...] = ()
    params: Mapping[str, Any] | None = None
    format: str = "float32"

    @property
    def setting(self) -> Setting:
        """What is forecast, read and checked; raises the errors of bad data and schemes."""
        found = Setting.of(self.net, self.X, self.Y, self.scheme, self.params)
        return replace(found, format=self.format)


def subject(net: Any, X: Any, Y: Any, scheme: init.Scheme | None, loss: Any) -> Subject:
    """The network, the arrays and the scheme that are meant.

    Without a scheme a torch module has that of its weights, a Network ``init.glorot()``.
    Raises ConfigError for what is neither, ConversionError for a module that cannot be read, and
    DTypeError for a module's X that is no array of floats, DataError that names a parameter with
    NaN or an infinity.
    """
    X, Y = _each(as_given, X), as_given(Y)
    if not is_module(net):
        require("net", net, Network, "a pb.Network(model, loss=…) or a torch.nn.Module")
        if loss is not None:
            raise ConfigError(f"loss is {loss!r}, but the network has one: {net.criterion!r}")
        return Subject(net, X, Y, init.glorot() if scheme is None else scheme)
    X = _each(partial(as_floats, "X"), X)
    assumptions = []
    if loss is None:
        loss = CrossEntropy() if _are_classes(Y) else MSELoss()
        why = "Y holds class numbers" if _are_classes(Y) else "Y holds values"
        assumptions.append(f"the loss is {loss!r}: none is given, and {why}")
    _each(partial(look_at_numbers, net), X)
    single = not isinstance(X, (Mapping, tuple))
    example = None if single and len(X) == 0 else _each(_first, X)
    with np.errstate(all="ignore"):  # what overflows is the forecast's to say
        read, params = from_torch(net, loss, example=example)
    if assumptions and isinstance(loss, CrossEntropy) and read.output.axes[-1].size == 1:
        raise ConfigError("Y holds class numbers and the module has one output; give loss=")
    if single and len(read.xs) == 1 and len(read.x.axes) == 2:
        X = X.reshape(len(X), -1)
    if scheme is not None:
        return Subject(read, X, Y, scheme, tuple(assumptions), format=format_of(net))
    assumptions.append(ASSUMED)
    scheme = measured(read, params)
    return Subject(read, X, Y, scheme, tuple(assumptions), params, format_of(net))


def _each(read: Callable[[Any], Any], X: Any) -> Any:
    """What is read of an array, or of each in a tuple or a dict of several inputs."""
    if isinstance(X, Mapping):
        return {name: read(each) for name, each in X.items()}
    return tuple(map(read, X)) if isinstance(X, tuple) else read(X)


def _first(X: Any) -> Any:
    return X[:1]


def _are_classes(Y: Any) -> bool:
    y = np.asarray(Y)
    return y.ndim == 1 and y.dtype.kind in "iu"
