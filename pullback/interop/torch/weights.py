"""Parameters and buffers of a module under their own names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pullback.interop.rows import Array, Held, check_name, held


class TorchWeights:
    """The tensors of a module at ``prefix`` by what they are: each has one name there."""

    def __init__(self, module: Any, prefix: str) -> None:
        self._prefix = prefix
        self.arrays: dict[str, Array] = {}
        self._places: dict[int, tuple[str, str]] = {}
        self._by_name: dict[str, Any] = {}
        self._kept: list[Any] = []  # what has no name lives as long as its id is known
        self._trainable: set[int] = set()
        for path, part in module.named_modules():
            self._trainable |= {id(each) for each in part._parameters.values()}
            for name, tensor in (*part._parameters.items(), *part._buffers.items()):
                if tensor is not None:
                    self._places.setdefault(id(tensor), (path, name))
                    self._by_name[f"{path}.{name}" if path else name] = tensor

    def held(self, place: str, tensor: Any, path: str = "", part: str = "") -> Held:
        """A tensor under the name that the module gives it, or else under the one given.

        Raises ConversionError for tensors of numbers that are no floats, and for odd names.
        """
        path, part = self._places.setdefault(id(tensor), (path, part))
        self._kept.append(tensor)
        check_name(place, ".".join(each for each in (self._prefix, path, part) if each))
        # TorchScript's parameters are plain tensors
        constant = type(tensor).__name__ != "Parameter" and id(tensor) not in self._trainable
        trained = not constant and tensor.requires_grad
        values = _array(tensor)
        truth = constant and values.dtype == bool
        if constant and values.dtype.kind in "biu":
            values = values.astype(np.float64)
        found, array = held(place, path, part, values, trained=trained, constant=constant)
        found = replace(found, truth=truth)
        self.arrays.setdefault(found.name, array.copy())
        return found

    def tensor(self, name: str, constants: Any) -> tuple[Any, bool]:
        """The tensor of that name, and whether it is one of the module's, or of the constants."""
        known = self._by_name.get(name)
        return (constants[name], False) if known is None else (known, True)

    def has_name(self, tensor: Any) -> bool:
        """Is it one of the module's parameters and buffers?"""
        return any(tensor is each for each in self._by_name.values())


def _array(tensor: Any) -> Any:
    """The values; half precision as float32, which holds it exactly."""
    tensor = tensor.detach()
    if str(tensor.dtype) in ("torch.bfloat16", "torch.float16"):
        tensor = tensor.float()
    return tensor.cpu().numpy()
