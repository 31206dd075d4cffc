"""Inputs of any axes, several inputs, frozen and shared parameters: values, gradients, by name."""

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING, Frozen

import pullback as pb
from pullback.errors import NonFiniteError
from pullback.ir.evaluate import evaluate, evaluate_all
from pullback.net.recipe import Recipe

over = pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING], ids=repr)


def batch_of(case):
    return {**case.params, **case.net.batch(case.params, case.X, case.Y)[1]}


@over
def test_gradients_are_those_of_a_complex_step(case):
    _, grads = case.net.value_and_grad(case.params, case.X, case.Y)
    assert list(grads) == list(case.net.trained)
    given, rng = batch_of(case), np.random.default_rng(0)
    for name, gradient in grads.items():
        along = rng.normal(size=gradient.shape)
        moved = {**given, name: case.params[name] + 1e-30j * along}
        slope = evaluate(case.net.total, moved).imag / 1e-30
        np.testing.assert_allclose(np.sum(gradient * along), slope, rtol=1e-9, atol=1e-12)


@over
def test_check_agrees(case):
    several = isinstance(case.X, dict)
    for X in (case.X, tuple(case.X.values())) if several else (case.X, {"x": case.X}):
        found = pb.check(case.net, case.params, X, case.Y)
        assert found.ok
        assert list(found.errors) == list(case.net.trained)


@pytest.mark.parametrize("name", ["frozen weight", "two inputs"])
def test_check_finds_a_gradient_that_is_wrong(name, monkeypatch):
    case = next(case for case in GENERAL if case.name == name)
    right = case.net.value_and_grad

    def wrong(*given, **seed):
        value, grads = right(*given, **seed)
        return value, {name: 1.001 * slope for name, slope in grads.items()}

    monkeypatch.setattr(case.net, "value_and_grad", wrong)
    assert not pb.check(case.net, case.params, case.X, case.Y).ok


@over
def test_predict_and_trace_are_the_slow_interpreter_s(case):
    net = case.net
    output = net.eval().output
    values = evaluate_all((output, *net.equations.values()), batch_of(case))
    np.testing.assert_allclose(net.predict(case.params, case.X), values[output], atol=1e-12)
    trace = net.trace(case.params, case.X, case.Y)
    by_role = {"z": trace.z, "a": trace.a, "stat": trace.stat, "gradient": trace.gradient}
    for equation in net.equations.values():
        label = equation.label
        if held := by_role.get(label.role):
            np.testing.assert_allclose(held[label.place], values[equation], atol=1e-12)
        if label.role == "delta" and label.of == "z":
            np.testing.assert_allclose(trace.delta[label.place], values[equation], atol=1e-12)
            assert trace.delta[label.place].shape == trace.z[label.place].shape
    assert set(trace.gradient) == set(net.trained)
    assert trace.text().count("\n") == trace._repr_html_().count("<tr>")


@over
def test_all_weights_as_one_vector_in_the_order_of_the_state_dict(case):
    held = case.net.init(seed=1)
    vector, unravel = pb.ravel(held)
    assert list(held) == [spec.name for spec in case.net.specs] == list(case.net.parameters)
    start = 0
    for name, value in unravel(vector).items():
        np.testing.assert_array_equal(value.ravel(), vector[start : start + value.size])
        np.testing.assert_array_equal(value, held[name])
        start += value.size
    assert start == vector.size


@over
def test_what_is_not_finite_is_named_by_its_first_equation(case):
    given = batch_of(case)
    given["target"] = given["target"] * np.nan
    assert case.net.first_not_finite(case.params, given) == "loss is the first to hold NaN"
    name = next(spec.name for spec in case.net.specs if spec.kind != "state")
    broken = {**case.params, name: case.params[name] * np.inf}
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError) as fault:
        case.net.value_and_grad(broken, case.X, case.Y)
    assert str(fault.value).startswith(f"{name} is the first to hold an infinity at (0")


@over
def test_repr_and_page_name_every_parameter(case):
    page = case.net._repr_html_()
    assert repr(case.x) in repr(case.net) or case.x == "features"
    for spec in case.net.specs:
        untrained = " (state)" if spec.kind == "state" else " (frozen)"
        assert f"{spec.name}{'' if spec.trained else untrained}" in page
        assert all(f"{name} {size}" in page for name, size in spec.axes)


@over
def test_specs_say_axes_and_places(case):
    for spec in case.net.specs:
        leaf = case.net.parameters[spec.name]
        assert (spec.over, spec.trained) == (leaf.axes, leaf.trained)
        assert spec.place.place == spec.name
        assert spec.shape == tuple(axis.size for axis in leaf.axes)


@over
def test_a_recipe_keeps_the_inputs(case):
    net = Recipe(case.model, x=case.x).network(case.net.criterion)
    net = net if case.training else net.eval()
    value, _ = net.value_and_grad(case.params, case.X, case.Y)
    assert value == case.net.value_and_grad(case.params, case.X, case.Y)[0]


def test_the_penalty_is_on_trained_weights_only():
    model = pb.Sequential(Frozen(5), pb.Tanh(), pb.Linear(5, 2))
    net, plain = (pb.Network(model, pb.SquaredError(), l2, x="features=4") for l2 in (0.5, 0.0))
    held, X, Y = net.init(seed=0), np.ones((3, 4)), np.zeros((3, 2))
    (more, grads), (less, bare) = (each.value_and_grad(held, X, Y) for each in (net, plain))
    assert more - less == pytest.approx(0.25 * np.sum(held["2.weight"] ** 2))
    np.testing.assert_allclose(grads["2.weight"] - bare["2.weight"], 0.5 * held["2.weight"])
    assert not (grads["2.bias"] - bare["2.bias"]).any()
