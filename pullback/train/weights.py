"""How much each sample counts: weights given for samples, for classes, or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.errors import ConfigError, DataError, from_zero, nearest, unknown
from pullback.ir.axis import show
from pullback.net.checks import checked_weights
from pullback.net.network import Network
from pullback.net.program import Array

ClassWeight = str | Mapping[int, float] | None


def combined_weights(
    net: Network, target: Array, sample_weight: Any, class_weight: ClassWeight
) -> Array | None:
    """The weight of each sample (batch,), or None where all count alike.

    ``class_weight`` gives a weight by label, or is "balanced": samples / (classes · its count).
    Raises ConfigError or DataError for weights that make no sense, or targets without classes.
    """
    if sample_weight is None and class_weight is None:
        return None
    weight = np.ones(len(target), target.dtype)
    if sample_weight is not None:
        weight = checked_weights(sample_weight, len(target), target.dtype)
    if class_weight is not None:
        labels, known = _labels(net, target)
        by_label = _by_label(class_weight, labels, known)
        each = np.array([by_label.get(label, 1.0) for label in known])[
            np.searchsorted(known, labels)
        ]
        weight = checked_weights(weight * each, len(target), target.dtype)
    return weight


def _labels(net: Network, target: Array) -> tuple[Array, list[int]]:
    """The label of each sample, and every label that there is."""
    kind = net.criterion.target
    if kind == "values":
        raise ConfigError(
            f"class_weight needs classes, but {net.criterion!r} has values as targets"
        )
    if target.ndim > 2:
        raise ConfigError(
            f"class_weight gives a weight to each sample, but one has the targets "
            f"{show(net.target.axes[1:])}; give sample_weight (batch,)"
        )
    target = target.reshape(len(target), -1)
    width = target.shape[1]
    if width == 1:
        labels, known = target[:, 0], [-1, 1] if kind == "signs" else [0, 1]
        certain = np.isin(labels, known)
    else:
        labels, known = target.argmax(axis=1), list(range(width))
        certain = (target.max(axis=1) == 1) & (np.count_nonzero(target > 0, axis=1) == 1)
    if not certain.all():
        row = int(np.argmin(certain))
        raise DataError(
            f"class_weight needs one class a sample; Y[{row}] is {target[row].tolist()}"
        )
    return labels.astype(np.int64), known


def _by_label(
    class_weight: str | Mapping[int, float], labels: Array, known: list[int]
) -> dict[int, float]:
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            hint = nearest(class_weight, ["balanced"])
            raise ConfigError(f"class_weight is {class_weight!r}: {hint}")
        present, counts = np.unique(labels, return_counts=True)
        shares = len(labels) / (len(present) * counts)
        return dict(zip(present.tolist(), shares.tolist(), strict=True))
    if not isinstance(class_weight, Mapping):
        raise ConfigError(
            f"class_weight is {class_weight!r}; expected 'balanced' or a weight by label"
        )
    for label, value in class_weight.items():
        if label not in known:
            raise unknown("class in class_weight:", str(label), map(str, known))
        from_zero(f"class_weight[{label}]", value)
    return dict(class_weight)
