"""What a least-squares fit needs of a model: residuals and their Jacobian."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.calculus import jacobian as jacobian_node
from pullback.errors import (
    ConfigError,
    DataError,
    DTypeError,
    NotApplicableError,
    ShapeError,
    UnknownNameError,
    unknown,
)
from pullback.net.arrays import checked_arrays
from pullback.net.checks import as_array, checked_batch, checked_parameters, dtype_of
from pullback.net.expression import Expression, compile_nodes
from pullback.net.modes import one_by_one
from pullback.net.network import Network
from pullback.net.vector import ravel
from pullback.nn import MSELoss, SquaredError
from pullback.plan.jacobian.front import by_parameters
from pullback.plan.jacobian.operators import Array
from pullback.plan.jacobian.parameters import ParameterJacobian

Spectrum = tuple[Array, Array, Any]


class Residuals(ABC):
    """y − model, as a function of all unknowns in one vector."""

    start: Array
    unravel: Any
    target: Array  # y, in its own shape
    size: float  # the length of y
    frozen: Mapping[str, Array] = {}  # parameters that are not fitted

    def params(self, vector: Array) -> dict[str, Array]:
        """Every parameter by name, those that are not fitted too."""
        return {**self.frozen, **self.unravel(vector)}

    def misfit(self, vector: Array) -> Array:
        """y − model (n), whatever weights and losses make of it."""
        return self.at(vector)

    def variance(self, vector: Array, freedom: int) -> float:
        """That of a datum, from what is left."""
        r = self.at(vector)
        return float(r @ r) / freedom

    def plain(self) -> Residuals:
        """The residuals without a loss, of which the covariance is."""
        return self

    @property
    def labels(self) -> list[str]:
        """A name for each unknown in the vector, such as b or w[1, 2]."""
        return [
            f"{name}[{', '.join(map(str, place))}]" if place else name
            for name, value in self.unravel(self.start).items()
            for place in np.ndindex(value.shape)
        ]

    @abstractmethod
    def at(self, vector: Array) -> Array:
        """The residuals (n) at these unknowns; not finite where the model is not."""

    @abstractmethod
    def slopes(self, vector: Array) -> Slopes:
        """The Jacobian of the model at these unknowns."""


class Slopes(ABC):
    """The Jacobian of a model (n, p) at one point, as far as a fit needs it."""

    scales: Array  # the length of each column, or one number for all; not finite if J is not

    @abstractmethod
    def spectrum(self, scale: Array, r: Array) -> Spectrum:
        """Singular values s of J D⁻¹, Uᵀ r, and a function from coefficients to a step D⁻¹ V c."""

    @abstractmethod
    def triangle(self) -> Array | None:
        """R of J = Q R, from which the covariance follows; None where J is not written out."""

    @abstractmethod
    def times(self, rows: Array) -> Slopes:
        """The Jacobian with each row multiplied by a number."""

    @abstractmethod
    def columns(self) -> Columns:
        """The Jacobian written out."""


class Columns(Slopes):
    """A Jacobian as an array with more rows than columns, or nearly."""

    def __init__(self, J: Array) -> None:
        self.J = J
        with np.errstate(all="ignore"):
            self.scales = np.linalg.norm(J, axis=0)

    def spectrum(self, scale: Array, r: Array) -> Spectrum:
        """QR of the tall side first, so that the SVD is of a (p, p) triangle."""
        Q, R = np.linalg.qr(self.J / scale)
        U, s, Vt = np.linalg.svd(R, full_matrices=False)
        return s, U.T @ (Q.T @ r), lambda c: (Vt.T @ c) / scale

    def triangle(self) -> Array | None:
        return np.asarray(np.linalg.qr(self.J, mode="r"))

    def times(self, rows: Array) -> Slopes:
        return Columns(rows[:, None] * self.J)

    def columns(self) -> Columns:
        return self


class Structured(Slopes):
    """A network's Jacobian with fewer rows than parameters: only J Jᵀ is made, structured."""

    def __init__(self, J: ParameterJacobian, rows: Array | None = None) -> None:
        self.J = J
        self.rows = np.ones(J.shape[0], dtype=J.diagonal().dtype) if rows is None else rows
        self.scales = np.sqrt([J.diagonal().max()])  # one scale for all keeps the structure

    def spectrum(self, scale: Array, r: Array) -> Spectrum:
        one = scale.max()
        values, vectors = np.linalg.eigh(self.rows[:, None] * self.J.gram() * self.rows)
        noise = values.max() * len(values) * np.finfo(values.dtype).eps
        kept = values > noise
        values, vectors = values[kept], vectors[:, kept]
        s = np.sqrt(values)

        def step(c: Array) -> Array:
            return np.asarray((self.J.T @ (self.rows * (vectors @ (c / s)))) / one)

        return s / one, vectors.T @ r, step

    def triangle(self) -> Array | None:
        return None

    def times(self, rows: Array) -> Slopes:
        return Structured(self.J, rows * self.rows)

    def columns(self) -> Columns:
        return Columns(self.rows[:, None] * self.J.dense())


