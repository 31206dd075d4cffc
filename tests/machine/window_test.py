"""Convolutions and pools by kernels: what they are by definition, for any layout and shape."""

import ctypes
import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir

from pullback.machine.object.linked import linked
from pullback.machine.object.processor import optimised_code
from pullback.machine.window import library
from pullback.machine.window.call import (
    pooled,
    pooled_back,
    summed,
    summed_back,
    to_places,
    to_positions,
    to_taps,
)
from pullback.machine.window.convolution import write_convolution
from pullback.machine.window.plan import convolution_plan, pool_plan, turn_plan, weights_plan
from pullback.machine.window.pooling import write_pool, write_pool_back
from pullback.machine.window.strided import Strided

REALS = st.sampled_from(["float32", "float64"])
SIZES = {"float32": 4, "float64": 8}


@st.composite
def convolutions(draw, ranks=(1, 2, 3)):
    """Shapes of x, the weight and y, and the windows: anything that can be asked for."""
    rank = draw(st.sampled_from(ranks))
    small = st.integers(1, 3)
    groups, outputs = draw(small), draw(st.integers(1, 17))
    inputs, samples = draw(st.integers(1, 4)), draw(st.integers(1, 70))
    if draw(st.booleans()):  # depthwise
        groups, outputs, inputs = draw(st.integers(1, 5)), 1, 1
    places = draw(st.tuples(*[st.integers(1, 7)] * rank))
    positions = draw(st.tuples(*[st.integers(1, 5)] * rank))
    taps = draw(st.tuples(*[st.integers(1, 4)] * rank))
    one = st.tuples(small, st.sampled_from([1, 2, 3, -1, -2]), st.integers(-4, 3))
    windows = draw(st.tuples(*[one] * rank))
    x, y = (groups, inputs, *places, samples), (groups, outputs, *positions, samples)
    return x, (groups, outputs, inputs, *taps), y, windows


