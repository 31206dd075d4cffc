"""An estimator learns what ``fit`` learns, and nothing else."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

import pullback as pb
from pullback.errors import ConfigError, DataError
from pullback.estimators import NetClassifier, NetRegressor

X, y = load_iris(return_X_y=True)
RNG = np.random.default_rng(0)
TWO = np.column_stack([X @ [1, -1, 0, 2], np.sin(X[:, 0])])
SMALL = {"hidden_layer_sizes": (8,), "epochs": 20, "learning_rate": 0.01, "random_state": 0}


def test_training_is_fit_from_the_same_start():
    model = NetClassifier(**SMALL, activation="tanh", l2=1e-3, init="he").fit(X, y)
    seeds = np.random.RandomState(0).randint(2**31 - 1, size=2)
    layers = pb.Sequential(pb.Linear(4, 8), pb.Tanh(), pb.Linear(8, 3))
    net = pb.Network(layers, loss=pb.CrossEntropy(), l2=1e-3)
    start = net.init(int(seeds[0]), pb.init.he())
    adam = pb.optim.Adam(0.01)
    learnt = pb.fit(net, X, y, start, adam, 20, 64, seed=int(seeds[1]), progress=False)
    for name, value in learnt.params.items():
        assert np.array_equal(model.params_[name], value)
    assert model.loss_curve_ == learnt.history["loss"]
    assert model.n_iter_ == 20
    assert np.array_equal(model.network_.predict(model.params_, X), net.predict(learnt.params, X))


def test_probabilities_are_the_softmax_of_the_network():
    model = NetClassifier(**SMALL).fit(X, y)
    z = model.network_.predict(model.params_, X)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), p, rtol=1e-12)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(p), rtol=1e-9)
    assert np.array_equal(model.predict(X), p.argmax(axis=1))


def test_labels_are_names_only():
    words = np.array(["c", "a", "b"])
    named, numbered = NetClassifier(**SMALL).fit(X, words[y]), NetClassifier(**SMALL)
    numbered.fit(X, np.searchsorted(["a", "b", "c"], words[y]))
    assert named.classes_.tolist() == ["a", "b", "c"]
    assert np.array_equal(named.predict(X), named.classes_[numbered.predict(X)])


def test_class_weights_are_sample_weights():
    one = NetClassifier(**SMALL, class_weight={0: 3.0, 2: 0.5}).fit(X, y)
    other = NetClassifier(**SMALL).fit(X, y, sample_weight=np.array([3.0, 1.0, 0.5])[y])
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))
    both = NetClassifier(**SMALL, class_weight={0: 3.0, 2: 0.5}).fit(X, y, sample_weight=1.0 + y)
    product = np.array([3.0, 1.0, 0.5])[y] * (1 + y)
    other = NetClassifier(**SMALL).fit(X, y, sample_weight=product)
    assert np.array_equal(both.predict_proba(X), other.predict_proba(X))


def test_balanced_weights_bring_a_rare_class_back():
    rare = np.r_[0:50, 50:53]
    plain, balanced = (
        NetClassifier(**SMALL, class_weight=w).fit(X[rare, :2], y[rare]).predict(X[:100, :2])
        for w in (None, "balanced")
    )
    assert (plain == 1).sum() < (balanced == 1).sum()


def test_samples_of_weight_zero_make_no_batch():
    weight = (y > 0).astype(float)
    model = NetClassifier(**SMALL | {"epochs": 2}, batch_size=120).fit(X, y, sample_weight=weight)
    less = NetClassifier(**SMALL | {"epochs": 2}, batch_size=100)
    less.partial_fit(X[:1], y[:1], classes=[0, 1, 2])
    assert model.n_iter_ == 2
    assert np.isfinite(model.loss_curve_).all()


def test_outputs_come_in_the_shape_of_the_targets():
    several = NetRegressor(**SMALL).fit(X, TWO)
    assert several.predict(X).shape == (150, 2)
    assert several.n_outputs_ == 2
    one = NetRegressor(**SMALL).fit(X, TWO[:, 0])
    assert one.predict(X).shape == (150,)
    column = NetRegressor(**SMALL).fit(X, TWO[:, :1])
    assert np.array_equal(column.predict(X), one.predict(X))


def test_several_outputs_are_learnt_together():
    model = NetRegressor(**SMALL | {"epochs": 300}).fit(X - X.mean(axis=0), TWO)
    assert model.score(X - X.mean(axis=0), TWO) > 0.9


def test_warm_starts_go_on_and_cold_ones_do_not():
    warm = NetClassifier(**SMALL, warm_start=True).fit(X, y)
    first = warm.loss_curve_
    warm.fit(X, y)
    assert warm.loss_curve_[:20] == first
    assert warm.n_iter_ == 40
    assert warm.loss_curve_[20] < first[1]
    with pytest.raises(ValueError, match="previously unseen"):
        warm.fit(X, y + 1)
    cold = NetClassifier(**SMALL).fit(X, y)
    assert cold.fit(X, y).loss_curve_ == first


def test_partial_fit_is_one_epoch_a_call():
    model = NetClassifier(**SMALL)
    for _ in range(30):
        model.partial_fit(X, y, classes=[0, 1, 2])
    assert model.n_iter_ == 30
    assert model.score(X, y) > 0.9
    values = NetRegressor(**SMALL)
    for _ in range(100):
        values.partial_fit(X, TWO)
    assert values.n_iter_ == 100
    assert values.score(X, TWO) > 0.5


def test_partial_fit_knows_the_classes_that_are_still_to_come():
    model = NetClassifier(**SMALL).partial_fit(X[:60], y[:60], classes=[2, 1, 0])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(X).shape == (150, 3)
    model.partial_fit(X[100:], y[100:])
    with pytest.raises(ValueError, match="previously unseen"):
        model.partial_fit(X, y + 1)


@pytest.mark.parametrize(
    ("options", "classes", "error", "said"),
    [
        ({}, None, DataError, "needs classes"),
        ({}, [1], DataError, "1 class"),
        ({"class_weight": "balanced"}, [0, 1, 2], ConfigError, "balanced"),
    ],
)
def test_partial_fit_refuses(options, classes, error, said):
    with pytest.raises(error, match=said):
        NetClassifier(**SMALL, **options).partial_fit(X, np.ones(150, int), classes=classes)


def test_partial_fit_refuses_other_classes_than_before():
    model = NetClassifier(**SMALL).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(DataError, match="expected those of before"):
        model.partial_fit(X, y, classes=[0, 1])


def test_early_stopping_ends_when_the_part_held_out_says_so():
    model = NetClassifier(**SMALL | {"epochs": 500}, early_stopping=True, n_iter_no_change=3)
    noise = RNG.integers(0, 2, 150)
    model.fit(X, noise)
    assert 3 < model.n_iter_ < 500
    assert len(model.history_["validation_loss"]) == model.n_iter_
    best = np.argmin(model.history_["validation_loss"])
    assert model.n_iter_ == best + 1 + 3


def test_precision_is_what_is_asked_for_or_what_comes():
    assert {p.dtype for p in NetClassifier(**SMALL).fit(X, y).params_.values()} == {
        np.dtype("float64")
    }
    single = X.astype(np.float32)
    for model in (NetClassifier(**SMALL), NetClassifier(**SMALL, dtype="float32")):
        model.fit(single, y)
        assert {p.dtype for p in model.params_.values()} == {np.dtype("float32")}
        assert model.predict_proba(single).dtype == np.float32
    forced = NetClassifier(**SMALL, dtype="float32").fit(X, y)
    assert np.array_equal(forced.predict_proba(X), model.predict_proba(single))


@pytest.mark.parametrize("name", ["sgd", "momentum", "adamw", "lbfgs", pb.optim.RMSProp(0.01)])
def test_every_optimiser_learns(name):
    X0 = X - X.mean(axis=0)
    model = NetClassifier(optimizer=name, random_state=0).fit(X0, y)
    assert model.score(X0, y) > 0.9


def test_an_optimiser_without_a_rate_takes_none():
    with pytest.raises(ConfigError, match="has no learning_rate"):
        NetClassifier(**SMALL, optimizer="lbfgs").fit(X, y)


def test_seeds_decide():
    one, same, other = (
        NetClassifier(**SMALL | {"random_state": seed}).fit(X, y).predict_proba(X)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
