"""At a kink every slope between the two sides is a valid one; ours is torch's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import pullback as pb

POINTS = (-6.0, -3.0, -2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, 3.0, 6.0)


class Calling(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


MODULES = {
    "ReLU": nn.ReLU(),
    "ReLU6": nn.ReLU6(),
    "Hardtanh": nn.Hardtanh(),
    "Hardtanh, other ends": nn.Hardtanh(-2.0, 0.5),
    "Hardsigmoid": nn.Hardsigmoid(),
    "Hardswish": nn.Hardswish(),
    "LeakyReLU": nn.LeakyReLU(0.2),
    "LeakyReLU, downwards": nn.LeakyReLU(-0.5),
    "ELU": nn.ELU(0.7),
    "CELU": nn.CELU(0.5),
    "SELU": nn.SELU(),
    "Softsign": nn.Softsign(),
    "relu6": Calling(F.relu6),
    "hardtanh": Calling(lambda x: F.hardtanh(x, -0.5, 2.0)),
    "clamp(min=0)": Calling(lambda x: torch.clamp(x, min=0)),
    "clamp(max=2)": Calling(lambda x: x.clamp(max=2.0)),
    "clamp(-1, 2)": Calling(lambda x: torch.clamp(x, -1, 2)),
    "clip": Calling(lambda x: torch.clip(x, -0.5, 0.5)),
    "clamp_min": Calling(lambda x: torch.clamp_min(x, 0.0)),
    "clamp_max": Calling(lambda x: torch.clamp_max(x, 1.0)),
    "clamp_min of two": Calling(lambda x: torch.clamp_min(x, 2 * x)),
    "maximum of two": Calling(lambda x: torch.maximum(x, 3 * x)),
    "minimum of two": Calling(lambda x: torch.minimum(x, -x)),
    "abs": Calling(torch.abs),
    "sign": Calling(lambda x: torch.sign(x) + x),
    "where >": Calling(lambda x: torch.where(x > 0, x, 0.1 * x)),
    "where >=": Calling(lambda x: torch.where(x >= 0, x, 0.1 * x)),
    "where <=": Calling(lambda x: torch.where(x <= 1, x, 2 * x - 1)),
}
BLOCKS = {
    "maximum": ("maximum(x, 0*x)", lambda x: torch.maximum(x, torch.zeros_like(x))),
    "of numbers": (
        "minimum(maximum(x, 0), 6)",
        lambda x: torch.minimum(torch.maximum(x, torch.tensor(0.0)), torch.tensor(6.0)),
    ),
    "of two": ("maximum(x, x**2)", lambda x: torch.maximum(x, x**2)),
    "abs": ("abs(x - 1)", lambda x: torch.abs(x - 1)),
    "relu": ("relu(x)*relu(1 - x)", lambda x: torch.relu(x) * torch.relu(1 - x)),
}


def torchs(function):
    """The slope of ½ (f(z) − z + 8)² per point: the error is nowhere 0."""
    z = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    (((function(z) - z.detach() + 8) ** 2).sum() / 2).backward()
    return z.grad.numpy()


@pytest.mark.parametrize("name", MODULES)
def test_modules_and_calls(name):
    module = nn.Sequential(nn.Linear(1, 1), MODULES[name]).double()
    with torch.no_grad():
        module[0].weight.fill_(1.0)
        module[0].bias.fill_(0.0)
    loss = pb.SquaredError(reduction="sum")
    net, params = pb.from_torch(module, loss, torch.ones(2, 1, dtype=torch.float64))
    X = np.array(POINTS)[:, None]
    found = net.trace(params, X, X - 8)
    np.testing.assert_allclose(found.delta["0"][:, 0], torchs(MODULES[name]), atol=1e-14)


@pytest.mark.parametrize("name", BLOCKS)
def test_formulas(name):
    formula, function = BLOCKS[name]
    model = pb.Sequential(pb.Linear(1, 1), pb.Activation(formula))
    net = pb.Network(model, loss=pb.SquaredError(reduction="sum"))
    params, X = {"0.weight": np.ones((1, 1)), "0.bias": np.zeros(1)}, np.array(POINTS)[:, None]
    found = net.trace(params, X, X - 8).delta["0"][:, 0]
    np.testing.assert_allclose(found, torchs(function), atol=1e-14)
