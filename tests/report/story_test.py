"""What the sections say, against what the rooms below say: sizes, neurons, plans, closed form."""

import math
import shlex
from itertools import pairwise

import numpy as np
import pytest
import typer

import pullback as pb
from pullback.cli.again import command
from pullback.cli.app import app
from pullback.derive import Text
from pullback.derive.formula.tree import (
    AppliedFormula,
    Negative,
    Number,
    ProductFormula,
    ScaledFormula,
    Sum,
)
from pullback.errors import NotApplicableError
from pullback.report.drawing.bracketing import draw
from pullback.report.drawing.depth import norm
from pullback.report.drawing.figures import decades
from pullback.report.layers import layers_of, norms_of
from pullback.report.sections import pace
from pullback.report.sections.closed_form import closed_of, closing
from pullback.report.sections.neuron_cards import _cells, _filled, hints_of
from pullback.report.sections.neurons import MOST_EDGES, TALLEST, neurons, neurons_of
from pullback.report.sections.pace import _products
from pullback.report.sections.plans import WANTED, plans_of
from pullback.report.sections.story import TrainingPlan, gather
from pullback.report.words.numbers import short


def network(*widths, activation=pb.Tanh, loss=None):
    blocks = []
    for into, out in pairwise(widths):
        blocks += [pb.Linear(into, out), activation()]
    return pb.Network(pb.Sequential(*blocks[:-1]), loss=loss or pb.SquaredError())


@pytest.fixture(scope="module")
def story():
    rng = np.random.default_rng(0)
    net = network(4, 6, 5, 2)
    X = rng.normal(size=(50, 4))
    schedule = TrainingPlan(2, pb.optim.SGD(0.05), 8, None, 3, False)
    return gather(net, X, X[:, :2], schedule)


def test_the_size_of_delta_is_the_length_of_one_samples_vector(story):
    X, Y = story.train
    lengths = {layer.path: [] for layer in story.layers}
    for x, y in zip(X, Y, strict=True):
        for path, delta in story.net.trace(story.params, x[None], y[None]).delta.items():
            lengths[path].append(float(np.sum(delta**2)))
    for path, squares in lengths.items():
        assert story.norms[path] == pytest.approx(math.sqrt(np.mean(squares)), rel=1e-5)


def test_training_starts_from_the_weights_that_are_given():
    rng = np.random.default_rng(0)
    net, X = network(3, 4, 2), rng.normal(size=(20, 3))
    own = {name: 2 * value for name, value in net.init(5).items()}
    schedule = TrainingPlan(1, pb.optim.SGD(1e-30), 8, None, 3, False, own)
    story = gather(net, X, X[:, :2], schedule)
    assert all(np.allclose(story.params[name], own[name], atol=1e-20) for name in own)
    trace = net.trace(own, *story.train)
    assert story.outlook.measured == norms_of(net, story.layers, trace, len(story.train[1]))
    assert not story.outlook.drawn


def test_the_pace_is_what_a_profile_measures(story):
    found = story.pace
    assert sum(found.shares.values()) == pytest.approx(1)
    assert set(found.shares) >= {"products", "elementwise", "update"}
    assert found.floor > 0


def test_what_the_compiled_engine_refuses_has_the_pace_of_numpy(story, monkeypatch):
    def refused(*_, **__):
        raise NotApplicableError("the compiled engine does not know this network")

    monkeypatch.setattr(pace, "profile_steps", refused)
    net, (X, Y) = network(4, 3, 2), story.train
    found = pace.pace_of(net, net.init(0), (X, Y), layers_of(net), pb.optim.SGD(0.1), 8)
    assert (found.shares, found.ratio > 0) == ({}, True)


def test_network_and_forecast_measure_the_same(story):
    before = {path: sizes[0] for path, sizes in story.flow.items()}
    assert story.outlook.measured == pytest.approx(before, rel=1e-5)


def test_the_forecast_of_a_layer_is_the_mean_length_over_seeds():
    net = network(3, 8, 2)
    rng = np.random.default_rng(1)
    X = rng.normal(size=(20, 3))
    f = pb.forecast(net, X, X[:, :2], draws=2000, seed=0, progress=False, methods=("monte_carlo",))
    layers, squares = layers_of(net), []
    for seed in range(400):
        trace = net.trace(net.init(seed), X, X[:, :2])
        squares.append(norms_of(net, layers, trace, len(X))["0"] ** 2)
    drawn = norm(f.layers[0], "monte_carlo")
    assert drawn == pytest.approx(math.sqrt(np.mean(squares)), rel=0.1)


def value(formula):
    """A formula of numbers, worked out."""
    match formula:
        case Number(value=number):
            return number
        case Negative(arg=arg):
            return -value(arg)
        case Sum(terms=terms):
            return sum(map(value, terms))
        case ProductFormula(factors=factors):
            return math.prod(map(value, factors))
        case ScaledFormula():
            return math.prod(map(value, formula.parts))
    raise TypeError(Text()(formula))


