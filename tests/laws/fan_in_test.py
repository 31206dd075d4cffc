"""A bias is drawn like the weight beside it: torch's default is ±1/√n_in for both."""

import numpy as np

import pullback as pb
from pullback.nn import init


def test_a_bias_has_the_fan_in_of_its_layer():
    net = pb.Network(pb.Sequential(pb.Linear(64, 5), pb.ReLU(), pb.Linear(5, 3)), pb.MSELoss())
    assert {spec.name: spec.n_in for spec in net.specs} == {
        "0.weight": 64, "0.bias": 64, "2.weight": 5, "2.bias": 5,
    }  # fmt: skip
    drawn = net.init(seed=0, scheme=init.torch_default())
    assert np.abs(drawn["0.bias"]).max() <= 1 / 8
