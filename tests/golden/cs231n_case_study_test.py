"""The training traces of cs231n's neural-networks-case-study.md (MIT, (c) 2015 Andrej Karpathy;
cs231n.github.io, commit 3d84654b): a spiral, first with a softmax classifier, then 2-100-3.

The page states neither its seed nor its draws; they were found by search: seed 0, and some draws
between the data and the weights that its plots and earlier cells made.
"""

import numpy as np
import pytest

import pullback as pb


def spiral():
    """X (300, 2), the labels, and the legacy random stream as it stands afterwards."""
    random = np.random.RandomState(0)
    radius = np.linspace(0, 1, 100)
    arms = []
    for arm in range(3):
        angle = np.linspace(4 * arm, 4 * (arm + 1), 100) + 0.2 * random.randn(100)
        arms.append(np.c_[radius * np.sin(angle), radius * np.cos(angle)])
    return np.concatenate(arms), np.repeat(np.arange(3), 100), random


def train(net, X, y, params, epochs):
    return pb.fit(
        net, X, y, params=params, optimizer=pb.optim.SGD(1.0), epochs=epochs, batch_size=None,
        progress=False,
    )  # fmt: skip


def accuracy(net, params, X, y):
    return np.mean(net.predict(params, X).argmax(1) == y)


def test_softmax():
    X, y, random = spiral()
    random.randn(18)
    params = {"weight": 0.01 * random.randn(2, 3).T, "bias": np.zeros(3)}
    net = pb.Network(pb.Linear(2, 3), loss=pb.CrossEntropy(), l2=1e-3)
    result = train(net, X, y, params, 200)
    published = [
        1.096956, 0.917265, 0.851503, 0.822336, 0.807586, 0.799448, 0.794681, 0.791764,
        0.78992, 0.788726, 0.787938, 0.787409, 0.787049, 0.786803, 0.786633, 0.786514,
        0.786431, 0.786373, 0.786331, 0.786302,
    ]  # fmt: skip
    np.testing.assert_allclose(result.history["loss"][::10], published, rtol=0, atol=6e-7)
    assert accuracy(net, result.params, X, y) == pytest.approx(0.49, abs=0.005)


def test_neural_network():
    X, y, random = spiral()
    random.randn(24)
    params = {
        "0.weight": 0.01 * random.randn(2, 100).T,
        "0.bias": np.zeros(100),
        "2.weight": 0.01 * random.randn(100, 3).T,
        "2.bias": np.zeros(3),
    }
    model = pb.Sequential(pb.Linear(2, 100), pb.ReLU(), pb.Linear(100, 3))
    net = pb.Network(model, loss=pb.CrossEntropy(), l2=1e-3)
    result = train(net, X, y, params, 7001)
    *loss, last = result.history["loss"][::1000]
    published = [1.098744, 0.294946, 0.259301, 0.24831, 0.24617, 0.245649, 0.245491]
    np.testing.assert_allclose(loss, published, rtol=0, atol=6e-7)
    # after 6,000 steps over kinks a change of 1e-15 in a weight has grown to 3e-6 of the loss
    assert last == pytest.approx(0.2454, abs=1e-5)
    assert accuracy(net, result.params, X, y) == pytest.approx(0.98, abs=0.01)
