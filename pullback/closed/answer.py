"""``closed_form``: which row of the table a network belongs to, found by looking at it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.calculus import cotangents
from pullback.closed.convolution.circular import FourierForm
from pullback.closed.convolution.composed import WindowForm
from pullback.closed.convolution.sequence import SequenceForm
from pullback.closed.convolution.state_space import StateSpace
from pullback.closed.fixed_point.implicit import ImplicitForm
from pullback.closed.fixed_point.point import FixedPoint
from pullback.closed.network.chain import Chain, size
from pullback.closed.network.pieces import pieces
from pullback.closed.network.point import ChainPoint, Sampler, unrolled
from pullback.closed.network.product import LinearForm, ProductForm
from pullback.closed.network.region import RegionForm
from pullback.closed.power.components import ComponentForm
from pullback.closed.power.form import PowerForm
from pullback.closed.power.recurrence import Recurrence
from pullback.closed.record import Array, ClosedForm, as_floats
from pullback.errors import ConfigError, ShapeError
from pullback.interop.subject import takes_module
from pullback.ir import Input, simplify
from pullback.net.checks import by_input, checked_parameters, checked_whole
from pullback.net.inputs import BATCH, free
from pullback.net.network import Network
from pullback.net.program import compile_program
from pullback.net.together import Together


@takes_module("x")
def closed_form(
    of: Network | Recurrence | FixedPoint | StateSpace,
    params: Mapping[str, Any] | None = None,
    x: Any = None,
) -> ClosedForm:
    """Does the recursion of δ have a closed form, which one, and how good is it?

    ``of`` is a Network, with params and one x (features,), without the batch, where numbers are
    wanted and the network needs them; a Recurrence, a FixedPoint or a StateSpace brings its own.
    Layers are the
    equations z of a network, which its Linear blocks make, input side first, or the states of a
    recurrence. δ of a layer with several axes is flattened.
    Several inputs are a dict by name or a tuple, and count as one, side by side.
    ``closed_form(module, x)`` takes a torch module with its own weights, which has to be shown an x
    where its layers do not say what they take.
    Raises ConfigError for anything else, NotApplicableError for a network whose samples depend on
    each other, and ShapeError, DTypeError, DataError or UnknownNameError
    for params or x that do not fit.

    >>> c = closed_form(Recurrence([[1.0, 1.0], [1.0, 0.0]], steps=10))
    >>> c.evaluate([1.0, 0.0], 0)
    array([89., 55.])
    >>> print(c.form)
    (Wᵀ)^10 δ by orthogonal eigendecomposition Q D^10 Qᵀ
    """
    if isinstance(of, (Recurrence, FixedPoint, StateSpace)):
        if params is not None or x is not None:
            raise ConfigError(f"{type(of).__name__} holds its own numbers; leave params and x out")
        if isinstance(of, StateSpace):
            return SequenceForm(of)
        return _of_recurrence(of) if isinstance(of, Recurrence) else ImplicitForm(of)
    if not isinstance(of, Network):
        raise ConfigError(
            f"of is {of!r}; expected a Network, a Recurrence, a FixedPoint or a StateSpace"
        )
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
        point, recursion = unrolled(chain, recurrence), recurrence.delta
    row = RegionForm if pieces(recurrence.function) is not None else ProductForm
    return row(chain, point, recursion)


def _of_network(net: Network, params: Mapping[str, Any] | None, x: Any) -> ClosedForm:
    every = Together.of(net)
    chain = Chain.of(every)
    held = None if params is None else checked_parameters(net, params, np.dtype(np.float64))
    given = _zeros(net) if x is None else _one_sample(net, x)
    kinked = chain.is_kinked and not every.leaf.whole
    point = recursion = None
    if held is not None and not (chain.varying and x is None):
        inputs = every.arrays(given)
        at = inputs.pop(every.leaf.name)[0]
        # only where a region ends needs what lies before the first layer
        items = (*chain.items, *chain.factors) if kinked else chain.factors
        leaves = (every.leaf, *every.others)
        point = Sampler(items, held, (*leaves, *net.parameters.values()), inputs).at(at)
        recursion = partial(_recursion, leaves, chain, held, {**inputs, every.leaf.name: at[None]})
    if chain.varying:
        return (RegionForm if kinked else ProductForm)(chain, point, recursion)
    if point is None:
        return LinearForm(chain, point, recursion)
    return (
        FourierForm.found(chain, point, recursion)
        or WindowForm.found(chain, point, recursion)
        or _repeated(chain, point)
        or LinearForm(chain, point, recursion)
    )


def _repeated(chain: Chain, point: ChainPoint) -> ClosedForm | None:
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
    leaves: tuple[Input, ...],
    chain: Chain,
    params: Mapping[str, Array],
    sample: Mapping[str, Array],
    delta: Array,
    layer: int,
) -> Array:
    """δ (rows, units) at a layer by the network's own backward sweep, from the place on top."""
    top, place = chain.top, chain.places[layer]
    assert top is not None
    assert place.node is not None
    if place.node is top:
        return delta
    seed = Input("delta", (BATCH, *chain.axes))
    found = cotangents(top, [place.node], seed)[place.node]
    delta_of = {"delta": simplify(found)[0]}
    program = compile_program(delta_of, "δ of one layer.", leaves=(*leaves, seed))
    rows = delta.reshape(len(delta), *(axis.size or 1 for axis in chain.axes))
    each = {name: np.broadcast_to(x, (len(delta), *x.shape[1:])) for name, x in sample.items()}
    inputs = {**each, "delta": rows}
    result: Array = program(params, inputs)["delta"]
    return result.reshape(len(delta), -1)


def _zeros(net: Network) -> dict[str, Array]:
    """A sample of nothing but 0, for a network whose Jacobians depend on none."""
    return {
        name: np.zeros([1, *(a.size or 1 for a in free(leaf.axes))])
        for name, leaf in net.xs.items()
    }


def _one_sample(net: Network, x: Any) -> dict[str, Array]:
    """The inputs (1, …) of one sample, which may be given without the batch."""
    found = {}
    for name, each in by_input(net, x).items():
        leaf, what = net.xs[name], "x" if len(net.xs) == 1 else f"x[{name!r}]"
        held = checked_whole(what, each) if leaf.whole else as_floats(what, each)
        shape = tuple(axis.size for axis in free(leaf.axes))
        if held.shape not in (shape, (1, *shape)):
            raise ShapeError(f"{what} has shape {held.shape}; expected {shape}: one sample")
        found[name] = held.reshape([1, *(size((axis,)) for axis in free(leaf.axes))])
    return found
