"""The closed form of a network is its recursion, and its row is found by looking."""

import numpy as np
import pytest
from zoo import FLOAT64, close, named

import pullback as pb

S, L = pb.Sequential, pb.Linear


def network(*blocks):
    return pb.Network(S(*blocks), loss=pb.SquaredError())


def params_of(net, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    return {s.name: size * rng.normal(size=s.shape) / np.sqrt(s.n_in) for s in net.specs}


# where a Residual stands on top, δ comes in behind it: that has a test of its own
@pytest.mark.parametrize("case", [c for c in FLOAT64 if c.name != "residual, last"], ids=repr)
def test_delta_of_every_layer_is_that_of_the_trace(case):
    """One sample: δ from the closed form, given δ of the last layer, against the backward pass."""
    X, Y = case.data()
    params = case.params()
    trace = case.net.trace(params, X[:1], Y[:1])
    form = pb.closed_form(case.net, params, X[0])
    top = trace.delta[form.chain.places[-1].name]
    for layer, place in enumerate(form.chain.places):
        close(form.evaluate(top, layer), trace.delta[place.name])
    assert form.error < 1e-12


def test_residual_on_top_takes_delta_behind_it():
    case = named("residual, last")
    X, Y = case.data()
    params = case.params()
    form = pb.closed_form(case.net, params, X[0])
    trace = case.net.trace(params, X[:1], Y[:1])
    top = trace.a["2"] - Y[:1]  # ∂/∂a of ½‖a − y‖² for one sample
    for layer, name in enumerate(("0", "2.block.0")):
        close(form.evaluate(top, layer), trace.delta[name])


LINEAR = {"Identity()", "bare linear", "linear alone", "deep linear", "l2, bare linear"}
KINKED = {
    "ReLU()", "LeakyReLU(slope=0.01)", "LeakyReLU(slope=0.2)", "depth 8, relu", "no bias",
    "l2, sum, no bias", "residual, scaled", "Activation(formula='maximum(x, 0.1*x) - abs(x)/7')",
    "ReLU6()", "Hardtanh(min_val=-0.5, max_val=0.75)", "Hardsigmoid()",
}  # fmt: skip


@pytest.mark.parametrize("case", FLOAT64, ids=repr)
def test_row_is_found_by_the_activations(case):
    form = pb.closed_form(case.net)
    below_top = bool(form.chain.slopes)
    if case.name in LINEAR or not below_top:
        assert (form.exists, form.method) == (True, "one matrix")
    elif case.name in KINKED:
        assert (form.exists, form.method) == (True, "region")
    else:
        assert (form.exists, form.method) == (False, "product")


def test_layers_of_their_own_are_one_matrix_for_all_x():
    net = network(L(4, 5), L(5, 2), L(2, 3))
    params = params_of(net)
    form = pb.closed_form(net, params)
    delta = np.random.default_rng(1).normal(size=(2, 3))
    close(form.evaluate(delta, 0), delta @ params["2.weight"] @ params["1.weight"])
    close(form.evaluate(delta, 1), delta @ params["2.weight"])
    close(form.evaluate(delta, 2), delta)
    cost = form.cost
    assert (cost.closed, cost.recursion, cost.preparation) == (15, 5 * 2 + 2 * 3, 3 * 5 * 2)


def test_equal_weights_are_a_power():
    net = network(L(3, 4), *[L(4, 4)] * 6)
    W = np.random.default_rng(0).normal(size=(4, 4))
    params = params_of(net) | {f"{at}.weight": W for at in range(1, 7)}
    form = pb.closed_form(net, params)
    assert form.method == "eigen"
    delta = np.ones(4)
    close(form.evaluate(delta, 0), np.linalg.matrix_power(W.T, 6) @ delta, tight=1e-11)
    assert "same Jacobian" in form.reason
    with pytest.raises(pb.errors.NotApplicableError, match="share no weight"):
        form.gradient(delta)
    params["6.weight"] = W + 1e-12
    assert pb.closed_form(net, params).method == "one matrix"


def test_widths_of_one_are_products_of_numbers_in_the_log_domain():
    depth = 4000
    net = network(*[L(1, 1)] * (depth + 1))
    signs = np.where(np.arange(depth) % 3, 1.0, -1.0)
    weights = 10.0 ** np.where(np.arange(depth) < depth // 2, 200, -200) * signs
    params = params_of(net)
    params |= {f"{at + 1}.weight": np.array([[w]]) for at, w in enumerate(weights)}
    form = pb.closed_form(net, params)
    assert form.method == "diagonal"
    np.testing.assert_allclose(form.evaluate([3.0], 0), [3.0 * signs.prod()], rtol=1e-11)
    params["17.weight"] = np.zeros((1, 1))
    zero = pb.closed_form(net, params)
    assert zero.evaluate([3.0], 0).tolist() == [0.0]
    assert "1 of 1 components have a factor 0" in zero.reason
    np.testing.assert_array_equal(zero.evaluate([3.0], 4000), [3.0])


def test_constant_slope_is_linear():
    net = network(L(3, 3), pb.Activation("2*x + 1"), L(3, 3))
    params = params_of(net)
    form = pb.closed_form(net, params)
    assert form.method == "one matrix"
    close(form.evaluate(np.ones(3), 0), 2 * params["2.weight"].T @ np.ones(3))


def test_without_params_the_formula_stands_and_numbers_are_asked_for():
    form = pb.closed_form(network(L(4, 5), pb.Identity(), L(5, 2)))
    assert form.exists
    assert np.isnan(form.error)
    assert np.isnan(form.condition)
    assert "W₂ᵀ" in form.form
    assert form.to_dict()["error"] is None
    with pytest.raises(pb.errors.NotApplicableError, match="numbers need params"):
        form.evaluate(np.ones(2), 0)


@pytest.mark.parametrize("case", FLOAT64, ids=repr)
def test_every_form_prints(case):
    form = pb.closed_form(case.net, case.params(), case.data()[0][0])
    assert max(map(len, form.text().splitlines())) <= 80
    assert "<math" in form._repr_html_()
    assert form.latex().count("{") == form.latex().count("}")
    assert form.to_dict()["form"] == form.form


# why there is none


def test_reason_names_the_first_factor_that_depends_on_the_data():
    net = network(L(3, 4), pb.Identity(), L(4, 4), pb.Tanh(), L(4, 4), pb.Sigmoid(), L(4, 2))
    form = pb.closed_form(net)
    assert not form.exists
    assert "diag f′(z₂) with f′(z) = 1 - tanh(z)**2" in form.reason
    assert "one of 2" in form.reason


def test_average_law_comes_from_the_forecast():
    net = network(L(30, 30), pb.Tanh(), L(30, 30), pb.Tanh(), L(30, 5))
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(20, 30)), rng.normal(size=(20, 5))
    f = pb.forecast(net, X, Y, scheme=pb.init.he(), methods=("independence", "coupled"))
    said = pb.closed_form(net).why_not(forecast=f)
    norms = [layer.n_out * float(layer.best) for layer in f.layers]
    assert f"{norms[0] / norms[1]:.3g} · {norms[1] / norms[2]:.3g}" in said
    assert f"= {norms[0] / norms[2]:.3g} ‖δ‖²" in said
    assert f.layers[0].best.assumption in said
    assert pb.closed_form(net).why_not() == pb.closed_form(net).reason
    with pytest.raises(pb.errors.ConfigError, match=r"pb\.forecast"):
        pb.closed_form(net).why_not(forecast=3)
