"""Stanford's cs231n (MIT, (c) 2015 Andrej Karpathy; cs231n.github.io, commit 3d84654b), the numbers
that its assignments check layers and losses against. Its weights are (in, out), ours (out, in).
"""

import numpy as np
import pytest

import pullback as pb


def ramp(start, stop, *shape):
    return np.linspace(start, stop, int(np.prod(shape))).reshape(shape)


def test_affine():
    """assignments/2020, FullyConnectedNets.ipynb: affine_forward."""
    net = pb.Network(pb.Linear(120, 3), loss=pb.SquaredError())
    params = {"weight": ramp(-0.2, 0.3, 120, 3).T, "bias": ramp(-0.3, 0.1, 3)}
    out = net.predict(params, ramp(-0.1, 0.5, 2, 4, 5, 6).reshape(2, -1))
    expected = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-8)


def test_relu():
    """assignments/2020, FullyConnectedNets.ipynb: relu_forward."""
    net = pb.Network(pb.Sequential(pb.ReLU(), pb.Linear(4, 1)), loss=pb.SquaredError())
    x = ramp(-0.5, 0.5, 3, 4)
    out = net.trace(net.init(seed=0), x, np.zeros((3, 1))).a["0"]
    expected = [
        [0, 0, 0, 0], [0, 0, 0.04545455, 0.13636364],
        [0.22727273, 0.31818182, 0.40909091, 0.5],
    ]  # fmt: skip
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-8)


TWO_LAYER_SCORES = [
    [11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765, 16.09215096],
    [12.05769098, 12.74614105, 13.43459113, 14.1230412, 14.81149128, 15.49994135, 16.18839143],
    [12.58373087, 13.20054771, 13.81736455, 14.43418138, 15.05099822, 15.66781506, 16.2846319],
]


@pytest.mark.parametrize(("l2", "loss"), [(0.0, 3.4702243556), (1.0, 26.5948426952)])
def test_two_layer_net_of_ramps(l2, loss):
    """assignments/2020, FullyConnectedNets.ipynb: TwoLayerNet, with (reg/2)·Σ W²."""
    model = pb.Sequential(pb.Linear(5, 50), pb.ReLU(), pb.Linear(50, 7))
    net = pb.Network(model, loss=pb.CrossEntropy(), l2=l2)
    params = {
        "0.weight": ramp(-0.7, 0.3, 5, 50).T,
        "0.bias": ramp(-0.1, 0.9, 50),
        "2.weight": ramp(-0.3, 0.4, 50, 7).T,
        "2.bias": ramp(-0.9, 0.1, 7),
    }
    X, y = ramp(-5.5, 4.5, 5, 3).T, [0, 5, 1]
    np.testing.assert_allclose(net.predict(params, X), TWO_LAYER_SCORES, rtol=0, atol=1e-8)
    value, grads = net.value_and_grad(params, X, y)
    assert value == pytest.approx(loss, rel=0, abs=1e-10)
    if not l2:  # not published; by torch in float64
        norms = {
            "0.weight": 0.29795891968359983, "0.bias": 0.043142677862719005,
            "2.weight": 25.85297861966863, "2.bias": 0.6963708325483706,
        }  # fmt: skip
        assert {k: float(np.linalg.norm(g)) for k, g in grads.items()} == pytest.approx(norms)
        assert grads["0.weight"].sum() == pytest.approx(-0.9099573983849578, rel=1e-10)
        assert grads["0.bias"].sum() == pytest.approx(0.3050648007527535, rel=1e-10)


def test_toy_two_layer_net():
    """assignments/2018, two_layer_net.ipynb: reg·Σ W² without the half, so l2 = 2·reg."""
    weights, data = np.random.RandomState(0), np.random.RandomState(1)
    params = {
        "0.weight": 0.1 * weights.randn(4, 10).T,
        "0.bias": np.zeros(10),
        "2.weight": 0.1 * weights.randn(10, 3).T,
        "2.bias": np.zeros(3),
    }
    X, y = 10 * data.randn(5, 4), [0, 1, 2, 2, 1]
    model = pb.Sequential(pb.Linear(4, 10), pb.ReLU(), pb.Linear(10, 3))
    net = pb.Network(model, loss=pb.CrossEntropy(), l2=2 * 0.05)
    expected = [
        [-0.81233741, -1.27654624, -0.70335995], [-0.17129677, -1.18803311, -0.47310444],
        [-0.51590475, -1.01354314, -0.8504215], [-0.15419291, -0.48629638, -0.52901952],
        [-0.00618733, -0.12435261, -0.15226949],
    ]  # fmt: skip
    np.testing.assert_allclose(net.predict(params, X), expected, rtol=0, atol=1e-8)
    assert net.loss(params, X, y) == pytest.approx(1.30378789133, rel=0, abs=1e-11)
    # the trap: half the penalty would be this
    half = pb.Network(model, loss=pb.CrossEntropy(), l2=0.05)
    assert half.loss(params, X, y) == pytest.approx(1.2848224717, abs=1e-10)
