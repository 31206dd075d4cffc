"""Under a limit of memory every bit of a gradient is the same, and no step has more bytes."""

import tracemalloc

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING

from pullback.net.checks import checked_parameters, dtype_of

COPIES = 40  # of a batch, so that arrays are what takes memory
SLOW = {"mean pooling", "convolution and pooling", "attention with heads", "lstm"}
CASES = [case for case in (*GENERAL, *IN_TRAINING) if case.name not in SLOW]


def repeated(array):
    return np.concatenate([array] * COPIES)


def traced_peak(call):
    """What a call gives, and how many more bytes there were at a time while it ran."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        found = call()
        return found, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_bits_stay_and_the_limit_holds(case):
    net, X, Y = case.net, case.X, repeated(case.Y)
    X = {n: repeated(x) for n, x in X.items()} if isinstance(X, dict) else repeated(X)
    params = net.init(seed=0)
    value, slopes = net.value_and_grad(params, X, Y, seed=5)
    read, inputs = net.batch(params, X, Y, seed=5)
    dtype = dtype_of(inputs, params)
    held = checked_parameters(net, params, dtype)
    shapes = {name: array.shape for name, array in (*held.items(), *inputs.items())}
    planner = read.limited_gradients.planner(shapes, dtype)
    assert planner.least.peak <= planner.full.peak
    for limit in {planner.least.peak, (planner.least.peak + planner.full.peak) // 2}:

        def step(limit=limit):
            return net.value_and_grad(params, X, Y, seed=5, memory=limit)

        step()  # what is planned and compiled is no part of a step
        (again, found), peak = traced_peak(step)
        assert peak <= limit
        assert again == value
        for name, slope in slopes.items():
            np.testing.assert_array_equal(found[name], slope, name)
