"""Every public record shows itself in a notebook: well-formed, escaped, the verdict first."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

import pullback as pb
from pullback.bench.record import BenchmarkRow, Comparison
from pullback.bench.task import TrainingTask
from pullback.derive import EquationList
from pullback.laws.gradient import GradientCheck
from pullback.laws.record import Mismatch
from pullback.notebook import headline, paragraph, table

VOID = {"br", "hr", "img", "input", "meta", "link"}


class Balanced(HTMLParser):
    """Notes tags that are opened and not closed, or closed and not opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def records():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(8, 2)), rng.normal(size=(8, 2))
    net = pb.Network(
        pb.Sequential(pb.Linear(2, 3), pb.Tanh(), pb.Linear(3, 2)), loss=pb.SquaredError()
    )
    params = net.init(seed=0)
    e = pb.expr("mean(log(1+exp(-y*(X@w))))", X="n d", y="n", w="d")
    forecast = pb.forecast(net, X, Y, draws=40)
    derivation = pb.derive(net)
    fit = pb.fit(net, X, Y, params, epochs=2, batch_size=4, progress=False, watch=True)
    closed = pb.closed_form(net, params, X[0])
    recurrence = pb.Recurrence([[1.0, 1.0], [1.0, 0.0]], 5)
    point = pb.FixedPoint([[0.3, 0.2], [-0.1, 0.4]], inputs=[1.0, -1.0], activation="tanh")
    J = pb.jacobian(net, params, X)
    tangent = pb.jacobian(net, params, X, wrt="params")
    t = np.linspace(1, 10, 12)
    curve = pb.expr("b1*(1-exp(-b2*x))", x="n", b1="", b2="")
    seen = 2 * (1 - np.exp(-0.3 * t)) + 0.01 * np.sin(9 * t)
    step = BenchmarkRow(
        TrainingTask((4, 3, 2), 8, "relu", "sgd"), {"pullback": 4e-6, "torch": 2e-5}, {}
    )
    compared = Comparison("A machine", ("pullback", "torch"), 9, (step,), (), 2, 0, 1, True)
    return {
        "comparison": compared,
        "network": net,
        "diagnosis": pb.doctor(net, X, Y, epochs=1, progress=False),
        "trace": net.trace(params, X, Y),
        "check": pb.check(net, params, X, Y),
        "fit": fit,
        "watched": fit.watched,
        "expression": e,
        "derivation": derivation,
        "derivation of an expression": pb.derive(e, wrt="w"),
        "equations": EquationList.of(net.equations.values()),
        "neurons": derivation.neurons(params, X[0], Y[0]),
        "forecast": forecast,
        "layer": forecast.layers[0],
        "advice": forecast.advice,
        "explanation": forecast.explain(0),
        "integral": forecast.integral(0),
        "phases": pb.phase_diagram(pb.Tanh()),
        "plan": pb.plan_chain([30, 35, 15, 5]),
        "ways": tangent.plan("gram"),
        "jacobian": J,
        "transposed": J.T,
        "tangent": tangent,
        "least squares": pb.least_squares(curve, {"x": t}, seen, start={"b1": 1.0, "b2": 0.1}),
        "laplace": pb.laplace(net, params, X, Y),
        "laplace in a structure": pb.laplace(net, params, X, Y, structure="kfac"),
        "curvature": pb.curvature(net, params, X, Y),
        "spectrum": pb.spectrum(net, params, X, Y, k=2),
        "closed form": closed,
        "paths": closed.paths(0, 0),
        "power": pb.closed_form(recurrence),
        "recurrence": recurrence,
        "fixed point": point,
        "implicit": pb.closed_form(point),
        "neumann": pb.closed_form(point).neumann([1.0, 0.0], 5),
    }


def test_every_record_is_well_formed_html(records):
    for name, record in records.items():
        found = Balanced()
        found.feed(record._repr_html_())
        found.close()
        assert not found.open, (name, found.open)
        assert "".join(found.words).strip(), name


def test_no_record_shows_an_address_or_an_array(records):
    for name, record in records.items():
        html = record._repr_html_()
        assert " object at 0x" not in html, name
        assert "array([" not in html, name


def test_a_verdict_stands_first(records):
    for name in (
        "check",
        "forecast",
        "plan",
        "closed form",
        "least squares",
        "explanation",
        "diagnosis",
    ):
        assert records[name]._repr_html_().startswith("<p><strong>"), name


def test_what_a_user_named_is_escaped():
    name = "<script>alert(1)</script>"
    worst = Mismatch(name, 1.0, 2.0, 0.5)
    shown = [
        GradientCheck(name, 1e-6, {name: 0.5}, worst)._repr_html_(),
        table([name], [[name]], name),
        headline(name),
        paragraph(name),
        pb.Network(pb.Linear(2, 1, name="<b>"), loss=pb.SquaredError())._repr_html_(),
    ]
    for html in shown:
        assert "<script>" not in html
        assert "<b>" not in html
