"""Data in groups: averages stay those of the data, however many samples there are."""

import numpy as np
import pytest

import pullback as pb
from pullback.moments.law.cases import CLUSTERS, GROUPS, cases

SHAPES = {
    "few": lambda rng: rng.normal(size=(9, 3)),
    "many": lambda rng: rng.normal(size=(300, 3)),
    "repeated": lambda rng: np.tile(rng.normal(size=(4, 3)), (50, 1)),
    "all the same": lambda _: np.ones((100, 3)),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("means_matter", [False, True])
@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES)
def test_averages_over_cases_are_those_of_the_data(make, means_matter):
    rng = np.random.default_rng(0)
    X = make(rng)
    Y = np.stack([X[:, 0] > 0, X[:, 1] - X[:, 2]], axis=1)
    found = cases(X, Y, means_matter)
    assert len(found.weight) <= 1 + (CLUSTERS if means_matter else GROUPS)
    assert found.weight.sum() == pytest.approx(1)
    together = np.concatenate(found.members[:-1])
    assert np.array_equal(np.sort(together), np.arange(len(X)))
    assert found.average(found.mean) == pytest.approx(X.mean())
    assert found.average(found.square) == pytest.approx(np.square(X).mean())
    assert found.average(found.target) == pytest.approx(Y.mean())
    assert found.average(found.target_square) == pytest.approx(np.square(Y).mean())


def test_equal_samples_are_one_case_where_means_matter():
    rng = np.random.default_rng(0)
    corners = rng.normal(size=(5, 3))
    found = cases(np.tile(corners, (40, 1)), np.ones((200, 1)), means_matter=True)
    assert len(found.weight) == 5 + 1


def test_weights_with_a_mean_and_hundreds_of_samples_are_forecast():
    """The mean of x matters there, and there are more samples than cases."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (300, 8))
    Y = rng.normal(size=(300, 1))
    blocks = [pb.Linear(8, 64), pb.Tanh(), pb.Linear(64, 1)]
    net = pb.Network(pb.Sequential(*blocks), loss=pb.MSELoss())
    scheme = pb.init.normal(std=1.0, mean=1.0)
    law = pb.forecast(net, X, Y, scheme, ["independence"], progress=False)
    drawn = pb.forecast(net, X, Y, scheme, ["monte_carlo"], draws=400, progress=False)
    assert law.ratio == pytest.approx(drawn.ratio, rel=0.05)
