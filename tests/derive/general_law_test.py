"""The laws of a derivation over networks of any axes, several inputs, shared and frozen weights."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from emitted import run
from entries import check_printed
from general_networks import GENERAL, IN_TRAINING
from latex2mathml.converter import convert
from zoo import close

import pullback as pb
from pullback.derive.formula.notation import NOTES
from pullback.errors import NotApplicableError
from pullback.ir.flow import flow
from pullback.ir.forms import Affine

every_network = pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING], ids=repr)


def case_of(name):
    return next(case for case in GENERAL if case.name == name)


@cache
def derived(case, convention="columns"):
    """One derivation for all tests that read it."""
    return pb.derive(case.net, convention=convention)


@every_network
@pytest.mark.parametrize("convention", NOTES)
def test_every_trained_parameter_has_a_gradient_and_no_frozen_one(case, convention):
    weighted = case.net.criterion.is_weighted
    if convention == "ng" and (weighted or case.net.several):
        why = "'ng' does not accumulate" if weighted else "depends on other samples"
        with pytest.raises(NotApplicableError, match=why):
            derived(case, convention)
        return
    found = derived(case, convention)
    named = {name for name in found.numbers if name.startswith("gradient.")}
    assert named == {f"gradient.{name}" for name in case.net.trained}
    assert all(line.text() for line in found.lines)
    assert r"\begin{aligned}" in found.latex()
    updates = {name for name in found.numbers if name.startswith("update.")}
    changing = {*case.net.trained, *case.net.updates}
    assert convention == "ng" or updates == {f"update.{name}" for name in changing}


@every_network
@pytest.mark.parametrize("convention", NOTES)
def test_printed_formulas_are_what_is_computed(case, convention):
    """Each right side, as matrices or entry by entry, given the values of its symbols."""
    if case.net.several and convention == "ng":  # refused
        return
    _, data = case.net.batch(case.params, case.X, case.Y)
    check_printed(case.net, case.params, data, convention)


def checked(case, target, as_array=np.asarray):
    """Value and gradients of the emitted function are the network's."""
    namespace = run(derived(case).code(target))
    params = {name: as_array(value) for name, value in case.params.items()}
    _, batch = case.net.batch(case.params, case.X, case.Y)
    held = {name: as_array(array) for name, array in batch.items()}
    inputs = tuple(held[name] for name in case.net.xs)
    noise = [held[name] for name in case.net.noise]
    X = inputs if len(inputs) > 1 else inputs[0]
    value, grads = namespace["value_and_grad"](params, X, held["target"], *noise)
    if len(inputs) > 1:  # by name, as the network takes them
        by_name = namespace["value_and_grad"](
            params, dict(zip(case.net.xs, X, strict=True)), held["target"]
        )
        assert float(by_name[0]) == float(value)
    expected, truth = case.net.value_and_grad(case.params, case.X, case.Y)
    assert float(value) == pytest.approx(expected, rel=1e-10)
    assert list(grads) == list(truth)
    for name, grad in grads.items():
        close(np.asarray(grad), truth[name], tight=1e-10)


@every_network
def test_emitted_numpy(case):
    checked(case, "numpy")


@every_network
def test_emitted_torch(case):
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # what a function of whole numbers comes in
    try:
        checked(case, "torch", torch.as_tensor)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize(
    "name",
    ["layer norm over tokens", "root mean square norm", "convolution and pooling", "gru",
     "strided groups of channels", "transposed convolution", "mean pooling", "attention with heads",
     "embedding", "largest token", "gated halves", "Huber's loss"],
)  # fmt: skip
def test_torchs_gradcheck_of_the_emitted_function(name):
    """By finite differences of our forward pass, every entry of our backward pass."""
    torch, case = pytest.importorskip("torch"), case_of(name)
    function = run(derived(case).code("torch"))["Loss"].apply
    _, batch = case.net.batch(case.params, case.X, case.Y)
    data = [torch.as_tensor(array) for array in batch.values()]
    params = [torch.as_tensor(value).requires_grad_() for value in case.params.values()]
    assert torch.autograd.gradcheck(function, (*data, *params))


@pytest.mark.parametrize("name", ["layer norm over tokens", "two inputs of two shapes",
                                  "frozen weight", "whole numbers"])  # fmt: skip
def test_emitted_jax(name):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    checked(case_of(name), "jax", jax.numpy.asarray)


@pytest.mark.parametrize("name", ["tokens under torch's mean", "one weight twice",
                                  "embedding"])  # fmt: skip
def test_emitted_numba(name):
    """Value and gradients of any axes."""
    checked(case_of(name), "numba")


@pytest.mark.parametrize("name", ["layer norm over tokens", "frozen weight", "two inputs"])
def test_second_derivatives_are_the_change_of_the_gradient(name):
    case, step = case_of(name), 1e-6
    found = pb.derive(case.net, order=2)
    product_of = run(found.code("numpy"))["hessian_vector_product"]
    rng = np.random.default_rng(0)
    along = {name: rng.normal(size=case.params[name].shape) for name in case.net.trained}
    _, batch = case.net.batch(case.params, case.X, case.Y)
    directions = {f"v_{name.replace('.', '_')}": value for name, value in along.items()}
    *inputs, target = batch.values()
    X = tuple(inputs) if len(inputs) > 1 else inputs[0]
    result = product_of(case.params, X, target, **directions)
    ends = [
        case.net.value_and_grad(
            {n: p + sign * step * along.get(n, 0) for n, p in case.params.items()}, case.X, case.Y
        )[1]
        for sign in (1, -1)
    ]
    for name, value in result.items():
        np.testing.assert_allclose(value, (ends[0][name] - ends[1][name]) / (2 * step), atol=1e-7)


