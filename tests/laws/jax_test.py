"""Values and gradients are jax's."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax_peer
from zoo import ZOO, close


@pytest.mark.parametrize("case", ZOO, ids=repr)
def test_value_gradients_and_output(case):
    value, grads = case.net.value_and_grad(case.params(), *case.data())
    theirs = jax_peer.answer(case)
    assert value == pytest.approx(theirs.value, rel=1e-10 if case.dtype is np.float64 else 1e-4)
    assert set(grads) == set(theirs.gradient)
    for name, grad in grads.items():
        close(grad, theirs.gradient[name], case.dtype, tight=1e-10)
    close(case.net.predict(case.params(), case.data()[0]), theirs.output, case.dtype)
