"""What a forecast is of: a network of ours, or a torch module with the weights that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pullback.errors import require
from pullback.interop.measured import ASSUMED, measured
from pullback.interop.read_module import read_module
from pullback.interop.subject import refuse_loss
from pullback.interop.torch.tensors import format_of, is_module
from pullback.moments.law.setting import Setting
from pullback.net.network import Network
from pullback.nn import init


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
    if not is_module(net):
        require("net", net, Network, "a pb.Network(model, loss=…) or a torch.nn.Module")
        refuse_loss(net, loss)
        return Subject(net, X, Y, init.glorot() if scheme is None else scheme)
    read = read_module(net, X, Y, loss)
    found = Subject(read.net, read.X, read.Y, init.glorot(), read.assumptions, None, format_of(net))
    if scheme is not None:
        return replace(found, scheme=scheme)
    said = (*read.assumptions, ASSUMED)
    own = measured(read.net, read.params)
    return replace(found, scheme=own, assumptions=said, params=read.params)
