"""``pb.curvature``: the Gauss–Newton curvature of a loss, or a stand-in for it, in a structure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.errors import ConfigError, NonFiniteError, NotApplicableError, unknown, whole
from pullback.interop.subject import takes_module
from pullback.net.checks import as_array, checked_batch, checked_parameters, dtype_of
from pullback.net.modes import one_by_one
from pullback.net.network import Network
from pullback.plan.curvature.gauss_newton import loss_at, output_hessian, roots_of
from pullback.plan.curvature.kfac import kronecker_factored
from pullback.plan.curvature.maps import DenseMap, DiagonalMap, LowRankMap, StructuredMap
from pullback.plan.curvature.record import Curvature
from pullback.plan.jacobian.graph_parts import GraphParts
from pullback.plan.jacobian.operators import Array

SLICE = 256  # samples that are looked at together
ASSUMES = {
    "full": "Gauss–Newton, Σ Jᵀ H J; nothing is left out of it",
    "diag": "Gauss–Newton's diagonal: parameters are taken as independent",
    "low-rank": "Gauss–Newton, of which the largest eigenvalues are kept",
    "kfac": "Kronecker factors, expanded: δ is taken as independent of a, places of a sample and "
    "parameters of different names as independent",
    "kfac-reduce": "Kronecker factors, reduced: the mean of a and the sum of δ stand for all "
    "places of a sample; δ is taken as independent of a, parameters of different names as "
    "independent",
    "empirical-fisher": "Σ g gᵀ of the samples' gradients at the targets given: no Gauss–Newton "
    "away from a good fit",
}


@takes_module("X", "Y")
def curvature(
    net: Network,
    params: Mapping[str, Any],
    X: Any,
    Y: Any,
    structure: str = "kfac",
    *,
    rank: int | None = None,
    loss: Any = None,
) -> Curvature:
    """The Gauss–Newton matrix Σ Jᵀ H J of the loss in the trained parameters, in a structure.

    ``structure`` is "kfac" or "kfac-reduce" (Martens and Grosse 2015; Eschenhagen et al. 2023: the
    first is exact for a deep linear network with a squared loss that treats places as samples, the
    second for one that averages them), "diag" (exact), "low-rank" (``rank`` eigenvalues, by default
    all), "empirical-fisher" (the gradients at the targets, in the place of Gauss–Newton) or
    "full". It is of the loss as it is reduced, without its l2 penalty, which is a damping; where a
    loss bends down, that counts as 0, except in "full".
    ``curvature(module, X, Y, loss=…)`` takes a torch module with its own weights.
    Raises UnknownNameError for another structure, NotApplicableError for a parameter without
    Kronecker factors, which it names, ConfigError for a rank that no structure takes, and
    NonFiniteError for numbers that overflow.

    >>> import numpy as np
    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(3, 4), pb.Tanh(), pb.Linear(4, 2)),
    ...                  loss=pb.CrossEntropy())
    >>> X, Y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    >>> G = curvature(net, net.init(seed=0), X, Y)
    >>> G
    Curvature('kfac', 26 parameters)
    >>> G.solve(np.ones(26), damping=0.1).shape, G.sample(5, damping=0.1).shape
    ((26,), (5, 26))
    """
    if structure not in ASSUMES:
        raise unknown("structure", structure, ASSUMES)
    if rank is not None and structure not in ("low-rank", "empirical-fisher"):
        raise ConfigError(f"structure {structure!r} takes no rank; 'low-rank' does")
    one_by_one(net)
    net = net.for_targets(as_array("Y", Y))
    batch = checked_batch(net, X, Y, params)
    held = checked_parameters(net, params, dtype_of(batch, params))
    if not net.trained:
        raise NotApplicableError(f"{net.model!r} has no parameters that a loss could bend along")
    rows = (_SlopeRows if structure == "empirical-fisher" else RootRows)(
        net, held, {name: batch[name] for name in net.xs}, batch["target"], net.trained
    )
    found = map_of(structure, rows, rank)
    return Curvature(structure, net.trained, ASSUMES[structure], found, held)


@dataclass(frozen=True, eq=False)
class RootRows:
    """B with Bᵀ B the curvature, some rows for each sample: H^½ J, H the loss's Hessian."""

    net: Network
    held: Mapping[str, Array]
    inputs: Mapping[str, Array]
    target: Array
    names: tuple[str, ...]
    scale: float = 1.0  # the curvature is so many times that of the loss as it is reduced

    @cached_property
    def output(self) -> Array:
        """The model's output (batch, …); raises NonFiniteError where it is not finite."""
        dtype = dtype_of(self.inputs, self.held)
        with np.errstate(all="ignore"):
            found = np.asarray(self.net.predict(self.held, self.inputs), dtype)
        if not np.isfinite(found).all():
            raise NonFiniteError("the model's output is not finite at these params and data")
        return found

    @cached_property
    def seed(self) -> Array:
        """What the output's cotangents are (rows, batch, …)."""
        return roots_of(self.hessian).swapaxes(0, 1).reshape(-1, *self.output.shape)

    @cached_property
    def hessian(self) -> Array:
        """H (batch, outputs, outputs), which bends down where the loss does."""
        return np.asarray(self.scale * output_hessian(self.net, self.output, self.target))

    @property
    def leaves(self) -> list[Any]:
        """The parameters."""
        return [self.net.parameters[name] for name in self.names]

    @property
    def columns(self) -> int:
        """How many parameters there are, counted one by one."""
        return sum(self.held[name].size for name in self.names)

    def __iter__(self) -> Iterator[GraphParts]:
        """B by slices of the samples."""
        for part in self._slices:
            yield self._at(part, self.seed[:, part])

    @property
    def _slices(self) -> Iterator[slice]:
        for start in range(0, len(self.output), SLICE):
            yield slice(start, start + SLICE)

    def _at(self, part: slice, seed: Array | None = None) -> GraphParts:
        some = {name: x[part] for name, x in self.inputs.items()}
        xs = tuple(self.net.xs.values())
        return GraphParts(self.net.output, self.leaves, self.held, some, xs, seed)

    def whole(self) -> Array:
        """Σ Jᵀ H J (columns, columns)."""
        total = np.zeros((self.columns, self.columns))
        for part in self._slices:
            H = self.hessian[part]
            J = self._at(part).dense().reshape(*H.shape[:2], -1).astype(float, copy=False)
            total += np.tensordot(H @ J, J, ((0, 1), (0, 1)))
        return np.asarray((total + total.T) / 2)

    def dense(self) -> Array:
        """B (rows·batch, columns)."""
        return np.concatenate([part.dense() for part in self])


