"""A power in closed form is the recursion, for every structure of W and any number of steps."""

from math import cos, inf, sin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matrices import MATRICES
from unrolled import by_jax, drawn
from zoo import close

import pullback as pb

EVERY = pytest.mark.parametrize("name", MATRICES)
MILLION = 10**6


def made(name, steps, **more):
    return pb.Recurrence(MATRICES[name][0], steps, **more)


@EVERY
def test_method_follows_from_the_matrix(name):
    form = pb.closed_form(made(name, 57))
    assert form.exists
    assert form.method == MATRICES[name][1]
    assert isinstance(form, pb.ClosedForm)


@EVERY
@pytest.mark.parametrize("steps", [1, 2, 3, 57, 64])
def test_closed_form_is_the_recursion(name, steps):
    r = made(name, steps)
    form, delta = pb.closed_form(r), drawn(r.units)
    for layer in {0, steps // 2, steps}:
        expected = delta
        for _ in range(steps - layer):
            expected = r.W.T @ expected
        close(form.evaluate(delta, layer), expected, tight=2e-12)
        close(r.delta(delta, layer), expected)
    assert form.error < 2e-12


@EVERY
def test_several_delta_are_leading_axes(name):
    form = pb.closed_form(made(name, 20))
    many = drawn(2, 3, form.outputs)
    found = form.evaluate(many, 4)
    assert found.shape == many.shape
    for at in np.ndindex(2, 3):
        close(found[at], form.evaluate(many[at], 4), tight=1e-13)


@EVERY
@pytest.mark.parametrize("steps", [1, 2, 7, 29])
def test_shared_gradient_is_that_of_the_unrolled_network(name, steps):
    n = len(MATRICES[name][0])
    r = made(name, steps, state=drawn(n, seed=1))
    form, delta = pb.closed_form(r), drawn(n)
    expected = by_jax(r, delta)
    ways = ["block power"] + ["divided differences"] * (form.method != "squaring")
    for way in ways:
        found = form.gradient(delta, method=way)
        assert set(found) == {"W", "state"}
        for key, value in found.items():
            close(value, expected[key], tight=5e-12)
    for key, value in r.gradient(delta).items():
        close(value, expected[key])


@EVERY
@pytest.mark.parametrize("shape", ["one bias", "one a step"])
def test_gradient_with_inputs(name, shape):
    n, steps = len(MATRICES[name][0]), 13
    inputs = drawn(n, seed=2) if shape == "one bias" else drawn(steps, n, seed=2)
    r = made(name, steps, state=drawn(n, seed=1), inputs=inputs)
    form, delta = pb.closed_form(r), drawn(n)
    expected, found = by_jax(r, delta), form.gradient(delta)
    assert set(found) == {"W", "state", "inputs"}
    for key, value in found.items():
        close(value, expected[key], tight=5e-12)


def test_gradient_of_many_steps():
    r = made("larger", 300, state=drawn(40, seed=1))
    form, delta = pb.closed_form(r), drawn(40)
    expected = r.gradient(delta)
    for way in ("block power", "divided differences"):
        for key, value in form.gradient(delta, method=way).items():
            close(value, expected[key], tight=1e-10)


def test_diagonal_of_its_own_has_a_gradient_of_its_own():
    w = np.array([0.5, -0.9, 0.0])
    r = pb.Recurrence(w, 9, state=[1.0, 2.0, 3.0])
    full = pb.closed_form(pb.Recurrence(np.diag(w), 9, state=[1.0, 2.0, 3.0]))
    delta = drawn(3)
    found = pb.closed_form(r).gradient(delta)
    close(found["W"], np.diagonal(full.gradient(delta)["W"]))
    close(found["W"], r.gradient(delta)["W"])
    close(pb.closed_form(r).evaluate(delta, 2), full.evaluate(delta, 2))
    biased = pb.Recurrence(w, 9, inputs=[1.0, -1.0, 2.0])
    close(pb.closed_form(biased).gradient(delta)["inputs"], by_bias(np.diag(w), delta, 9))


def by_bias(W, delta, steps):
    return sum(np.linalg.matrix_power(W.T, t) @ delta for t in range(steps))


def test_slope_of_the_activation_goes_into_the_power():
    W, state = drawn(3, 3), drawn(3, seed=1)
    r = pb.Recurrence(W, 6, pb.Activation("x/2 + 1"), state=state)
    form, delta = pb.closed_form(r), drawn(3)
    close(form.evaluate(delta, 0), np.linalg.matrix_power(W.T / 2, 6) @ delta)
    expected = r.gradient(delta)
    for key, value in form.gradient(delta).items():
        close(value, expected[key])
    assert "f' = 0.5" in form.reason


# structure, said with its number


def test_orthogonal_form_is_refused_with_the_number_that_shows_why():
    W = MATRICES["triangular"][0]
    form = pb.closed_form(pb.Recurrence(W, 57))
    departure = np.linalg.norm(W.T @ W - W @ W.T) / np.linalg.norm(W) ** 2
    assert f"‖WᵀW − WWᵀ‖/‖W‖² = {departure:.2g}" in form.reason
    assert "orthogonal" not in form.form
    P = np.linalg.eig(W)[1]
    assert form.condition == pytest.approx(np.linalg.cond(P))
    assert f"cond(P) = {form.condition:.3g}" in form.reason


def test_orthogonal_eigenvectors_of_the_symmetric_part_would_be_wrong():
    """What the popular formula gives for a W that is not normal."""
    W, delta = MATRICES["triangular"][0], np.array([1.0, 0.0])
    values, R = np.linalg.eigh((W + W.T) / 2)
    popular = R @ np.diag(values**3) @ R.T @ delta
    right = pb.closed_form(pb.Recurrence(W, 3)).evaluate(delta, 0)
    close(right, W.T @ W.T @ W.T @ delta)
    assert np.linalg.norm(popular - right) > 0.5 * np.linalg.norm(right)


@pytest.mark.parametrize("name", ["Jordan", "nearly defective", "blocks"])
def test_defective_matrix_is_squared_and_that_is_said(name):
    form = pb.closed_form(made(name, 57))
    assert "squaring" in form.form
    assert form.condition > 1e6
    assert f"cond(P) = {form.condition:.2g} > 1e+06" in form.reason


@pytest.mark.parametrize("name", ["symmetric", "rotation", "diagonal"])
def test_normal_matrix_has_condition_one(name):
    assert pb.closed_form(made(name, 57)).condition == 1.0


def test_almost_symmetric_is_not_symmetric():
    W = 1.6 * np.array([[0.5, 0.3], [0.3 + 1e-9, 0.2]])
    form, delta = pb.closed_form(pb.Recurrence(W, 1000)), np.array([1.0, -2.0])
    assert form.method == "eigen"
    close(form.evaluate(delta, 900), np.linalg.matrix_power(W.T, 100) @ delta, tight=1e-13)


# far powers


def test_rotation_a_million_times():
    angle = 0.3
    W = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    form = pb.closed_form(pb.Recurrence(W, MILLION))
    expected = [cos(MILLION * angle), -sin(MILLION * angle)]
    np.testing.assert_allclose(form.evaluate([1.0, 0.0], 0), expected, atol=1e-9)
    assert form.error < 1e-9


def test_jordan_block_a_million_times():
    form = pb.closed_form(made("Jordan of 1", MILLION))
    assert form.evaluate([1.0, 0.0], 0).tolist() == [1.0, 1e6]
    assert form.evaluate([0.0, 1.0], 0).tolist() == [0.0, 1.0]


def test_number_a_million_times():
    value = -1 + 2**-21
    form = pb.closed_form(pb.Recurrence(value, MILLION + 1))
    expected = -np.exp(np.float64((MILLION + 1) * np.log1p(-(2.0**-21))))
    np.testing.assert_allclose(form.evaluate([1.0], 0), [expected], rtol=1e-12)


@pytest.mark.parametrize("top", [[[1.0, 1.0], [0.0, 1.0]], [[0.5, 1.0], [1.0, -0.5]]])
def test_what_delta_never_reaches_does_not_overflow(top):
    W = np.zeros((3, 3))
    W[:2, :2], W[2, 2] = np.asarray(top) / max(np.abs(np.linalg.eigvals(top))), 2.0
    form = pb.closed_form(pb.Recurrence(W, MILLION, state=[1.0, 1.0, 0.0]))
    small = pb.closed_form(pb.Recurrence(W[:2, :2], MILLION, state=[1.0, 1.0]))
    close(form.evaluate([1.0, 2.0, 0.0], 0)[:2], small.evaluate([1.0, 2.0], 0), tight=1e-9)
    found, expected = (
        each.gradient(delta)["W"] for each, delta in ((form, [1.0, 2.0, 0.0]), (small, [1.0, 2.0]))
    )
    close(found[:2, :2], expected, tight=1e-9)
    assert not found[2].any()
    assert not found[:, 2].any()


@EVERY
def test_no_error_comes_from_no_error(name):
    """δ = 0 is δ = 0 everywhere, and so is a gradient where nothing flows."""
    n = len(MATRICES[name][0])
    form = pb.closed_form(made(name, 9, state=np.zeros(n)))
    zero = np.zeros(n)
    assert not form.evaluate(zero, 0).any()
    for delta in (zero, np.ones(n)):
        assert not form.gradient(delta)["W"].any()
    assert not form.gradient(zero)["state"].any()


def test_finite_answers_survive_powers_that_overflow():
    """W^1500 has entries of 10^451; the δ is small enough."""
    W = np.array([[2.0, 1.0], [0.0, 0.5]])
    form = pb.closed_form(pb.Recurrence(W, 1500))
    expected = np.array([1.0, 2 / 3]) * 1e-300 * 2.0**750 * 2.0**750
    np.testing.assert_allclose(form.evaluate([1e-300, 0.0], 0), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["diagonal", "symmetric", "complex eigenvalues", "Jordan"])
def test_answer_too_large_is_an_error_that_says_how_large(name):
    W = 10 * MATRICES[name][0]
    form = pb.closed_form(pb.Recurrence(W, 5000))
    with pytest.raises(pb.errors.NonFiniteError, match=r"about 10\^\d+"):
        form.evaluate(np.ones(len(W)), 0)
    assert form.error < 1e-11


def test_zero_eigenvalue_is_an_exact_zero_and_said():
    form = pb.closed_form(pb.Recurrence([2.0, 0.0, -1.0], 5))
    assert form.evaluate([1.0, 7.0, 1.0], 0).tolist() == [32.0, 0.0, -1.0]
    assert form.evaluate([1.0, 7.0, 1.0], 5).tolist() == [1.0, 7.0, 1.0]
    assert "1 of them are 0 and stay exactly 0" in form.reason


def test_graded_block_keeps_its_digits():
    """Beside ‖W‖ its powers fall by 10^18 a step: the first terms need scales of their own."""
    W = np.eye(70)
    W[:2, :2] = [[0, 1e18], [1e-18, 0]]
    r = pb.Recurrence(W, 31, state=np.ones(70))
    found, expected = pb.closed_form(r).gradient(np.ones(70)), r.gradient(np.ones(70))
    for key, value in found.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-12)


