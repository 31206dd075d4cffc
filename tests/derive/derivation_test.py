"""Derivations of networks: every line has its value, in every convention."""

from __future__ import annotations

import shutil
import subprocess
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from emitted import run
from formula_law_test import Computation
from latex2mathml.converter import convert
from zoo import FLOAT64, Case, close, named

import pullback as pb
from pullback.derive.formula.text import Text
from pullback.derive.formula.tree import Blocks, Call, Kronecker, Partial
from pullback.derive.program import sample_program
from pullback.derive.steps.affine import layer_of
from pullback.errors import ConfigError, UnknownNameError
from pullback.ir.evaluate import evaluate_all
from pullback.net.checks import checked_data

CONVENTIONS = ["columns", "rows", "ng", "index"]
DIGITS = pb.Network(
    pb.Sequential(pb.Linear(400, 25), pb.Sigmoid(), pb.Linear(25, 10), pb.Sigmoid()),
    loss=pb.BinaryCrossEntropy(from_logits=False),
)


def deep(layers: int) -> pb.Network:
    blocks = [part for _ in range(layers - 1) for part in (pb.Linear(4, 4), pb.Tanh())]
    return pb.Network(pb.Sequential(*blocks, pb.Linear(4, 2)), loss=pb.CrossEntropy())


class Blockwise(Computation):
    """The strict computation with blocks, Kronecker products and vec."""

    def value(self, formula):
        match formula:
            case Blocks(blocks, stacked=True):
                return np.vstack([np.atleast_2d(self.value(part)) for part in blocks])
            case Blocks(blocks):
                return np.hstack([self.value(part) for part in blocks])
            case Kronecker(left, right):
                return np.kron(self.value(left), self.value(right))
            case Call("diag", (arg,)):
                return np.diag(self.value(arg).ravel())
        return super().value(formula)


def one_sample(case: Case, convention: str):
    """The values of a case's sample program, as columns, by the symbols of the convention."""
    program = sample_program(case.net, convention)
    x, target = checked_data(case.net, *case.data())
    nodes = tuple(each.node for each in program.equations)
    given = {**case.params(), "x": x[:1], "target": target[:1].astype(float)}
    values = evaluate_all((case.net.x, case.net.target, *nodes), given)

    def column(node):
        value, axes = values[node], node.axes
        if program.batch in axes:
            value = value.squeeze(axes.index(program.batch))
        return value[:, None] if value.ndim == 1 else value

    symbols = {
        Text()(symbol): column(node)
        for node, symbol in program.notation.symbols.items()
        if node in values
    }
    return program, symbols


@pytest.mark.parametrize("case", FLOAT64[::3], ids=repr)
def test_ng_with_bias_columns_gives_the_same_numbers(case):
    """z = Θ [1; a], and δ [1; a]ᵀ is the gradients of bias and weight side by side."""
    d = pb.derive(case.net, convention="ng")
    program, symbols = one_sample(case, "ng")
    lines = {line.name: line for line in d.lines if not line.where}
    for each in program.equations:
        if (layer := layer_of(each.node)) is not None:
            theta = case.params()[layer.weight.name]
            if layer.bias is not None:
                theta = np.hstack([case.params()[layer.bias.name][:, None], theta])
            symbols[Text()(program.notation.theta(layer))] = theta
    computation = Blockwise(symbols, 1)
    checked = 0
    for each in program.equations:
        if each.role == "z" and each.name in lines:
            line = lines[each.name]
            expected = symbols[Text()(line.left)]
            found = np.reshape(computation.value(line.right), expected.shape)
            close(found, expected, tight=1e-10)
            checked += 1
        if each.role == "gradient" and len(each.axes) == 2 and each.name in lines:
            blocks = [symbols_of(case, name) for name in reversed(lines[each.name].names)]
            expected = np.hstack([block for block in blocks if block is not None])
            found = computation.value(lines[each.name].right)
            close(np.reshape(found, expected.shape), expected, tight=1e-10)
            checked += 1
    assert checked >= 2


def symbols_of(case: Case, name: str):
    """The gradient of one sample's unreduced loss by a parameter, as a matrix."""
    program = sample_program(case.net, "columns")
    if name not in program.by_name:
        return None
    x, target = checked_data(case.net, *case.data())
    given = {**case.params(), "x": x[:1], "target": target[:1].astype(float)}
    node = program.by_name[name]
    value = evaluate_all((case.net.x, case.net.target, node), given)[node]
    return value[:, None] if value.ndim == 1 else value


@pytest.mark.parametrize("order", ["r", "c"])
def test_the_kronecker_form_of_a_weights_jacobian_in_both_stackings(order):
    case = named("Tanh()")
    _, symbols = one_sample(case, "columns")
    W, x = case.params()["0.weight"], symbols["x"]
    identity = {"I": np.eye(len(W))}
    (line,) = [e for e in pb.derive(case.net).lines if e.name == f"jacobian.z.0.0.weight.{order}"]
    found = Blockwise(symbols | identity, 1).value(line.right)
    assert isinstance(line.left, Partial)
    change = np.random.default_rng(0).normal(size=W.shape)
    stacked = change.reshape(-1, order="C" if order == "r" else "F")
    np.testing.assert_allclose(found @ stacked[:, None], change @ x, rtol=1e-12)
    wrong = change.reshape(-1, order="F" if order == "r" else "C")
    assert not np.allclose(found @ wrong[:, None], change @ x)


