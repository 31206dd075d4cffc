"""One pass through a network with nothing thrown away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback.ir import Label, Role
from pullback.notebook import headline, table

Array = np.ndarray[Any, np.dtype[Any]]


def _place(label: Label) -> str:
    """Under which a trace holds it: δ of another quantity than z says of which."""
    of_another = label.role == "delta" and label.of != "z"
    return f"{label.of}.{label.place}" if of_another else label.place


def _rms(array: Array) -> str:
    return f"{np.sqrt(np.mean(np.square(array))):.3g}"


@dataclass(frozen=True, repr=False)
class Trace:
    """Every z, a, δ and gradient by the name of its block or parameter, and the loss.

    ``z["0"]``, ``a["1"]``, ``delta["0"]`` are (batch, units), ``gradient["0.weight"]`` has the
    shape of its parameter, ``stat`` has what a norm or a softmax takes on the way. δ is the
    derivative of the loss as the batch reduces it.
    """

    loss: float
    z: dict[str, Array]
    a: dict[str, Array]
    delta: dict[str, Array]
    gradient: dict[str, Array]
    stat: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[Label, Any]) -> Trace:
        """Sort the values of named equations by their role."""
        kinds: dict[Role, dict[str, Array]] = {
            "z": {}, "a": {}, "delta": {}, "gradient": {}, "stat": {},
        }  # fmt: skip
        loss = math.nan
        for label, value in values.items():
            if label.role == "loss":
                loss = float(value)
            elif label.role in kinds:
                kinds[label.role][_place(label)] = value
        return cls(loss=loss, **kinds)

    def value(self, label: Label) -> Any:
        """That of the equation with this label; None of one that a trace does not hold."""
        if label.role == "loss":
            return self.loss
        held: dict[str, Array] = vars(self).get(label.role, {})
        return held.get(_place(label))

    def _rows(self) -> list[tuple[str, str, str]]:
        kinds = {"z": self.z, "a": self.a, "s": self.stat, "δ": self.delta, "∂L/∂": self.gradient}
        return [
            (f"{kind}{name}" if kind == "∂L/∂" else f"{kind} {name}", str(value.shape), _rms(value))
            for kind, held in kinds.items()
            for name, value in held.items()
        ]

    def text(self) -> str:
        """The loss, then each array with its shape and its root mean square."""
        lines = [f"{name:<20}{shape:>16}{rms:>12}" for name, shape, rms in self._rows()]
        return "\n".join([f"loss {self.loss:.6g}", f"{'':<20}{'shape':>16}{'RMS':>12}", *lines])

    def __repr__(self) -> str:
        return f"<trace of {len(self.delta)} layers: loss {self.loss:.6g}>"

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return headline(f"loss {self.loss:.6g}") + table(["", "shape", "RMS"], self._rows())

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        kinds = {"z": self.z, "a": self.a, "delta": self.delta, "gradient": self.gradient}
        kinds |= {"stat": self.stat} if self.stat else {}
        plain = {kind: {n: v.tolist() for n, v in held.items()} for kind, held in kinds.items()}
        return {"loss": self.loss, **plain}

    def rms_delta(self) -> dict[str, float]:
        """The root mean square of δ at each layer, over units and samples."""
        return {name: float(np.sqrt(np.mean(np.square(d)))) for name, d in self.delta.items()}