def test_cost_stands_beside_the_recursions():
    cost = pb.closed_form(made("larger", 1024)).cost
    assert cost.recursion == 1024 * 40 * 40
    assert cost.closed < cost.recursion
    assert cost.pays_after == -(-cost.preparation // (cost.recursion - cost.closed))
    squared = pb.closed_form(made("Jordan", 5)).cost  # A⁵ = A⁴ A: two squarings, two products
    assert (squared.closed, squared.preparation) == (2 * 9, 2 * 27)


@pytest.mark.parametrize("name", ["symmetric", "rotation", "triangular", "Jordan", "diagonal"])
def test_formula_is_printed(name):
    form = pb.closed_form(made(name, 57))
    assert r"\left(W^{\top}\right)^{57 - t}" in form.latex()
    assert form.text().startswith("There is a closed form: (Wᵀ)^57 δ by ")
    assert max(map(len, form.text().splitlines())) <= 80
    assert "<math" in form._repr_html_()
    plain = form.to_dict()
    assert (plain["exists"], plain["method"]) == (True, MATRICES[name][1])


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, (3, 3), elements=st.integers(-3, 3).map(float)),
    st.integers(1, 24),
    st.integers(0, 10**6),
)
def test_any_small_matrix(W, steps, seed):
    """Whole numbers make defective and singular matrices by the dozen; Python adds exactly."""
    delta = np.random.default_rng(seed).integers(-5, 6, 3)
    exact = [int(each) for each in delta]
    columns = [[int(each) for each in column] for column in W.T]
    for _ in range(steps):
        exact = [sum(w * d for w, d in zip(c, exact, strict=True)) for c in columns]
    found = pb.closed_form(pb.Recurrence(W, steps)).evaluate(delta, 0)
    size = max(np.linalg.norm(W, 2), 1.0) ** steps * max(np.linalg.norm(delta), 1.0)
    assert np.max(np.abs(found - np.array(exact, float))) <= 1e-8 * size < inf
