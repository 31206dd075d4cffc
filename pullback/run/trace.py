"""One pass through a network with nothing thrown away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Trace:
    """Every z, a, δ and gradient by the name of its block or parameter, and the loss.

    ``z["0"]``, ``a["1"]``, ``delta["0"]`` are (batch, units), ``gradient["0.weight"]`` has the
    shape of its parameter. δ is the derivative of the loss as the batch reduces it.
    """

    loss: float
    z: dict[str, Array]
    a: dict[str, Array]
    delta: dict[str, Array]
    gradient: dict[str, Array]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Trace:
        """Sort the values of named equations by their kind."""
        kinds: dict[str, dict[str, Array]] = {"z": {}, "a": {}, "delta": {}, "gradient": {}}
        for name, value in values.items():
            kind, _, path = name.partition(".")
            if kind in kinds:
                kinds[kind][path] = value
        return cls(loss=float(values["loss"]), **kinds)

    def rms_delta(self) -> dict[str, float]:
        """The root mean square of δ at each layer, over units and samples."""
        return {name: float(np.sqrt(np.mean(np.square(d)))) for name, d in self.delta.items()}
