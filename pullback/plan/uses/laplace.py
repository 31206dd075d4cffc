"""``laplace``: how sure a trained network is, by a Gaussian about its weights.

The posterior of the weights is taken as N(θ, (Σ Jᵀ H J + τ I)⁻¹), with the Gauss–Newton curvature
of the summed loss and a prior precision τ; outputs are linear in the weights about θ. MacKay
(1992); Daxberger et al., "Laplace Redux" (2021).
"""

from __future__ import annotations

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
from pullback.plan.jacobian.front import by_parameters
from pullback.plan.jacobian.operators import Array
from pullback.plan.jacobian.parameters import ParameterJacobian, cross_gram
from pullback.plan.uses.curvature import output_hessian

STRUCTURES = ("last_layer", "full")
SLICE = 256  # samples whose Jacobian is written out at a time


@dataclass(frozen=True, eq=False, repr=False)
class Laplace:
    """A Gaussian about the weights of a network; ``names`` are those that it is over.

    Assumptions: one mode, curvature by Gauss–Newton, outputs linear in the weights. ``side`` says
    how it is held: by "weights", a Cholesky factor (parameters, parameters), or by "samples", one
    (batch·outputs, batch·outputs), whichever is smaller.
    """

    net: Network
    params: dict[str, Array]
    names: tuple[str, ...]
    prior_precision: float
    side: str
    factor: Array  # lower Cholesky factor
    training: ParameterJacobian | None  # for the side of the samples
    root: Array | None  # H^½ of each sample (batch, outputs, outputs)

    def predictive(self, X: Any) -> tuple[Array, Array]:
        """Mean (batch, outputs) and covariance (batch, outputs, outputs) of the model's output.

        The mean has the output's axes; in the covariance those of a sample are one, in C order.
        """
        J = by_parameters(self.net, self.params, checked_inputs(self.net, X), self.names)
        if self.training is None:
            covariance = self._by_weights(J)
        else:
            covariance = self._by_samples(J)
        return J.output, covariance

    def _by_weights(self, J: ParameterJacobian) -> Array:
        spread = solve_triangular(self.factor, J.dense().T, lower=True).T
        each = spread.reshape(J.samples, J.outputs, -1)
        return np.asarray(each @ np.swapaxes(each, 1, 2))

    def _by_samples(self, J: ParameterJacobian) -> Array:
        """Woodbury: (J J*ᵀ terms) / τ, nothing as large as the parameters squared."""
        assert self.training is not None
        assert self.root is not None
        own = J.grams()
        cross = _weighted(self.root, cross_gram(self.training, J))
        known = solve_triangular(self.factor, cross, lower=True)
        each = known.T.reshape(J.samples, J.outputs, -1)
        return np.asarray((own - each @ np.swapaxes(each, 1, 2)) / self.prior_precision)

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
            f"Prior precision {self.prior_precision:g}; held by {self.side}, "
            f"{self.factor.shape[0]} × {self.factor.shape[1]}.\n"
            "Approximation: one mode, Gauss–Newton curvature, outputs linear in the weights."
        )

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

    ``structure`` is "last_layer" (the parameters of the last equation that has any) or "full" (all
    of them); frozen parameters are taken as known. The summed loss is read as a negative
    log-likelihood: a squared loss means noise of variance 1. ``laplace(module, X, Y, loss=…)``
    takes a torch module with its own weights; without a loss Y says which.
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
    names = _last_layer(net) if structure == "last_layer" else net.trained
    if net.criterion.is_weighted:
        raise ConfigError(
            f"the mean of {net.criterion!r} divides by weights of the targets; give the network "
            "the same loss with reduction='sum'"
        )
    samples = len(target)
    whole = samples if net.criterion.reduction == "mean" else 1
    hessian = whole * output_hessian(net, np.asarray(net.predict(held, inputs)), target)
    size = sum(held[name].size for name in names)
    if hessian.shape[0] * hessian.shape[1] < size:
        J = by_parameters(net, held, inputs, names)
        root = _roots(hessian)
        inner = _weighted(root, _weighted(root, J.gram()).T)
        at = np.arange(len(inner))
        inner[at, at] += tau
        factor = cholesky(inner, lower=True)
        return Laplace(net, held, names, tau, "samples", factor, J, root)
    precision = np.diag(np.full(size, tau, hessian.dtype))
    for start in range(0, samples, SLICE):
        part = slice(start, start + SLICE)
        J = by_parameters(net, held, {name: x[part] for name, x in inputs.items()}, names)
        D = J.dense().reshape(J.samples, J.outputs, -1)
        precision += np.tensordot(hessian[part] @ D, D, ((0, 1), (0, 1)))
    precision = (precision + precision.T) / 2
    return Laplace(net, held, names, tau, "weights", cholesky(precision, lower=True), None, None)


def _last_layer(net: Network) -> tuple[str, ...]:
    """The trained parameters of the last equation that has any."""
    graph = Graph({"output": net.output})
    for each in reversed(graph.equations):
        found = {leaf.name for leaf in graph.reads(each) if isinstance(leaf, Parameter)}
        if not found.isdisjoint(net.trained):
            return tuple(name for name in net.trained if name in found)
    return net.trained  # without equations the model is one layer


def _roots(hessian: Array) -> Array:
    """R with Rᵀ R = H for each sample; H is positive semidefinite up to rounding."""
    values, vectors = np.linalg.eigh((hessian + np.swapaxes(hessian, 1, 2)) / 2)
    return np.asarray(np.sqrt(np.maximum(values, 0))[..., None] * np.swapaxes(vectors, 1, 2))


def _weighted(root: Array, rows: Array) -> Array:
    """R of each sample applied to its rows of a matrix (batch·outputs, k)."""
    batch, outputs = root.shape[:2]
    return (root @ rows.reshape(batch, outputs, -1)).reshape(batch * outputs, -1)
