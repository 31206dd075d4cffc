"""Laws of convolutions and pools, against their formulas and against simulations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forms import PIXELS, carried, convolutions, images, second, theory_of
from torch import nn

import pullback as pb
from pullback.moments.law.pooling import largest


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


def in_torch(module, *shape, draws=150):
    """A module of torch's, with E δ² of each layer by law and in networks drawn."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(6, *shape)), np.arange(6) % 10
    methods = ("independence", "monte_carlo")
    f = pb.forecast(module.double(), X, Y, methods=methods, draws=draws, progress=False)
    assert not any(layer.best.kind == "measured" for layer in f.layers)
    return {layer.name: [float(layer.delta_ms[m]) for m in methods] for layer in f.layers}


class Squeezed(nn.Module):
    """A map times a gate of its own mean: squeeze and excitation."""

    def __init__(self, channels=128):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 32, 1), nn.Conv2d(32, channels, 1)

    def forward(self, x):
        gate = self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate)


def test_a_gate_of_the_mean_of_a_map():
    torch.manual_seed(0)
    found = in_torch(
        nn.Sequential(nn.Conv2d(3, 128, 3, padding=1), nn.ReLU(), Squeezed(),
                      nn.Flatten(), nn.Linear(128 * 36, 10)), 3, 6, 6,
    )  # fmt: skip
    for name, (law, drawn) in found.items():
        assert law == pytest.approx(drawn, rel=0.15), name


def test_channels_by_themselves_as_torch_writes_them():
    """Depthwise between two of 1 × 1, behind ReLU6."""
    torch.manual_seed(0)
    found = in_torch(
        nn.Sequential(nn.Conv2d(3, 128, 1), nn.ReLU6(),
                      nn.Conv2d(128, 128, 3, padding=1, groups=128), nn.ReLU6(),
                      nn.Conv2d(128, 128, 1), nn.Flatten(), nn.Linear(128 * 36, 10)), 3, 6, 6,
    )  # fmt: skip
    for name, (law, drawn) in found.items():
        assert law == pytest.approx(drawn, rel=0.15), name
