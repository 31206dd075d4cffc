"""scikit-learn's own checks, all of them, and what they do not look at."""

import os
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from pullback.errors import PullbackError
from pullback.estimators import NetClassifier, NetRegressor

X, y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": 8, "epochs": 20, "learning_rate": 0.01, "random_state": 0}


@parametrize_with_checks([NetClassifier(), NetRegressor()])
def test_scikit_learn_s_check(estimator, check):
    check(estimator)


def test_no_check_is_skipped_where_scipy_speaks_to_other_arrays():
    """The one check that is left out unless SCIPY_ARRAY_API is set before SciPy loads."""
    code = (
        "from sklearn.utils.estimator_checks import check_array_api_input as check\n"
        "from pullback.estimators import NetClassifier, NetRegressor\n"
        "for each in (NetClassifier, NetRegressor):\n"
        "    check(each.__name__, each(), 'numpy', expect_only_array_outputs=False)\n"
        "print('passed')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "passed", done.stderr


def test_a_pipeline_a_search_and_cross_validation_work():
    model = make_pipeline(StandardScaler(), NetClassifier(**SMALL))
    grid = {"netclassifier__l2": [0.0, 1e-2], "netclassifier__learning_rate": [1e-9, 0.01]}
    search = GridSearchCV(model, grid, cv=3).fit(X, y)
    assert search.best_params_["netclassifier__learning_rate"] == 0.01
    assert search.best_score_ > 0.85
    assert cross_val_score(search.best_estimator_, X, y, cv=3).min() > 0.85


def test_many_workers_give_what_one_gives():
    scores = [
        cross_val_score(NetClassifier(**SMALL), X, y, cv=2, n_jobs=n).tolist() for n in (1, 2)
    ]
    assert scores[0] == scores[1]


def test_parameters_go_in_and_come_out_untouched():
    given = {**SMALL, "hidden_layer_sizes": [4, 3], "class_weight": {0: 2}, "activation": "no such"}
    model = NetClassifier(**given)
    assert model.get_params() == NetClassifier().get_params() | given
    assert model.get_params()["hidden_layer_sizes"] is given["hidden_layer_sizes"]
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(l2=3.0).l2 == 3.0


@pytest.mark.parametrize("model", [NetClassifier(**SMALL), NetRegressor(**SMALL)], ids=str)
def test_what_is_loaded_predicts_the_same_bits_and_learns_on(model, tmp_path):
    model = clone(model).fit(X, y)
    joblib.dump(model, tmp_path / "model")
    loaded = joblib.load(tmp_path / "model")
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert loaded.history_ == model.history_
    for each in (model, loaded):
        each.partial_fit(X, y)
    for name, value in model.params_.items():
        assert np.array_equal(loaded.params_[name], value)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_a_frame_is_its_array_with_names(frame):
    names = ["a", "b", "c", "d"]
    table = frame(dict(zip(names, X.T, strict=True)))
    model = NetClassifier(**SMALL).fit(table, y)
    assert model.feature_names_in_.tolist() == names
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as: X has no feature names
        same = model.predict_proba(table)
    bare = NetClassifier(**SMALL).fit(X, y)
    assert np.array_equal(same, bare.predict_proba(X))
    assert not hasattr(bare, "feature_names_in_")
    with pytest.raises(ValueError, match="order"):
        model.predict(table[names[::-1]])


@pytest.mark.parametrize("series", [pd.Series, pl.Series], ids=["pandas", "polars"])
def test_a_series_is_its_values(series):
    words = np.array(["setosa", "versicolor", "virginica"])[y]
    weights = 1.0 + y
    given = NetClassifier(**SMALL).fit(X, series(words), sample_weight=series(weights))
    plain = NetClassifier(**SMALL).fit(X, words, sample_weight=weights)
    assert np.array_equal(given.predict_proba(X), plain.predict_proba(X))
    values = NetRegressor(**SMALL).fit(X, series(weights)).predict(X)
    assert np.array_equal(values, NetRegressor(**SMALL).fit(X, weights).predict(X))


def test_digits_are_learnt_by_the_defaults():
    images, digits = load_digits(return_X_y=True)
    model = NetClassifier(epochs=30, random_state=0).fit(images[:1400], digits[:1400])
    assert model.score(images[1400:], digits[1400:]) > 0.92


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("hidden_layer_sizes", (8, 0), "a width in hidden_layer_sizes is 0"),
        ("activation", "rleu", "did you mean 'relu'?"),
        ("optimizer", "adma", "did you mean 'adam'?"),
        ("optimizer", 3, "optimizer is 3"),
        ("learning_rate", -1.0, "learning_rate is -1.0"),
        ("epochs", 0, "epochs is 0"),
        ("batch_size", 0, "batch_size is 0"),
        ("l2", -1.0, "l2 is -1.0"),
        ("init", "hee", "did you mean 'he'?"),
        ("n_iter_no_change", 0, "n_iter_no_change is 0"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named_when_fitting(option, value, said):
    options = {**SMALL, "early_stopping": True, option: value}
    if option == "optimizer":
        options["learning_rate"] = None
    model = NetClassifier(**options)  # storing it is fine
    with pytest.raises(PullbackError) as fault:
        model.fit(X, y)
    assert said in str(fault.value)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_an_array_that_is_ready_is_read_as_scikit_learn_reads_it():
    model = NetClassifier(**SMALL).fit(X, y)
    for rows in (X.astype(np.float32), X, X[::3], X.T.copy().T):
        checked = validate_data(model, rows, dtype=[np.float64, np.float32], reset=False)
        assert model._ready(rows)
        assert checked is rows
    for rows in (X.tolist(), X.astype(">f8"), X.astype(np.float16), X.astype(int)):
        assert not model._ready(rows)
        assert model._features(rows).dtype == np.float64
    rows = X.copy()
    wrong = {
        "Input X contains NaN": np.where(rows > 6, np.nan, rows),
        "features": rows[:, :2],
        "0 sample": rows[:0],
    }
    wrong |= {"2D": rows[0], "complex": rows.astype(complex)}
    for says, given in wrong.items():
        with pytest.raises(ValueError, match=says if says != "complex" else "(?i)complex"):
            model.predict(given)


def test_an_array_is_not_ready_for_a_model_of_named_columns():
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = NetClassifier(**SMALL).fit(frame, y)
    with pytest.warns(UserWarning, match="valid feature names"):
        model.predict(X)


def test_probabilities_of_labels_are_exact_where_they_are_tiny():
    model = NetClassifier(**SMALL).fit(X, np.column_stack([y == 0, y == 1]).astype(int))
    tiny = model.predict_proba(X * 1000)
    assert 0 < tiny[(tiny > 0)].min() < 1e-17
