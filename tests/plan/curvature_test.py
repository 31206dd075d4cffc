"""Gauss–Newton products, tangent kernels and Laplace posteriors are what their formulas say."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import jax_peer
from zoo import FLOAT64, close, named

import pullback as pb
from pullback.errors import ConfigError, DataError, ShapeError, UnknownNameError
from pullback.plan.curvature.gauss_newton import output_hessian

CURVED = ["mse", "mse, sum", "cross-entropy, labels", "logits, bits", "sigmoid, bits", "logistic",
          "l2", "residual, scaled", "squared error, sum"]  # fmt: skip


@pytest.mark.parametrize("name", CURVED)
def test_ggn_vector_product_is_jaxs(name):
    """Jᵀ H J v with H the Hessian of the loss in the output, by jax."""
    case = named(name)
    params, (X, Y) = case.params(), case.data()
    rng = np.random.default_rng(0)
    v = {key: rng.normal(size=value.shape) for key, value in params.items()}
    target = case.values()["target"]

    def output(params):
        return jax_peer.apply(case.model, params, jnp.asarray(X))

    def loss(z):
        each = jax_peer.per_sample(case.loss, z, jnp.asarray(target))
        return each.mean() if case.loss.reduction == "mean" else each.sum()

    z, change = jax.jvp(output, (params,), (v,))
    _, bent = jax.jvp(jax.grad(loss), (z,), (change,))
    (expected,) = jax.vjp(output, params)[1](bent)
    found = pb.ggn_vector_product(case.net, params, X, Y, v)
    for key, value in found.items():
        penalty = case.l2 * v[key] if key.endswith("weight") else 0
        close(value, np.asarray(expected[key]) + penalty, tight=1e-9)
    flat = pb.ggn_vector_product(case.net, params, X, Y, pb.ravel(v)[0])
    close(flat, pb.ravel(found)[0])


@pytest.mark.parametrize("name", ["Tanh()", "deep linear", "residuals in a row", "no bias"])
def test_tangent_kernel_is_the_product_of_the_jacobians(name):
    case = named(name)
    params, (X, _) = case.params(), case.data()
    other = np.random.default_rng(9).normal(size=(3, X.shape[1]))
    one, two = (pb.jacobian(case.net, params, x, wrt="params").dense() for x in (X, other))
    close(pb.ntk(case.net, params, X, other), one @ two.T, tight=1e-10)
    close(pb.ntk(case.net, params, X), one @ one.T, tight=1e-10)


def test_kernel_of_a_wide_classifier_is_never_written_out():
    """32 inputs, 269,322 parameters: the plan writes 2 MB where the Jacobian has 344 MB."""
    model = pb.Sequential(
        pb.Linear(784, 256), pb.Tanh(), pb.Linear(256, 256), pb.Tanh(), pb.Linear(256, 10)
    )
    net = pb.Network(model, loss=pb.CrossEntropy())
    params = net.init(seed=0, dtype=np.float32)
    X = np.random.default_rng(0).normal(size=(32, 784)).astype(np.float32)
    plan = pb.jacobian(net, params, X, wrt="params").plan("gram")
    assert plan.chosen == "structured"
    assert 4 * plan.to_dict()["ways"]["structured"]["numbers"] < 3e6
    assert 4 * plan.to_dict()["ways"]["written out"]["numbers"] > 344e6


def classifier(hidden=6, samples=40):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(samples, 3))
    Y = (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
    model = pb.Sequential(pb.Linear(3, hidden), pb.Tanh(), pb.Linear(hidden, 3))
    net = pb.Network(model, loss=pb.CrossEntropy())
    params = net.init(seed=1)
    return net, params, X, Y


@pytest.mark.parametrize("structure", ["full", "last_layer"])
@pytest.mark.parametrize("samples", [5, 60])
def test_laplace_is_the_inverse_of_the_curvature(structure, samples):
    """With few samples it is held by them, with many by the weights: one covariance."""
    net, params, X, Y = classifier(samples=samples)
    fitted = pb.laplace(net, params, X, Y, prior_precision=0.7, structure=structure)
    few = 3 * samples < sum(params[name].size for name in fitted.names)
    assert fitted.side == ("samples" if few else "weights")
    J = pb.jacobian(net, params, X, wrt="params").dense()
    columns = slice(0, None) if structure == "full" else slice(3 * 6 + 6, None)
    J = J[:, columns]
    z = net.predict(params, X)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    H = np.zeros((J.shape[0],) * 2)
    for at, row in enumerate(p):
        H[3 * at : 3 * at + 3, 3 * at : 3 * at + 3] = np.diag(row) - np.outer(row, row)
    posterior = np.linalg.inv(J.T @ H @ J + 0.7 * np.eye(J.shape[1]))
    new = np.random.default_rng(5).normal(size=(4, 3))
    K = pb.jacobian(net, params, new, wrt="params").dense()[:, columns]
    expected = [K[3 * at : 3 * at + 3] @ posterior @ K[3 * at : 3 * at + 3].T for at in range(4)]
    mean, covariance = fitted.predictive(new)
    close(mean, net.predict(params, new))
    close(covariance, np.array(expected), tight=1e-9)


def test_laplace_on_digits_knows_what_it_has_not_seen():
    """The variance of the logits is larger for noise than for digits; there it is less certain."""
    digits = load_digits()
    X, Y = (digits.data / 16).astype(np.float64), digits.target
    model = pb.Sequential(pb.Linear(64, 16), pb.Tanh(), pb.Linear(16, 10))
    net = pb.Network(model, loss=pb.CrossEntropy())
    params = pb.fit(net, X[:1000], Y[:1000], epochs=8, progress=False).params
    fitted = pb.laplace(net, params, X[:1000], Y[:1000])
    noise = np.random.default_rng(0).uniform(0, 3, size=(200, 64))
    seen, unseen = (fitted.predictive(x)[1] for x in (X[1000:], noise))
    assert np.trace(unseen, 0, 1, 2).mean() > 1.3 * np.trace(seen, 0, 1, 2).mean()
    plain = np.exp(net.predict(params, noise))
    plain = (plain / plain.sum(axis=1, keepdims=True)).max(axis=1).mean()
    careful = fitted.probabilities(noise)
    np.testing.assert_allclose(careful.sum(axis=1), 1)
    assert careful.max(axis=1).mean() < plain
    assert np.mean(fitted.probabilities(X[1000:]).argmax(axis=1) == Y[1000:]) > 0.85


@pytest.mark.parametrize("case", [c for c in FLOAT64 if c.name in CURVED], ids=repr)
def test_hessian_of_a_convex_loss_is_positive_semidefinite_and_symmetric(case):
    X, _ = case.data()
    target = case.values()["target"]
    H = output_hessian(case.net, case.net.predict(case.params(), X), target)
    close(H, H.swapaxes(1, 2))
    assert np.linalg.eigvalsh(H).min() > -1e-12


def test_bad_input():
    net, params, X, Y = classifier()
    with pytest.raises(UnknownNameError, match="did you mean 'last_layer'"):
        pb.laplace(net, params, X, Y, structure="lastlayer")
    with pytest.raises(ConfigError, match="prior_precision is 0"):
        pb.laplace(net, params, X, Y, prior_precision=0)
    with pytest.raises(DataError, match="expected a class"):
        pb.laplace(net, params, X, Y + 7)
    with pytest.raises(ShapeError, match=r"v has shape \(3,\)"):
        pb.ggn_vector_product(net, params, X, Y, np.ones(3))
    squared = pb.Network(net.model, loss=pb.SquaredError())
    fitted = pb.laplace(squared, params, X, np.zeros((40, 3)))
    with pytest.raises(ConfigError, match="loss of logits"):
        fitted.probabilities(X)
