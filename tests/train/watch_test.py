"""What ``fit(…, watch=True)`` records: δ as the forecast has it, dead units, update/weight."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb


def network(first=40, second=30):
    model = pb.Sequential(
        pb.Linear(6, first), pb.ReLU(), pb.Linear(first, second), pb.ReLU(), pb.Linear(second, 4)
    )
    return pb.Network(model, loss=pb.CrossEntropy())


def data():
    return np.random.default_rng(0).normal(size=(60, 6)), np.arange(60) % 4


def test_the_first_entry_is_the_trace_before_training_and_training_is_not_changed():
    net, (X, Y) = network(), data()
    options = dict(epochs=3, batch_size=20, progress=False, seed=2)
    plain, seen = pb.fit(net, X, Y, **options), pb.fit(net, X, Y, watch=True, **options)
    assert plain.watched is None
    assert all(np.array_equal(plain.params[name], seen.params[name]) for name in plain.params)
    first, last = net.trace(net.init(2), X, Y), net.trace(seen.params, X, Y)
    for name, sizes in seen.watched.rms_delta.items():
        assert len(sizes) == 4
        assert sizes[0] == pytest.approx(60 * first.rms_delta()[name])
        assert sizes[-1] == pytest.approx(60 * last.rms_delta()[name])
    assert "RMS δ" in seen.watched.text()
    assert seen.to_dict()["watched"]["dead"].keys() == {"0", "2", "4"}


def test_update_is_the_relative_change_of_an_epoch():
    net, (X, Y) = network(), data()
    result = pb.fit(net, X, Y, epochs=1, batch_size=None, progress=False, watch=True,
                    optimizer=pb.optim.SGD(0.1))  # fmt: skip
    start = net.init(0)
    for layer, (change,) in result.watched.update.items():
        now = result.params[f"{layer}.weight"]
        moved = np.linalg.norm(now - start[f"{layer}.weight"]) / np.linalg.norm(now)
        assert change == pytest.approx(moved)


def test_dead_units_are_those_that_get_no_error():
    net, (X, Y) = network(), data()
    params = net.init(0)
    params["0.bias"][:10] = -1e3
    result = pb.fit(net, X, Y, params=params, epochs=1, progress=False, watch=True)
    assert result.watched.dead["0"] == [0.25, 0.25]


def test_the_first_entry_is_what_the_forecast_says():
    net, (X, Y) = network(200, 200), data()
    f = pb.forecast(net, X, Y, pb.init.he(), methods=("coupled",))
    squares = []
    for seed in range(30):
        params = net.init(seed, pb.init.he())
        seen = pb.fit(net, X, Y, params=params, epochs=1, progress=False, watch=True).watched
        squares.append([sizes[0] ** 2 for sizes in seen.rms_delta.values()])
    drawn, doubt = np.mean(squares, axis=0), np.std(squares, axis=0) / np.sqrt(30)
    for layer, mean, error in zip(f.layers, drawn, doubt, strict=True):
        assert abs(layer.delta_ms["coupled"] - mean) < 4 * error + 0.05 * mean


def test_a_unit_is_dead_where_it_is_so_at_every_token():
    model = pb.Sequential(pb.Linear(1, 4), pb.ReLU(), pb.Linear(4, 2))
    net = pb.Network(model, loss=pb.SquaredError(), x="tokens=2 features=1")
    X = np.array([[[-1.0], [1.0]]] * 6)  # at the first token no unit is above 0
    params = net.init(0)
    params["0.weight"][:] = 1.0
    params["0.weight"][0] = 0.0
    params["0.bias"][:] = [-1.0, 0, 0, 0]
    seen = pb.fit(net, X, np.ones((6, 2, 2)), params=params, epochs=1, batch_size=None,
                  optimizer=pb.optim.SGD(1e-9), progress=False, watch=True).watched  # fmt: skip
    assert seen.dead["0"] == [0.25, 0.25]