def test_kronecker_form_in_rows():
    case = named("Tanh()")
    d = pb.derive(case.net, convention="rows")
    by_name = {line.name: line for line in d.lines}
    X = case.data()[0]
    change = np.random.default_rng(0).normal(size=(4, 6))  # (in, out)
    for order, layout in (("r", "C"), ("c", "F")):
        line = by_name[f"jacobian.z.0.0.weight.{order}"]
        found = Blockwise({"X": X, "I": np.eye(6)}, len(X)).value(line.right)
        vec = change.reshape(-1, order=layout)
        np.testing.assert_allclose(found @ vec, (X @ change).reshape(-1, order=layout))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_step_has_a_title_equations_and_a_reason(convention):
    d = pb.derive(DIGITS, convention=convention)
    titles = " ".join(step.title for step in d.steps)
    for word in ("composition", "Forward", "Total derivative", "Jacobians", "recursion",
                 "Gradients", "row of blocks", "Update", "mini-batch"):  # fmt: skip
        assert word in titles
    assert all(step.equation and step.reason for step in d.steps)
    assert [line.number for line in d.lines] == list(range(1, len(d.lines) + 1))
    assert max(map(len, d.text().splitlines())) <= 100


def test_ng_has_401_and_26_columns_and_accumulates():
    text = pb.derive(DIGITS, convention="ng").text()
    assert "25 × 401" in text
    assert "10 × 26" in text
    assert "z₁ = Θ₁ [1; x]" in text
    assert "δ₂ = a₂ − y" in text
    assert "G₂     ← G₂ + δ₂ [1; a₁]ᵀ" in text
    assert "∂L/∂Θ₂ = (1/N) G₂" in text


def test_rows_are_those_of_cs231n():
    text = pb.derive(DIGITS, convention="rows").text()
    assert "Z₁ = X W₁ + 𝟏 b₁ᵀ" in text
    assert "Δ₁ = (Δ₂ W₂ᵀ) ⊙ A₁ ⊙ (1 − A₁)" in text
    assert "∂L/∂W₁ = Xᵀ Δ₁" in text


def test_index_has_the_recursion_as_it_is_asked_for():
    lines = [line.text() for line in pb.derive(DIGITS, convention="index").lines]
    assert "δᵢ⁽ˡ⁾ = (Σⱼ Wⱼᵢ⁽ˡ⁺¹⁾ δⱼ⁽ˡ⁺¹⁾) f′(zᵢ⁽ˡ⁾)" in lines
    assert "δᵢ⁽¹⁾ = aᵢ⁽¹⁾ (1 − aᵢ⁽¹⁾) Σⱼ Wⱼᵢ⁽²⁾ δⱼ⁽²⁾" in lines


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_long_networks_fold_their_layers(convention):
    short, long = (pb.derive(deep(n), convention=convention) for n in (8, 30))
    assert len(short.lines) == len(long.lines)
    assert "for l = 2, …, 29" in long.text()
    equations = {name for line in long.lines for name in line.names}
    assert {"z.0", "z.24", "delta.24", "gradient.24.weight"} <= equations


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("case", FLOAT64[::5], ids=repr)
def test_latex_and_html_parse(case, convention):
    d = pb.derive(case.net, convention=convention)
    assert convert(d.latex()).startswith("<math")
    page = d.html().replace("&nbsp;", " ")
    assert "http" not in page.replace("http://www.w3.org/1998/Math/MathML", "")
    ET.fromstring(f"<div>{page}</div>")
    assert d._repr_html_() == d.html()
    assert d.to_dict()["steps"][0]["equations"][0]["number"] == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_compiles(tmp_path):
    formulas = [
        pb.derive(case.net, convention=c).latex() for case in FLOAT64[::6] for c in CONVENTIONS
    ]
    body = "\n".join(rf"\[ {each} \]" for each in formulas)
    head = r"\documentclass{article}\usepackage{amsmath,amssymb}\allowdisplaybreaks"
    (tmp_path / "zoo.tex").write_text(rf"{head}\begin{{document}}{body}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "zoo.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.parametrize("case", FLOAT64[1::6], ids=repr)
def test_hessian_times_a_direction_is_jaxs(case):
    jax = pytest.importorskip("jax")
    import jax_peer

    slope = jax.grad(lambda params: jax_peer.loss(case, params))
    rng = np.random.default_rng(7)
    along = {name: rng.normal(size=p.shape) for name, p in case.params().items()}
    namespace = run(pb.derive(case.net, order=2).code("numpy"))
    found = namespace["hessian_vector_product"](
        case.params(),
        *checked_data(case.net, *case.data()),
        **{f"v_{name.replace('.', '_')}": v for name, v in along.items()},
    )
    expected = jax.jit(lambda p, v: jax.jvp(slope, (p,), (v,))[1])(case.params(), along)
    largest = max(np.abs(value).max() for value in expected.values())
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-9 * max(largest, 1e-3))


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'columns'"):
        pb.derive(DIGITS, convention="column")
    with pytest.raises(ConfigError, match="order is 3"):
        pb.derive(DIGITS, order=3)
    with pytest.raises(ConfigError, match="a network has its parameters"):
        pb.derive(DIGITS, wrt="w")
    with pytest.raises(ConfigError, match="takes a Network or an expression"):
        pb.derive(3)
