"""Values and gradients are jax's."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax_peer
from zoo import ZOO, close


@pytest.mark.parametrize("case", ZOO, ids=repr)
def test_value_gradients_and_output(case):
    tight = 1e-10 if case.dtype is np.float64 else 1e-4
    value, grads = case.net.value_and_grad(case.params(), *case.data())
    expected, expected_grads = jax_peer.value_and_grad(case)
    assert value == pytest.approx(expected, rel=tight)
    assert set(grads) == set(expected_grads)
    for name, grad in grads.items():
        close(grad, expected_grads[name], case.dtype, tight=1e-10)
    close(case.net.predict(case.params(), case.data()[0]), jax_peer.predict(case), case.dtype)
