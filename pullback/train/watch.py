"""What training does to δ and to the weights: one record an epoch, a layer at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np

from pullback import ir
from pullback.net.network import Network, Parameters
from pullback.train.history import History, Watched
from pullback.train.samples import Samples

SAMPLES = 256


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
