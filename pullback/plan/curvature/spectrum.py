"""``pb.spectrum``: the outermost eigenvalues of a loss's curvature, from products with vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np

from pullback.calculus import hessian_vector_product
from pullback.errors import ConfigError, NotApplicableError, unknown, whole
from pullback.interop.subject import takes_module
from pullback.ir import Input, Node
from pullback.net.checks import as_array, checked_batch, checked_parameters, dtype_of
from pullback.net.modes import check_several, one_by_one
from pullback.net.network import Network
from pullback.net.program import Compiled, compile_program
from pullback.net.vector import ravel
from pullback.notebook import headline, table
from pullback.plan.curvature.gauss_newton import ggn_vector_product
from pullback.plan.jacobian.operators import Array

Which = Literal["largest", "smallest", "both"]
KINDS = ("ggn", "hessian")
SMALL = 64  # parameters up to which the matrix itself is made
RESTARTS = 100  # after which Lanczos' method is given up
LARGE = 3000  # and from which it is not even where Lanczos' method fails


@dataclass(frozen=True, eq=False, repr=False)
class CurvatureSpectrum:
    """Eigenvalues of the curvature, largest first, and their eigenvectors as columns (size, k).

    Parameters are in the order of ``pb.ravel``.
    """

    of: str
    values: Array
    vectors: Array

    @property
    def size(self) -> int:
        """How many eigenvalues there are in all."""
        return len(self.vectors)

    def text(self) -> str:
        """One value a line."""
        lines = [f"{len(self.values)} of {self.size:,} eigenvalues of the {self.of}:"]
        return "\n".join([*lines, *(f"{value:>14.6g}" for value in self.values)])

    def __repr__(self) -> str:
        return f"CurvatureSpectrum({self.of!r}, {len(self.values)} of {self.size:,})"

    def _repr_html_(self) -> str:
        rows = [(str(at + 1), f"{value:.6g}") for at, value in enumerate(self.values)]
        return headline(f"Eigenvalues of the {self.of}.") + table(["", "eigenvalue"], rows)


@takes_module("X", "Y")
def spectrum(
    net: Network,
    params: Mapping[str, Any],
    X: Any,
    Y: Any,
    k: int = 6,
    of: str = "ggn",
    which: Which = "largest",
    *,
    loss: Any = None,
) -> CurvatureSpectrum:
    """The k outermost eigenvalues of the loss's curvature in the trained parameters.

    ``of`` is "ggn", the Gauss–Newton matrix, or "hessian"; ``which`` is "largest", "smallest" or
    "both" ends. The loss's reduction and its l2 penalty are counted. By Lanczos' method (SciPy's
    eigsh) on products with vectors; the matrix is made where it is small and, up to 3000
    parameters, where the method does not converge.
    ``spectrum(module, X, Y, loss=…)`` takes a torch module with its own weights.
    Raises UnknownNameError for another ``of`` or ``which``, ConfigError for a k that is too large,
    NotApplicableError where Lanczos' method fails, and the data's own errors.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Linear(2, 1), loss=pb.SquaredError())
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> spectrum(net, net.init(seed=0), X, np.zeros(2), k=3).values.round(3)
    array([2.651, 0.849, 0.   ])
    """
    if of not in KINDS:
        raise unknown("curvature", of, KINDS)
    if which not in get_args(Which):
        raise unknown("end", which, get_args(Which))
    net = net.for_targets(as_array("Y", Y))
    batch = checked_batch(net, X, Y, params)
    held = checked_parameters(net, params, dtype_of(batch, params))
    if not net.trained:
        raise NotApplicableError(f"{net.model!r} has no parameters that a loss could bend along")
    size = sum(held[name].size for name in net.trained)
    if whole("k", k) > size:
        raise ConfigError(f"k is {k}; there are {size} eigenvalues")
    if of == "ggn":
        one_by_one(net)

        def times(v: Array) -> Any:
            return ggn_vector_product(net, held, X, Y, np.ravel(v))

    else:
        check_several(net, batch)
        if net.noise:
            one_by_one(net)
        program = _hessian_program(net)
        unravel = ravel({name: held[name] for name in net.trained})[1]

        def times(v: Array) -> Any:
            along = {_along(name): part for name, part in unravel(np.ravel(v)).items()}
            dtype = dtype_of(batch, held)
            found = program(held, {**batch, **{n: a.astype(dtype) for n, a in along.items()}})
            return np.concatenate([found[name].ravel() for name in net.trained])

    return _outermost(of, times, size, k, which)


def _outermost(of: str, times: Any, size: int, k: int, which: Which) -> CurvatureSpectrum:
    small = size <= SMALL or k >= size - 1
    found = None if small else _by_lanczos(times, size, k, which)
    if found is None and not small and size > LARGE:
        raise NotApplicableError(
            f"Lanczos' method does not tell the {which} eigenvalues apart, of which many are equal "
            "or nearly so; ask for fewer, or for which='largest'"
        )
    values, vectors = found or _of_matrix(times, size, k, which)
    order = np.argsort(values)[::-1]
    return CurvatureSpectrum(of, values[order], vectors[:, order])


def _by_lanczos(times: Any, size: int, k: int, which: Which) -> tuple[Array, Array] | None:
    """Eigenvalues and eigenvectors, or None where the method does not converge."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    ends = {"largest": "LA", "smallest": "SA", "both": "BE"}
    operator = LinearOperator((size, size), matvec=times, dtype=float)
    start = np.random.default_rng(0).normal(size=size)  # the same answer each time
    try:
        values, vectors = eigsh(operator, k, which=ends[which], v0=start, maxiter=RESTARTS)
    except ArpackNoConvergence:
        return None
    return values, vectors


def _of_matrix(times: Any, size: int, k: int, which: Which) -> tuple[Array, Array]:
    values, vectors = np.linalg.eigh(np.stack([times(v) for v in np.eye(size)], 1))
    low = {"largest": 0, "smallest": k, "both": k // 2}[which]
    kept = np.r_[:low, size - (k - low) : size]
    return values[kept], vectors[:, kept]


def _along(name: str) -> str:
    return f"direction of {name}"


@lru_cache(maxsize=16)
def _hessian_program(net: Network) -> Compiled:
    leaves = net.trained_leaves
    directions: dict[Node, Node] = {
        leaf: Input(_along(name), leaf.axes) for name, leaf in leaves.items()
    }
    found = hessian_vector_product(net.total, leaves.values(), directions)
    given = (*net.inputs, *(each for each in directions.values() if isinstance(each, Input)))
    return compile_program(dict(zip(leaves, found, strict=True)), "The Hessian times a direction.",
                           leaves=given)  # fmt: skip
