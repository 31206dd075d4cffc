"""A variable without axes may be a number of Python's in emitted code, as it is on the page."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb

CASES = [
    ("(c/(1 + 0.5**2) - (2 - c))", {"c": ""}, "c"),
    ("(c*u)[0]", {"c": "", "u": "m"}, "u"),
    ("c*sum(u)", {"c": "", "u": "m"}, "u"),
    ("c*sum(u**2) + c", {"c": "", "u": "m"}, "c"),
]


@pytest.mark.parametrize(("text", "axes", "wrt"), CASES)
@pytest.mark.parametrize("target", ["numpy", "numba", "jax"])
@pytest.mark.parametrize("given", [float, np.float64, np.asarray])
def test_emitted_code_takes_a_number(text, axes, wrt, target, given):
    e = pb.expr(text, **axes)
    values = {"c": 1.5, "u": np.array([0.5, -2.0])}
    values = {name: values[name] for name in axes}
    value, slopes = e.function(wrt)(**values)
    made = {"__name__": "emitted"}
    exec(pb.derive(e, wrt).code(target), made)  # noqa: S102  that is what is tested
    found, others = made["value_and_grad"](**values | {"c": given(1.5)})
    np.testing.assert_allclose(np.asarray(found), value, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(others[wrt]), slopes[wrt], rtol=1e-6)
