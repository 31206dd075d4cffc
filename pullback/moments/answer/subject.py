"""What a forecast is of: a network of ours, or a torch module with the weights that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    X, Y = as_given(X), as_given(Y)
    if not is_module(net):
        require("net", net, Network, "a pb.Network(model, loss=…) or a torch.nn.Module")
        if loss is not None:
            raise ConfigError(f"loss is {loss!r}, but the network has one: {net.criterion!r}")
        return Subject(net, X, Y, init.glorot() if scheme is None else scheme)
    X = as_floats("X", X)
    assumptions = []
    if loss is None:
        loss = CrossEntropy() if _are_classes(Y) else MSELoss()
        why = "Y holds class numbers" if _are_classes(Y) else "Y holds values"
        assumptions.append(f"the loss is {loss!r}: none is given, and {why}")
    look_at_numbers(net, X)
    with np.errstate(all="ignore"):  # what overflows is the forecast's to say
        read, params = from_torch(net, loss, example=None if len(X) == 0 else X[:1])
    if assumptions and isinstance(loss, CrossEntropy) and read.output.axes[-1].size == 1:
        raise ConfigError("Y holds class numbers and the module has one output; give loss=")
    X = X.reshape(len(X), -1)
    if scheme is not None:
        return Subject(read, X, Y, scheme, tuple(assumptions), format=format_of(net))
    assumptions.append(ASSUMED)
    scheme = measured(read, params)
    return Subject(read, X, Y, scheme, tuple(assumptions), params, format_of(net))


def _are_classes(Y: Any) -> bool:
    y = np.asarray(Y)
    return y.ndim == 1 and y.dtype.kind in "iu"