def test_what_has_more_axes_is_written_with_the_initials_of_its_axes():
    case = case_of("linear over tokens")
    lines = {line.name: line.text() for line in derived(case, "index").lines}
    assert lines["z.0"] == "zₙₜᵢ⁽¹⁾ = Σⱼ Wᵢⱼ⁽¹⁾ xₙₜⱼ + bᵢ⁽¹⁾"
    assert lines["recursion"] == "δₜᵢ⁽ˡ⁾ = (Σⱼ Wⱼᵢ⁽ˡ⁺¹⁾ δₜⱼ⁽ˡ⁺¹⁾) f′(zₜᵢ⁽ˡ⁾)"
    lines = {line.name: line.text() for line in derived(case).lines}
    assert lines["recursion"] == "Δₗ = (Δₗ₊₁ Wₗ₊₁) ⊙ f′(Zₗ)"
    assert "transpose" not in derived(case, "rows").note  # entries of W are the network's own


def test_statistics_have_letters_of_their_own():
    first = derived(case_of("layer norm")).steps[1]
    assert [line.text() for line in first.lines][1:5] == [
        "μ₁ = mean(z₁)",
        "s₁ = 1/√((1/6) ‖z₁ − μ₁‖² + 10⁻⁵)",
        "a₁ = s₁ (z₁ − μ₁)",
        "h₁ = γ₁ ⊙ a₁ + β₁",
    ]


def test_states_and_masks_have_letters_and_batch_statistics_are_of_the_batch():
    settled = derived(case_of("batch norm evaluated"))
    assert settled.steps[1].lines[1].text() == "h₁ = (γ₁ ⊙ (z₁ − μ̄₁))/√(v̄₁ + 10⁻⁵) + β₁"
    batch, dropout = IN_TRAINING[0], IN_TRAINING[2]
    lines = [line.text() for line in derived(batch).steps[1].lines]
    assert lines[1:5] == [
        "μ₁ = (1/N) Z₁ 𝟏",
        "s₁ = 1/√((1/N) (Z₁ − μ₁ 𝟏ᵀ)² 𝟏 + 10⁻⁵)",
        "A₁ = diag(s₁) (Z₁ − μ₁ 𝟏ᵀ)",
        "H₁ = diag(γ₁) A₁ + β₁ 𝟏ᵀ",
    ]
    lines = {line.name: line.text() for line in derived(dropout).lines}
    assert lines["jacobian.a.2.a.1"] == "∂a₁′/∂a₁ = diag((10/7) m₁)"


def test_several_inputs_go_into_one_composition():
    composition = derived(case_of("two inputs of two shapes")).lines[0]
    assert composition.text() == "ℓ = (f₅ ∘ f₄ ∘ f₃ ∘ f₂ ∘ f₁)(U, v)"


@every_network
def test_neurons_give_the_gradients_of_the_matrix_form(case):
    several = isinstance(case.X, dict)
    x = {name: array[0] for name, array in case.X.items()} if several else case.X[0]
    row = {name: array[:1] for name, array in case.X.items()} if several else case.X[:1]
    net = case.net
    if net.target.axes != net.output_axes:
        with pytest.raises(NotApplicableError, match="has targets"):
            derived(case).neurons(case.params, x, case.Y[0])
        return
    if net.criterion.is_weighted:  # of one sample it is what the mean has above the line
        net = pb.Network(net.model, replace(net.criterion, reduction="sum"), x=net.declared)
    if case in IN_TRAINING:
        with pytest.raises(NotApplicableError, match=r"use net.eval\(\)"):
            derived(case).neurons(case.params, x, case.Y[0])
        return
    if not any(isinstance(form, Affine) for form in flow(net.built_graph).values()):
        with pytest.raises(NotApplicableError, match="is a weighted sum"):
            derived(case).neurons(case.params, x, case.Y[0])
        return
    table = derived(case).neurons(case.params, x, case.Y[0])
    _, truth = net.value_and_grad(case.params, row, case.Y[:1])
    found = table.gradients()
    assert list(found) == list(truth)
    for name, gradient in found.items():
        close(gradient, truth[name], tight=1e-9)
    assert convert(table.latex()).startswith("<math")
    assert table.svg().count("<circle") == len(table.graph.neurons) + len(table.graph.inputs) + 1


def test_all_frozen_is_refused():
    class Still(pb.nn.Block):
        def build(self, x, at):
            weight = at.parameter("weight", x.axes[1:], trained=False)
            return at.a(pb.ir.Contract((x, weight), x.axes))

    net = pb.Network(Still(), loss=pb.SquaredError(), x="features=3")
    with pytest.raises(NotApplicableError, match="no parameters to train"):
        pb.derive(net)
