"""Convolutions and pools as units: what a kernel reads of arrays that lie in blocks."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.emit.correlation import ConvolvedForm, present
from pullback.emit.nest.language import Windowed
from pullback.emit.nest.layout import Spot
from pullback.emit.nest.refusal import refusal
from pullback.emit.pools import PoolForm
from pullback.ir import Axis
from pullback.machine.object.processor import vector_bytes
from pullback.machine.window.convolution import VECTORS
from pullback.machine.window.geometry import Kind as WindowKind
from pullback.machine.window.plan import (
    KernelWork,
    Windows,
    convolution_plan,
    pool_plan,
    weights_plan,
)
from pullback.machine.window.strided import Strided
from pullback.machine.window.weights import TOGETHER

_SCRATCH = 2**18  # numbers that a thread's stack has room for

Named = Sequence[Axis | None]


def convolution(
    name: str, form: ConvolvedForm, given: tuple[Spot, Spot, Spot], bias: Spot | None, lanes: int
) -> Windowed:
    """One of x, the weight and y, which is called so, from the two others."""
    x, weight, y = given
    windows: Windows = tuple(map(tuple, form.windows))
    lie_x, lie_y = _lying(x, form.x, lanes), _lying(y, form.y, lanes)
    lie = _lying(weight, form.weight, lanes)
    if form.to == "taps":
        work = weights_plan(windows, lie_x, lie_y, lie, lanes, vector_bytes() // lanes)
        if work.scratch > _SCRATCH:
            raise refusal(f"{name} has more taps than there is room for")
        made, read = form.weight, form.y
        return _windowed(name, "weights", windows, work, (x, y, weight), made, read)
    if form.to == "positions":
        work = convolution_plan("positions", windows, lie_x, lie_y, lie, lanes)
        places, made = (x, weight, bias, y), form.y
    else:
        lie = Strided(_turned(lie.shape), _turned(lie.strides), lie.vector)
        work = convolution_plan("places", windows, lie_y, lie_x, lie, lanes)
        places, made = (y, weight, bias, x), form.x
    work = work._replace(parts=work.parts * VECTORS // TOGETHER)  # of each pair of vectors
    return _windowed(name, "convolution", windows, work, places, made, form.weight)


def pool(
    name: str, kernel: WindowKind, form: PoolForm, given: tuple[Spot, ...], lanes: int
) -> Windowed:
    """Pooled windows, or a cotangent carried back: ``given`` are x, y or δ, and dx if any."""
    x, y, *_ = given
    lie_x, lie_y = _lying(x, form.places, lanes), _lying(y, form.positions, lanes)
    work = pool_plan(form.windows, lie_x, lie_y, lanes)
    made, read = (form.positions, form.places)[:: 1 if len(given) == 2 else -1]
    return _windowed(name, kernel, form.windows, work, given, made, read)


def _windowed(
    name: str,
    kernel: WindowKind,
    windows: Windows,
    work: KernelWork,
    given: tuple[Spot | None, ...],
    made: Named,
    read: Named,
) -> Windowed:
    axes, table = present(made), tuple(map(int, work.numbers))
    summed = tuple(axis for axis in present(read) if axis not in axes)
    out = given[-1]
    assert out is not None
    rank, parts = len(windows), work.parts
    return Windowed(name, kernel, rank, out, given, axes, summed, table, parts, work.scratch)


def _lying(place: Spot, axes: Named, lanes: int) -> Strided:
    """How an array lies, of as many samples as one tile of weights goes through."""
    sizes = tuple(1 if axis is None else axis.size or TOGETHER * lanes for axis in axes)
    steps = tuple(0 if axis is None else place.stride(axis) for axis in axes)
    return Strided(sizes, steps, place.each * lanes)


def _turned(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Outputs and inputs of a weight in each other's place."""
    groups, outputs, inputs, *taps = numbers
    return (groups, inputs, outputs, *taps)
