"""What is trained: one file a network, each written once for pullback, torch and jax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

from pullback.net.network import Network

# of parameters by name and a batch: the output, and the running statistics after it
JaxOutput = Callable[[Mapping[str, Any], Any], tuple[Any, Mapping[str, Any]]]


class Contender(Protocol):
    """A network in three libraries; its parameters have the same names in all of them."""

    @property
    def title(self) -> str:
        """How tables call it."""

    @property
    def net(self) -> Network:
        """The network as pullback has it, with a loss over classes or over values."""

    def torch_module(self) -> Any:
        """The module, in training mode; ``state_dict`` has our names."""

    def jax_output(self, training: bool) -> JaxOutput:
        """The same as a pure function."""


_HOMES = {
    "lenet": ("lenet", "LeNet"),
    "resnet8": ("resnet8", "ResNet8"),
    "transformer": ("transformer", "Transformer"),
    "gru": ("gru", "GatedRecurrent"),
}
PUBLISHED = tuple(_HOMES)


def published(name: str) -> Contender:
    """The network of that name: one of ``PUBLISHED``."""
    module, kind = _HOMES[name]
    made: Callable[[], Contender] = getattr(import_module(f"{__name__}.{module}"), kind)
    return made()
