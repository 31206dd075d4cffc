"""Slopes where a function has a kink are torch's, in both directions."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pullback as pb

KINKS = {
    "relu6": F.relu6, "hardtanh": F.hardtanh, "hardtanh 2": lambda x: F.hardtanh(x, -2.0, 0.5),
    "clamp": lambda x: x.clamp(-1, 1), "clamp min": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0), "clamp_max": lambda x: x.clamp_max(6),
    "hardsigmoid": F.hardsigmoid, "hardswish": F.hardswish, "relu": F.relu,
    "leaky": lambda x: F.leaky_relu(x, 0.3), "elu": lambda x: F.elu(x, 0.4), "selu": F.selu,
    "abs": torch.abs, "maximum": lambda x: torch.maximum(x, 0.1 * x),
    "clip of clip": lambda x: x.clamp(-1, 2).clamp(min=0), "where": lambda x:
    torch.where(x > 0, x, 0.1 * x), "clamp by values": lambda x: torch.clamp_min(x, 0.1 * x),
}  # fmt: skip


@pytest.mark.parametrize("text", ["maximum(x, 0.5)", "minimum(x, -1)", "maximum(x, -x)"])
def test_slopes_at_ties_are_kept_by_to_torch(text):
    """In both directions: the network's slope, the module's, and that of the network read back."""
    net = pb.Network(pb.Sequential(pb.Linear(1, 1), pb.Activation(text)), pb.SquaredError("sum"))
    params = {"0.weight": np.ones((1, 1)), "0.bias": np.zeros(1)}
    module = pb.to_torch(net, params)
    assert list(module.state_dict()) == list(params)
    back, held = pb.from_torch(module, pb.SquaredError("sum"))
    for at in (0.5, -1.0, 0.0, 2.0):
        x = np.array([[at]])
        z = module(torch.from_numpy(x))
        (expected,) = torch.autograd.grad(z.sum(), module[0].bias)
        target = z.detach().numpy() - 1
        for one, p in ((net, params), (back, held)):
            assert one.value_and_grad(p, x, target)[1]["0.bias"] == pytest.approx(expected.numpy())


class At(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.fc, self.function = nn.Linear(1, 1), function

    def forward(self, x):
        return self.function(self.fc(x))


@pytest.mark.parametrize("name", KINKS)
def test_slopes_at_kinks_are_torchs(name):
    """The weight is 1, so the input runs over the kinks themselves."""
    module = At(KINKS[name]).double()
    with torch.no_grad():
        module.fc.weight.fill_(1.0)
        module.fc.bias.zero_()
    net, params = pb.from_torch(module, nn.MSELoss(reduction="sum"))
    for at in (-3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 6.0, 1.5, -0.5):
        x = np.array([[at]])
        z = module(torch.from_numpy(x))
        (expected,) = torch.autograd.grad(z.sum(), module.fc.bias)
        target = z.detach().numpy() - 0.5  # dL/dz is 1
        _, grads = net.value_and_grad(params, x, target)
        assert grads["bias" if "bias" in grads else "fc.bias"] == pytest.approx(
            expected.numpy(), abs=2e-7
        ), at
