"""Modules that only run as a whole: TorchScript, torch.func inside a forward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from zoo import close

import pullback as pb
from pullback.errors import ConversionError


class Of(nn.Module):
    """A module whose forward is a function of its two layers and of x."""

    def __init__(self, how, outputs=1):
        super().__init__()
        self.a, self.b, self.how = nn.Linear(4, 8), nn.Linear(8, outputs), how

    def forward(self, x):
        return self.how(self, x)


def energy(m):
    return lambda one: m.b(nn.functional.softplus(m.a(one)))[0]


def hamiltonian(m, x):
    """Greydanus et al. (2019)."""
    g = torch.vmap(torch.func.grad(energy(m)))(x)
    return torch.cat([g[:, 2:], -g[:, :2]], 1)


def images():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16, 8), nn.LayerNorm(8), nn.Dropout(0.2), nn.GELU(), nn.Linear(8, 3),
    ).eval()  # fmt: skip


def mlp():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3))


READ = {
    "vmap": (lambda x: Of(lambda m, x: torch.vmap(lambda one: m.b(torch.tanh(m.a(one))))(x)), (4,)),
    "gradient of an energy": (lambda x: Of(hamiltonian), (4,)),
    "traced": (lambda x: torch.jit.trace(images().double(), x), (1, 4, 4)),
    "scripted": (lambda x: torch.jit.script(images().double()), (1, 4, 4)),
    "scripted, in training": (lambda x: torch.jit.script(mlp().double()), (4,)),
}


@pytest.mark.parametrize("name", READ)
def test_what_runs_is_read(name):
    make, shape = READ[name]
    torch.manual_seed(0)
    x = torch.randn(6, *shape, dtype=torch.float64)
    module = make(x).double()
    net, params = pb.from_torch(module, nn.MSELoss(), example=x)
    assert set(params) <= set(module.state_dict())
    training = module.training
    theirs = module.eval()(x)
    close(net.predict(params, x), theirs.detach().numpy(), tight=1e-12)
    assert bool(net.noise) == (training and name.startswith("scripted"))
    _, grads = net.eval().value_and_grad(params, x, np.zeros(theirs.shape))
    module.train(training).eval()
    theirs.square().mean().backward()
    for each, parameter in module.named_parameters():
        if name.startswith("gradient") and each == "b.bias":
            assert each not in grads  # an energy is known up to a constant
        else:
            close(grads[each], parameter.grad.numpy(), tight=1e-9)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 3)

    def forward(self, x):
        if x.shape[0] > 4:
            x = 2 * x
        return self.a(x)


def test_a_branch_that_a_script_takes_is_found():
    with pytest.raises(ConversionError, match=r"differ on .*the output by up to"):
        pb.from_torch(torch.jit.script(Branching()), nn.MSELoss(), example=np.ones((2, 4)))


def test_a_script_without_an_example():
    bare = torch.jit.script(nn.Sequential(nn.Flatten(), nn.ReLU()))
    with pytest.raises(ConversionError, match=r"torch\.jit has compiled the module; give example="):
        pb.from_torch(bare, nn.MSELoss())


def test_a_gradient_by_autograd_says_what_to_take():
    def forward(m, x):
        x = x.requires_grad_()
        return torch.autograd.grad(m.b(torch.tanh(m.a(x))).sum(), x, create_graph=True)[0]

    with pytest.raises(ConversionError, match=r"requires_grad_ at node .*torch\.func\.grad"):
        pb.from_torch(Of(forward), nn.MSELoss(), example=np.ones((2, 4)))
