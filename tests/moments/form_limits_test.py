"""Laws and limits of each form of equation, against their formulas and against networks drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import inputs, labels, values

import pullback as pb
from pullback.ir import Node
from pullback.moments.law.batch_norm import batch_moments
from pullback.moments.law.lookup import row_gradient
from pullback.moments.law.pooling import largest
from pullback.moments.law.setting import Setting
from pullback.moments.law.theory import Theory
from pullback.moments.law.units import Placed

HE = pb.init.he()


def images(samples=6, channels=3, size=8, seed=0):
    return np.random.default_rng([seed, 9]).normal(size=(samples, channels, size, size))


def theory_of(blocks, X, x, Y=None, scheme=HE, loss=None):
    net = pb.Network(pb.Sequential(*blocks), loss or pb.SquaredError(), x=x)
    shape = (len(X), *(axis.size for axis in net.output.axes[1:]))
    Y = np.zeros(shape) if Y is None else Y
    return Theory(Setting.of(net, X, Y, scheme))


def carried(theory, first=0, last=-1):
    """E δ² at each place of a layer, where it is 1 at every unit of another."""
    layers, flow = theory.setting.layers, theory.flow
    at = layers[last].equation
    law = flow.passed[at].units.law
    start = Placed(law.kept, 0 * law.mean, np.ones_like(law.second))
    return flow.average(flow.behind(at, start)[layers[first].equation].second)


def second(theory, name):
    """E a² at each place of an equation."""
    flow = theory.flow
    found = next(law for node, law in flow.passed.items() if node.name == name)
    return flow.average(found.units.law.second)


def convolutions(depth, channels=128, first=3, **options):
    blocks = []
    for at in range(depth):
        blocks += [pb.Conv2d(channels if at else first, channels, 3, **options), pb.ReLU()]
    return blocks[:-1]


PIXELS = "channels=3 height=8 width=8"


def test_zero_padding_over_depth_is_an_operator():
    """(T ⊗ T)ᴸ with T = ones on three diagonals / 3; not the L-th power of the taps' fraction."""
    theory = theory_of(convolutions(8, padding=1), images(), PIXELS)
    T = (np.eye(8) + np.eye(8, k=1) + np.eye(8, k=-1)) / 3
    column = np.linalg.matrix_power(T, 7).sum(axis=0)
    expected = np.outer(column, column)
    found = carried(theory)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert round(found.mean(), 3) == 0.456
    assert round(found[0, 0] / found[4, 4], 3) == 0.141
    one = carried(theory, first=-2).mean()
    assert one == pytest.approx(((3 * 8 - 2) / (3 * 8)) ** 2, rel=1e-6)


def test_around_a_circle_nothing_is_lost():
    theory = theory_of(convolutions(4, padding=1, padding_mode="circular"), images(), PIXELS)
    np.testing.assert_allclose(carried(theory), 1.0, rtol=1e-6)


