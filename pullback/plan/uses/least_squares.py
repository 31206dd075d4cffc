"""``least_squares``: Levenberg–Marquardt with a trust region, on expressions and on networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pullback.errors import ConfigError, NonFiniteError, positive, whole
from pullback.net.expression import Expression
from pullback.net.network import Network
from pullback.plan.uses.bounded import BoundedSearch, Box, box_of
from pullback.plan.uses.fitted import LeastSquares
from pullback.plan.uses.residuals import ExpressionResiduals, NetworkResiduals, Residuals
from pullback.plan.uses.search import Search
from pullback.plan.uses.weighted import Weighted, loss_named, roots

REGIONS = (0.1, 0.01, 1e-3, 1e-4)  # of the first one, for a search that failed


def least_squares(
    model: Expression | Network,
    data: Any,
    y: Any,
    start: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    weights: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    bounds: Mapping[str, Any] | None = None,
    fixed: Sequence[str] = (),
    loss: str = "linear",
    loss_scale: float = 1.0,
    tolerance: float = 1e-14,
    iterations: int = 1000,
    region: float = 100.0,
) -> LeastSquares:
    """The unknowns that minimise Σ w (y − model)², by Levenberg–Marquardt from a start.

    For an expression ``data`` is an array for each variable that is known and ``start`` one for
    each that is not; for a network ``data`` is X (batch, features), y is Y (batch, outputs) and
    ``start`` its parameters, of which the frozen ones stay what they are. With a list of starts the
    answer is the one with the least sum of squares. ``weights`` w, or the standard deviations
    ``sigma`` with w = 1/sigma², are a number or one for each of y; only their ratios count for the
    standard errors, unless ``absolute_sigma``. ``bounds`` are (low, high) for unknowns by name,
    None for an open end; those in ``fixed`` stay at their start. ``loss`` is "linear", "soft_l1",
    "huber" or "cauchy", SciPy's, and ``loss_scale`` the residual at which it leaves the square.

    It stops when a step changes the sum of squares, or the unknowns, by less than ``tolerance``,
    relatively, or after so many ``iterations``; ``region`` is the length of the first step at most,
    in lengths of the scaled start. Where the search ends with an unknown that has lost its
    influence, it starts again in smaller regions; if none helps, the answer with the least sum of
    squares is not ``converged``, and its ``warning`` names the unknown.
    Raises ConfigError (bounds that exclude the start), UnknownNameError, ShapeError, DataError
    (weights that are not positive), NotApplicableError for a network without parameters, and
    NonFiniteError where the model or its slopes are not finite at the start.

    >>> import pullback as pb
    >>> x = np.linspace(0, 5, 30)
    >>> model = pb.expr("a*exp(-k*x)", x="n", a="", k="")
    >>> fit = least_squares(model, {"x": x}, 3 * np.exp(-0.7 * x), start={"a": 1.0, "k": 0.1})
    >>> {name: round(float(value), 9) for name, value in fit.params.items()}
    {'a': 3.0, 'k': 0.7}
    """
    positive("tolerance", tolerance)
    whole("iterations", iterations)
    positive("region", region)
    positive("loss_scale", loss_scale)
    robust = loss_named(loss)
    if absolute_sigma and (sigma is None or robust is not None):
        raise ConfigError("absolute_sigma needs sigma, and the loss 'linear'")
    starts = [start] if isinstance(start, Mapping) else start
    if not isinstance(starts, (list, tuple)) or not starts:
        raise ConfigError(f"start is {start!r}; expected values by name, or a list of such")

    def fit(first: Mapping[str, Any]) -> LeastSquares:
        residuals = _residuals(model, data, y, first, fixed)
        root = roots(residuals.target.shape, weights, sigma)
        if root is not None or robust is not None:
            root = np.ones(residuals.target.size) if root is None else root
            residuals = Weighted(residuals, root, robust, loss_scale, absolute_sigma)
        box = None if bounds is None else box_of(bounds, residuals)
        return _best(residuals, box, tolerance, region, iterations)

    if len(starts) == 1:
        return fit(starts[0])
    found: list[LeastSquares | None] = []
    for at, first in enumerate(starts):
        try:
            found.append(fit(first))
        except NonFiniteError:  # another start may be better; the last one says so if none is
            if at == len(starts) - 1 and not any(found):
                raise
            found.append(None)
    best = min((each for each in found if each is not None), key=lambda each: each.rss)
    return replace(best, tries=tuple(np.inf if each is None else each.rss for each in found))


def _residuals(
    model: Any, data: Any, y: Any, start: Mapping[str, Any], fixed: Sequence[str]
) -> Residuals:
    if isinstance(model, Expression):
        if not isinstance(data, Mapping):
            raise ConfigError("data is an array for each variable by name, as {'x': x}")
        return ExpressionResiduals(model, data, y, start, fixed)
    if isinstance(model, Network):
        return NetworkResiduals(model, data, y, start, fixed)
    raise ConfigError(f"model is {model!r}; expected pb.expr(…) or pb.Network(…)")


def _best(
    residuals: Residuals, box: Box | None, tolerance: float, region: float, iterations: int
) -> LeastSquares:
    """The least sum of squares of a search, and of others with smaller first steps if it fails."""

    def searched(region: float, iterations: int) -> Search:
        search = (
            Search(residuals, tolerance, region)
            if box is None
            else BoundedSearch(residuals, tolerance, region, box)
        )
        search.run(iterations)
        return search

    best = search = searched(region, iterations)
    taken, evaluations = search.taken, search.evaluations
    for smaller in REGIONS:
        if search.sound or search.hopeless or taken >= iterations:
            break
        search = searched(smaller * region, iterations - taken)
        taken, evaluations = taken + search.taken, evaluations + search.evaluations
        if search.rss <= best.rss or (search.sound and search.rss <= best.rss * (1 + 1e-9)):
            best = search
    return best.result(taken, evaluations)
