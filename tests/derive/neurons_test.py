"""The per-neuron dynamic programme equals the matrix form for every weight."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest
from latex2mathml.converter import convert
from zoo import FLOAT64, close, named

import pullback as pb
from pullback.derive.program import sample_program
from pullback.errors import ConfigError, NotApplicableError
from pullback.ir import fn, symbol
from pullback.ir.build import add, multiply, scalar_map
from pullback.ir.evaluate import evaluate_all
from pullback.net.checks import checked_data

# Matt Mazur, A Step by Step Backpropagation Example (2015), with this project's numbering of edges
MAZUR = pb.Network(
    pb.Sequential(pb.Linear(2, 2), pb.Sigmoid(), pb.Linear(2, 2), pb.Sigmoid()),
    loss=pb.SquaredError(),
)
WEIGHTS = {
    "0.weight": np.array([[0.15, 0.20], [0.25, 0.30]]),
    "0.bias": np.array([0.35, 0.35]),
    "2.weight": np.array([[0.40, 0.45], [0.50, 0.55]]),
    "2.bias": np.array([0.60, 0.60]),
}


def mazur():
    return pb.derive(MAZUR).neurons(WEIGHTS, [0.05, 0.10], [0.01, 0.99])


@pytest.mark.parametrize("case", FLOAT64, ids=repr)
def test_every_weights_gradient_is_that_of_the_matrix_form(case):
    X, Y = case.data()
    found = pb.derive(case.net).neurons(case.params(), X[:1], Y[:1]).gradients()
    x, target = checked_data(case.net, X[:1], Y[:1])
    program = sample_program(case.net, "columns")
    nodes = [program.by_name[f"gradient.{name}"] for name in found]
    given = {**case.params(), "x": x, "target": target}
    values = evaluate_all((case.net.x, case.net.target, *nodes), given)
    assert found.keys() == case.params().keys()
    for node, gradient in zip(nodes, found.values(), strict=True):
        close(gradient, values[node], tight=1e-10)


def test_the_numbers_of_a_published_example():
    table = mazur()
    assert table.graph.loss.value == pytest.approx(0.298371109, abs=1e-9)
    # w5 there is 1 → 3 here, and w1 is x1 → 1
    assert table.g["w5"] == pytest.approx(0.082167041, abs=1e-9)
    assert table.g["w1"] == pytest.approx(0.000438568, abs=1e-9)
    assert table.v[3] == pytest.approx(0.138498562, abs=1e-9)
    assert table.g["w9"] is None
    assert table.g["w10"] is None


def test_formulas_stand_in_filling_order_under_the_names_of_the_question():
    lines = [entry.text().rpartition(" = ")[0] for entry in mazur().entries]
    assert lines == [
        *(line for n, (a, b) in {1: (1, 3), 2: (2, 4)}.items() for line in (
            f"d{_(n)} = w{_(a)} x₁ + w{_(b)} x₂",
            f"h{_(n)} = f(d{_(n)} + b{_(n)})",
            f"t{_(n)} = f′(d{_(n)} + b{_(n)})")),
        *(line for n, (a, b) in {3: (5, 7), 4: (6, 8)}.items() for line in (
            f"d{_(n)} = w{_(a)} h₁ + w{_(b)} h₂",
            f"u{_(n)} = f(d{_(n)} + b{_(n)})",
            f"t{_(n)} = f′(d{_(n)} + b{_(n)})")),
        "e = ½ Σᵢ (uᵢ − yᵢ)²",
        "s₃ = u₃ − y₃",
        "s₄ = u₄ − y₄",
        "v₃ = w₉ s₃ t(d₃ + b₃)",
        "v₄ = w₁₀ s₄ t(d₄ + b₄)",
        "g₅ = v₃ h₁",
        "g₆ = v₄ h₁",
        "g₇ = v₃ h₂",
        "g₈ = v₄ h₂",
        "v₁ = t(d₁ + b₁) (w₅ v₃ + w₆ v₄)",
        "v₂ = t(d₂ + b₂) (w₇ v₃ + w₈ v₄)",
        "g₁ = v₁ x₁",
        "g₂ = v₂ x₁",
        "g₃ = v₁ x₂",
        "g₄ = v₂ x₂",
    ]  # fmt: skip


def _(number: int) -> str:
    return "₀₁₂₃₄₅₆₇₈₉"[number]


def test_table_latex_and_drawing():
    table = mazur()
    assert "w9: 3 → 5, w10: 4 → 5: constantly 1, without gradient" in table.text()
    assert convert(table.latex()).startswith("<math")
    root = ET.fromstring(table.svg())
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert tags.count("circle") == 2 + 4 + 1
    assert tags.count("line") == 2 * 10  # forward and backward on each edge
    assert tags.count("title") == 1
    assert len(table.to_dict()["entries"]) == len(table.entries)
    assert "<svg" in table._repr_html_()


def test_a_residual_has_a_neuron_for_each_sum_and_its_slopes_as_weights():
    residual = named("residual of a linear")
    X, Y = residual.data()
    table = pb.derive(residual.net).neurons(residual.params(), X[0], Y[0])
    lines = [entry.text().rpartition(" = ")[0] for entry in table.entries]
    assert {"h₅ = h₁ + x₁", "w₁₇ = 1", "w₂₁ = 1", "v₁ = t(d₁ + b₁) (w₁₇ v₅)"} <= set(lines)
    assert table.g["w17"] is None
    assert "g₁₇" not in table.text()


@pytest.mark.parametrize("axes", ["all", "none"])
def test_a_weight_may_be_one_number_or_stand_on_the_diagonal(axes):
    class Scaled(pb.nn.Block):
        def build(self, x, at):
            own = x.axes[1:] if axes == "all" else ()
            scaled = multiply(x, at.parameter("weight", own, 1.0))
            return at.z(add(scaled, at.parameter("bias", own, 0.0)))

    net = pb.Network(Scaled(), loss=pb.SquaredError(), x="height=2 width=3")
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=value.shape) for name, value in net.init().items()}
    x, y = rng.normal(size=(2, 2, 3))
    found = pb.derive(net).neurons(params, x, y)
    assert len(found.graph.edges) == 6 + 6
    for name, gradient in net.value_and_grad(params, x[None], y[None])[1].items():
        close(found.gradients()[name], gradient, tight=1e-12)


def test_what_is_too_large_or_has_no_weighted_sum_is_refused():
    class Warmed(pb.nn.Block):
        def build(self, x, at):
            return at.a(scalar_map(fn("tanh")(symbol(0) * symbol(1)), x, at.parameter("by", ())))

    without = pb.Network(Warmed(), loss=pb.SquaredError(), x="features=3")
    with pytest.raises(NotApplicableError, match="is a weighted sum z = W a"):
        pb.derive(without).neurons(without.init(), np.zeros(3), np.zeros(3))
    large = pb.Network(pb.Sequential(pb.Linear(400, 25)), loss=pb.SquaredError())
    with pytest.raises(ConfigError, match="10000 edges"):
        pb.derive(large).neurons(large.init(), np.zeros(400), np.zeros(25))
    e = pb.expr("sum(x**2)", x="n")
    with pytest.raises(ConfigError, match="is an expression"):
        pb.derive(e, wrt="x").neurons({}, [1], [1])
