"""δ at a fixed point: the linear solve is jax's implicit differentiation, Neumann's is bounded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax_peer import apply
from zoo import close

import pullback as pb

jax.config.update("jax_enable_x64", True)


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def implicit(f, theta, z, g):
    """jax's own rule: custom_root differentiates z − f(z, θ) = 0 where it is solved."""

    def solved(theta):
        return jax.lax.custom_root(
            lambda y: y - f(y, theta),
            jnp.asarray(z),
            lambda _, y: y,
            lambda linear, b: jnp.linalg.solve(jax.jacobian(linear)(b), b),
        )

    return jax.grad(lambda theta: g @ solved(theta))(theta)


@pytest.mark.parametrize("activation", ["tanh", "relu", "identity", "sigmoid"])
def test_solve_is_implicit_differentiation(activation):
    W, u, g = drawn(5, 5) / 6, drawn(5, seed=1), drawn(5, seed=2)
    f = {"tanh": jnp.tanh, "relu": jax.nn.relu, "identity": lambda z: z}.get(
        activation, jax.nn.sigmoid
    )
    point = pb.FixedPoint(W, inputs=u, activation=activation)
    np.testing.assert_allclose(point.value, f(W @ point.value + u), atol=1e-12)
    form = pb.closed_form(point)
    found = form.gradient(g)
    expected = implicit(
        lambda z, t: f(t["W"] @ z + t["inputs"]), {"W": W, "inputs": u}, point.value, g
    )
    for key, value in expected.items():
        close(found[key], value, tight=1e-11)
    # δ at z* is what a small push on z* from outside is worth
    J = np.asarray(jax.jacobian(lambda z: f(W @ z + u))(point.value))
    close(form.evaluate(g, 0), np.linalg.solve(np.eye(5) - J.T, g), tight=1e-11)
    assert form.error < 1e-12
    assert form.condition == pytest.approx(np.linalg.cond(np.eye(5) - J))


@pytest.mark.parametrize(
    "inner",
    [
        pb.Linear(4, 4),
        pb.Sequential(pb.Linear(4, 7), pb.Tanh(), pb.Linear(7, 4), pb.Sigmoid()),
        pb.Sequential(pb.Residual(pb.Sequential(pb.Linear(4, 4), pb.Tanh())), pb.Linear(4, 4)),
    ],
    ids=repr,
)
def test_any_block_may_be_the_map(inner):
    params = {s.name: drawn(*s.shape, seed=at) / 6 for at, s in enumerate(inner.parameters(""))}
    point = pb.FixedPoint(inner, params=params, start=np.ones(4))
    g = drawn(4)
    found = pb.closed_form(point).gradient(g)
    expected = implicit(lambda z, t: apply(inner, t, z[None])[0], params, point.value, g)
    assert set(found) == set(params)
    for key, value in expected.items():
        close(found[key], value, tight=1e-10)


@pytest.mark.parametrize("terms", [1, 2, 5, 30])
def test_neumann_is_within_its_bound(terms):
    for seed in range(5):
        W, u, g = drawn(6, 6, seed=seed) / 6, drawn(6, seed=seed + 10), drawn(6, seed=seed + 20)
        form = pb.closed_form(pb.FixedPoint(W, inputs=u, activation="tanh"))
        found = form.neumann(g, terms)
        missing = np.linalg.norm(found.value - form.evaluate(g, 0))
        assert found.rho < 1
        assert missing <= found.bound + 1e-14
        assert found.bound == pytest.approx(found.rho**terms / (1 - found.rho) * np.linalg.norm(g))


def test_neumann_of_a_map_that_grows_before_it_shrinks():
    """Radius ½ and norm above 1: the bound is another, and holds as well."""
    form = pb.closed_form(pb.FixedPoint([[0.0, 3.0], [0.0, 0.5]]))
    assert form.rho > 1 > form.radius
    for terms in (1, 2, 10):
        found = form.neumann([1.0, -1.0], terms)
        missing = np.linalg.norm(found.value - form.evaluate([1.0, -1.0], 0))
        assert 0 < missing <= found.bound
    assert form.neumann([1.0, -1.0], 100).bound < 1e-20


def test_neumann_is_the_unrolled_recursion():
    W, g = drawn(3, 3) / 4, drawn(3)
    form = pb.closed_form(pb.FixedPoint(W))
    expected = sum(np.linalg.matrix_power(W.T, k) @ g for k in range(4))
    close(form.neumann(g, 4).value, expected)


def test_large_maps_are_solved_without_their_jacobian():
    n = 700
    W = 0.5 * drawn(n, n) / np.sqrt(n)
    u, g = drawn(n, seed=1), drawn(n, seed=2)
    form = pb.closed_form(pb.FixedPoint(W, inputs=u, activation="tanh"))
    assert "GMRES" in form.form
    assert "jacobian" not in vars(form)
    J = W * (1 - form.of.value**2)[:, None]
    close(form.evaluate(g, 0), np.linalg.solve(np.eye(n) - J.T, g), tight=1e-10)
    assert form.radius == pytest.approx(np.max(np.abs(np.linalg.eigvals(J))), rel=1e-6)
    assert form.rho == pytest.approx(np.linalg.norm(J, 2), rel=1e-6)
    found = form.gradient(g)
    close(found["W"], np.outer(found["inputs"], form.of.value), tight=1e-10)


@pytest.mark.parametrize(("W", "says"), [([[1.1]], "1.1"), ([[0.0, 2], [-2, 0]], "2"), (1.0, "1")])
def test_radius_of_one_or_more_is_refused_with_the_number(W, says):
    with pytest.raises(pb.errors.NotApplicableError, match=f"radius of J at z\\* is {says}"):
        pb.closed_form(pb.FixedPoint(W))


def test_no_fixed_point_is_an_error_with_what_is_left():
    with pytest.raises(pb.errors.NotApplicableError, match="no fixed point was found"):
        _ = pb.FixedPoint(3.0, inputs=[1.0], activation=pb.Activation("exp(x)")).value


def test_record_prints():
    form = pb.closed_form(pb.FixedPoint([[0.5, 0.1], [0.0, 0.2]], inputs=[1.0, 2.0]))
    assert form.exists
    assert r"\left(I - J^{\top}\right)^{-1} g" in form.latex()
    assert "spectral radius of J is 0.5 < 1" in form.reason
    assert max(map(len, form.text().splitlines())) <= 80
    assert "<math" in form._repr_html_()
    assert form.to_dict()["method"] == "implicit"
    assert "3 terms" in form.neumann([1.0, 1.0], 3).text()