def filled(shape, dtype, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def by_definition(x, weight, y, windows):
    """The three sums in float64, tap by tap and position by position, and each sum of |terms|."""
    arrays = [np.asarray(each, np.float64) for each in (x, weight, y)]
    found = []
    for x, weight, y in (arrays, [np.abs(each) for each in arrays]):
        to_x, to_weight, to_y = (np.zeros(each.shape) for each in (x, weight, y))
        for p in np.ndindex(y.shape[2:-1]):
            for t in np.ndindex(weight.shape[3:]):
                ways = zip(windows, p, t, strict=True)
                place = tuple(s * at + d * tap + offset for (s, d, offset), at, tap in ways)
                if not all(0 <= i < n for i, n in zip(place, x.shape[2:-1], strict=True)):
                    continue
                here, there = (slice(None), slice(None), *place), (slice(None), slice(None), *p)
                to_y[there] += np.einsum("gkc,gcn->gkn", weight[(..., *t)], x[here])
                to_x[here] += np.einsum("gkc,gkn->gcn", weight[(..., *t)], y[there])
                to_weight[(..., *t)] += np.einsum("gkn,gcn->gkc", y[there], x[here])
        found.append((to_y, to_x, to_weight))
    return list(zip(*found, strict=True))


@settings(deadline=None, max_examples=60)
@given(case=convolutions(), dtype=REALS, seed=st.integers(0, 99))
def test_all_three_are_the_sums_by_definition(case, dtype, seed):
    shape_x, shape_w, shape_y, windows = case
    x, weight, y = (filled(s, dtype, seed + i) for i, s in enumerate((shape_x, shape_w, shape_y)))
    expected = by_definition(x, weight, y, windows)
    found = [np.full_like(each, np.nan) for each in (y, x, weight)]
    to_positions(x, weight, found[0], windows)
    to_places(y, weight, found[1], windows)
    to_taps(x, y, found[2], windows)
    for mine, (exact, scale) in zip(found, expected, strict=True):
        terms = x.size + weight.size + y.size
        assert (np.abs(mine - exact) <= terms * np.finfo(dtype).eps * scale).all()


@settings(deadline=None, max_examples=20)
@given(case=convolutions(ranks=(1, 2)), seed=st.integers(0, 99))
def test_strides_are_free_and_nothing_is_written_beside(case, seed):
    """Axes in another order, with gaps: the same bits, and what lies between stays."""
    shape_x, shape_w, shape_y, windows = case
    x, weight, y = (filled(s, "float32", seed) for s in (shape_x, shape_w, shape_y))

    def spread(array):
        """The same array in a larger one, its first axes turned round; the larger one, too."""
        turned = array.transpose(*range(array.ndim - 1)[::-1], array.ndim - 1)
        wide = np.full([2 * n for n in turned.shape], np.nan, np.float32)
        wide[tuple(slice(n) for n in turned.shape)] = turned
        part = wide[tuple(slice(n) for n in turned.shape)]
        return part.transpose(*range(array.ndim - 1)[::-1], array.ndim - 1), wide

    for call, given_, out in (
        (to_positions, (x, weight), y), (to_places, (y, weight), x), (to_taps, (x, y), weight),
    ):  # fmt: skip
        straight = np.empty_like(out)
        call(*given_, straight, windows)
        target, wide = spread(np.zeros_like(out))
        call(*(spread(each)[0] for each in given_), target, windows)
        np.testing.assert_array_equal(target, straight)
        assert np.isnan(wide).sum() == wide.size - out.size


def blocks(array, lanes):
    """(blocks, …, lanes) of (…, samples); lanes without a sample hold NaN."""
    n = array.shape[-1]
    held = np.full((-(-n // lanes), *array.shape[:-1], lanes), np.nan, array.dtype)
    for at in range(n):
        held[at // lanes, ..., at % lanes] = array[..., at]
    return held


@settings(deadline=None, max_examples=25)
@given(case=convolutions(ranks=(1, 2)), dtype=REALS, threads=st.integers(1, 3))
def test_blocks_and_shares_have_the_same_bits(case, dtype, threads):
    """The batch in blocks of a vector, the work shared out among threads: the same numbers."""
    shape_x, shape_w, shape_y, windows = case
    x, weight, y = (filled(s, dtype, i) for i, s in enumerate((shape_x, shape_w, shape_y)))
    real = np.dtype(dtype)
    lanes, n, rank = library.lanes(real), x.shape[-1], len(windows)
    in_blocks = {name: blocks(each, lanes) for name, each in (("x", x), ("y", y))}
    lie_x, lie_y = (Strided.in_blocks(in_blocks[name], n) for name in "xy")
    lie_w = Strided.side_by_side(weight, lanes)

    whole, out = np.empty_like(y), np.full_like(in_blocks["y"], np.nan)
    to_positions(x, weight, whole, windows)
    work = convolution_plan("positions", windows, lie_x, lie_y, lie_w, lanes)
    kernel = library.kernel("convolution", real.name, rank)
    shared(kernel, work, [in_blocks["x"], weight, None, out], threads)
    np.testing.assert_array_equal(out, blocks(whole, lanes))

    whole, out = np.empty_like(weight), np.full_like(weight, np.nan)
    to_taps(x, y, whole, windows)
    work = weights_plan(windows, lie_x, lie_y, lie_w, lanes, SIZES[dtype])
    kernel = library.kernel("weights", real.name, rank)
    shared(kernel, work, [in_blocks["x"], in_blocks["y"], out], threads)
    np.testing.assert_array_equal(out, whole)


def shared(kernel, work, arrays, threads):
    """A kernel's work by so many threads at once; each has scratch of its own, if there is any."""
    cuts = [work.parts * at // threads for at in range(threads + 1)]

    def share(begin, end):
        scratch = [np.empty(work.scratch, arrays[0].dtype)] if work.scratch else []
        held = [work.numbers, *arrays, *scratch]
        kernel(*(None if each is None else each.ctypes.data for each in held), begin, end)

    running = [threading.Thread(target=share, args=cuts[i : i + 2]) for i in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join()


@pytest.mark.parametrize("dtype", SIZES)
def test_convolutions_are_torchs(dtype):
    torch = pytest.importorskip("torch")
    for groups, outputs, inputs, taps, stride, padding, dilation, samples in (
        (1, 6, 1, 5, 1, 2, 1, 20), (1, 16, 6, 5, 1, 0, 1, 33), (8, 1, 1, 3, 2, 1, 1, 16),
        (2, 5, 3, 3, 3, 1, 2, 7), (1, 9, 4, 1, 2, 0, 1, 64),
    ):  # fmt: skip
        x = torch.randn(samples, groups * inputs, 11, 8, dtype=getattr(torch, dtype))
        weight = torch.randn(groups * outputs, inputs, taps, taps, dtype=x.dtype)
        for each in (x, weight):
            each.requires_grad_()
        options = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
        y = torch.nn.functional.conv2d(x, weight, **options)
        delta = torch.randn_like(y)
        y.backward(delta)

        def innermost(each, groups=groups):
            array = each.detach().numpy().transpose(1, 2, 3, 0)
            return np.ascontiguousarray(array.reshape(groups, -1, *array.shape[1:]))

        own_w = weight.detach().numpy().reshape(groups, outputs, inputs, taps, taps)
        windows = ((stride, dilation, -padding),) * 2
        found = [np.empty_like(innermost(y)), np.empty_like(innermost(x)), np.empty_like(own_w)]
        to_positions(innermost(x), own_w, found[0], windows)
        to_places(innermost(delta), own_w, found[1], windows)
        to_taps(innermost(x), innermost(delta), found[2], windows)
        exact = [innermost(y), innermost(x.grad), weight.grad.numpy().reshape(own_w.shape)]
        for mine, theirs in zip(found, exact, strict=True):
            close = 200 * np.finfo(dtype).eps * np.abs(theirs).max()
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=close)


@settings(deadline=None, max_examples=40)
@given(
    channels=st.integers(1, 4), samples=st.integers(1, 40), size=st.integers(3, 9),
    taps=st.integers(1, 4), stride=st.integers(1, 3), dilation=st.integers(1, 2), dtype=REALS,
    seed=st.integers(0, 99), data=st.data(),
)  # fmt: skip
def test_pools_are_torchs(channels, samples, size, taps, stride, dilation, dtype, seed, data):
    """With many ties: of equal entries the first has the cotangent."""
    torch = pytest.importorskip("torch")
    padding = data.draw(st.integers(0, taps // 2))
    positions = (size + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
    if positions < 1:
        return
    x = np.random.default_rng(seed).integers(-2, 3, (channels, size, size, samples)).astype(dtype)
    ours = torch.from_numpy(x.transpose(3, 0, 1, 2).copy()).requires_grad_()
    theirs = torch.nn.functional.max_pool2d(ours, taps, stride, padding, dilation)
    windows = ((stride, dilation, -padding, taps),) * 2
    y = np.full((channels, positions, positions, samples), np.nan, dtype)
    pooled(x, y, windows)
    np.testing.assert_array_equal(y, theirs.detach().numpy().transpose(1, 2, 3, 0))
    delta = filled(y.shape, dtype, seed)
    theirs.backward(torch.from_numpy(delta.transpose(3, 0, 1, 2).copy()))
    dx = np.full_like(x, np.nan)
    pooled_back(x, delta, dx, windows)
    exact, close = ours.grad.numpy().transpose(1, 2, 3, 0), 40 * np.finfo(dtype).eps
    np.testing.assert_allclose(dx, exact, atol=close)
    if dilation == 1:  # torch has no other means
        ours.grad = None
        theirs = torch.nn.functional.avg_pool2d(ours, taps, stride, padding) * taps**2
        theirs.backward(torch.from_numpy(delta.transpose(3, 0, 1, 2).copy()))
        summed(x, y, windows)
        np.testing.assert_allclose(
            y, theirs.detach().numpy().transpose(1, 2, 3, 0), atol=50 * close
        )
        summed_back(delta, dx, windows)
        np.testing.assert_allclose(
            dx, ours.grad.numpy().transpose(1, 2, 3, 0), atol=close * taps**2
        )


@settings(deadline=None, max_examples=30)
@given(
    samples=st.integers(1, 50), entries=st.integers(1, 50), held=st.integers(0, 20), dtype=REALS,
    seed=st.integers(0, 99), threads=st.integers(1, 3),
)  # fmt: skip
def test_a_batch_turned_round_and_back(samples, entries, held, dtype, seed, threads):
    """In an order of its own out of more samples; lanes without a sample are 0."""
    rng, real = np.random.default_rng(seed), np.dtype(dtype)
    lanes = library.lanes(real)
    data = rng.standard_normal((samples + held, entries)).astype(dtype)
    order = rng.permutation(samples + held)[:samples]
    there = -(-samples // lanes)
    inside = np.full((there, entries, lanes), np.nan, dtype)
    lie = Strided.side_by_side(data, lanes), Strided.in_blocks(inside, samples)
    work = turn_plan(*lie, there * lanes, lanes)
    shared(library.turn(real, inward=True), work, [data, order, inside], threads)
    expected = blocks(data[order].T, lanes)
    np.testing.assert_array_equal(inside, np.where(np.isnan(expected), 0, expected))
    back = np.full_like(data, np.nan)
    shared(library.turn(real, inward=False), work, [back, order, inside], threads)
    np.testing.assert_array_equal(back[order], data[order])
    assert np.isnan(back).sum() == held * entries


def made(write, pointers, name="kernel"):
    """A function of its own, written by ``write``."""
    module = ir.Module(name)
    write(module, name)
    code = linked(optimised_code(module), name)
    kinds = [ctypes.c_void_p] * pointers + [ctypes.c_int64] * 2
    function = ctypes.CFUNCTYPE(None, *kinds)(code[name])
    function.library = code
    return function


def relu(w, value):
    return w.select(w.fcmp_ordered(">", value, w.zeros()), value, w.zeros())


def test_an_activation_is_written_into_the_kernel():
    """A convolution with a bias and ReLU, and a pool of ReLU, forward and back: one pass each."""
    rng, real, n = np.random.default_rng(0), ir.FloatType(), 21
    lanes = library.lanes(np.dtype("float32"))
    x, weight = rng.standard_normal((1, 2, 6, 6, n)), rng.standard_normal((1, 5, 2, 3, 3))
    x, weight = x.astype("f"), weight.astype("f")
    bias, windows = rng.standard_normal((1, 5)).astype("f"), ((1, 1, -1),) * 2
    plain, fused = (np.empty((1, 5, 6, 6, n), "f") for _ in range(2))
    to_positions(x, weight, plain, windows, bias)
    lie = [Strided.side_by_side(each, lanes) for each in (x, plain, weight)]
    work = convolution_plan("positions", windows, *lie, lanes)
    kernel = made(partial(write_convolution, real=real, lanes=lanes, rank=2, finish=relu), 5)
    shared(kernel, work, [x, weight, bias, fused], 1)
    np.testing.assert_array_equal(fused, np.maximum(plain, 0))

    z, pool = plain[0], ((2, 1, 0, 2),) * 2
    y, delta = np.empty((5, 3, 3, n), "f"), rng.standard_normal((5, 3, 3, n)).astype("f")
    work = pool_plan(pool, *(Strided.side_by_side(each, lanes) for each in (z, y)), lanes)
    options = dict(real=real, lanes=lanes, rank=2, largest=True)
    shared(made(partial(write_pool, finish=relu, **options), 3), work, [z, y], 1)
    expected, dx, exact = np.empty_like(y), np.empty_like(z), np.empty_like(z)
    pooled(np.maximum(z, 0), expected, pool)
    np.testing.assert_array_equal(y, expected)
    kernel = made(partial(write_pool_back, above_zero=True, **options), 4)
    shared(kernel, work, [z, delta, dx], 1)
    pooled_back(np.maximum(z, 0), delta, exact, pool)
    np.testing.assert_array_equal(dx, exact * (z > 0))


def test_a_nan_is_the_largest():
    x = np.array([[[1.0], [np.nan], [3.0], [2.0]]])
    y, dx = np.empty((1, 2, 1)), np.empty_like(x)
    pooled(x, y, ((2, 1, 0, 2),))
    np.testing.assert_array_equal(y[0, :, 0], [np.nan, 3])
    pooled_back(x, np.ones_like(y), dx, ((2, 1, 0, 2),))
    np.testing.assert_array_equal(dx[0, :, 0], [0, 1, 1, 0])
