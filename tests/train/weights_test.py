"""A weighted loss is the weighted mean of the samples' losses, and training sees nothing else."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight
from zoo import ZOO

import pullback as pb
from pullback.errors import ConfigError, DataError, DTypeError, ShapeError, UnknownNameError
from pullback.ir.evaluate import evaluate
from pullback.laws import gradient_check
from pullback.net.checks import checked_data

RNG = np.random.default_rng(2)
X, Y = RNG.normal(size=(30, 4)), RNG.integers(0, 3, 30)
MODEL = pb.Sequential(pb.Linear(4, 5), pb.Tanh(), pb.Linear(5, 3))
NET = pb.Network(MODEL, loss=pb.CrossEntropy(), l2=0.1)
DOUBLE = [case for case in ZOO if case.dtype == np.float64][::4]


def fit(net=NET, x=X, y=Y, **options):
    return pb.fit(net, x, y, **{"epochs": 3, "batch_size": 8, "progress": False, **options})


@pytest.mark.parametrize("case", DOUBLE, ids=repr)
def test_gradient_of_the_weighted_loss(case):
    net, (x, y) = case.net, case.data()
    params = net.init(1)
    weight = np.random.default_rng(3).uniform(0.2, 2, len(x))
    value, grads = net.value_and_grad(params, x, y, sample_weight=weight)
    x, target = checked_data(net, x, y)

    def loss(at):
        inputs = {"x": x, "target": target, "sample_weight": weight}
        return evaluate(net.weighted.total, {**at, **inputs})[()]

    np.testing.assert_allclose(value, loss(params), rtol=1e-12)
    assert gradient_check(loss, grads, params).ok


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weighted_loss_is_the_weighted_mean_or_sum(reduction):
    net = pb.Network(MODEL, loss=pb.CrossEntropy(reduction=reduction))
    params, weight = net.init(0), RNG.uniform(0, 2, 30)
    each = [net.loss(params, X[i : i + 1], Y[i : i + 1]) for i in range(30)]
    expected = weight @ each / (weight.sum() if reduction == "mean" else 1)
    np.testing.assert_allclose(net.loss(params, X, Y, weight), expected, rtol=1e-13)


def test_equal_weights_are_no_weights():
    weighted, plain = fit(sample_weight=np.full(30, 2.5)), fit()
    for name, value in plain.params.items():
        np.testing.assert_allclose(weighted.params[name], value, rtol=1e-12)
    np.testing.assert_allclose(weighted.history["loss"], plain.history["loss"], rtol=1e-12)


def test_a_weight_of_two_is_a_sample_twice():
    weight = RNG.integers(1, 4, 30)
    twice = np.repeat(np.arange(30), weight)
    weighted = fit(sample_weight=weight, batch_size=None)
    repeated = fit(x=X[twice], y=Y[twice], batch_size=None)
    for name, value in repeated.params.items():
        np.testing.assert_allclose(weighted.params[name], value, rtol=1e-11)


def test_a_weight_of_zero_is_no_sample():
    weight = RNG.uniform(0.5, 1, 30) * (RNG.random(30) < 0.6)
    kept = weight > 0
    weighted = fit(sample_weight=weight)
    without = fit(x=X[kept], y=Y[kept], sample_weight=weight[kept])
    for name, value in without.params.items():
        np.testing.assert_array_equal(weighted.params[name], value)


def test_a_batch_may_be_larger_than_the_samples_that_count():
    weight = (np.arange(30) < 5).astype(float)
    found = fit(sample_weight=weight, batch_size=8, shuffle=False)
    expected = fit(x=X[:5], y=Y[:5], sample_weight=weight[:5], batch_size=None)
    for name, value in expected.params.items():
        np.testing.assert_array_equal(found.params[name], value)


def test_class_weights_are_torchs():
    by_class = {0: 0.5, 1: 2.0, 2: 1.5}
    params = NET.init(0)
    scale = torch.tensor(list(by_class.values()), dtype=torch.float64)
    logits = torch.tensor(NET.predict(params, X))
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(Y), scale).item()
    net = pb.Network(MODEL, loss=pb.CrossEntropy())
    result = fit(net, params=params, class_weight=by_class, batch_size=None)
    np.testing.assert_allclose(result.history["loss"][0], expected, rtol=1e-12)


def test_balanced_is_scikit_learns():
    weight = compute_sample_weight("balanced", Y)
    balanced, given = fit(class_weight="balanced"), fit(sample_weight=weight)
    for name, value in given.params.items():
        np.testing.assert_allclose(balanced.params[name], value, rtol=1e-13)


def test_class_and_sample_weights_multiply():
    weight = RNG.uniform(0.5, 1.5, 30)
    both = fit(sample_weight=weight, class_weight={1: 3.0})
    given = fit(sample_weight=weight * np.where(Y == 1, 3.0, 1.0))
    for name, value in given.params.items():
        np.testing.assert_array_equal(both.params[name], value)


@pytest.mark.parametrize(
    ("loss", "negative"), [(pb.LogisticLoss(), -1), (pb.BinaryCrossEntropy(), 0)]
)
def test_two_classes_in_one_output(loss, negative):
    net = pb.Network(pb.Linear(4, 1), loss=loss)
    y = np.where(X[:, :1] > 0, 1, negative)
    by_class = fit(net, X, y, class_weight={negative: 3, 1: 1})
    given = fit(net, X, y, sample_weight=np.where(y[:, 0] == 1, 1, 3))
    np.testing.assert_array_equal(by_class.params["weight"], given.params["weight"])


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"sample_weight": np.ones(29)}, ShapeError, "expected (batch=30)"),
        ({"sample_weight": -np.ones(30)}, DataError, "sample_weight[0] is -1.0"),
        ({"sample_weight": np.full(30, np.inf)}, DataError, "an infinity"),
        ({"sample_weight": np.zeros(30)}, DataError, "0 for every sample"),
        ({"sample_weight": ["a"] * 30}, DTypeError, "sample_weight has dtype"),
        ({"class_weight": "balance"}, ConfigError, "did you mean 'balanced'"),
        ({"class_weight": [1, 2, 3]}, ConfigError, "a weight by label"),
        ({"class_weight": {3: 1.0}}, UnknownNameError, "'3'"),
        ({"class_weight": {1: -1.0}}, ConfigError, "class_weight[1] is -1.0"),
        ({"class_weight": {1: float("nan")}}, ConfigError, "class_weight[1] is nan"),
        (
            {"class_weight": "balanced", "y": np.full((30, 3), 1 / 3)},
            DataError,
            "one class a sample",
        ),
        (
            {"class_weight": "balanced", "net": pb.Network(MODEL, pb.SquaredError())}
            | {"y": RNG.normal(size=(30, 3))},
            ConfigError,
            "needs classes",
        ),
    ],
)
def test_weights_that_make_no_sense_are_refused(options, kind, told):
    with pytest.raises(kind) as caught:
        fit(**options)
    assert told in str(caught.value)
