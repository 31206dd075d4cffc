"""``laplace``: how sure a trained network is, by a Gaussian about its weights.

The posterior of the weights is taken as N(θ, (Σ Jᵀ H J + τ I)⁻¹), with the Gauss–Newton curvature
of the summed loss and a prior precision τ; outputs are linear in the weights about θ. MacKay
(1992); Daxberger et al., "Laplace Redux" (2021).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import expit, softmax

from pullback.errors import ConfigError, NotApplicableError, positive, unknown
from pullback.interop.subject import takes_module
from pullback.ir import Graph, Parameter
from pullback.net.checks import checked_batch, checked_inputs, checked_parameters, dtype_of
from pullback.net.modes import one_by_one
from pullback.net.network import Network
from pullback.nn import BinaryCrossEntropy, CrossEntropy, LogisticLoss, NLLLoss
from pullback.notebook import headline, paragraph
from pullback.plan.curvature.front import ASSUMES, SLICE, RootRows, map_of
from pullback.plan.curvature.gauss_newton import loss_at
from pullback.plan.curvature.record import Curvature
from pullback.plan.jacobian.front import by_parameters
from pullback.plan.jacobian.operators import Array
from pullback.plan.jacobian.parameters import ParameterJacobian, cross_gram

STRUCTURES = ("last_layer", "last", "full", "kfac", "kfac-reduce", "diag", "low-rank")


class Posterior(ABC):
    """How the covariance of the weights is held; ``side`` says by what, in a word."""

    side: str

    @abstractmethod
    def covariance(self, J: ParameterJacobian) -> Array:
        """That of the outputs (batch, outputs, outputs), of a Jacobian at some inputs."""

    @property
    @abstractmethod
    def logdet(self) -> float:
        """log det of the precision of the weights."""

    @property
    @abstractmethod
    def held(self) -> str:
        """What is held, in words."""

    @abstractmethod
    def lower(self) -> Array:
        """The lower Cholesky factor of what is inverted."""


@dataclass(frozen=True, eq=False)
class ByMap(Posterior):
    """By the curvature in a structure, and a prior precision."""

    side: str
    curvature: Curvature
    precision: float

    def covariance(self, J: ParameterJacobian) -> Array:
        rows = J.dense().reshape(J.samples, J.outputs, -1)
        return self.curvature.covariance(rows, self.precision)

    @property
    def logdet(self) -> float:
        return self.curvature.logdet(self.precision)

    @property
    def held(self) -> str:
        size = self.curvature.map.size
        return f"{self.side}, {size} × {size}"

    def lower(self) -> Array:
        one = np.eye(self.curvature.map.size)
        precision = self.curvature.map.times(one) + self.precision * one
        return np.asarray(cholesky(precision, lower=True))


@dataclass(frozen=True, eq=False)
class BySamples(Posterior):
    """Woodbury: J J*ᵀ of the training data, nothing as large as the parameters squared."""

    factor: Array  # lower Cholesky factor of H^½ J Jᵀ H^½ + τ I (batch·outputs, batch·outputs)
    training: ParameterJacobian
    root: Array  # H^½ of each sample (batch, outputs, outputs)
    precision: float
    side = "samples"

    @classmethod
    def of(cls, J: ParameterJacobian, root: Array, precision: float) -> BySamples:
        """That of the Jacobian at the training data."""
        inner = _weighted(root, _weighted(root, J.gram()).T)
        at = np.arange(len(inner))
        inner[at, at] += precision
        return cls(cholesky(inner, lower=True), J, root, precision)

    def covariance(self, J: ParameterJacobian) -> Array:
        cross = _weighted(self.root, cross_gram(self.training, J))
        known = solve_triangular(self.factor, cross, lower=True)
        each = known.T.reshape(J.samples, J.outputs, -1)
        return np.asarray((J.grams() - each @ np.swapaxes(each, 1, 2)) / self.precision)

    @property
    def logdet(self) -> float:
        beside = self.training.columns - len(self.factor)
        inner = 2 * np.log(np.diagonal(self.factor)).sum()
        return float(inner + beside * np.log(self.precision))

    def lower(self) -> Array:
        return self.factor

    @property
    def held(self) -> str:
        return f"samples, {len(self.factor)} × {len(self.factor)}"


@dataclass(frozen=True, eq=False, repr=False)
class Laplace:
    """A Gaussian about the weights of a network; ``names`` are those that it is over.

    Assumptions: one mode, curvature by Gauss–Newton, outputs linear in the weights, and what the
    structure of the curvature leaves out. ``side`` says how it is held: by "weights" or by
    "samples", whichever is smaller, or by the structure.
    """

    net: Network
    params: dict[str, Array]
    names: tuple[str, ...]
    prior_precision: float
    posterior: Posterior
    loss: float  # of the training data, summed

    @property
    def side(self) -> str:
        """How it is held."""
        return self.posterior.side

    @property
    def factor(self) -> Array:
        """The lower Cholesky factor: of the precision of the weights, or of the samples' Gram."""
        return self.posterior.lower()

    def predictive(self, X: Any) -> tuple[Array, Array]:
        """Mean (batch, outputs) and covariance (batch, outputs, outputs) of the model's output.

        The mean has the output's axes; in the covariance those of a sample are one, in C order.
        """
        inputs = checked_inputs(self.net, X)
        found = []
        for start in range(0, len(next(iter(inputs.values()))), SLICE):
            some = {name: x[start : start + SLICE] for name, x in inputs.items()}
            J = by_parameters(self.net, self.params, some, self.names)
            found.append((J.output, self.posterior.covariance(J)))
        mean, covariance = (np.concatenate(each) for each in zip(*found, strict=True))
        return mean, covariance

    def log_marginal_likelihood(self) -> float:
        """log p(data), with which prior precisions and networks are compared. MacKay (1992).

        It lacks what depends on the likelihood's scale alone, as −n/2 log 2π of a squared loss.
        """
        tau = self.prior_precision
        weights = [self.params[name] for name in self.names]
        size = sum(w.size for w in weights)
        squares = float(sum(np.square(w, dtype=float).sum() for w in weights))
        prior = 0.5 * (size * np.log(tau) - tau * squares)
        return float(prior - self.loss - 0.5 * self.posterior.logdet)

    def probabilities(self, X: Any) -> Array:
        """Class probabilities (batch, outputs), less sure where the weights are not known.

        An approximation: the logits z are replaced by z / √(1 + π var z / 8). MacKay (1992).
        Raises ConfigError for a loss that is not of logits.
        """
        loss = self.net.criterion
        mean, covariance = self.predictive(X)
        variance = np.diagonal(covariance, axis1=1, axis2=2).reshape(mean.shape)
        scaled = mean / np.sqrt(1 + np.pi / 8 * variance)
        if isinstance(loss, (CrossEntropy, NLLLoss)):
            return np.asarray(softmax(scaled, axis=-1))
        if isinstance(loss, LogisticLoss) or (
            isinstance(loss, BinaryCrossEntropy) and loss.from_logits
        ):
            return np.asarray(expit(scaled))
        raise ConfigError(f"probabilities need a loss of logits; {loss!r} is another")

    def text(self) -> str:
        """What is uncertain, how it is held, and under which assumptions."""
        count = sum(self.params[name].size for name in self.names)
        return (
            f"A Gaussian over {count:,} weights: {', '.join(self.names)}.\n"
            f"Prior precision {self.prior_precision:g}; held by {self.posterior.held}.\n"
            "Approximation: one mode, Gauss–Newton curvature, outputs linear in the weights"
            f"{self._left_out}."
        )

    @property
    def _left_out(self) -> str:
        known = self.side in ("weights", "samples")
        return "" if known else f".\nCurvature: {ASSUMES[self.side]}"

    def _repr_html_(self) -> str:
        first, *rest = self.text().split("\n")
        return headline(first) + "".join(map(paragraph, rest))

    def __repr__(self) -> str:
        return (
            f"Laplace(over {', '.join(self.names)}, prior precision {self.prior_precision:g}, "
            f"held by {self.side})"
        )


