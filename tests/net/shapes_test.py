"""A program that has run goes on with other sizes and other precisions."""

import numpy as np

import pullback as pb


def test_one_program_serves_every_size_and_precision_in_turn():
    net = pb.Network(
        pb.Sequential(pb.Linear(3, 4), pb.Tanh(), pb.Linear(4, 2)), loss=pb.SquaredError()
    )
    double = net.init(seed=0)
    single = {name: value.astype(np.float32) for name, value in double.items()}
    X = np.random.default_rng(0).standard_normal((5, 3))
    hidden = np.tanh(X @ double["0.weight"].T + double["0.bias"])
    expected = hidden @ double["2.weight"].T + double["2.bias"]
    for _ in range(2):
        for rows in (5, 1, 2):
            for params, dtype, near in ((double, np.float64, 1e-14), (single, np.float32, 1e-6)):
                for held in (params, double):  # a precision of X's decides, whatever params have
                    found = net.predict(held, X[:rows].astype(dtype))
                    assert found.dtype == dtype
                    np.testing.assert_allclose(found, expected[:rows], rtol=near, atol=near)
