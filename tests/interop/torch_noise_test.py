"""Noise that a module draws in forward, in evaluation too: an input of the network with its law."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import pullback as pb
from pullback.nn import NormalNoise, UniformNoise


class Autoencoder(nn.Module):
    """A variational autoencoder (Kingma and Welling 2014), its noise drawn by ``draw``."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw
        self.body, self.mean, self.spread = nn.Linear(6, 5), nn.Linear(5, 2), nn.Linear(5, 2)
        self.out = nn.Linear(2, 6)

    def forward(self, x):
        h = torch.tanh(self.body(x))
        std = torch.exp(0.5 * self.spread(h))
        z = self.mean(h) + self.draw(std) * std
        return torch.sigmoid(self.out(z)), z


@pytest.mark.parametrize(
    ("draw", "law"),
    [
        (torch.randn_like, NormalNoise),
        (lambda s: torch.randn(s.shape[0], 2), NormalNoise),
        (lambda s: torch.rand(s.size()), UniformNoise),
        (lambda s: torch.normal(torch.zeros_like(s), 1.5), NormalNoise),
        (lambda s: torch.bernoulli(torch.sigmoid(s)), UniformNoise),
    ],
)
def test_noise_is_an_input_with_a_law(draw, law):
    module = Autoencoder(draw).double().eval()
    X = np.random.default_rng(0).random((4, 6))
    net, params = pb.from_torch(module, loss=nn.BCELoss(), example=X)
    ((name, noise),) = net.noise.items()
    assert isinstance(noise.law, law)
    one, again = (net.value_and_grad(params, X, X, seed=3) for _ in range(2))
    other = net.value_and_grad(params, X, X, seed=4)
    assert one[0] == again[0] != other[0]
    fixed = net.predict(params, X, noise={name: np.full((4, 2), 0.5)})
    assert fixed.shape == (4, 6)
    trained = pb.fit(net, X, X, params, epochs=2, progress=False, engine="numpy").params
    assert all(np.isfinite(value).all() for value in trained.values())


def test_the_noise_that_is_given_is_what_the_module_would_have_drawn(monkeypatch):
    module = Autoencoder(lambda s: torch.randn_like(s)).double().eval()
    X = np.random.default_rng(0).random((4, 6))
    net, params = pb.from_torch(module, loss=lambda o, y: F.mse_loss(o, y), example=X)
    noise = np.random.default_rng(1).normal(size=(4, 2))
    monkeypatch.setattr(torch, "randn_like", lambda _: torch.from_numpy(noise))
    (name,) = net.noise
    theirs = module(torch.from_numpy(X))[0].detach().numpy()
    np.testing.assert_allclose(net.predict(params, X, noise={name: noise}), theirs, rtol=1e-12)


def test_what_is_asked_of_one_sample_says_that_it_is_random():
    module = Autoencoder(torch.randn_like).eval()
    X = np.ones((3, 6))
    net, params = pb.from_torch(module, loss=nn.MSELoss(), example=X)
    with pytest.raises(pb.errors.NotApplicableError, match="noise"):
        pb.jacobian(net, params, X)