@takes_module("X", "Y")
def laplace(
    net: Network,
    params: Mapping[str, Any],
    X: Any,
    Y: Any,
    prior_precision: float = 1.0,
    structure: str = "last_layer",
    *,
    loss: Any = None,
) -> Laplace:
    """The Laplace approximation of a trained network at its training data.

    ``structure`` is "last_layer" or "last" (the parameters of the last equation that has any),
    "full" (all of them), or all of them with the curvature of ``pb.curvature`` in a structure:
    "kfac", "kfac-reduce", "diag", "low-rank"; frozen parameters are taken as known. The summed loss
    is read as a negative log-likelihood: a squared loss means noise of variance 1.
    ``laplace(module, X, Y, loss=…)`` takes a torch module with its own weights; without a loss Y
    says which.
    Raises ConfigError, UnknownNameError, NotApplicableError for a network without parameters, and
    the data's own errors.

    >>> import pullback as pb
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(20, 3))
    >>> net = pb.Network(pb.Sequential(pb.Linear(3, 4), pb.Tanh(), pb.Linear(4, 2)),
    ...                  loss=pb.CrossEntropy())
    >>> fitted = laplace(net, net.init(seed=0), X, (X[:, 0] > 0).astype(int))
    >>> fitted
    Laplace(over 2.weight, 2.bias, prior precision 1, held by weights)
    >>> mean, covariance = fitted.predictive(X)
    >>> covariance.shape
    (20, 2, 2)
    """
    tau = positive("prior_precision", prior_precision)
    if structure not in STRUCTURES:
        raise unknown("structure", structure, STRUCTURES)
    one_by_one(net)
    batch = checked_batch(net, X, Y, params)
    target, inputs = batch["target"], {name: batch[name] for name in net.xs}
    held = checked_parameters(net, params, dtype_of(batch, params))
    if not net.trained:
        raise NotApplicableError(f"{net.model!r} has no parameters to be uncertain about")
    names = _last_layer(net) if structure.startswith("last") else net.trained
    if net.criterion.is_weighted:
        raise ConfigError(
            f"the mean of {net.criterion!r} divides by weights of the targets; give the network "
            "the same loss with reduction='sum'"
        )
    whole = len(target) if net.criterion.reduction == "mean" else 1
    rows = RootRows(net, held, inputs, target, names, whole)
    total = whole * float(loss_at(net, rows.output, target)["loss"])
    posterior: Posterior
    if structure in ASSUMES and structure != "full":
        made = Curvature(structure, names, ASSUMES[structure], map_of(structure, rows), held)
        posterior = ByMap(structure, made, tau)
    elif rows.seed.shape[0] * len(target) < rows.columns:
        J = by_parameters(net, held, inputs, names)
        root = rows.seed.reshape(*rows.seed.shape[:2], -1).swapaxes(0, 1)
        posterior = BySamples.of(J, root, tau)
    else:
        made = Curvature("full", names, ASSUMES["full"], map_of("full", rows), held)
        posterior = ByMap("weights", made, tau)
    return Laplace(net, held, names, tau, posterior, total)


def _last_layer(net: Network) -> tuple[str, ...]:
    """The trained parameters of the last equation that has any."""
    graph = Graph({"output": net.output})
    for each in reversed(graph.equations):
        found = {leaf.name for leaf in graph.reads(each) if isinstance(leaf, Parameter)}
        if not found.isdisjoint(net.trained):
            return tuple(name for name in net.trained if name in found)
    return net.trained  # without equations the model is one layer


def _weighted(root: Array, rows: Array) -> Array:
    """R of each sample applied to its rows of a matrix (batch·outputs, k)."""
    batch, outputs = root.shape[:2]
    return (root @ rows.reshape(batch, outputs, -1)).reshape(batch * outputs, -1)
