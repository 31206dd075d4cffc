"""``closed_form``: which row of the table a network belongs to, found by looking at it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.calculus import cotangents
from pullback.closed.fixed_point.implicit import ImplicitForm
from pullback.closed.fixed_point.point import FixedPoint
from pullback.closed.network.chain import Chain, Point
from pullback.closed.network.pieces import pieces
from pullback.closed.network.product import LinearForm, ProductForm
from pullback.closed.network.region import RegionForm
from pullback.closed.power.components import ComponentForm
from pullback.closed.power.form import PowerForm
from pullback.closed.power.recurrence import Recurrence
from pullback.closed.record import Array, ClosedForm, as_floats
from pullback.errors import ConfigError, ShapeError
from pullback.ir import Input, Named, simplify, walk
from pullback.net.checks import checked_parameters
from pullback.net.network import Network
from pullback.net.program import compile_program


def closed_form(
    of: Network | Recurrence | FixedPoint,
    params: Mapping[str, Any] | None = None,
    x: Any = None,
) -> ClosedForm:
    """Does the recursion of δ have a closed form, which one, and how good is it?

    ``of`` is a Network, with params and one x (features,) where numbers are wanted and the
    network needs them; a Recurrence or a FixedPoint brings its own. Layers are the Linear blocks
    of a network, input side first, or the states of a recurrence.
    Raises ConfigError for anything else, and ShapeError, DTypeError, DataError or
    UnknownNameError for params or x that do not fit.

    >>> c = closed_form(Recurrence([[1.0, 1.0], [1.0, 0.0]], steps=10))
    >>> c.evaluate([1.0, 0.0], 0)
    array([89., 55.])
    >>> print(c.form)
    (Wᵀ)^10 δ by orthogonal eigendecomposition Q D^10 Qᵀ
    """
    if isinstance(of, (Recurrence, FixedPoint)):
        if params is not None or x is not None:
            raise ConfigError(f"{type(of).__name__} holds its own numbers; leave params and x out")
        return _of_recurrence(of) if isinstance(of, Recurrence) else ImplicitForm(of)
    if not isinstance(of, Network):
        raise ConfigError(f"of is {of!r}; expected a Network, a Recurrence or a FixedPoint")
    if x is not None and params is None:
        raise ConfigError("x was given without params; give both, as closed_form(net, params, x)")
    return _of_network(of, params, x)


def _of_recurrence(recurrence: Recurrence) -> ClosedForm:
    slope = recurrence.constant_slope
    if slope is not None:
        return PowerForm(slope * recurrence.W, recurrence.steps, recurrence)
    W = recurrence.W
    diagonal = W if W.ndim == 1 else np.diagonal(W)
    is_diagonal = W.ndim == 1 or np.count_nonzero(W) == np.count_nonzero(diagonal)
    if is_diagonal and recurrence.has_states:
        return ComponentForm(recurrence.slopes * diagonal, recurrence)
    if recurrence.has_states and not np.ptp(recurrence.slopes, axis=0).any():
        return PowerForm(recurrence.slopes[0][:, None] * W, recurrence.steps, recurrence, True)
    chain, point, recursion = Chain.unrolled(recurrence), None, None
    if recurrence.has_states:
        point, recursion = _unrolled(chain, recurrence), recurrence.delta
    row = RegionForm if pieces(recurrence.function) is not None else ProductForm
    return row(chain, point, recursion)


def _unrolled(chain: Chain, recurrence: Recurrence) -> Point:
    W = np.diag(recurrence.W) if recurrence.W.ndim == 1 else recurrence.W
    steps = [f"{t + 1}" for t in range(recurrence.steps)]
    biases: dict[str, Array] = {}
    if recurrence.inputs is not None:
        given = np.broadcast_to(recurrence.inputs, (recurrence.steps, recurrence.units))
        biases = dict(zip(steps, given, strict=True))
    return Point.at(chain, dict.fromkeys(steps, W), biases, recurrence.states[0])


def _of_network(net: Network, params: Mapping[str, Any] | None, x: Any) -> ClosedForm:
    chain = Chain.of(net.model)
    bent = [pieces(item.function) for item in chain.slopes if item.slope is None]
    linear = not bent
    held = None if params is None else checked_parameters(net, params, np.dtype(np.float64))
    sample = None if x is None else _one_sample(x, chain.n_in)
    point = recursion = None
    if held is not None and (linear or sample is not None):
        at = np.zeros(chain.n_in) if sample is None else sample
        weights = {n.removesuffix("weight").rstrip("."): v for n, v in held.items() if v.ndim == 2}
        biases = {n.removesuffix("bias").rstrip("."): v for n, v in held.items() if v.ndim == 1}
        point = Point.at(chain, weights, biases, at)
        recursion = partial(_recursion, net, chain, held, at)
    if not linear:
        row = ProductForm if None in bent else RegionForm
        return row(chain, point, recursion)
    return (_repeated(chain, point) if point else None) or LinearForm(chain, point, recursion)


def _repeated(chain: Chain, point: Point) -> ClosedForm | None:
    """A linear network whose layers all have one weight, or diagonal ones: a power, or numbers."""
    starts = [place.start for place in chain.places]
    if len(starts) < 2 or any(place.inside for place in chain.places):
        return None
    gaps = [point.product(chain.items[start:stop]) for start, stop in pairwise(starts)]
    first = gaps[0]
    if first.ndim == 2 and first.shape[0] != first.shape[1]:
        return None
    if len(gaps) > 1 and all(np.array_equal(first, gap) for gap in gaps):
        return PowerForm(first, len(gaps))
    square = all(gap.shape == (len(first), len(first)) for gap in gaps)
    if square and all(np.count_nonzero(g) == np.count_nonzero(np.diagonal(g)) for g in gaps):
        return ComponentForm(np.stack([np.diagonal(gap) for gap in gaps]))
    return None


def _recursion(
    net: Network, chain: Chain, params: Mapping[str, Array], x: Array, delta: Array, layer: int
) -> Array:
    """δ (rows, units) at a layer by the network's own backward sweep, from the place on top."""
    # as it was built: a layer whose influence cancels has a δ, too
    named = {n.name: n for n in walk((net.built,)) if isinstance(n, Named)}
    item = chain.items[chain.top - 1]
    top = named[f"{'a' if hasattr(item, 'items') else 'z'}.{getattr(item, 'path', '')}"]
    wanted = named[f"z.{chain.places[layer].name}"]
    if wanted is top:
        return delta
    seed = Input("delta", top.axes)
    found = cotangents(top, [wanted], seed)[wanted]
    delta_of = {"delta": simplify(found)[0]}
    program = compile_program(delta_of, "δ of one layer.", leaves=(net.x, seed))
    inputs = {"x": np.broadcast_to(x, (len(delta), len(x))), "delta": delta}
    result: Array = program(params, inputs)["delta"]
    return result


def _one_sample(x: Any, features: int) -> Array:
    held = as_floats("x", x)
    if held.shape not in ((features,), (1, features)):
        raise ShapeError(f"x has shape {held.shape}; expected ({features},): one sample")
    return held.reshape(features)
