"""What the page shows is what the library says."""

import json

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ConfigError, UnknownNameError
from pullback.explore.setup import Setup, work_of
from pullback.explore.views import LOOKED_AT, VIEWS

SETUPS = {
    "default": Setup(),
    "no hidden layer": Setup(hidden=""),
    "three classes": Setup(data="spirals", activation="gelu", init="lecun"),
    "one output": Setup(data="circles", loss="logistic_loss"),
    "digits": Setup(data="digits", hidden="12", activation="relu", init="he"),
    "a formula": Setup(activation="x*sigmoid(x)", hidden="5"),
}


@pytest.fixture(params=SETUPS)
def work(request):
    return work_of(SETUPS[request.param])


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_json_of_finite_numbers(work, view):
    text = json.dumps(VIEWS[view](work, {}), allow_nan=False)
    assert len(text) < 400_000


def test_the_forecast_is_that_of_the_library(work):
    found = VIEWS["forecast"](work, {})
    part = work.train[0][:LOOKED_AT], work.train[1][:LOOKED_AT]
    expected = pb.forecast(work.net, *part, scheme=work.scheme, methods="coupled", progress=False)
    sizes = [(x.n_out * x.delta_ms["coupled"]) ** 0.5 for x in expected.layers]
    assert found["methods"]["coupled"] == pytest.approx(sizes)
    assert found["word"] == expected.verdict


def test_what_is_measured_is_delta_of_one_sample_before_training(work):
    found = VIEWS["forecast"](work, {})["measured"]
    rows = [
        work.net.trace(work.start, work.train[0][k : k + 1], work.train[1][k : k + 1]).delta
        for k in range(LOOKED_AT)
    ]
    for at, name in enumerate(sorted(rows[0], key=int)):
        norm = np.sqrt(np.mean([np.sum(np.square(row[name])) for row in rows]))
        assert found[at] == pytest.approx(norm, rel=1e-3), name


@pytest.mark.parametrize("seed", range(4))
def test_the_forecast_says_whether_this_seed_is_inside_of_the_band(seed):
    found = VIEWS["forecast"](work_of(Setup(hidden="6, 6, 6", seed=seed)), {})
    sizes = zip(found["measured"], found["band"], strict=True)
    outside = sum(not low <= size <= high for size, (low, high) in sizes)
    where = f"outside the band of 80 % of the seeds at {outside} of 4 layers."
    if not outside:
        where = "inside the band of 80 % of the seeds at every layer."
    assert f"One seed, {seed}, measured" in found["verdict"]
    assert found["verdict"].endswith(where)


@pytest.mark.parametrize("convention", ["columns", "rows", "ng", "index"])
def test_the_derivation_is_in_the_convention(work, convention):
    found = VIEWS["derivation"](work, {"convention": convention})
    derived = pb.derive(work.net, convention)
    assert found["latex"] == derived.latex()
    assert found["html"].count("data-latex=") == len(derived.lines)
    assert all(name.startswith("s-") and fact["shape"] for name, fact in found["symbols"].items())


def test_an_unknown_convention_is_named():
    with pytest.raises(UnknownNameError, match="did you mean 'columns'"):
        VIEWS["derivation"](work_of(Setup()), {"convention": "colums"})


def test_the_cells_are_those_of_the_programme_and_equal_the_matrix_form():
    work = work_of(Setup())
    found = VIEWS["neurons"](work, {"sample": 3})
    x, y = work.test[0][3].astype(float), work.test[1][3]
    neurons = pb.derive(work.net).neurons(work.start, x, y)
    assert [step["text"] for step in found["steps"]] == [e.text() for e in neurons.entries]
    _, grads = work.net.value_and_grad(work.start, x[None], np.array([y]))
    for name, value in neurons.gradients().items():
        assert value == pytest.approx(grads[name], abs=1e-6), name


def test_a_cell_lights_the_edges_that_its_formula_reads():
    steps = {step["key"]: step for step in VIEWS["neurons"](work_of(Setup()), {})["steps"]}
    assert steps["s-n-d-1"]["edges"] == [["x1", "1"], ["x2", "1"]]
    assert steps["s-n-h-1"]["edges"] == []
    assert steps["s-n-v-5"]["edges"] == [["5", "8"], ["5", "9"]]
    assert steps["s-n-g-1"]["edges"] == [["x1", "1"]]
    assert steps["s-n-s-9"]["edges"] == [["9", "10"]]
    assert steps["s-n-e-"]["edges"] == [["8", "10"], ["9", "10"]]


def test_each_cell_has_a_row_of_its_own_in_the_card_of_its_node():
    for setup in SETUPS.values():
        found = VIEWS["neurons"](work_of(setup), {})
        rows = [(step["node"], step["row"]) for step in found["steps"]]
        assert len(set(rows)) == len(rows)
        for card in found["cards"]:
            name = card.partition('data-card="')[2].partition('"')[0]
            assert card.count("<tr") == sum(node == name for node, _ in rows)


def test_trained_parameters_are_taken_and_looked_at():
    work = work_of(Setup())
    params = {name: (value + 1).tolist() for name, value in work.start.items()}
    given = VIEWS["neurons"](work, {"params": params})
    assert given["steps"][0]["text"] != VIEWS["neurons"](work, {})["steps"][0]["text"]
    for wrong in ({"0.weight": [[1.0]]}, {"0.weight": "x"}, [1], {"a": object}):
        with pytest.raises((ConfigError, pb.errors.PullbackError)):
            VIEWS["neurons"](work, {"params": wrong})


def test_a_sample_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="sample is 100; there are 100"):
        VIEWS["neurons"](work_of(Setup()), {"sample": 100})


def test_the_phase_diagram_holds_the_network():
    phases = VIEWS["forecast"](work_of(Setup(init="he", hidden="64, 64")), {})["phases"]
    assert phases["here"]["x"] == pytest.approx(2**0.5, rel=1e-6)
    assert VIEWS["forecast"](work_of(Setup(hidden="")), {})["phases"] is None
