"""A saved network predicts the same again, in the target's own units; scores are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

import pullback as pb
from pullback.data import Preprocessing, Scaling
from pullback.data.target import TargetColumn
from pullback.errors import PullbackError
from pullback.train import checkpoint
from pullback.train.prediction import Prediction

RNG = np.random.default_rng(0)
NET = pb.Network(pb.Sequential(pb.Linear(3, 4), pb.Tanh(), pb.Linear(4, 2)), pb.CrossEntropy())
X = RNG.normal(size=(20, 3))
VALUES = TargetColumn("price")
WORDS = TargetColumn("kind", ("cat", "dog"))


def test_a_network_is_the_same_again(tmp_path):
    params = NET.init(seed=0)
    scaled = {"x": Scaling(np.array([1.0, 2, 3]), np.array([2.0, 1, 4]))}
    made = Preprocessing(WORDS, arrays=3, scaling=scaled)
    found = pb.load(pb.save(tmp_path / "n.safetensors", NET, params, made, accuracy=0.5))
    assert (found.net.model, found.net.criterion) == (NET.model, NET.criterion)
    assert found.facts == {"accuracy": 0.5}
    prediction = found.predict(X)
    outputs = NET.predict(params, scaled["x"](X).astype(np.float32))
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    assert prediction.values == pytest.approx(shares, rel=1e-5)
    assert prediction.labels == [WORDS.classes[each] for each in outputs.argmax(axis=1)]


@pytest.mark.parametrize("loss", [pb.BinaryCrossEntropy(), pb.LogisticLoss()])
def test_one_output_tells_two_classes_apart(tmp_path, loss):
    net = pb.Network(pb.Linear(3, 1), loss)
    params = net.init(seed=0)
    found = pb.load(pb.save(tmp_path / "n.st", net, params, Preprocessing(WORDS, arrays=3)))
    z = net.predict(params, X.astype(np.float32))[:, 0]
    assert found.predict(X).values[:, 1] == pytest.approx(1 / (1 + np.exp(-z)), rel=1e-5)
    assert [each == "dog" for each in found.predict(X).labels] == (z > 0).tolist()


def test_values_are_in_the_targets_own_units(tmp_path):
    net = pb.Network(pb.Linear(3, 1), pb.MSELoss())
    params = net.init(seed=0)
    made = Preprocessing(VALUES, arrays=3, scaling={"y": Scaling(np.array(1e5), np.array(2e4))})
    found = pb.load(pb.save(tmp_path / "n.st", net, params, made))
    z = net.predict(params, X.astype(np.float32))
    assert found.predict(X).values == pytest.approx(1e5 + 2e4 * z, rel=1e-6)


def test_scores_are_those_of_scikit_learn():
    shares = RNG.dirichlet(np.ones(3), size=200)
    Y = RNG.integers(0, 3, 200)
    found = Prediction(shares, ("a", "b", "c")).scores(Y)
    best = shares.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(Y, best))
    assert found["f1"] == pytest.approx(metrics.f1_score(Y, best, average="macro"))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(Y, shares))
    values, truth = RNG.normal(size=(50, 1)), RNG.normal(size=50)
    found = Prediction(values).scores(truth)
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, values))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, values))
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, values))


def test_calibration_is_the_gap_between_confidence_and_accuracy():
    shares = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    Y = np.array([0] * 6 + [1] * 4 + [0] * 6 + [1] * 4)
    found = Prediction(shares, ("a", "b")).scores(Y)
    assert found["calibration"] == pytest.approx(0.5 * (0.9 - 0.6) + 0.5 * 0)


def test_what_is_no_saved_network_is_refused(tmp_path):
    params = NET.init(seed=0)
    checkpoint.save(tmp_path / "p.st", params, epoch=3)
    with pytest.raises(PullbackError, match="holds parameters, and no network"):
        pb.load(tmp_path / "p.st")
    told = {"kind": "Linear", "in_features": 3, "out_features": 2}
    model = {"model": told, "loss": {"kind": "MSELoss"}, "l2": 0.0, "x": "features"}
    checkpoint.save(tmp_path / "q.st", params, model=model)
    with pytest.raises(PullbackError, match="is damaged: 'weight' has shape None"):
        pb.load(tmp_path / "q.st")
    for key in ("model", "loss", "l2", "x"):
        for wrong in (None, [], {"kind": "Nothing"}, "features=0", -1):
            checkpoint.save(tmp_path / "r.st", params, model={**model, key: wrong})
            with pytest.raises(PullbackError):
                pb.load(tmp_path / "r.st")
    held = Preprocessing(VALUES, arrays=3, scaling={"x": Scaling(np.zeros(3), np.ones(3))})
    model["model"] = {"kind": "Linear", "in_features": 3, "out_features": 1}
    column = {"kind": "date", "name": "d", "filled": 0, "median": 0.0, "periods": [], "pattern": ""}
    for change in (
        {"arrays": 4},
        {"scaling": {"x": {"mean": [0, 0], "deviation": [1, 1]}}},
        {"scaling": {"x": {"mean": "no", "deviation": [1, 1, 1]}}},
        {"columns": [{"kind": "os"}]},
        {"columns": [{**column, "median": "x"}]},
        {"columns": [{**column, "periods": ["moon"]}]},
        {"columns": [{**column, "hidden": 1}]},
        {"target": None},
    ):
        one = {"weight": np.zeros((1, 3)), "bias": np.zeros(1)}
        made = {**held.to_dict(), **change}
        checkpoint.save(tmp_path / "t.st", one, model=model, preprocessing=made)
        with pytest.raises(PullbackError, match=r"damaged|unknown period"):
            pb.load(tmp_path / "t.st")
    with pytest.raises(PullbackError, match="saved without the preprocessing"):
        pb.load(pb.save(tmp_path / "s.st", NET, params)).predict(X)
