"""Training that goes on: the optimiser's memory, and what is said where it has not come to rest."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

import pullback as pb
from pullback.errors import ConfigError, DataError, DTypeError
from pullback.estimators import NetClassifier, NetRegressor
from pullback.train.optim.by_name import optimizer_named

X, y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (4,), "learning_rate": 0.01, "random_state": 0}
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize(
    ("name", "engine"),
    [(name, "numpy") for name in ("adam", "adamw", "momentum", "nesterov", "rmsprop", "adagrad")]
    + [("adam", "compiled")],
)
def test_calls_of_one_batch_each_are_one_training(name, engine):
    batches = [slice(0, 75), slice(75, 150), slice(20, 95)]
    options = {**SMALL, "optimizer": name, "batch_size": None, "engine": engine}
    model = NetClassifier(**options).partial_fit(X[batches[0]], y[batches[0]], classes=[0, 1, 2])
    seeds = np.random.RandomState(0).randint(2**31 - 1, size=1)
    net = model.network_
    start = net.init(int(seeds[0]), pb.init.torch_default())
    for rows in batches[1:]:
        model.partial_fit(X[rows], y[rows])
    rate = replace(optimizer_named(name), learning_rate=0.01)
    one = pb.fit(
        net, lambda: ((X[rows], y[rows]) for rows in batches), None, start, rate, epochs=1,
        progress=False, engine=engine,
    )  # fmt: skip
    for key, value in one.params.items():
        np.testing.assert_array_equal(model.params_[key], value)


@quiet
def test_partial_fit_goes_on_from_fit_and_fit_starts_afresh():
    options = {**SMALL, "batch_size": None, "optimizer": "adam"}
    model = NetRegressor(**options, epochs=3, warm_start=True).fit(X, y)
    longer = NetRegressor(**options, epochs=4).fit(X, y)
    model.partial_fit(X, y)
    for key, value in longer.params_.items():
        np.testing.assert_array_equal(model.params_[key], value)
    before = {key: value.copy() for key, value in model.params_.items()}
    model.fit(X, y)
    again = pb.fit(model.network_, X, y.astype(float), before, pb.optim.Adam(0.01), 3, None,
                   progress=False)  # fmt: skip
    for key, value in again.params.items():
        np.testing.assert_array_equal(model.params_[key], value)


def test_a_memory_of_another_optimiser_is_left_behind():
    model = NetRegressor(**SMALL).partial_fit(X, y)
    for name in ("sgd", "momentum", "sgd", "adam"):
        model.set_params(optimizer=name).partial_fit(X, y)
    model.set_params(optimizer="lbfgs", learning_rate=None).partial_fit(X, y)
    assert model.n_iter_ == 6
    net = model.network_
    state = pb.fit(net, X, y * 1.0, epochs=1, progress=False).optimizer_state
    assert (set(state.slots), state.steps) == ({"velocity"}, 5)
    for optimizer, said in [(pb.optim.Adam(), "has no"), (pb.optim.LBFGS(), "SciPy keeps it")]:
        with pytest.raises(ConfigError, match=said):
            pb.fit(net, X, y * 1.0, optimizer=optimizer, optimizer_state=state, progress=False)
    with pytest.raises(ConfigError, match="optimizer_state is 3"):
        pb.fit(net, X, y * 1.0, optimizer_state=3, progress=False)


@pytest.mark.parametrize("name", [pb.optim.LBFGS(), pb.optim.ConjugateGradient()])
def test_a_start_that_is_the_optimum_is_learnt(name):
    model = NetRegressor((), optimizer=name, init=pb.init.constant(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it has converged
        model.fit(np.eye(3), np.zeros(3))
    assert model.loss_curve_ == [0.0]
    assert model.predict(np.eye(3)).tolist() == [0, 0, 0]
    assert "loss 0" in str(pb.fit(model.network_, np.eye(3), np.zeros(3), model.params_, name,
                                  progress=False))  # fmt: skip


@pytest.mark.parametrize(
    ("options", "warns"),
    [
        ({"epochs": 1}, True),
        ({"epochs": 20}, True),
        ({"epochs": 400}, False),
        ({"epochs": 5, "early_stopping": True}, True),
        ({"epochs": 3000, "early_stopping": True, "n_iter_no_change": 2}, False),
        ({"epochs": 3, "optimizer": "lbfgs", "learning_rate": None}, True),
        ({"epochs": 3000, "optimizer": "lbfgs", "learning_rate": None, "l2": 0.1}, False),
    ],
)
def test_training_that_has_not_come_to_rest_is_said(options, warns):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        NetClassifier(**SMALL | options).fit(X - X.mean(axis=0), y)
    assert [each.category for each in seen] == [ConvergenceWarning] * warns
    if warns:
        assert "more epochs" in str(seen[0].message)
        assert seen[0].filename == __file__


def test_partial_fit_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NetClassifier(**SMALL).partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)


@quiet
def test_a_warm_start_with_another_network_is_refused():
    model = NetClassifier(**SMALL, epochs=1, warm_start=True).fit(X, y)
    with pytest.raises(ConfigError, match="fit it anew"):
        model.set_params(hidden_layer_sizes=(5,)).fit(X, y)
    with pytest.raises(ConfigError, match="fit it anew"):
        model.set_params(hidden_layer_sizes=(4,), activation="tanh").partial_fit(X, y)
    model.set_params(activation="relu", l2=0.5).fit(X, y)
    assert model.network_.l2 == 0.5


@quiet
@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"dtype": "int32"}, DTypeError, "expected np.float32 or np.float64"),
        ({"l2": None}, ConfigError, "l2 is None"),
        ({"hidden_layer_sizes": (10**9, 10**9)}, ConfigError, "GiB of memory"),
        ({"early_stopping": True, "validation_fraction": 2}, ConfigError, "validation_fraction is"),
        ({"early_stopping": True, "validation_fraction": 1e-9}, DataError, "holds out a part"),
    ],
)
def test_what_cannot_be_done_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        clone(NetClassifier(**SMALL | options)).fit(X, y)
    with pytest.raises(DataError, match=r"y has 1 class, 1\.0"):
        NetClassifier(**SMALL).fit(X, np.ones(150))
    with pytest.raises(DataError, match="expected a list of labels"):
        NetClassifier(**SMALL).partial_fit(X, y, classes=[[0, 1, 2]])
