"""Optimisers of every kind are trained as they are, and left as they were found."""

import copy
import random

import faulty_networks as networks
import numpy as np
import pytest
import torch
from torch import nn

import pullback as pb


def diagnosed(module, optimizer, X, Y, batch=40, **options):
    torch.manual_seed(0)
    return pb.doctor(
        module, X, Y, nn.CrossEntropyLoss(), optimizer, batch, 8, progress=False, **options
    )


class Halved(torch.optim.Optimizer):
    """Somebody's own: the step is as long as the weights, whatever the gradient's size."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        loss = None if closure is None else closure()
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p -= group["lr"] * p.norm() * p.grad / (p.grad.norm() + 1e-9)
        return loss


RULES = {
    "lbfgs": lambda module: torch.optim.LBFGS(module.parameters(), lr=0.5, max_iter=4),
    "adafactor": lambda module: torch.optim.Adafactor(module.parameters(), lr=0.05),
    "radam": lambda module: torch.optim.RAdam(module.parameters(), lr=0.05),
    "own": lambda module: Halved(module.parameters()),
}


@pytest.mark.parametrize("name", RULES)
def test_a_training_with_it_learns(name):
    torch.manual_seed(0)
    X, y = networks.blobs()
    module = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
    d = diagnosed(module, RULES[name](module), X, y, 240 if name == "lbfgs" else 40)
    assert d.healthy, d.text()
    assert d.score > 0.9, d.text()


@pytest.mark.parametrize("name", ["lbfgs", "radam"])
def test_its_state_and_all_else_of_the_caller_stay(name):
    torch.manual_seed(0)
    X, y = networks.blobs()
    module = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 3))
    module.eval()
    optimizer = RULES[name](module)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(X), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    held = [module.state_dict(), optimizer.state_dict(), [p.grad for p in module.parameters()]]
    before = copy.deepcopy([*held, X, y])
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    torch.manual_seed(5)
    expected = torch.get_rng_state()
    pb.doctor(module, X, y, nn.CrossEntropyLoss(), optimizer, 40, 2, progress=False)
    assert torch.equal(torch.get_rng_state(), expected)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # noqa: NPY002
    assert not module.training
    held = [module.state_dict(), optimizer.state_dict(), [p.grad for p in module.parameters()]]
    assert same([*held, X, y], before)


def same(one, other):
    """Are nested values equal, tensors number by number?"""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


class Noisy(nn.Module):
    """Noise from NumPy and Python, in the forward pass."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        noise = torch.as_tensor(np.random.normal(size=x.shape), dtype=x.dtype)  # noqa: NPY002
        return self.out(x + 0.1 * noise * random.random())


def test_a_module_that_draws_is_seeded_and_said():
    torch.manual_seed(0)
    X, y = networks.blobs()
    module = Noisy()
    texts = {diagnosed(module, networks.adam(module, 0.05), X, y, seed=4).text() for _ in range(2)}
    (text,) = texts
    assert "draws random numbers as it runs: every training has seed 4" in text


def test_a_module_that_does_not_draw_is_not_said_to():
    torch.manual_seed(0)
    X, y = networks.blobs()
    module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.0), nn.Linear(8, 3))
    d = diagnosed(module, networks.adam(module, 0.05), X, y)
    assert "random" not in d.text()
