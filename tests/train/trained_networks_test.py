"""Small networks of every kind are trained as a user trains them: watched, resumed, handed on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo import close

import pullback as pb
from pullback.ir import Contract
from pullback.train.checkpoint import load

RNG = np.random.default_rng(0)
MANY = 48


class Tokens(pb.nn.Block):
    """Channels of places as tokens of features."""

    def build(self, x, at):
        return at.a(Contract((x,), (x.axes[0], x.axes[2], x.axes[1])))


class Pooled(pb.nn.Block):
    """The sum over the tokens."""

    def build(self, x, at):
        return at.a(Contract((x,), (x.axes[0], x.axes[2])))


def residual():
    normed = [pb.Conv2d(3, 3, 3, padding=1, bias=False), pb.BatchNorm2d(3)]
    model = pb.Sequential(
        pb.Conv2d(1, 3, 3, padding=1, bias=False), pb.BatchNorm2d(3), pb.ReLU(),
        pb.Residual(pb.Sequential(*normed, pb.ReLU(), *normed)), pb.ReLU(),
        pb.AdaptiveAvgPool2d(1), pb.Flatten(), pb.Linear(3, 2),
    )  # fmt: skip
    X = RNG.normal(size=(MANY, 1, 4, 4))
    Y = (X[:, 0, 1:] * X[:, 0, :-1]).sum((1, 2)) > 0  # like neighbours, or not
    return pb.Network(model, pb.CrossEntropy(), x="channels=1 height=4 width=4"), X, Y.astype(int)


def patches():
    layer = pb.TransformerEncoderLayer(4, 2, 8, dropout=0.0, activation="gelu")
    model = pb.Sequential(
        pb.Conv2d(1, 4, 2, stride=2), pb.Flatten(2), Tokens(), layer, Pooled(), pb.Linear(4, 2)
    )
    X = RNG.normal(size=(MANY, 1, 4, 4))
    Y = (X[:, 0, ::2, ::2].max((1, 2)) > 1).astype(int)
    return pb.Network(model, pb.CrossEntropy(), x="channels=1 height=4 width=4"), X, Y


def letters():
    """The next number of a walk up and down 0 … 4."""
    model = pb.Sequential(pb.Embedding(5, 4), pb.GRU(4, 8), pb.Linear(8, 5))
    walk = np.abs((np.arange(MANY)[:, None] + np.arange(6)) % 8 - 4)
    return pb.Network(model, pb.CrossEntropy(), x="tokens=5:index"), walk[:, :-1], walk[:, 1:]


def words():
    """The token before this one, which attention has to look for; some of them are dropped."""
    layer = pb.TransformerEncoderLayer(8, 2, 8, dropout=0.05, causal=True, norm_first=True)
    model = pb.Sequential(pb.Embedding(4, 8), pb.LSTM(8, 8), layer, pb.Linear(8, 4))
    X = RNG.integers(0, 4, (MANY, 4))
    Y = np.concatenate([X[:, :1], X[:, :-1]], axis=1)
    return pb.Network(model, pb.CrossEntropy(), x="tokens=4:index"), X, Y


def sums():
    model = pb.Sequential(pb.GRU(2, 6, output="last"), pb.Linear(6, 1))
    X = RNG.random((MANY, 5, 2))
    return pb.Network(model, pb.MSELoss(), x="time=5 features=2"), X, X.prod(2).sum(1)[:, None]


CASES = {case.__name__: case() for case in (residual, patches, letters, words, sums)}
GIVEN = dict(
    optimizer=pb.optim.Adam(0.03), batch_size=16, progress=False, engine="numpy", seed=3
)  # fmt: skip


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_the_loss_falls_and_everything_on_the_way_works(case, tmp_path):
    net, X, Y = case
    path, epochs = tmp_path / "net.safetensors", 30
    given = GIVEN | dict(validation=(X, Y), watch=True)
    straight = pb.fit(net, X, Y, epochs=epochs, **given)
    loss = straight.history["loss"]
    assert loss[-1] < 0.4 * loss[0]
    if net.criterion.is_scored:
        assert straight.history["validation_accuracy"][-1] > 0.85
    pb.fit(net, X, Y, epochs=2, checkpoint=path, **given)
    resumed = pb.fit(net, X, Y, epochs=epochs, checkpoint=path, resume=True, **given)
    for name, value in straight.params.items():
        np.testing.assert_array_equal(resumed.params[name], value)
        np.testing.assert_array_equal(load(path)[0][name], value)
    watched = straight.watched
    for values in (*watched.rms_delta.values(), *watched.dead.values()):
        assert len(values) == epochs + 1
        assert np.isfinite(values).all()
    assert all(np.greater(values, 0).any() for values in watched.update.values())


def test_what_has_been_learnt_can_be_looked_at_and_handed_on(case):
    net, X, Y = case
    params = pb.fit(net, X, Y, net.init(seed=0), epochs=1, **GIVEN).params
    trace = net.trace(params, X[:6], Y[:6])
    close(trace.loss, net.loss(params, X[:6], Y[:6]))
    assert trace.delta
    assert all(np.isfinite(value).all() for value in trace.delta.values())
    module = pb.to_torch(net, params)
    with torch.no_grad():
        close(module(torch.tensor(X)).numpy(), net.predict(params, X))
    assert pb.check(net, params, X[:6], Y[:6]).ok


def test_training_in_float32_stays_there(case):
    net, X, Y = case
    start = {name: value.astype(np.float32) for name, value in net.init(seed=0).items()}
    X = X if X.dtype.kind == "i" else X.astype(np.float32)
    result = pb.fit(net, X, Y, start, epochs=2, **GIVEN)
    assert {value.dtype for value in result.params.values()} == {np.dtype(np.float32)}


def test_sequences_of_open_length_are_trained_batch_by_batch():
    net = pb.Network(
        pb.Sequential(pb.Embedding(5, 4), pb.GRU(4, 8), pb.Linear(8, 5)),
        pb.CrossEntropy(), x="tokens:index",
    )  # fmt: skip
    assert net.xs["x"].axes[1].size is None
    batches = [(walk[:, :-1], walk[:, 1:]) for walk in (RNG.integers(0, 5, (3, n)) for n in (4, 7))]
    result = pb.fit(net, batches, params=net.init(seed=0), epochs=2, progress=False)
    for X, Y in batches:
        sized = pb.Network(net.model, pb.CrossEntropy(), x=f"tokens={X.shape[1]}:index")
        close(net.loss(result.params, X, Y), sized.loss(result.params, X, Y))
