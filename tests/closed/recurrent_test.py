"""Recurrent networks with states: their δ and shared gradient, by jax and in closed form."""

import numpy as np
import pytest
from unrolled import by_jax, drawn
from zoo import close

import pullback as pb
from pullback.closed.power.components import ComponentForm


@pytest.mark.parametrize("activation", [pb.Tanh(), "relu", pb.Identity()], ids=repr)
@pytest.mark.parametrize("given", ["state", "bias", "inputs", "both"])
def test_recursion_is_the_unrolled_network(activation, given):
    W, steps = drawn(4, 4) / 2, 6
    more = {
        "state": {"state": drawn(4, seed=1)},
        "bias": {"inputs": drawn(4, seed=2)},
        "inputs": {"inputs": drawn(steps, 4, seed=2)},
        "both": {"state": drawn(4, seed=1), "inputs": drawn(steps, 4, seed=2)},
    }[given]
    r = pb.Recurrence(W, steps, activation, **more)
    delta = drawn(4, seed=3)
    expected, found = by_jax(r, delta), r.gradient(delta)
    assert set(found) == {"W", "state"} | {"inputs"} & set(more)
    for key, value in found.items():
        close(value, expected[key])
    form = pb.closed_form(r)
    close(form.evaluate(delta, 0), expected["state"])
    for layer in range(steps + 1):
        close(form.evaluate(delta, layer), r.delta(delta, layer))
    assert form.error < 1e-13


def test_nonlinear_recurrence_has_no_more_than_the_product():
    form = pb.closed_form(pb.Recurrence(drawn(3, 3), 4, "tanh", state=np.ones(3)))
    assert (form.exists, form.method) == (False, "product")
    assert "diag f′(z₁) with f′(z) = 1 - tanh(z)**2" in form.reason
    unknown = pb.closed_form(pb.Recurrence(drawn(3, 3), 4, "tanh"))
    assert not unknown.exists
    assert np.isnan(unknown.error)
    with pytest.raises(pb.errors.NotApplicableError, match="numbers need"):
        unknown.evaluate(np.ones(3), 0)


def test_states_that_stand_still_make_a_power():
    """At a fixed point D is the same at every step, and so for a ReLU that never switches."""
    W, u = drawn(3, 3) / 3, drawn(3, seed=1)
    still = pb.FixedPoint(W, inputs=u, activation="tanh").value
    relu = pb.Recurrence(np.abs(W), 9, "relu", state=np.ones(3))
    assert np.ptp(relu.slopes) == 0
    for r in (relu, pb.Recurrence(np.diag([0.0, 0, 0]) + W, 1, "tanh", state=still, inputs=u)):
        form, delta = pb.closed_form(r), drawn(3, seed=3)
        assert "A = D W" in form.reason
        assert form.conditions == ("for the states that were given",)
        expected = by_jax(r, delta)
        close(form.evaluate(delta, 0), expected["state"])
        for key, value in form.gradient(delta).items():
            close(value, expected[key])


@pytest.mark.parametrize("W", [[0.5, -0.9, 1.2], np.diag([0.5, -0.9, 1.2]), [0.5, 0.0, 1.2]])
def test_diagonal_recurrence_is_a_product_of_numbers(W):
    r = pb.Recurrence(W, 40, "tanh", state=[0.1, 0.2, 0.3], inputs=drawn(40, 3, seed=2))
    form, delta = pb.closed_form(r), drawn(3)
    assert (form.exists, form.method) == (True, "diagonal")
    for layer in (0, 1, 39, 40):
        close(form.evaluate(delta, layer), r.delta(delta, layer))
    for key, value in r.gradient(delta).items():
        close(form.gradient(delta)[key], value)
    assert form.error < 1e-13
    assert "log domain" in form.text()


def test_long_products_neither_overflow_nor_lose_digits():
    """Factors of 10^±200 by turns: every partial product is far outside float64."""
    rng = np.random.default_rng(0)
    exponents = np.concatenate([np.full(3000, 200.0), np.full(3000, -200.0)])
    factors = 10.0**exponents * rng.choice([-1, 1], 6000)
    form = ComponentForm(factors[:, None])
    np.testing.assert_allclose(form.evaluate([2.0], 0), [2 * np.sign(factors).prod()], rtol=1e-11)
    with pytest.raises(pb.errors.NonFiniteError, match=r"10\^"):
        ComponentForm(-factors[:3000, None]).evaluate([2.0], 0)
    assert form.evaluate([0.0], 0).tolist() == [0.0]


def test_zero_factor_is_exactly_zero_from_there_on():
    r = pb.Recurrence([0.5, 0.7], 6, "relu", state=[1.0, 1.0], inputs=[0.0, -0.5])
    form = pb.closed_form(r)
    assert form.evaluate([1.0, 1.0], 0).tolist() == [0.5**6, 0.0]
    assert "1 of 2 components have a factor 0" in form.reason


def test_many_steps_of_a_nonlinear_diagonal():
    r = pb.Recurrence([1.0], 20_000, "tanh", state=[0.3])
    form = pb.closed_form(r)
    assert form.error < 1e-12
    close(form.evaluate([1.0], 0), r.delta([1.0], 0), tight=1e-10)


def test_gradient_needs_a_state():
    r = pb.Recurrence(drawn(3, 3), 4)
    for each in (r, pb.closed_form(r)):
        with pytest.raises(pb.errors.NotApplicableError, match="state"):
            each.gradient(np.ones(3))