def test_the_numbers_on_a_card_come_to_what_stands_behind_the_sign():
    net = network(3, 4, 2)
    rng = np.random.default_rng(0)
    shown = neurons_of(net, net.init(0), rng.normal(size=(1, 3)), np.ones((1, 2)), None, 0)
    cells, worked_out = _cells(shown.neurons), 0
    for entry in shown.neurons.entries:
        if isinstance(entry.formula, AppliedFormula) or Text()(entry.name)[0] == "e":
            continue
        found = value(_filled(entry.formula, cells))
        assert found == pytest.approx(entry.value, rel=0.02, abs=0.02)
        worked_out += 1
    assert worked_out == 6 + 2 + 6 + 20  # d, s, v, g


def test_every_node_has_a_card_and_every_symbol_a_hint():
    net = network(2, 3, 2)
    shown = neurons_of(net, net.init(0), np.ones((1, 2)), np.ones((1, 2)), None, 0)
    html = neurons(shown).items[0].html
    nodes = {"x1", "x2", *map(str, range(1, 7))}
    assert all(html.count(f'data-node="{name}"') == 1 for name in nodes)
    assert all(html.count(f'data-card="{name}"') == 1 for name in nodes)
    assert html.count('class="edge"') == 12 + 2
    assert {f"s-n-w-{at}" for at in range(1, 15)} <= set(hints_of(shown.neurons))


@pytest.mark.parametrize(
    ("widths", "told"),
    [
        ((TALLEST, 2, 2), ""),
        ((TALLEST + 1, 2, 2), "2–2–2"),
        ((6, 6, 2), ""),
        ((6, 6, 6, 2), "2–2–2–2"),
        ((9, 9, 9, 9, 9, 1), "2–2–2–1 (3 of its layers)"),
    ],
)
def test_what_is_too_large_is_shown_in_miniature(widths, told):
    net = network(*widths)
    x, y = np.ones((1, widths[0])), np.ones((1, widths[-1]))
    shown = neurons_of(net, net.init(0), x, y, None, 0)
    assert shown.miniature.startswith(told)
    assert bool(shown.miniature) == bool(told)
    assert bool(shown.why) == bool(told)
    assert len(shown.neurons.graph.edges) <= MOST_EDGES + TALLEST


def test_what_is_large_and_no_stack_says_so():
    net = pb.Network(
        pb.Sequential(pb.Linear(9, 9), pb.Residual(pb.Linear(9, 9))), loss=pb.SquaredError()
    )
    why = neurons_of(net, net.init(0), np.ones((1, 9)), np.ones((1, 9)), None, 0)
    assert "not a stack" in why
    assert "not drawn" in neurons(why).verdict


def test_a_plan_is_drawn_step_by_step():
    net = network(9, 3, 7, 2)
    found = plans_of(net, net.init(0), np.ones((3, 9)), layers_of(net))
    assert set(found.names.values()) == {"W₁", "D₁", "W₂", "D₂", "W₃"}
    for wanted in WANTED:
        plan = found.of_input[wanted]
        svg = draw(plan, found.names)
        assert svg.count("<circle") == len(plan.steps)
        assert svg.count("<rect") == len(plan.links)
    reverse, forward = found.of_input["vjp"], found.of_input["jvp"]
    assert 'class="backward"' in draw(reverse, {})
    assert 'class="forward"' not in draw(reverse, {})
    assert 'class="forward"' in draw(forward, {})
    assert 'class="backward"' not in draw(forward, {})


def test_the_floor_has_three_products_a_layer_and_two_at_the_first():
    products = _products(layers_of(network(5, 4, 3, 2)), batch=7)
    assert len(products) == 3 * 3 - 1
    entries = [5 * 4, 4 * 3, 3 * 2]
    assert sum(each.fma for each in products) == 7 * (3 * sum(entries) - entries[0])


def test_the_closed_form_is_that_of_its_room(story):
    x = np.ones(3)
    linear = network(3, 3, 3, activation=pb.Identity)
    params = linear.init(0)
    known = pb.closed_form(linear, params, x)
    section = closing(closed_of(linear, params, x), "no forecast")
    assert section.verdict == known.verdict
    assert section.verdict.startswith("There is a closed form")
    assert short(known.condition) in "".join(section.items)
    assert f"{known.cost.recursion:,} fma" in "".join(section.items)
    section = closing(story.closed, story.outlook)
    assert section.verdict.startswith("There is no closed form")
    assert "On average over initialisations" in "".join(section.items)


@pytest.mark.parametrize(("low", "high"), [(0.93, 1.21), (0.2, 0.31), (1.0, 8.0), (1e-9, 1.0)])
def test_a_log_axis_always_has_ticks_inside(low, high):
    axis = decades([low, high])
    inside = [t for t in axis["tickvals"] if axis["range"][0] <= math.log10(t) <= axis["range"][1]]
    assert 2 <= len(inside) <= 12
    assert len(axis["ticktext"]) == len(axis["tickvals"])


@pytest.mark.parametrize(
    "line",
    [
        "report",
        "report two.csv --layers 2,2,2 --lr 0.1 --seed 4",
        "report digits --no-scale --activation 'x**3' --quiet",
    ],
)
def test_the_command_that_is_told_does_the_same(line):
    report = typer.main.get_command(app).commands["report"]

    def read(words):
        return report.make_context("report", words[1:])

    first = read(shlex.split(line))
    told = shlex.split(command(first))
    assert told[0] == "pullback"
    again = read(told[1:])
    assert again.params == first.params
    assert command(again) == command(first)
