"""Training that goes wrong is seen, with its cause; training that goes well, or nowhere, is not."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import pullback as pb
from pullback.errors import NonFiniteError, PullbackWarning

IMAGES, LABELS = load_digits(return_X_y=True)
X, Y = (IMAGES[:600] / 16).astype(np.float32), LABELS[:600]
SGD = pb.optim.SGD


def network(activation, outputs=10, loss=pb.CrossEntropy()):  # noqa: B008  frozen
    return pb.Network(pb.Sequential(pb.Linear(64, 32), activation, pb.Linear(32, outputs)), loss)


def fit(net, x=X, y=Y, rate=0.1, **options):
    options = {"epochs": 4, "optimizer": SGD(rate, momentum=0.9), "progress": False} | options
    return pb.fit(net, x, y, **options)


@pytest.mark.parametrize("activation", [pb.Tanh(), pb.Sigmoid(), pb.ReLU(), pb.GELU()])
@pytest.mark.parametrize(("rate", "wrong"), [(0.01, False), (0.1, False), (5, True), (500, True)])
def test_a_rate_that_is_too_large_is_named(activation, rate, wrong, recwarn):
    result = fit(network(activation), rate=rate)
    assert (result.diverged is not None) == wrong
    assert result.to_dict()["diverged"] == wrong
    if not wrong:
        assert not [each for each in recwarn if each.category is PullbackWarning]
        return
    assert result.diverged.cause == "learning rate"
    assert f"the learning rate is {rate}: try 0." in result.diverged.fix
    assert "diverged" in result.text()
    (told,) = [each for each in recwarn if each.category is PullbackWarning]
    assert str(told.message) == result.diverged.sentence
    assert told.filename == __file__


def test_dead_units_at_chance_are_named_where_the_loss_is_not_high():
    with pytest.warns(PullbackWarning, match="of guessing, and 100% of the units of layer '1'"):
        result = fit(network(pb.ReLU()), rate=5)
    assert result.history["loss"][-1] < 2 * np.log(10)


def test_values_that_are_not_scaled_are_the_cause():
    values = Y[:, None] * 1e5
    with pytest.raises(NonFiniteError, match=r"Y has a column of size 5.*e.05.*scale") as caught:
        fit(network(pb.ReLU(), 1, pb.MSELoss()), y=values)
    assert caught.value.result.diverged.cause == "scaling"
    assert caught.value.result.params is caught.value.params
    with pytest.warns(PullbackWarning, match="X has a column of size 7"):
        assert fit(network(pb.Tanh()), X * 1000, rate=5).diverged.cause == "scaling"


def test_weights_that_are_drawn_too_large_are_the_cause():
    blocks = [block for _ in range(5) for block in (pb.Linear(64, 64), pb.Tanh())]
    net = pb.Network(pb.Sequential(*blocks, pb.Linear(64, 10)), pb.CrossEntropy())
    with pytest.warns(PullbackWarning, match="saturated before the first step"):
        result = fit(net, params=net.init(0, pb.init.normal(30)))
    assert result.diverged.cause == "initialisation"


def test_labels_by_chance_are_no_divergence():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(200, 5)), random.integers(0, 2, 200)
    net = pb.Network(
        pb.Sequential(pb.Linear(5, 16), pb.ReLU(), pb.Linear(16, 2)), pb.CrossEntropy()
    )
    assert fit(net, x, y, epochs=2).diverged is None


def test_what_was_good_already_may_get_a_little_worse():
    """Noisy steps lead away from an optimum: many times the loss, and still a small one."""
    random = np.random.default_rng(0)
    x = X.astype(np.float64)
    y = x @ np.ones((64, 1)) + 0.1 * random.normal(size=(600, 1))
    best = np.linalg.lstsq(np.c_[x, np.ones(600)], y, rcond=None)[0].T
    start = {"weight": best[:, :64], "bias": best[0, 64:]}
    net = pb.Network(pb.Linear(64, 1), pb.MSELoss())
    before = net.loss(start, x, y)
    result = fit(net, x, y, params=start, optimizer=SGD(0.06), epochs=3, batch_size=1)
    assert net.loss(result.params, x, y) > 3 * before
    assert result.diverged is None


def test_streams_are_judged_by_their_steps():
    def batches():
        return ((X[at : at + 50], Y[at : at + 50]) for at in range(0, 600, 50))

    with pytest.warns(PullbackWarning, match="the loss rose from"):
        result = fit(network(pb.Tanh()), batches, None, rate=50)
    assert result.diverged.cause == "learning rate"
    assert fit(network(pb.Tanh()), batches, None, rate=0.05).diverged is None


def test_full_batch_methods_do_not_diverge():
    assert fit(network(pb.Tanh()), optimizer=pb.optim.LBFGS()).diverged is None
