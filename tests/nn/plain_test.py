"""A network as plain data is the same network again; what is no network is refused, never run."""

from __future__ import annotations

import json

import general_networks
import pytest
from general_networks import GENERAL
from zoo import ZOO

import pullback as pb
from pullback.errors import PullbackError
from pullback.nn.plain import block_of, loss_of, to_plain


def kind_of_ones_own(kind):
    return isinstance(kind, type) and kind.__module__ == general_networks.__name__


NETS = [each.net for each in (*ZOO, *GENERAL)]
OWN = [name for name, kind in vars(general_networks).items() if kind_of_ones_own(kind)]
OURS = [net for net in NETS if not any(f"{name}(" in repr(net.model) for name in OWN)]


def through_json(part):
    return json.loads(json.dumps(to_plain(part)))


def test_every_network_of_the_zoo_is_the_same_again():
    assert len(OURS) > 90
    for net in OURS:
        model, loss = block_of(through_json(net.model)), loss_of(through_json(net.criterion))
        assert (model, loss) == (net.model, net.criterion)
        assert repr(model) == repr(net.model)


def test_a_function_that_was_read_off_a_graph_is_an_activation():
    torch = pytest.importorskip("torch")

    class Lecun(torch.nn.Module):
        def forward(self, x):
            return 1.7159 * torch.tanh(2 / 3 * x)

    module = torch.nn.Sequential(torch.nn.Linear(3, 4), Lecun(), torch.nn.Linear(4, 2))
    net, params = pb.from_torch(module, loss=pb.MSELoss())
    again = pb.Network(block_of(through_json(net.model)), pb.MSELoss())
    x = torch.randn(5, 3).numpy()
    assert abs(net.predict(params, x) - again.predict(params, x)).max() < 1e-6


class Own(pb.Tanh):
    pass


@pytest.mark.parametrize("part", [Own(), pb.Sequential(pb.Linear(2, 2), Own())])
def test_code_of_ones_own_is_refused(part):
    with pytest.raises(PullbackError, match=r"Own\(\) is no block or loss of pullback's own"):
        to_plain(part)


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"kind": "os"},
        {"kind": "init"},
        {"kind": "Block"},
        {"kind": ["Linear"]},
        {"kind": "Linear"},
        {"kind": "Linear", "in_features": -1, "out_features": 2},
        {"kind": "Linear", "in_features": 1, "out_features": 2, "__class__": 1},
        {"kind": "MSELoss"},
        {"kind": "Activation", "formula": "__import__('os')"},
        {"kind": "Sequential", "blocks": "Tanh"},
        {"kind": "Sequential", "blocks": [3]},
        {"kind": "Parallel", "branches": [3]},
    ],
)
def test_what_is_no_block_is_refused(told):
    with pytest.raises(PullbackError):
        block_of(told)


def test_blocks_in_blocks_end():
    told = {"kind": "Tanh"}
    for _ in range(2000):
        told = {"kind": "Sequential", "blocks": [told]}
    with pytest.raises(PullbackError, match="stand in one another"):
        block_of(told)
