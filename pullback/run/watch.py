"""What training does to δ and to the weights: one record an epoch, a layer at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback.notebook import table
from pullback.run.compiled import Array
from pullback.run.history import History
from pullback.run.network import Network, Parameters

SAMPLES = 256


@dataclass(frozen=True)
class Watched:
    """By layer, one entry before training and one after each epoch.

    ``rms_delta`` is of one sample's δ, not reduced; ``dead`` the share of units whose δ is 0 at
    every watched sample. ``update`` has one entry an epoch: ‖change of W‖ / ‖W‖.
    """

    rms_delta: dict[str, list[float]] = field(default_factory=dict)
    dead: dict[str, list[float]] = field(default_factory=dict)
    update: dict[str, list[float]] = field(default_factory=dict)

    def text(self) -> str:
        """The first and last entry of each layer."""
        lines = [f"{'layer':<10}{'RMS δ':>20}{'dead units':>18}{'update/weight':>18}"]
        for name, sizes in self.rms_delta.items():
            dead, update = self.dead[name], self.update.get(name, [])
            change = f"{update[0]:.2g} → {update[-1]:.2g}" if update else "–"
            size = f"{sizes[0]:.3g} → {sizes[-1]:.3g}"
            share = f"{dead[0]:.0%} → {dead[-1]:.0%}"
            lines.append(f"{name or 'all':<10}{size:>20}{share:>18}{change:>18}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        rows = [
            (
                name,
                f"{sizes[0]:.3g} → {sizes[-1]:.3g}",
                f"{self.dead[name][0]:.0%} → {self.dead[name][-1]:.0%}",
                f"{moved[0]:.2g} → {moved[-1]:.2g}" if (moved := self.update.get(name)) else "–",
            )
            for name, sizes in self.rms_delta.items()
        ]
        return table(["layer", "RMS δ", "dead units", "update/weight"], rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return dict(vars(self))


class DeltaWatch:
    """A callback of ``fit`` that fills a ``Watched`` from the first samples of the data."""

    def __init__(self, net: Network, x: Array, target: Array, start: Parameters) -> None:
        self._net, self._x, self._target = net, x[:SAMPLES], target[:SAMPLES]
        weights = [spec.name for spec in net.specs if spec.kind == "weight"]
        self._weights = {name.rpartition(".")[0]: name for name in weights}  # input side first
        self._before = {name: value.copy() for name, value in start.items()}
        self.record = Watched()
        self._look(start)

    def __call__(self, epoch: int, params: Parameters, history: History) -> None:
        """Look at δ after an epoch, and at how far the weights went."""
        self._look(params)
        for layer, name in self._weights.items():
            now, before = params[name], self._before[name]
            size = float(np.linalg.norm(now)) or 1.0
            change = float(np.linalg.norm(now - before)) / size
            self.record.update.setdefault(layer, []).append(change)
        self._before = {name: value.copy() for name, value in params.items()}

    def _look(self, params: Parameters) -> None:
        averaged = self._net.criterion.reduction == "mean"
        scale = len(self._x) if averaged else 1
        found = self._net.trace(params, self._x, self._target).delta
        for name in self._weights:
            delta = found[name]
            rms = scale * float(np.sqrt(np.mean(np.square(delta))))
            self.record.rms_delta.setdefault(name, []).append(rms)
            dead = float(np.mean(~delta.any(axis=0)))
            self.record.dead.setdefault(name, []).append(dead)