def test_stride_leaves_a_pattern_by_residue_class():
    """k = 3, s = 2: 1:2:2:4, times 9 and 25 after two and three such layers; mean k²/s²."""
    X = images(2, 3, 64)
    theory = theory_of(convolutions(4, 64, stride=2, padding=1), X, "channels=3 height=64 width=64")
    for layers, ratio in ((1, 4), (2, 9), (3, 25)):
        found = carried(theory, first=-1 - layers)
        n = len(found)
        inside = found[n // 4 : 3 * n // 4, n // 4 : 3 * n // 4]
        assert inside.max() / inside.min() == pytest.approx(ratio, rel=1e-6)
        share = inside.reshape(-1)
        assert set(np.round(share / share.min(), 6)) >= {1.0, float(ratio)}
    one = carried(theory, first=-2)[2:6, 2:6]
    weight = 2 / (64 * 9)  # Var w
    assert one.mean() == pytest.approx(weight * 64 * 9 / 4 / 2, rel=1e-6)


def test_each_channel_of_its_own_keeps_what_it_has_at_variance_one_ninth():
    blocks = [
        pb.Conv2d(3, 16, 1), pb.ReLU(),
        pb.Conv2d(16, 16, 3, padding=1, padding_mode="circular", groups=16),
    ]  # fmt: skip
    theory = theory_of(blocks, images(), PIXELS, scheme=pb.init.normal(std=1 / 3, fan_in=False))
    assert carried(theory)[3, 3] == pytest.approx(0.5, rel=1e-6)  # 9 · 1/9 · E φ′²
    grouped = [pb.Conv2d(3, 16, 1), pb.ReLU(), pb.Conv2d(16, 32, 1, groups=4)]
    theory = theory_of(grouped, images(), PIXELS, scheme=pb.init.normal(std=1.0, fan_in=False))
    np.testing.assert_allclose(carried(theory), 32 / 4 / 2, rtol=1e-6)


def pooled(pool):
    white = np.eye(64).reshape(1, 64, 8, 8)  # E x x′ = 0 at each pair of places
    blocks = [pb.Conv2d(64, 64, 1), pb.ReLU(), pool, pb.Conv2d(64, 64, 1)]
    return theory_of(blocks, white, "channels=64 height=8 width=8")


def test_the_largest_of_four_has_the_slope_that_it_has():
    """E a²/q and P(max > 0); a max pool behind ReLU grows δ by 1.875/4 an entry at He."""
    _, square, _, slope = largest(pb.ReLU().function, 4, 0.0, 1.0, 0.0)
    x = np.linspace(0, 12, 200_001)
    from scipy.stats import norm

    assert square == pytest.approx(np.trapezoid(x**2 * 4 * norm.cdf(x) ** 3 * norm.pdf(x), x))
    assert slope == pytest.approx(1 - 2.0**-4, rel=1e-6)
    theory = pooled(pb.MaxPool2d(2))
    np.testing.assert_allclose(carried(theory), 1.875 / 4, rtol=1e-6)


def test_what_correlates_in_a_window_is_less_than_its_units_apart():
    """Two units with correlation ρ: E max² = 1 and E max = √((1 − ρ)/π), of any ρ."""
    for rho in (0.0, 0.3, 0.9):
        first, square, *_ = largest(pb.Identity().function, 2, 0.0, 1.0, rho)
        assert first == pytest.approx(np.sqrt((1 - rho) / np.pi), rel=1e-6)
        assert square == pytest.approx(1.0, rel=1e-6)


def test_a_mean_pool_divides_and_white_inputs_stay_uncorrelated():
    """S⁻ = S/k⁴ an entry; forward ¼·½ + ¾/2π of the variance."""
    theory = pooled(pb.AvgPool2d(2))
    np.testing.assert_allclose(carried(theory), 2 * 0.5 / 16, rtol=1e-6)
    share = second(theory, "a.2").mean() / second(theory, "z.0").mean()
    assert share == pytest.approx(0.25 / 2 + 0.75 / (2 * np.pi), rel=1e-6)


def test_a_mean_over_all_places_of_equal_inputs_changes_nothing():
    X = np.ones((3, 2, 4, 4)) * np.array([1.0, -2.0])[:, None, None]
    blocks = [pb.Conv2d(2, 32, 1), pb.Tanh(), pb.AdaptiveAvgPool2d(1), pb.Flatten(),
              pb.Linear(32, 2)]  # fmt: skip
    theory = theory_of(blocks, X, "channels=2 height=4 width=4")
    assert second(theory, "a.2").item() == pytest.approx(second(theory, "a.1").mean(), rel=1e-9)


@pytest.mark.parametrize("keep", [0.8, 0.5])
def test_dropout_is_one_over_the_rate_that_is_kept_both_ways(keep):
    blocks = [pb.Linear(8, 32), pb.ReLU(), pb.Dropout(1 - keep), pb.Linear(32, 32)]
    theory = theory_of(blocks, inputs(5, 8), "features=8")
    np.testing.assert_allclose(carried(theory), 1 / keep, rtol=1e-6)
    assert second(theory, "a.2") / second(theory, "a.1") == pytest.approx(1 / keep, rel=1e-6)


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


def test_rows_of_an_embedding():
    assert row_gradient(64, 5, 1.0) == pytest.approx(12.8)
    assert row_gradient(64, 5, 1.0, 0.3) == pytest.approx(12.8 + 64 * 63 / 25 * 0.3)


@pytest.mark.parametrize(
    ("blocks", "loss", "Y"),
    [
        ([pb.Linear(16, 32), pb.ReLU(), pb.Linear(32, 32), pb.Tanh(), pb.Linear(32, 3)],
         pb.SquaredError(), values(6, 3)),
        ([pb.Linear(16, 32), pb.GELU(), pb.Linear(32, 3), pb.Sigmoid()],
         pb.BCELoss(), 1.0 * (values(6, 3) > 0)),
        ([pb.Linear(16, 32), *(pb.Residual(pb.Sequential(pb.Tanh(), pb.Linear(32, 32)), scale=0.7)
                               for _ in range(2)), pb.Tanh(), pb.Linear(32, 3)],
         pb.CrossEntropy(), labels(6, 3)),
    ],
    ids=["chain", "sigmoid", "skips"],
)  # fmt: skip
def test_chains_and_skips_are_the_special_case(blocks, loss, Y):
    """The recursion for chains and the flow through equations give the same numbers."""
    scheme = pb.init.normal(std=1.3, mean=0.5, bias_std=0.2)
    theory = theory_of(blocks, inputs(6, 16), "features=16", Y, scheme, loss)
    chain, layers = theory.independence, theory.setting.layers
    flow = theory.setting.flow
    order = [int(m[0]) for m in flow.samples.members]
    last = chain[layers[-1].index]
    start = Placed((), last.mean[:-1][order], last.square[:-1][order])
    found = flow.behind(layers[-1].equation, start)
    for layer in layers:
        z, error = theory.z[layer.index], chain[layer.index]
        law = flow.passed[layer.equation].units.law
        np.testing.assert_allclose(law.variance, z.variance[:-1][order], rtol=1e-12)
        np.testing.assert_allclose(
            found[layer.equation].second, error.square[:-1][order], rtol=1e-12
        )
        np.testing.assert_allclose(
            found[layer.equation].mean, error.mean[:-1][order], rtol=1e-9, atol=1e-15
        )
    drawn = flow.average(flow.errors[layers[-1].equation].second)
    assert drawn == pytest.approx(
        theory.error("independence", layers[-1].index, "square"), rel=0.02
    )


C = 96
DRAWN = {
    "convolutions": ([pb.Conv2d(3, C, 3, padding=1), pb.ReLU(), pb.MaxPool2d(2),
                      pb.Conv2d(C, C, 3, padding=1, groups=2), pb.GELU(),
                      pb.AvgPool2d(3, stride=2, padding=1), pb.Conv2d(C, C, 2), pb.Flatten(),
                      pb.Linear(C, 8)], images(), PIXELS, 60),
    "group norms": ([pb.Conv2d(3, C, 3, padding=1), pb.GroupNorm(4, C), pb.ReLU(),
                     pb.Conv2d(C, C, 3, padding=1), pb.ReLU(), pb.AdaptiveAvgPool2d(1),
                     pb.Flatten(), pb.Linear(C, 2)], images(), PIXELS, 60),
    "pre-norm": ([pb.Linear(16, C), *(pb.Residual(pb.Sequential(
        pb.LayerNorm(C), pb.Linear(C, C), pb.ReLU(), pb.Linear(C, C))) for _ in range(3)),
        pb.LayerNorm(C), pb.Linear(C, 2)], inputs(6, 16), "features=16", 100),
    "gates": ([pb.Linear(16, 2 * C), pb.GLU(), pb.Linear(C, 2 * C), pb.GLU(), pb.Linear(C, 2)],
              inputs(6, 16), "features=16", 200),
    "transposed": ([pb.Conv1d(5, C, 3, dilation=2), pb.ReLU(),
                    pb.ConvTranspose1d(C, C, 3, stride=2), pb.ReLU(), pb.Conv1d(C, 2, 1)],
                   values(6, 80).reshape(6, 5, 16), "channels=5 time=16", 60),
    "concatenated": ([pb.Linear(16, C), pb.Concat(pb.Linear(C, C), pb.Sequential(
        pb.ReLU(), pb.Linear(C, C))), pb.ReLU(), pb.Linear(2 * C, 2)],
        inputs(6, 16), "features=16", 200),
    "tokens": ([pb.Embedding(20, C), pb.Linear(C, C), pb.ReLU(), pb.Flatten(), pb.Linear(5 * C, 2)],
               np.random.default_rng(3).integers(0, 20, size=(6, 5)), "tokens=5:index", 150),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_limits_are_those_of_networks_drawn(name):
    """Within 4 standard errors, and 12 % for the width: δ carries the same weights as z."""
    blocks, X, x, draws = DRAWN[name]
    theory = theory_of(blocks, X, x, scheme=pb.init.normal(std=1.2, bias_std=0.3))
    setting, rng = theory.setting, np.random.default_rng(1)
    params = setting.ensemble.draw(setting.scheme, draws, rng)
    batch = {n: np.broadcast_to(v, (draws, *v.shape)) for n, v in setting.batch.items()}
    found = setting.ensemble(params, batch)
    for layer in setting.layers:
        q, mean = theory.signal(layer.index)
        for value, drawn in (
            (q + mean**2, found.z[layer.index]),
            (theory.error("independence", layer.index, "square"), found.delta[layer.index]),
        ):
            each = (drawn**2).reshape(draws, -1).mean(axis=1)
            doubt = 4 * each.std() / np.sqrt(draws) + 0.12 * value
            assert abs(each.mean() - value) < doubt, layer.name


@pytest.mark.parametrize("first", [True, False], ids=["pre-norm", "post-norm"])
def test_a_transformer_is_that_of_networks_drawn(first):
    """Queries' errors have a share of the order of 1/d beside, so those are looser."""
    width, draws = 96, 60
    block = pb.TransformerEncoderLayer(width, 4, 2 * width, norm_first=first, dropout=0.0)
    X = np.random.default_rng(5).normal(size=(6, 5, 16))
    blocks = [pb.Linear(16, width), block, pb.Linear(width, 8)]
    theory = theory_of(blocks, X, "tokens=5 features=16", scheme=pb.init.torch_default())
    setting, rng = theory.setting, np.random.default_rng(1)
    params = setting.ensemble.draw(setting.scheme, draws, rng)
    batch = {n: np.broadcast_to(v, (draws, *v.shape)) for n, v in setting.batch.items()}
    found = setting.ensemble(params, batch)
    for layer in setting.layers:
        q, mean = theory.signal(layer.index)
        error = theory.error("independence", layer.index, "square")
        z, delta = (np.mean(v[layer.index] ** 2) for v in (found.z, found.delta))
        assert q + mean**2 == pytest.approx(z, rel=0.06), layer.name
        loose = "query" in layer.name or "key" in layer.name
        assert error == pytest.approx(delta, rel=0.35 if loose else 0.2), layer.name


def test_a_causal_mask_has_a_profile_over_tokens():
    """The first token reads one value, so its mean square is the largest."""
    X = np.random.default_rng(5).normal(size=(6, 5, 16))
    blocks = [pb.Linear(16, 64), pb.MultiheadAttention(64, 4, causal=True)]
    theory = theory_of(blocks, X, "tokens=5 features=16", scheme=pb.init.lecun())
    heads = second(theory, "a.1.heads")
    assert (np.diff(heads) < 0).all()
    assert heads[0] == pytest.approx(1.0, rel=0.1)


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


def test_a_forecast_says_limit_and_its_profile():
    X, Y = images(8), labels(8, 10)
    blocks = [*convolutions(3, 16, padding=1), pb.ReLU(), pb.AdaptiveAvgPool2d(1), pb.Flatten(),
              pb.Linear(16, 10)]  # fmt: skip
    net = pb.Network(pb.Sequential(*blocks), pb.CrossEntropy(), x=PIXELS)
    f = pb.forecast(net, X, Y, HE, methods=("independence",), progress=False)
    assert {layer.best.kind for layer in f.layers} == {"limit"}
    assert {layer.q.kind for layer in f.layers} == {"limit"}
    assert not any(isinstance(each, Node) for each in f.assumptions)
    axes, rms = f.theory.profile(0)
    assert [axis.name for axis in axes] == ["height.0", "width.0"]
    assert rms[0, 0] < 0.9 * rms[4, 4]
    shown = " ".join(f.text().split())
    assert f"Layer 0 over height.0 × width.0: RMS δ {rms[0, 0]:.3g} at the first place" in shown


def test_what_the_data_settle_is_no_weight_and_no_crash():
    """A frozen projection in front: its z is known, and no error is asked of it."""
    blocks = [pb.Linear(4, 8), pb.Activation("sin(x)"), pb.Linear(8, 8), pb.ReLU(), pb.Linear(8, 2)]
    net = pb.Network(pb.Sequential(*blocks), pb.SquaredError(), x="features=4")
    setting = Setting.of(net, inputs(5, 4), values(5, 2), HE)
    held = {name: 0.5 * np.ones(shape) for name, shape in (("0.weight", (8, 4)), ("0.bias", (8,)))}
    flow = replace(setting.flow, fixed={**setting.flow.fixed, **held})
    first, second_ = (layer.equation for layer in setting.layers[:2])
    assert first not in flow.passed
    z = inputs(5, 4) @ (0.5 * np.ones((4, 8))) + 0.5
    assert flow.average(flow.known[first].law.second).mean() == pytest.approx((z**2).mean())
    assert flow.errors[second_].second.shape[1:] == ()
