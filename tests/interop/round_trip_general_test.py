"""Networks of any axes that go out to torch or ONNX come back, and compute the same."""

from __future__ import annotations

import pytest
from export_windows_test import EVERY, MODULES, UNREAD, network
from general_networks import GENERAL
from zoo import close

import pullback as pb

# a division by how many entries each window has comes back with these as constants of its own
COUNTED = (pb.AvgPool1d(3, padding=1, count_include_pad=False), pb.AvgPool1d(2, ceil_mode=True),
           pb.AdaptiveAvgPool1d(4), pb.AdaptiveAvgPool2d((3, 1)))  # fmt: skip
WINDOWS = [block for block in EVERY if block not in UNREAD]


def same(net, params, X, back, held, known=True):
    assert not known or set(held) == set(params)
    assert set(back.trained) == set(net.trained)
    close(back.predict(held, X), net.predict(params, X))


@pytest.mark.parametrize("case", GENERAL, ids=repr)
def test_onnx(case):
    back, held = pb.from_onnx(pb.to_onnx(case.net, case.params), loss=case.net.criterion)
    same(case.net, case.params, case.X, back, held)
    _, grads = case.net.value_and_grad(case.params, case.X, case.Y)
    _, ours = back.value_and_grad(held, case.X, case.Y)
    for name, gradient in grads.items():
        close(ours[name], gradient)


@pytest.mark.parametrize("case", GENERAL, ids=repr)
def test_torch(case):
    module = pb.to_torch(case.net, case.params)
    X = tuple(case.X.values()) if isinstance(case.X, dict) else case.X
    back, held = pb.from_torch(module, loss=case.net.criterion, example=X)
    assert set(held) == set(case.params)
    close(back.predict(held, X), case.net.predict(case.params, case.X))


@pytest.mark.parametrize("block", WINDOWS, ids=repr)
def test_windows_by_onnx(block):
    net, params, X = network(block)
    back, held = pb.from_onnx(pb.to_onnx(net, params), loss=pb.MSELoss())
    same(net, params, X.astype(float), back, held, block not in COUNTED)


@pytest.mark.parametrize("block", [b for blocks in MODULES.values() for b in blocks], ids=repr)
def test_windows_by_torch(block):
    net, params, X = network(block)
    back, held = pb.from_torch(pb.to_torch(net, params), loss=pb.MSELoss(), example=X)
    same(net, params, X.astype(float), back, held)
