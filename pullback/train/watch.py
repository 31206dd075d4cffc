"""What training does to δ and to the weights: one record an epoch, a layer at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback import ir
from pullback.net.network import Network, Parameters
from pullback.notebook import table
from pullback.train.history import History
from pullback.train.samples import Samples

SAMPLES = 256


@dataclass(frozen=True)
class Watched:
    """By layer, one entry before training and one after each epoch.

    ``rms_delta`` is of one sample's δ = ∂loss/∂z, not reduced; ``dead`` the share of units whose δ
    is 0 at every watched sample and, where a layer's units are the same at every token, at every
    token. ``update`` has one entry an epoch for each trained weight: ‖change of W‖ / ‖W‖, by the
    path of its block, or by its own name where a block has several.
    """

    rms_delta: dict[str, list[float]] = field(default_factory=dict)
    dead: dict[str, list[float]] = field(default_factory=dict)
    update: dict[str, list[float]] = field(default_factory=dict)

    def text(self) -> str:
        """The first and last entry of each layer."""
        lines = [f"{'layer':<10}{'RMS δ':>20}{'dead units':>18}{'update/weight':>18}"]
        for name, size, share, change in self._rows():
            lines.append(f"{name or 'all':<10}{size:>20}{share:>18}{change:>18}")
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        names = dict.fromkeys((*self.rms_delta, *self.update))
        return [
            (
                name,
                _change(self.rms_delta.get(name), ".3g"),
                _change(self.dead.get(name), ".0%"),
                _change(self.update.get(name), ".2g"),
            )
            for name in names
        ]

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return table(["layer", "RMS δ", "dead units", "update/weight"], self._rows())

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return dict(vars(self))


def _change(values: list[float] | None, form: str) -> str:
    return f"{values[0]:{form}} → {values[-1]:{form}}" if values else "–"


class DeltaWatch:
    """A callback of ``fit`` that fills a ``Watched`` from the first samples of the data."""

    def __init__(self, net: Network, samples: Samples, start: Parameters) -> None:
        self._net, self._samples = net, samples[:SAMPLES]
        weights = [spec for spec in net.specs if spec.kind == "weight" and spec.trained]
        paths = Counter(spec.place.path for spec in weights)
        # by its layer's path, or by its own name where a path has several; input side first
        self._weights = {
            spec.name if paths[spec.place.path] > 1 else spec.place.path: spec.name
            for spec in weights
        }
        self._shared = {
            equation.label.place: tuple(
                equation.axes.index(axis) for axis in equation.axes if axis not in form.units
            )
            for equation, form in ir.flow(net.graph).items()
            if isinstance(form, ir.Affine) and equation.role == "z"
        }
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
        scale = len(self._samples) if averaged else 1
        trace = self._net.trace(params, self._samples.data, self._samples.target)
        for name in trace.z:
            if name not in trace.delta:  # nothing below it has a gradient
                continue
            delta = trace.delta[name]
            rms = scale * float(np.sqrt(np.mean(np.square(delta))))
            self.record.rms_delta.setdefault(name, []).append(rms)
            dead = float(np.mean(~delta.any(axis=self._shared.get(name, 0))))
            self.record.dead.setdefault(name, []).append(dead)
