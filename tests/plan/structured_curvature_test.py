"""Curvature in a structure is what its formula says, and its maps are one another's inverses."""

import numpy as np
import pytest
from zoo import close

import pullback as pb
from pullback.errors import (
    ConfigError,
    NonFiniteError,
    NotApplicableError,
    ShapeError,
    SingularError,
    UnknownNameError,
)

L, S = pb.Linear, pb.Sequential
STRUCTURES = ["full", "diag", "low-rank", "empirical-fisher", "kfac", "kfac-reduce"]
RNG = np.random.default_rng(0)


def classifier(loss=None, samples=7):
    net = pb.Network(S(L(3, 4), pb.Tanh(), L(4, 3)), loss or pb.CrossEntropy())
    rng = np.random.default_rng(1)
    return net, net.init(seed=1), rng.normal(size=(samples, 3)), rng.integers(0, 3, samples)


def gauss_newton(net, params, X, Y):
    size = sum(params[name].size for name in net.trained)
    return np.stack([pb.ggn_vector_product(net, params, X, Y, e) for e in np.eye(size)], 1)


NETWORKS = {
    "classifier": classifier(),
    "sum": classifier(pb.CrossEntropy("sum")),
    "tokens": (
        (net := pb.Network(S(pb.Embedding(9, 3), pb.GRU(3, 2), L(2, 2)), pb.MSELoss(),
                           x="tokens=3:index")),
        net.init(seed=0), RNG.integers(0, 9, (5, 3)), RNG.normal(size=(5, 3, 2))),
    "images": (
        (net := pb.Network(S(pb.Conv1d(2, 3, 2), pb.GroupNorm(1, 3), pb.Flatten(), L(9, 2)),
                           pb.CrossEntropy(), x="channels=2 width=4")),
        net.init(seed=0), RNG.normal(size=(6, 2, 4)), RNG.integers(0, 2, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_exact_is_gauss_newton(name):
    net, params, X, Y = NETWORKS[name]
    G = gauss_newton(net, params, X, Y)
    close(pb.curvature(net, params, X, Y, "full").dense(), G, tight=1e-10)
    close(pb.curvature(net, params, X, Y, "diag").diagonal(), np.diagonal(G), tight=1e-10)
    low = pb.curvature(net, params, X, Y, "low-rank")
    close(low.dense(), G, tight=1e-9)
    values = np.linalg.eigvalsh(G)[::-1]
    two = pb.curvature(net, params, X, Y, "low-rank", rank=2)
    close(np.linalg.eigvalsh(two.dense())[::-1][:2], values[:2], tight=1e-9)
    assert np.linalg.matrix_rank(two.dense()) == 2


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_empirical_fisher_is_the_samples_gradients(reduction):
    net, params, X, Y = classifier(pb.CrossEntropy(reduction))
    g = [pb.ravel(net.value_and_grad(params, X[at:at + 1], Y[at:at + 1])[1])[0]
         for at in range(len(X))]  # fmt: skip
    expected = sum(np.outer(each, each) for each in g)
    expected /= len(X) if reduction == "mean" else 1
    close(pb.curvature(net, params, X, Y, "empirical-fisher").dense(), expected, tight=1e-10)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_one_matrix(name, structure):
    """Products, solves, determinants, draws and predictive covariances, against the dense one."""
    net, params, X, Y = NETWORKS[name]
    G = pb.curvature(net, params, X, Y, structure)
    M, size = G.dense(), G.shape[0]
    close(M, M.T)
    close(G.diagonal(), np.diagonal(M))
    moved = M + 0.3 * np.eye(size)
    V = np.random.default_rng(2).normal(size=(size, 3))
    close(G @ V, M @ V)
    close(G.solve(V, damping=0.3), np.linalg.solve(moved, V), tight=1e-9)
    close(G.solve(V[:, 0], damping=0.3), np.linalg.solve(moved, V[:, 0]), tight=1e-9)
    close(G.logdet(0.3), np.linalg.slogdet(moved)[1], tight=1e-10)
    # a draw is C ε of independent ε, and C Cᵀ has to be the inverse
    C = G.map.colour(np.eye(size), 0.3)
    close(C @ C.T, np.linalg.inv(moved), tight=1e-9)
    close(C.T, G.map.whiten(np.eye(size), 0.3), tight=1e-9)
    noise = np.random.default_rng(4).normal(size=(size, 2))
    close(G.sample(2, damping=0.3, seed=4), (C @ noise).T, tight=1e-9)
    rows = V.T.reshape(1, 3, size)
    close(G.covariance(rows, 0.3)[0], V.T @ np.linalg.solve(moved, V), tight=1e-9)
    named = pb.ravel({n: params[n] for n in net.trained})[1](V[:, 0])
    close(pb.ravel(G @ named)[0], M @ V[:, 0])
    assert structure in repr(G)
    assert "Gauss" in G.text() or "Kronecker" in G.text()


def test_kfac_is_its_formula():
    """A = mean a aᵀ and B = Σ δ H δᵀ of each layer; a bias has its own block."""
    net, params, X, Y = classifier()
    z, W = net.predict(params, X), params["2.weight"]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    H = (np.einsum("bi,ij->bij", p, np.eye(3)) - np.einsum("bi,bj->bij", p, p)) / len(X)
    a = np.tanh(X @ params["0.weight"].T + params["0.bias"])
    back = W[None] * (1 - a**2)[:, None]
    B0, B2 = np.einsum("bki,bkl,blj->ij", back, H, back), H.sum(0)
    expected = [np.kron(B0, X.T @ X / 7), B0, np.kron(B2, a.T @ a / 7), B2]
    G = pb.curvature(net, params, X, Y, "kfac").dense()
    at = 0
    for block in expected:
        end = at + len(block)
        close(G[at:end, at:end], block, tight=1e-10)
        assert not G[at:end, end:].any()
        at = end


class Mean(pb.nn.Block):
    """The mean over the tokens."""

    def build(self, x, at):
        from pullback.ir.build import mean_over

        return at.a(mean_over(x, x.axes[1:2]))


@pytest.mark.parametrize(
    ("structure", "model", "other"),
    [
        ("kfac", S(L(3, 4), L(4, 2)), "kfac-reduce"),
        ("kfac-reduce", S(L(3, 4), L(4, 2), Mean()), "kfac"),
    ],
)
def test_kronecker_factors_are_exact_for_deep_linear_networks_of_their_kind(
    structure, model, other
):
    """Eschenhagen et al. (2023), propositions 1 and 2: the blocks on the diagonal are exact."""
    net = pb.Network(model, pb.SquaredError(), x="tokens=3 features=3")
    params, X = net.init(seed=0), RNG.normal(size=(6, 3, 3))
    Y = np.zeros(net.predict(params, X).shape)
    G = gauss_newton(net, params, X, Y)
    found, wrong = (pb.curvature(net, params, X, Y, s).dense() for s in (structure, other))
    at = 0
    for name in net.trained:
        block = slice(at, at + params[name].size)
        close(found[block, block], G[block, block], tight=1e-10)
        at = block.stop
    weights = slice(0, 12)
    assert np.abs(wrong[weights, weights] - G[weights, weights]).max() > 0.01 * np.abs(G).max()


def test_a_looked_up_row_counts_how_often():
    net, params, X, Y = NETWORKS["tokens"]
    G = pb.curvature(net, params, X, Y, "kfac")
    A = G.map.blocks[0].A
    close(A, np.bincount(X.ravel(), minlength=9) / X.size)


@pytest.mark.parametrize("of", ["ggn", "hessian"])
@pytest.mark.parametrize(
    ("which", "hidden"), [("largest", 4), ("smallest", 4), ("both", 4), ("largest", 10)]
)
def test_spectrum_is_the_eigenvalues(of, which, hidden):
    """Of the matrix itself, small or not, penalty included."""
    net = pb.Network(S(L(3, hidden), pb.Tanh(), L(hidden, 3)), pb.CrossEntropy(), l2=0.1)
    params = net.init(seed=1)
    _, _, X, Y = classifier()
    size = sum(p.size for p in params.values())
    if of == "ggn":
        G = gauss_newton(net, params, X, Y)
    else:
        vector, unravel = pb.ravel(params)

        def slope(v):
            return pb.ravel(net.value_and_grad(unravel(v), X, Y)[1])[0]

        G = np.stack([(slope(vector + 1e-5 * e) - slope(vector - 1e-5 * e)) / 2e-5
                      for e in np.eye(size)], 1)  # fmt: skip
    values = np.linalg.eigvalsh((G + G.T) / 2)[::-1]
    kept = {"largest": values[:4], "smallest": values[-4:],
            "both": np.r_[values[:2], values[-2:]]}[which]  # fmt: skip
    found = pb.spectrum(net, params, X, Y, k=4, of=of, which=which)
    np.testing.assert_allclose(found.values, kept, atol=1e-7)
    residual = G @ found.vectors - found.vectors * found.values
    assert np.abs(residual).max() < 1e-6
    assert f"4 of {size}" in found.text()


def test_equal_eigenvalues_that_lanczos_method_does_not_tell_apart(monkeypatch):
    """The matrix is made where it is not too large, and refused where it is."""
    net, params, X, Y = classifier()
    net = pb.Network(S(L(3, 10), pb.Tanh(), L(10, 3)), pb.CrossEntropy(), l2=0.1)
    params = net.init(seed=1)
    monkeypatch.setattr("pullback.plan.curvature.spectrum.RESTARTS", 2)
    found = pb.spectrum(net, params, X, Y, k=4, which="smallest")
    values = np.linalg.eigvalsh(gauss_newton(net, params, X, Y))
    np.testing.assert_allclose(found.values, values[3::-1], atol=1e-10)
    monkeypatch.setattr("pullback.plan.curvature.spectrum.LARGE", 70)
    with pytest.raises(NotApplicableError, match="does not tell the smallest eigenvalues apart"):
        pb.spectrum(net, params, X, Y, k=4, which="smallest")


def test_evidence_and_predictive_of_a_linear_model_are_the_gaussian_processs():
    """Bayesian linear regression: the same numbers by weights and by a kernel."""
    rng = np.random.default_rng(3)
    X, tau = rng.normal(size=(9, 2)), 0.7
    net = pb.Network(L(2, 1, bias=False), pb.SquaredError("sum"))
    y = X @ [1.0, -2.0] + rng.normal(size=9)
    w = np.linalg.solve(X.T @ X + tau * np.eye(2), X.T @ y)
    K = X @ X.T / tau + np.eye(9)
    evidence = -0.5 * (y @ np.linalg.solve(K, y) + np.linalg.slogdet(K)[1])
    new = rng.normal(size=(4, 2))
    k = new @ X.T / tau
    variance = np.diagonal(new @ new.T / tau - k @ np.linalg.solve(K, k.T))
    for structure in ("full", "last", "low-rank", "kfac", "kfac-reduce"):
        fitted = pb.laplace(net, {"weight": w[None]}, X, y, tau, structure)
        close(fitted.log_marginal_likelihood(), evidence, tight=1e-10)
        mean, covariance = fitted.predictive(new)
        close(mean[:, 0], k @ np.linalg.solve(K, y), tight=1e-10)
        close(covariance[:, 0, 0], variance, tight=1e-9)


@pytest.mark.parametrize("samples", [5, 40])
@pytest.mark.parametrize("structure", ["full", "last", "kfac", "kfac-reduce", "diag", "low-rank"])
def test_laplace_in_a_structure_is_that_curvature(structure, samples):
    """Precision τ I + the curvature of the summed loss; the evidence has its determinant."""
    net, params, X, Y = classifier(samples=samples)
    summed = pb.Network(net.model, pb.CrossEntropy("sum"))
    fitted = pb.laplace(net, params, X, Y, 0.5, structure)
    named = {"last": "full"}.get(structure, structure)
    M = pb.curvature(summed, params, X, Y, named).dense()
    J = pb.jacobian(net, params, X, wrt="params").dense().reshape(samples, 3, -1)
    part = slice(16, None) if structure == "last" else slice(None)
    M, J = M[part, part] + 0.5 * np.eye(M[part, part].shape[0]), J[:, :, part]
    _, covariance = fitted.predictive(X)
    close(covariance, J @ np.linalg.inv(M) @ J.swapaxes(1, 2), tight=1e-8)
    weights = np.concatenate([params[n].ravel() for n in fitted.names])
    expected = -summed.loss(params, X, Y) - 0.25 * weights @ weights
    expected += 0.5 * (len(M) * np.log(0.5) - np.linalg.slogdet(M)[1])
    close(fitted.log_marginal_likelihood(), expected, tight=1e-9)
    assert "prior precision 0.5" in repr(fitted)
    assert fitted.text().startswith("A Gaussian over")


@pytest.mark.parametrize("structure", ["full", "kfac"])
def test_float32_is_summed_in_float64(structure):
    net, params, X, Y = classifier()
    exact = pb.curvature(net, params, X, Y, structure).dense()
    single = {k: v.astype(np.float32) for k, v in params.items()}
    found = pb.curvature(net, single, X.astype(np.float32), Y, structure).dense()
    assert np.abs(found - exact).max() < 1e-5 * np.abs(exact).max()


def test_bad_input():
    net, params, X, Y = classifier()
    with pytest.raises(UnknownNameError, match="did you mean 'kfac'"):
        pb.curvature(net, params, X, Y, "kfacc")
    with pytest.raises(ConfigError, match="takes no rank"):
        pb.curvature(net, params, X, Y, "kfac", rank=3)
    with pytest.raises(ConfigError, match="rank is 99; this curvature has rank 21 at most"):
        pb.curvature(net, params, X, Y, "low-rank", rank=99)
    G = pb.curvature(net, params, X, Y)
    with pytest.raises(ShapeError, match=r"solve: r has shape \(3,\); expected \(31\)"):
        G.solve(np.ones(3), damping=1.0)
    with pytest.raises(UnknownNameError, match=r"lacks '0\.weight'"):
        G @ {"2.weight": params["2.weight"]}
    for structure in ("full", "low-rank", "empirical-fisher", "kfac", "kfac-reduce"):
        singular = pb.curvature(net, params, X, Y, structure)
        with pytest.raises(SingularError, match="give a damping above 0"):
            singular.solve(np.ones(31))
        with pytest.raises(ConfigError, match="damping is -1"):
            singular.sample(damping=-1)
    with pytest.raises(ConfigError, match="k is 99; there are 31 eigenvalues"):
        pb.spectrum(net, params, X, Y, k=99)
    with pytest.raises(UnknownNameError, match="unknown curvature 'fisher'"):
        pb.spectrum(net, params, X, Y, of="fisher")


def test_kronecker_factors_that_there_are_not_are_refused_by_name():
    model = S(pb.Conv2d(2, 4, 2, groups=2), pb.Flatten(), L(16, 2))
    net = pb.Network(model, pb.CrossEntropy(), x="channels=2 height=3 width=3")
    params, X, Y = net.init(seed=0), RNG.normal(size=(4, 2, 3, 3)), RNG.integers(0, 2, 4)
    with pytest.raises(NotApplicableError, match=r"'0\.weight' has no Kronecker factors"):
        pb.curvature(net, params, X, Y, "kfac")
    with pytest.raises(NotApplicableError, match=r"'0\.weight' has no Kronecker factors"):
        pb.laplace(net, params, X, Y, structure="kfac")
    assert pb.curvature(net, params, X, Y, "diag").shape == (pb.ravel(params)[0].size,) * 2


@pytest.mark.parametrize("structure", STRUCTURES)
def test_what_overflows_is_said(structure):
    net = pb.Network(S(L(3, 4, bias=False), L(4, 3, bias=False)), pb.MSELoss())
    X, Y = np.full((7, 3), 1e150), np.zeros((7, 3))
    params = {"0.weight": np.full((4, 3), 1e-300), "1.weight": np.full((3, 4), 1e200)}
    with pytest.raises(NonFiniteError, match="overflows"):
        pb.curvature(net, params, X, Y, structure)
    params["0.weight"] = params["0.weight"] * 1e300
    with pytest.raises(NonFiniteError, match="output is not finite"):
        pb.curvature(net, params, X, Y, structure)
