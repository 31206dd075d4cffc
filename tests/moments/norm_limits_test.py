"""Laws of norms, in front of and behind weights, of one sample and over a batch."""

from __future__ import annotations

import numpy as np
import pytest
from forms import HE, second, theory_of
from networks import inputs

import pullback as pb
from pullback.moments.law.batch_norm import batch_moments
from pullback.moments.law.units import Placed


@pytest.mark.parametrize(
    ("norm", "factor"),
    [(lambda n: pb.LayerNorm(n, eps=0), lambda n: (n - 2) / (n - 3)),
     (lambda n: pb.RMSNorm(n, eps=0), lambda n: (n - 1) / (n - 2))],
)  # fmt: skip
@pytest.mark.parametrize("n", [8, 32])
def test_a_norm_of_gaussian_units(norm, factor, n):
    """n = 8: 1.2 and 1.1667; n = 32: 1.0345."""
    theory = theory_of([pb.Linear(4, n), norm(n), pb.Linear(n, n)], inputs(3, 4), "features=4",
                       scheme=pb.init.normal(std=1.0))  # fmt: skip
    q = second(theory, "z.0")
    flow, (first, *_, last) = theory.flow, theory.setting.layers
    start = Placed((), np.zeros(3), np.ones(3))
    error = flow.behind(last.equation, start)[first.equation].second
    each = flow.passed[first.equation].units.law.second
    np.testing.assert_allclose(error * each, factor(n), rtol=1e-6)
    assert q.shape == ()


def test_the_place_of_a_norm_decides():
    """ReLU(LN(Wx)) keeps δ; LN(ReLU(Wx)) grows it by π/(π − 1) a layer; RMSNorm there keeps it."""
    n = 2**14  # of which no weight is drawn

    def growth(between, scheme=HE):
        blocks = [pb.Linear(8, n), *(b for _ in range(3) for b in (*between(), pb.Linear(n, n)))]
        theory = theory_of(blocks, inputs(3, 8), "features=8", np.zeros((3, n)), scheme)
        flow = theory.flow
        layers = theory.setting.layers
        start = Placed((), np.zeros(3), np.ones(3))
        found = flow.behind(layers[-1].equation, start)
        return float(np.mean(found[layers[1].equation].second / found[layers[2].equation].second))

    ln, rms = (lambda: pb.LayerNorm(n, eps=0)), (lambda: pb.RMSNorm(n, eps=0))
    assert growth(lambda: (ln(), pb.ReLU()), HE) == pytest.approx(1.0, rel=1e-3)
    assert growth(lambda: (pb.ReLU(), ln()), pb.init.lecun()) == pytest.approx(
        np.pi / (np.pi - 1), rel=1e-3
    )
    assert growth(lambda: (pb.ReLU(), rms()), pb.init.lecun()) == pytest.approx(1.0, rel=1e-3)


def test_residuals_around_and_in_front_of_norms():
    """Pre-norm: q = 1 + l, and the first δ is L + 1 times what goes in at the end; post-norm: 1."""
    n, depth = 2**12, 24

    def inner():
        return pb.Sequential(pb.LayerNorm(n, eps=0), pb.Linear(n, n))

    X = inputs(3, 8)
    X /= np.sqrt((X**2).mean(axis=1, keepdims=True))
    blocks = [pb.Linear(8, n), *(pb.Residual(inner()) for _ in range(depth))]
    one = pb.init.lecun()
    theory = theory_of(blocks, X, "features=8", np.zeros((3, n)), one)
    assert second(theory, f"a.{depth}") == pytest.approx(1 + depth, rel=1e-6)
    flow = theory.flow
    last = next(node for node in flow.passed if node.name == f"a.{depth}")
    found = flow.behind(last, Placed((), np.zeros(3), np.ones(3)))
    first = found[theory.setting.layers[0].equation].second
    np.testing.assert_allclose(first, 1 + depth, rtol=2e-2)  # finite width: ((n − 2)/(n − 3))ᴸ
    post = [pb.Linear(8, n)]
    for _ in range(depth):
        post += [pb.Residual(pb.Linear(n, n)), pb.LayerNorm(n, eps=0)]
    theory = theory_of(post, X, "features=8", np.zeros((3, n)), one)
    flow = theory.flow
    last = next(node for node in flow.passed if node.name == f"a.{2 * depth}")
    found = flow.behind(last, Placed((), np.zeros(3), np.ones(3)))
    np.testing.assert_allclose(found[theory.setting.layers[0].equation].second, 1.0, rtol=2e-2)


@pytest.mark.parametrize(
    ("samples", "growth"), [(4, 3.083), (8, 1.788), (32, 1.522), (64, 1.4925), (4096, 1.4672)]
)
def test_batch_norm_in_front_of_relu(samples, growth):
    """Growth of ‖δ‖² a layer, by 2·10⁶ directions drawn; π/(π − 1) for many samples."""
    found = batch_moments(pb.ReLU().function, samples)
    q = (found.second - found.product) * (samples - 1) / samples
    assert (found.own - found.two / (samples - 1)) / q == pytest.approx(growth, rel=1e-3)
    straight = batch_moments(pb.Identity().function, samples)
    q = (straight.second - straight.product) * (samples - 1) / samples
    lost = (straight.own - straight.two / (samples - 1)) / q
    assert lost == pytest.approx((samples - 2) / (samples - 3), rel=1e-9)


def normed(depth, width, wrap):
    return [
        block
        for _ in range(depth)
        for block in wrap([pb.BatchNorm1d(width, eps=0), pb.ReLU(), pb.Linear(width, width)])
    ]


def test_batch_norm_grows_in_the_middle_of_a_network_as_alone():
    blocks = [pb.Linear(16, 32), *normed(5, 32, lambda b: b), pb.Linear(32, 8)]
    theory = theory_of(blocks, inputs(8, 16), "features=16")
    at = [theory.error("independence", layer, "square") for layer in (2, 3)]
    found = batch_moments(pb.ReLU().function, 8)
    q = (found.second - found.product) * 7 / 8
    assert at[0] / at[1] == pytest.approx((found.own - found.two / 7) / q, rel=1e-6)


def test_residuals_with_batch_norm_grow_by_less_and_less():
    """∏ (1 + 1/(1 + l(1 − 1/π))) for many samples, not L + 1."""
    depth, samples = 6, 512
    blocks = [
        pb.Linear(64, 32),
        *normed(depth, 32, lambda b: [pb.Residual(pb.Sequential(*b))]),
        pb.Linear(32, 2),
    ]
    theory = theory_of(blocks, inputs(samples, 64), "features=64", scheme=pb.init.he())
    at = [theory.error("independence", layer, "square") for layer in range(1, depth + 1)]
    branch = 1 - 1 / np.pi  # of variance a branch adds 2 · ½ a layer, of which its mean is 1/π
    ratios = [1 + 1 / (1 + n * branch / 1.0) for n in range(1, depth)]
    np.testing.assert_allclose(np.divide(at[:-1], at[1:]), ratios, rtol=0.2)
    assert (np.diff(np.divide(at[:-1], at[1:])) < 0).all()


def test_a_batch_too_small_for_its_norm_is_measured():
    blocks = [pb.Linear(4, 8), *normed(1, 8, lambda b: b), pb.Linear(8, 2)]
    assert "fewer than 4 samples" in theory_of(blocks, inputs(3, 4), "features=4").why_not
