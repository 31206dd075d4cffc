"""Dropout of a module in training is ours: two modes, and noise anew in each step of fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoo import close

import pullback as pb
from pullback.errors import ConversionError
from pullback.interop.operators import noise

RNG = np.random.default_rng(0)


class Functional(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.a, self.b, self.drop = nn.Linear(4, 8), nn.Linear(8, 3), drop
        self.twice = nn.Dropout(0.25)

    def forward(self, x):
        return self.b(self.twice(self.twice(self.drop(self, torch.tanh(self.a(x))))))


class Last(nn.Module):
    """The last step of what a sequence becomes."""

    def __init__(self, body, pick=False):
        super().__init__()
        self.body, self.out, self.pick = body, nn.Linear(6, 3), pick

    def forward(self, x):
        h = self.body(x)
        return self.out((h[0] if self.pick else h)[:, -1])


class Attends(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.body = nn.MultiheadAttention(6, 2, dropout=0.2, batch_first=True)
        self.weights = weights

    def forward(self, x):
        return self.body(x, x, x, need_weights=self.weights)[0]


def encoder(**options):
    return nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, **options)


def two_layers(kind):
    return Last(kind(5, 6, 2, batch_first=True, dropout=0.3), pick=True)


FLAT, SEQUENCE = (4,), (3, 6)
DROPS = {
    "a layer": (
        lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3)),
        FLAT, 1,
    ),
    "beside batch norm": (
        lambda: nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)
        ), FLAT, 1,
    ),
    "a function": (lambda: Functional(lambda m, x: F.dropout(x, 0.3, m.training)), FLAT, 3),
    "a function by name": (
        lambda: Functional(lambda m, x: F.dropout(x, p=0.3, training=m.training)), FLAT, 3,
    ),
    "channels": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.Dropout2d(0.2), nn.Flatten(), nn.Linear(16, 3)
        ), (1, 4, 4), 1,
    ),
    "everything": (
        lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(1.0), nn.Linear(8, 3)), FLAT, 1,
    ),
    "LSTM": (lambda: two_layers(nn.LSTM), (3, 5), 1),
    "GRU": (lambda: two_layers(nn.GRU), (3, 5), 1),
    "attention": (lambda: Last(Attends(False)), SEQUENCE, 1),
    "attention with its weights": (lambda: Last(Attends(True)), SEQUENCE, 1),
    "encoder": (lambda: Last(encoder()), SEQUENCE, 4),
    "encoders": (lambda: Last(nn.TransformerEncoder(encoder(norm_first=True), 2)), SEQUENCE, 8),
}  # fmt: skip


@pytest.mark.parametrize("name", DROPS)
def test_dropout_is_read_in_training(name):
    make, shape, masks = DROPS[name]
    torch.manual_seed(0)
    module = make().double()
    X, Y = torch.randn(8, *shape, dtype=torch.float64), np.zeros((8, 3))
    net, params = pb.from_torch(module, nn.MSELoss(), example=X[:2])
    assert net.training
    assert len(net.noise) == masks
    assert module.training
    one, other = (net.value_and_grad(params, X, Y, seed=seed)[0] for seed in (0, 1))
    assert (one == other) == (name == "everything")
    close(net.predict(params, X), module.eval()(X).detach().numpy(), tight=1e-10)
    fit = dict(epochs=1, batch_size=4, progress=False, engine="numpy")
    assert set(pb.fit(net, X, Y, params, **fit).params) == set(params)
    still, _ = pb.from_torch(module, nn.MSELoss(), example=X[:2])
    assert not still.noise


def test_a_sequential_keeps_dropout_as_a_block():
    make, _, _ = DROPS["a layer"]
    net, _ = pb.from_torch(make(), nn.MSELoss())
    ours = pb.Sequential(pb.Linear(4, 8), pb.ReLU(), pb.Dropout(0.1), pb.Linear(8, 3))
    assert net.model == ours


def test_the_mean_over_the_noise_is_torch_s():
    """E of the squared output under dropout, by both libraries' own noise."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Dropout(0.3), nn.Linear(5, 1)).double()
    X = torch.randn(1, 5, dtype=torch.float64)
    net, params = pb.from_torch(module, nn.MSELoss(), example=X)
    many = X.expand(4000, 5)
    ours = net.value_and_grad(params, many, np.zeros((4000, 1)))[0]
    theirs = module(many).square().mean().item()
    W, x = params["1.weight"][0], X[0].numpy()
    exact = (W @ x + params["1.bias"][0]) ** 2 + (W**2 * x**2).sum() * 0.3 / 0.7
    assert ours == pytest.approx(exact, rel=0.15)
    assert theirs == pytest.approx(exact, rel=0.15)


def test_a_submodule_that_drops_in_evaluation():
    module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 3)).eval()
    module[1].train()  # Gal and Ghahramani (2016)
    net, _ = pb.from_torch(module, nn.MSELoss())
    assert len(net.noise) == 1


REFUSED = {
    "drops in evaluation too": (
        lambda: Functional(lambda m, x: F.dropout(x, 0.3)),
        "F.dropout needs training=self.training",
    ),
    "AlphaDropout": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.AlphaDropout(0.1)),
        r"AlphaDropout at '1': .*eval",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("mode", [True, False])
def test_what_no_mode_of_ours_says_is_refused(name, mode):
    make, words = REFUSED[name]
    if name == "AlphaDropout" and not mode:
        assert not pb.from_torch(make().eval(), nn.MSELoss())[0].noise
        return
    with pytest.raises(ConversionError, match=words):
        pb.from_torch(make().train(mode), nn.MSELoss())


def test_dropout_that_keeps_too_much_is_found(monkeypatch):
    """Quiet noise leaves everything as it is only if what is kept grows as torch's does."""
    monkeypatch.setattr(noise, "Constant", lambda value: pb.ir.Constant(value / 2))
    with pytest.raises(ConversionError, match="differ"):
        pb.from_torch(DROPS["LSTM"][0](), nn.MSELoss(), example=np.ones((1, 3, 5)))
