"""Networks of any axes that go out to torch or ONNX come back, and compute the same."""

from __future__ import annotations

import numpy as np
import pytest
from export_windows_test import EVERY, MODULES, UNREAD, network
from general_networks import GENERAL
from zoo import close

import pullback as pb
from pullback.ir import Parameter, walk

# a division by how many entries each window has comes back with these as constants of its own
COUNTED = (pb.AvgPool1d(3, padding=1, count_include_pad=False), pb.AvgPool1d(2, ceil_mode=True),
           pb.AdaptiveAvgPool1d(4), pb.AdaptiveAvgPool2d((3, 1)))  # fmt: skip
WINDOWS = [block for block in EVERY if block not in UNREAD]


def same(net, params, X, back, held, known=True):
    assert not known or set(held) == set(params)
    assert set(back.trained) >= set(net.trained)  # ONNX does not say what is trained
    close(back.predict(held, X), net.predict(params, X), X.dtype)


def read(net):
    """The parameters that the output depends on."""
    return {n.name for n in walk((net.eval().built,)) if isinstance(n, Parameter)}


UNRUN = ("residual convolutions",)  # by onnx's own evaluator
STOPPED = ("held gate", "embedding with padding")  # ONNX has no word for what stops a gradient


@pytest.mark.parametrize("case", [c for c in GENERAL if c.name not in UNRUN], ids=repr)
def test_onnx(case):
    net = case.net.eval()
    back, held = pb.from_onnx(pb.to_onnx(net, case.params), loss=net.criterion)
    assert set(held) >= read(net)
    close(back.predict(held, case.X), net.predict(case.params, case.X))
    if case.name in STOPPED:
        return
    _, grads = net.value_and_grad(case.params, case.X, case.Y)
    _, ours = back.value_and_grad(held, case.X, case.Y)
    for name, gradient in grads.items():
        close(ours[name], gradient)


# numbers that are calculated with come back as floats, which whole ones do not become in silence
FLOATS = ("whole numbers", "causal attention under a mask")


@pytest.mark.parametrize("case", [c for c in GENERAL if c.name not in FLOATS], ids=repr)
def test_torch(case):
    net = case.net.eval()
    X = tuple(case.X.values()) if isinstance(case.X, dict) else case.X
    back, held = pb.from_torch(pb.to_torch(net, case.params), loss=pb.SquaredError(), example=X)
    assert set(held) >= read(net)
    close(back.predict(held, X), net.predict(case.params, case.X))


@pytest.mark.parametrize("block", WINDOWS, ids=repr)
def test_windows_by_onnx(block):
    net, params, X = network(block)
    back, held = pb.from_onnx(pb.to_onnx(net, params), loss=pb.MSELoss())
    same(net, params, X, back, held, block not in COUNTED)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("block", [b for blocks in MODULES.values() for b in blocks], ids=repr)
def test_windows_by_torch(block):
    net, params, X = network(block)
    back, held = pb.from_torch(pb.to_torch(net, params), loss=pb.MSELoss(), example=X)
    same(net, params, X, back, held)


def test_functions_with_ends_come_back():
    net = pb.Network(
        pb.Sequential(pb.Linear(3, 2), pb.Tanh(), pb.Activation("asin(x/2) + acos(x/3)")),
        loss=pb.MSELoss(),
    )
    params, X = net.init(seed=0), np.random.default_rng(0).normal(size=(5, 3))
    back, held = pb.from_onnx(pb.to_onnx(net, params), loss=pb.MSELoss())
    np.testing.assert_allclose(back.predict(held, X), net.predict(params, X), rtol=1e-12)