class ExpressionResiduals(Residuals):
    """A formula whose unknowns are the variables in ``start``; the others are data."""

    def __init__(
        self,
        model: Expression,
        data: Mapping[str, Any],
        y: Any,
        start: Mapping[str, Any],
        fixed: Sequence[str] = (),
    ) -> None:
        names = [leaf.name for leaf in model.leaves]
        for name in (*data, *start):
            if name not in names:
                raise unknown("variable", name, names)
        both = set(data) & set(start)
        if both:
            raise ConfigError(f"{sorted(both)[0]!r} is both data and unknown; give it once")
        for name in names:
            if name not in data and name not in start:
                raise UnknownNameError(f"{name!r} has neither data nor a start")
        held, _ = checked_arrays(model.leaves, {**data, **start})
        held = {name: value.astype(np.float64) for name, value in held.items()}
        unknowns = _free([name for name in names if name in start], fixed)
        self._data = {name: held[name] for name in names if name not in unknowns}
        self.frozen = {name: held[name] for name in names if name in fixed}
        self.start, self.unravel = ravel({name: held[name] for name in unknowns})
        self._unknowns = [leaf for leaf in model.leaves if leaf.name in unknowns]
        self._order = [name for name in names if name in start]
        self._value = compile_nodes(model.leaves, (model.node,))
        roots = tuple(jacobian_node(model.node, leaf) for leaf in self._unknowns)
        self._slopes = compile_nodes(model.leaves, roots)
        seen = as_array("y", y)
        if seen.dtype.kind not in "fiub":
            raise DTypeError(f"y has dtype {seen.dtype}; expected real numbers")
        self.target = seen.astype(np.float64)
        (first,) = self._value(held)
        if self.target.shape != first.shape:
            hint = f"; y.reshape{first.shape}" if self.target.size == first.size else ""
            raise ShapeError(
                f"y has shape {self.target.shape}; the model gives {first.shape}{hint}"
            )
        if not np.isfinite(self.target).all():
            raise DataError("y holds a NaN or an infinity")
        self.size = _size(self.target)

    def params(self, vector: Array) -> dict[str, Array]:
        every = super().params(vector)
        return {name: every[name] for name in self._order}

    def at(self, vector: Array) -> Array:
        (value,) = self._value({**self._data, **self.unravel(vector)})
        with np.errstate(all="ignore"):
            return (self.target - value).ravel()

    def slopes(self, vector: Array) -> Slopes:
        found = self._slopes({**self._data, **self.unravel(vector)})
        return Columns(
            np.concatenate([each.reshape(self.target.size, -1) for each in found], axis=1)
        )


class NetworkResiduals(Residuals):
    """A network with a squared loss; its output is fitted to Y."""

    def __init__(
        self, net: Network, X: Any, Y: Any, start: Mapping[str, Any], fixed: Sequence[str] = ()
    ) -> None:
        if not isinstance(net.criterion, (SquaredError, MSELoss)):
            raise ConfigError(f"least squares need a squared loss; {net.criterion!r} is another")
        if net.l2:
            raise ConfigError("least squares take no penalty; give the network l2=0")
        one_by_one(net)
        self.net = net
        batch = checked_batch(net, X, Y, start)
        self.inputs, self.target = {name: batch[name] for name in net.xs}, batch["target"]
        held = checked_parameters(net, start, dtype_of(batch, start))
        if not net.trained:
            raise NotApplicableError(f"{net.model!r} has no parameters to fit")
        self._trained = _free(net.trained, fixed)
        self.frozen = {name: value for name, value in held.items() if name not in self._trained}
        self.start, self.unravel = ravel({name: held[name] for name in self._trained})
        self.size = _size(self.target)

    def params(self, vector: Array) -> dict[str, Array]:
        every = super().params(vector)
        return {name: every[name] for name in self.net.parameters}

    def at(self, vector: Array) -> Array:
        with np.errstate(all="ignore"):
            return (self.target - self.net.predict(self.params(vector), self.inputs)).ravel()

    def slopes(self, vector: Array) -> Slopes:
        with np.errstate(all="ignore"):
            J = by_parameters(self.net, self.params(vector), self.inputs, self._trained)
            rows, cols = J.shape
            return Structured(J) if rows < cols else Columns(J.dense())


def _free(names: Sequence[str], fixed: Sequence[str]) -> tuple[str, ...]:
    """The names that are not fixed; raises ConfigError where none is left."""
    if isinstance(fixed, str):
        raise ConfigError(f"fixed is {fixed!r}; expected a tuple of names, as ({fixed!r},)")
    for name in fixed:
        if name not in names:
            raise unknown("fixed", name, names)
    free = tuple(name for name in names if name not in fixed)
    if not free:
        raise ConfigError("everything is fixed; leave one unknown free")
    return free


def _size(y: Array) -> float:
    """The length of y; raises DataError where squares would leave the range of its numbers."""
    largest = float(np.abs(y).max(initial=0.0))
    info = np.finfo(y.dtype)
    low, high = 1e6 * float(info.tiny) ** 0.5, 1e-3 * float(info.max) ** 0.5
    if largest and not low < largest < high:
        raise DataError(
            f"y is up to {largest:.3g}, and its squares leave {y.dtype}'s range; scale y"
        )
    return float(np.linalg.norm(y))