class _SlopeRows(RootRows):
    """The gradient of each sample's loss, of a mean over √samples."""

    @cached_property
    def seed(self) -> Array:
        criterion = self.net.criterion
        if criterion.is_weighted:
            raise ConfigError(
                f"the mean of {criterion!r} divides by weights of the targets; give the network "
                "the same loss with reduction='sum'"
            )
        slope = loss_at(self.net, self.output, self.target)["slope"]
        weight = len(self.output) ** 0.5 if criterion.reduction == "mean" else 1.0
        return np.asarray(weight * slope)[None]


def map_of(structure: str, rows: RootRows, rank: int | None = None) -> StructuredMap:
    """The curvature of some rows in a structure; raises NonFiniteError where it overflows."""
    with np.errstate(all="ignore"):
        found = _map_of(structure, rows, rank)
        if not np.isfinite(found.diagonal()).all():
            raise _overflow()
    return found


def _overflow() -> NonFiniteError:
    return NonFiniteError("the curvature overflows at these params and data: scale the data")


def _map_of(structure: str, rows: RootRows, rank: int | None) -> StructuredMap:
    if structure == "full":
        return DenseMap(rows.whole())
    if structure == "diag":
        return DiagonalMap(np.sum([part.diagonal() for part in rows], axis=0, dtype=float))
    if structure in ("low-rank", "empirical-fisher"):
        return _low_rank(rows.dense().astype(float), rank)
    return kronecker_factored(rows, rows.leaves, reduce=structure == "kfac-reduce")


def _low_rank(B: Array, rank: int | None) -> LowRankMap:
    most = min(B.shape)
    kept = most if rank is None else whole("rank", rank)
    if kept > most:
        raise ConfigError(f"rank is {kept}; this curvature has rank {most} at most")
    if not np.isfinite(B).all():
        raise _overflow()
    _, s, Vt = np.linalg.svd(B, full_matrices=False)
    return LowRankMap(Vt[:kept].T, s[:kept] ** 2)
