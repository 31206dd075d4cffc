"""Data frames with categories, several labels, other losses, weights and containers of features."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

import pullback as pb
from pullback.errors import PullbackError, PullbackWarning
from pullback.estimators import NetClassifier, NetRegressor

RNG = np.random.default_rng(0)
SMALL = {"hidden_layer_sizes": 8, "epochs": 30, "learning_rate": 0.02, "random_state": 0}
SIZE = RNG.normal(size=120)
CITY = np.array(["Bern", "Oslo", "Rome"])[RNG.integers(0, 3, 120)]
DAYS = pd.date_range("2024-01-01", periods=120)
PLAIN = np.column_stack([SIZE, CITY == "Bern", CITY == "Oslo", CITY == "Rome"]).astype(float)
Y = SIZE + 2 * (CITY == "Rome")
IRIS, KINDS = load_iris(return_X_y=True)
MANY, LABELS = make_multilabel_classification(150, 6, n_classes=3, random_state=0)
MAKERS = {
    "pandas": lambda: pd.DataFrame({"size": SIZE, "city": CITY}),
    "category": lambda: pd.DataFrame({"size": SIZE, "city": pd.Categorical(CITY)}),
    "shuffled index": lambda: pd.DataFrame({"size": SIZE, "city": CITY}, RNG.permutation(120)),
    "polars": lambda: pl.DataFrame({"size": SIZE, "city": CITY}),
}


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_a_category_is_one_column_a_value(maker):
    frame = maker()
    model = NetRegressor(**SMALL).fit(frame, Y)
    assert np.array_equal(model.predict(frame), NetRegressor(**SMALL).fit(PLAIN, Y).predict(PLAIN))
    assert model.feature_names_in_.tolist() == ["size", "city"]
    assert model.n_features_in_ == 2
    assert clone(model).fit(frame, Y).score(frame, Y) > 0.9
    for each in (frame[["city", "size"]], PLAIN, PLAIN[:, :2]):
        with pytest.raises(ValueError, match=r"order|no texts, categories or dates"):
            model.predict(each)


def test_frames_go_through_pipelines_searches_and_partial_fit():
    frame = MAKERS["category"]()
    search = GridSearchCV(make_pipeline(NetRegressor(**SMALL)), {"netregressor__l2": [0, 1]}, cv=2)
    assert search.fit(frame, Y).best_params_ == {"netregressor__l2": 0}
    assert cross_val_score(NetRegressor(**SMALL), frame, Y, cv=3).min() > 0.5
    model = NetRegressor(**SMALL)
    for _ in range(40):
        model.partial_fit(frame, Y)
    assert model.score(frame, Y) > 0.5


def test_a_category_that_was_never_seen_is_zeros_and_warned_of():
    model = NetRegressor(**SMALL).fit(MAKERS["pandas"](), Y)
    new = pd.DataFrame({"size": [0.5, 0.5], "city": ["Rome", "Pisa"]})
    with pytest.warns(PullbackWarning, match="column 'city' holds values .* first 'Pisa' in row 2"):
        found = model.predict(new)
    zeros = model.network_.predict(model.params_, np.array([[0.5, 0, 0, 0]]))
    assert found[1] == pytest.approx(zeros[0, 0])


def test_dates_are_features_and_what_is_missing_is_refused_by_its_row():
    frame = pd.DataFrame({"day": DAYS, "city": CITY})
    model = NetRegressor(**SMALL).fit(frame, Y)
    assert [each.kind for each in model._encoders] == ["date", "category"]
    for column, kind in (("day", frame.day), ("size", pd.Series(SIZE))):
        gaps = frame.assign(**{column: kind.mask(frame.index == 4)})
        with pytest.raises(PullbackError, match=f"'{column}' has no finite value in row 5"):
            NetRegressor(**SMALL).fit(gaps, Y)
    with pytest.raises(PullbackError, match="'x' holds list"):
        NetRegressor(**SMALL).fit(frame.assign(x=[[1, 2]] * 120), Y)


@pytest.mark.parametrize("of", [np.asarray, csr_matrix, pd.DataFrame], ids=lambda of: of.__name__)
def test_several_labels_are_learnt_each_for_itself(of):
    model = NetClassifier(**SMALL).fit(MANY, of(LABELS))
    assert model.classes_.tolist() == [0, 1, 2]
    z = model.network_.predict(model.params_, MANY)
    assert isinstance(model.network_.criterion, pb.BinaryCrossEntropy)
    assert np.array_equal(model.predict(MANY), (z > 0).astype(int))
    np.testing.assert_allclose(model.predict_proba(MANY), 1 / (1 + np.exp(-z)), rtol=1e-12)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(MANY)), model.predict_proba(MANY))
    assert (model.predict(MANY) == LABELS).mean() > 0.8
    net = pb.Network(model.network_.model, pb.BinaryCrossEntropy(), l2=1e-4)
    assert net.loss(model.params_, MANY, LABELS) == pytest.approx(model.loss_curve_[-1], rel=0.2)


def test_several_labels_go_on_and_stop_early():
    model = NetClassifier(**SMALL)
    for _ in range(3):
        model.partial_fit(MANY, LABELS)
    assert model.predict(MANY).shape == LABELS.shape
    with pytest.raises(PullbackError, match="y has 2 labels; expected 3"):
        model.partial_fit(MANY, LABELS[:, :2])
    early = NetClassifier(**SMALL, early_stopping=True).fit(MANY, LABELS)
    assert "validation_loss" in early.history_


@pytest.mark.parametrize(
    ("loss", "ours"),
    [
        ("squared_error", pb.SquaredError()),
        ("l1", pb.L1Loss()),
        ("huber", pb.HuberLoss()),
        (pb.Loss("log(cosh(z - y))"), pb.Loss("log(cosh(z - y))")),
        (pb.PoissonNLLLoss(), pb.PoissonNLLLoss()),
    ],
)
def test_a_regressor_has_the_loss_that_it_is_given(loss, ours):
    model = NetRegressor(**SMALL, loss=loss).fit(PLAIN, np.abs(Y))
    assert model.network_.criterion == ours
    z = model.network_.predict(model.params_, PLAIN)[:, 0]
    expected = np.exp(z) if isinstance(ours, pb.PoissonNLLLoss) else z
    np.testing.assert_allclose(model.predict(PLAIN), expected)
    assert clone(model).get_params()["loss"] is not None


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        ("hubr_loss", "did you mean 'huber_loss'"),
        (3, "loss is 3; expected a loss of values"),
        ("cross_entropy", r"CrossEntropy\(.*\), which is for classes; expected one of values"),
    ],
)
def test_a_loss_that_is_none_is_named(loss, text):
    with pytest.raises(PullbackError, match=text):
        NetRegressor(loss=loss).fit(PLAIN, Y)


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize(
    ("model", "X", "y"),
    [
        (NetClassifier(**SMALL, early_stopping=True, validation_fraction=0.3), IRIS, KINDS),
        (NetClassifier(**SMALL, early_stopping=True, validation_fraction=0.3), MANY, LABELS),
        (NetRegressor(**SMALL, early_stopping=True, validation_fraction=0.3), PLAIN, Y),
        (
            NetRegressor(**SMALL, optimizer=pb.optim.LBFGS()).set_params(learning_rate=None),
            PLAIN,
            Y,
        ),
    ],
    ids=["classes", "labels", "values", "full batch"],
)
def test_weights_count_in_training_and_where_it_stops(model, X, y, once):
    weight = np.where(np.arange(len(X)) % 3 == 0, 0.0, 1.0 + np.arange(len(X)) % 2)
    if once:
        if model.early_stopping:
            first = clone(model).fit(X, y, sample_weight=weight)
            bare = clone(model).fit(X, y)
            assert first.history_["validation_loss"][0] != bare.history_["validation_loss"][0]
        return
    one = clone(model).fit(X, y, sample_weight=weight)
    other = clone(model).fit(X, y, sample_weight=7 * weight)
    np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-6)
    counted = weight > 0  # samples of weight 0 are as if they were not there
    left = one.score(X[counted], y[counted], sample_weight=weight[counted])
    assert one.score(X, y, sample_weight=weight) == pytest.approx(left)


@pytest.mark.parametrize("container", ["pandas", "polars", "default"])
def test_what_the_hidden_layer_makes_of_samples_comes_in_any_container(container):
    model = NetClassifier(**SMALL).set_output(transform=container).fit(IRIS, KINDS)
    found = model.transform(IRIS)
    names = [f"netclassifier{k}" for k in range(8)]
    assert model.get_feature_names_out().tolist() == names
    if container != "default":
        assert list(found.columns) == names
    p = model.params_
    hidden = np.maximum(IRIS @ p["0.weight"].T + p["0.bias"], 0)
    np.testing.assert_allclose(np.asarray(found), hidden)
    outputs = model.network_.predict(p, IRIS)
    np.testing.assert_allclose(np.asarray(found) @ p["2.weight"].T + p["2.bias"], outputs)


def test_without_a_hidden_layer_samples_stay_what_they_are():
    model = NetRegressor((), epochs=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(PLAIN, Y)
    found = model.transform(PLAIN)
    assert np.array_equal(found, PLAIN)
    found[:] = 0  # a copy: the caller's array is untouched
    assert PLAIN.any()
