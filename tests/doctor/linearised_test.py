"""The modes of the linearised problem: eigenvalues, what descent takes away, and its limit."""

import numpy as np
import pytest
import torch
from torch import nn

from pullback.doctor.lesson import Lesson
from pullback.doctor.linearised import modes
from pullback.doctor.setup import TrainingSetup, Updates


def made(module, X, Y, loss, rate=0.01):
    updates = Updates.of(torch.optim.SGD(module.parameters(), lr=rate))
    task = Lesson.of(Y.numpy(), "mse_loss")
    return TrainingSetup(module, loss, updates, X, Y, len(X), 10, task)


@pytest.fixture
def line():
    """A regression whose loss is a quadratic: columns of different size, and a constant."""
    torch.manual_seed(0)
    X = (torch.randn(64, 6) * torch.tensor([3.0, 1, 1, 0.5, 0.2, 0.1])).double()
    return made(nn.Linear(6, 1).double(), X, X.sum(1, keepdim=True) + 1, nn.MSELoss())


def test_curvatures_are_the_eigenvalues_of_the_hessian(line):
    A = torch.cat([line.X, torch.ones(64, 1)], dim=1).numpy()
    expected = np.linalg.eigvalsh(2 * A.T @ A / 64)[::-1]
    np.testing.assert_allclose(modes(line).curvature, expected, rtol=1e-6)


def test_descent_loses_what_the_modes_say(line):
    found, start = modes(line), line.loss(line.module(line.X), line.Y).item()
    assert found.loss.sum() == pytest.approx(start, rel=1e-6)
    rule, steps = line.updates.made(), 0
    for upto in (5, 30, 200):
        while steps < upto:
            rule.zero_grad()
            line.loss(line.module(line.X), line.Y).backward()
            rule.step()
            steps += 1
        left = line.loss(line.module(line.X), line.Y).item() / start
        assert found.left(0.01, upto) == pytest.approx(left, rel=1e-4)
    needed = found.needed(0.01, 0.1)
    assert found.left(0.01, needed) <= 0.1 < found.left(0.01, needed / 1.25)


@pytest.mark.parametrize(("times", "grows"), [(0.95, False), (1.05, True)])
def test_beyond_two_over_the_largest_descent_runs_away(line, times, grows):
    edge = 2 / modes(line).largest
    rule = torch.optim.SGD(line.module.parameters(), lr=times * edge)
    losses = []
    for _ in range(300):
        rule.zero_grad()
        losses.append(line.loss(line.module(line.X), line.Y))
        losses[-1].backward()
        rule.step()
    assert (losses[-1] > losses[0]).item() is grows


def test_the_largest_is_that_of_the_gauss_newton_matrix():
    """Brute force: J by autograd, H of the softmax by its formula."""
    torch.manual_seed(1)
    X, y = torch.randn(20, 4).double(), torch.arange(20) % 3
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    setup = made(module, X, y, nn.CrossEntropyLoss())
    ps, z = list(module.parameters()), module(X)
    rows = [torch.autograd.grad(one, ps, retain_graph=True) for one in z.flatten()]
    J = torch.stack([torch.cat([g.flatten() for g in each]) for each in rows])
    p = z.detach().softmax(1)
    H = torch.block_diag(*(torch.diag(q) - torch.outer(q, q) for q in p)) / 20
    expected = torch.linalg.eigvalsh(J.T @ H @ J)[-1].item()
    assert modes(setup).largest == pytest.approx(expected, rel=1e-3)


def test_a_loss_without_curvature_has_no_modes():
    X, Y = torch.randn(10, 3), torch.randn(10, 1)
    assert modes(made(nn.Linear(3, 1), X, Y, nn.L1Loss())) is None
