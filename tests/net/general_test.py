"""Inputs of any axes, several inputs, frozen and shared parameters: gradients by complex steps."""

import numpy as np
import pytest
from general_networks import GENERAL

from pullback.ir.evaluate import evaluate
from pullback.net.checks import checked_batch


@pytest.mark.parametrize("case", GENERAL, ids=repr)
def test_gradients_are_those_of_a_complex_step(case):
    _, grads = case.net.value_and_grad(case.params, case.X, case.Y)
    assert set(grads) == set(case.net.trained)
    batch = checked_batch(case.net, case.X, case.Y, case.params)
    rng = np.random.default_rng(0)
    for name, gradient in grads.items():
        along = rng.normal(size=gradient.shape)
        moved = {**case.params, name: case.params[name] + 1e-30j * along}
        slope = evaluate(case.net.total, {**moved, **batch}).imag / 1e-30
        np.testing.assert_allclose(np.sum(gradient * along), slope, rtol=1e-9, atol=1e-12)
