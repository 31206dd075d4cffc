"""The matrix law, on paper: every network × convention × code target × drawing × page.

Printed formulas are computed with matrices, emitted code is run, and both meet torch's numbers.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from matrix_networks import BY_HAND, CANCELLING, DEGENERATE, told
from zoo import FLOAT64, close

import pullback as pb
from pullback.derive.formula.notation import NOTES
from pullback.derive.program import sample_program
from pullback.derive.steps.local import local_jacobians
from pullback.errors import NotApplicableError
from pullback.ir.evaluate import evaluate_all
from pullback.net.checks import checked_batch

sys.path.append(str(Path(__file__).parent.parent / "derive"))
from emitted import run
from entries import check_printed
from formula_law_test import check_formulas

WITH_PARAMETERS = [case for case in (*BY_HAND, *DEGENERATE) if case.params]
IDLE = {c.name for c in DEGENERATE if c.params and c.net.idle}


@cache
def derived(case, convention="columns"):
    """One derivation for all cells that read it."""
    return pb.derive(case.net, convention=convention)


every_case = pytest.mark.parametrize("case", WITH_PARAMETERS, ids=repr)
# whose formulas are products of matrices without 𝟏 𝟏ᵀ of an unsaid width
MATRICES = (
    "gated linear unit", "gated linear unit inside a residual", "one weight at three steps", "gate",
    "branches added", "temperature, an equation of its own kind", "unnamed", "unnamed alone", "x-3",
    "0.0*h + tanh(h)",
)  # fmt: skip
REPORTED = [
    "layer norm alone", "gated linear unit", "one weight at three steps", "maxout last",
    "scale, without equations", "batch mean", "x**0", "0*x", "x-3", "residual that cancels",
]  # fmt: skip


@every_case
@pytest.mark.parametrize("convention", NOTES)
def test_every_convention_derives_a_gradient_for_every_parameter(case, convention):
    found = derived(case, convention)
    assert {f"gradient.{name}" for name in case.params} <= set(found.numbers)
    assert all(line.text() for line in found.lines)
    assert r"\begin{aligned}" in found.latex()
    assert found.to_dict()["steps"]


@pytest.mark.parametrize("name", MATRICES)
def test_printed_formulas_are_what_is_computed(name):
    case = next(case for case in WITH_PARAMETERS if case.name == name)
    roots = tuple(case.net.equations.values())
    check_formulas(roots, "rows", 5)
    check_formulas(roots, "columns", 1)


# a mean over the batch speaks of other samples than the one that is printed
@pytest.mark.parametrize("case", [c for c in BY_HAND if c.name != "batch mean"], ids=repr)
def test_printed_entries_are_what_is_computed(case):
    check_printed(case.net, case.params, checked_batch(case.net, *case.data), "index")


def test_a_mean_over_the_batch_shows_the_samples_that_it_sums():
    case = next(case for case in BY_HAND if case.name == "batch mean")
    lines = {line.name: line.text() for line in derived(case, "index").steps[1].lines}
    assert lines["a.1"] == "hᵢ⁽¹⁾ = zᵢ⁽¹⁾ − (1/N) Σₙ zₙᵢ⁽¹⁾"


def test_a_shared_weight_has_no_gradient_along_one_path():
    """∂ℓ/∂W is no single product of Jacobians where W stands in three equations."""
    case = next(case for case in BY_HAND if case.name == "one weight at three steps")
    lines = {line.name: line.text() for line in derived(case).lines}
    assert "total derivative" not in lines
    assert "recursion" not in lines
    assert "jacobian.z.0.1.a.0.0" in lines
    assert lines["jacobian.z.0.1.a.0.0"] == "∂z₂/∂a₁ = W₁"


@pytest.mark.parametrize("case", [*BY_HAND, *DEGENERATE[:5]], ids=repr)
def test_second_derivatives_derive(case):
    """H v along v is the change of the gradient, whatever cancels."""
    found = pb.derive(case.net, order=2)
    assert found.text()
    assert set(found.roots) >= {f"hessian_vector_product.{name}" for name in case.params}


@pytest.mark.parametrize("formula", CANCELLING[:-1])  # SymPy leaves sin² + cos² as it is
@pytest.mark.parametrize("convention", ["rows", "columns", "index"])
def test_what_cancels_has_the_derivative_zero(formula, convention):
    case = next(case for case in DEGENERATE if case.name == formula)
    lines = {line.name: line.text() for line in derived(case, convention).lines}
    assert lines["gradient.0.weight"].endswith("= 0")
    assert lines["delta.0"].endswith("= 0")


@every_case
@pytest.mark.parametrize("convention", ["columns", "index"])
def test_local_jacobians_are_the_numbers_of_their_equation(case, convention):
    """The tensor, its axes and its ties say what the linear change says, unit by unit."""
    program = sample_program(case.net, convention)
    X, Y = (array[:1] for array in case.data)
    values = {**case.params, "x": X, "target": Y}
    for j in local_jacobians(program.equations, program.batch):
        shape = [1 if axis == program.batch else axis.size for axis in j.by.axes]
        unit = np.random.default_rng(0).normal(size=shape)
        roots = (case.net.x, j.change, j.tensor)
        found = evaluate_all(roots, {**values, j.tangent.name: unit})
        letters = {axis: at for at, axis in enumerate({*j.of.axes, *j.tensor.axes, *j.by.axes})}
        ties = dict(j.ties)
        spare = len(letters)
        columns = []
        for axis in j.by.axes:
            if axis in ties or axis == program.batch:
                columns.append(letters[ties.get(axis, axis)])
            elif (name := j.names.get(axis, axis)) in letters and name not in j.rows:
                columns.append(letters[name])
            else:
                spare += 1
                columns.append(spare)
        ones = [np.ones(1 if a == program.batch else a.size) for a in j.of.axes]
        operands = [found[j.tensor], [letters[a] for a in j.tensor.axes], unit, columns]
        for one, axis in zip(ones, j.of.axes, strict=True):
            operands += [one, [letters[axis]]]
        close(np.einsum(*operands, [letters[a] for a in j.of.axes]), found[j.change], tight=1e-10)


@pytest.mark.parametrize(
    ("case", "target"),
    [
        pytest.param(case, target, id=f"{case}-{target}")
        for case in WITH_PARAMETERS
        for target in ("numpy", "jax", "torch", "numba")
        # jax traces for seconds: of what degenerates it gets each formula once
        if target != "jax" or case in BY_HAND or case.name in CANCELLING
    ],
)
def test_emitted_code_computes_torchs_gradients(case, target):
    source = derived(case).code(target)
    if target == "numba":
        return  # its functions are compiled in tests/derive; here, that they can be written
    convert = {"torch": torch.tensor, "jax": _jax}.get(target, np.asarray)
    params = {name: convert(value) for name, value in case.params.items()}
    value, grads = run(source)["value_and_grad"](params, *map(convert, case.data))
    expected, truth = case.truth_of_training
    assert float(value) == pytest.approx(expected, rel=1e-10)
    largest = max(np.abs(grad).max() for grad in truth.values())
    for name, grad in grads.items():
        assert np.shape(grad) == truth[name].shape
        np.testing.assert_allclose(np.asarray(grad), truth[name], atol=1e-10 * max(largest, 1.0))


def _jax(value):
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax.numpy.asarray(value)


# in which no equation is a weighted sum
WITHOUT_SUMS = ("layer norm alone", "unnamed", "unnamed alone")


@every_case
def test_neurons_are_drawn_of_whatever_has_a_weighted_sum(case):
    x, y = (array[0] for array in case.data)
    found, reason = told(lambda: derived(case).neurons(case.params, x, y))
    assert bool(reason) == (case.name in WITHOUT_SUMS), reason
    if reason:
        assert "is a weighted sum" in reason
        return
    _, truth = case.net.value_and_grad(case.params, x[None], y[None])
    gradients = found.gradients()
    assert list(gradients) == list(truth)
    for name, grad in gradients.items():
        close(grad, truth[name], tight=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of a finite-width law where δ is 0
@pytest.mark.parametrize("name", REPORTED)
def test_a_report_says_why_a_section_does_not_apply(name, tmp_path):
    case = next(case for case in WITH_PARAMETERS if case.name == name)
    path = pb.report(case.net, *case.data, tmp_path / "page.html", params=case.params,
                     progress=False)  # fmt: skip
    text = path.read_text(encoding="utf-8")
    assert "forward and back" in text
    _, reason = told(lambda: pb.closed_form(case.net, case.params))
    assert ("There is no answer for this network" in text) == bool(reason)


def test_a_report_of_nothing_to_learn_is_refused():
    net = pb.Network(pb.Tanh(), loss=pb.SquaredError())
    with pytest.raises(NotApplicableError, match="no parameters"):
        pb.report(net, np.ones((8, 3)), np.ones((8, 3)), "page.html")
    assert not Path("page.html").exists()


@pytest.mark.parametrize("case", FLOAT64, ids=repr)
def test_the_zoo_is_read_by_every_reader(case):
    """Each answer beside the network's own trace; no reader fails."""
    net, params, (X, Y) = case.net, case.params(), case.data()
    _, grads = net.value_and_grad(params, X, Y)
    J = pb.jacobian(net, params, X, wrt="params")
    close(pb.ntk(net, params, X), J.dense() @ J.dense().T, tight=1e-9)
    assert pb.closed_form(net, params, X[0]).reason
    watched = pb.fit(net, X, Y, params=params, epochs=1, batch_size=None, progress=False,
                     watch=True, optimizer=pb.optim.SGD(1e-3)).watched  # fmt: skip
    layers = [spec.name for spec in net.specs if spec.kind == "weight"]
    assert len(watched.rms_delta) == len(layers) == len(watched.update)
    y = Y[0] if net.criterion.target == "classes" else np.atleast_1d(Y[0])
    filled = pb.derive(net).neurons(params, X[0], y)
    if len(X) == 1 and not net.l2:
        for name, grad in filled.gradients().items():
            close(grad, grads[name], tight=1e-9)


def test_a_network_of_two_kinds_of_layers_keeps_its_theta_for_those_that_have_one():
    """ng: a shared weight is no Θ; what is in no Θ still has a gradient, an update and a G."""
    case = next(case for case in BY_HAND if case.name == "one weight at three steps")
    lines = {line.name: line.text() for line in derived(case, "ng").lines}
    assert "Θ" not in lines["gradient.0.weight"]
    assert lines["gradient.1.weight"].startswith("∂ℓ/∂Θ₄ = δ₄ [1; ")
    assert "accumulate.0.weight" in lines
