"""Critical lines against published numbers; χ₁ = 1 and χ_q ≤ 1."""

from __future__ import annotations

import numpy as np
import pytest
from forms import PIXELS, carried, images, theory_of

import pullback as pb
from pullback.errors import ConfigError, NotApplicableError
from pullback.moments.answer.svg import to_svg


def test_critical_line_of_tanh():
    """Schoenholz et al. 2017: σ_b² = .05 → 1.760955 (q* .57005), 2.01e-5 → 1.049996."""
    diagram = pb.phase_diagram(pb.Tanh())
    assert diagram.critical_sigma_w(0.05**0.5) ** 2 == pytest.approx(1.760955, abs=5e-7)
    assert diagram.critical_points(0.05**0.5)[0].q == pytest.approx(0.57005, abs=5e-6)
    assert diagram.critical_sigma_w(2.01e-5**0.5) ** 2 == pytest.approx(1.049996, abs=2e-6)
    assert diagram.critical_sigma_w(0.0) == pytest.approx(1.0)


def test_critical_relu_is_he():
    assert pb.phase_diagram(pb.ReLU()).critical_sigma_w(0.0) ** 2 == pytest.approx(2.0)


@pytest.mark.parametrize("activation", [pb.GELU(), pb.SiLU()], ids=repr)
def test_unstable_points_are_not_called_critical(activation):
    diagram = pb.phase_diagram(activation)
    (point,) = diagram.critical_points(0.2)
    assert not point.stable
    assert point.chi_q > 1.05
    with pytest.raises(NotApplicableError, match=r"χ_q = 1\.09.* > 1"):
        diagram.critical_sigma_w(0.2)


def test_half_stable_point_of_gelu():
    """K* = (3+√17)/2, C_W = 1.98305826, C_b = .17292239 (Roberts et al. 2022, section 5.3)."""
    (point,) = pb.phase_diagram(pb.GELU()).critical_points(0.17292239**0.5)
    assert point.sigma_w**2 == pytest.approx(1.98305826, abs=1e-6)
    assert point.q == pytest.approx((3 + 17**0.5) / 2, rel=1e-5)
    assert point.chi_q == pytest.approx(1, abs=1e-6)


def test_torch_gains_are_off_critical():
    """calculate_gain: tanh 5/3 has χ₁ = 1.2098 at its fixed point, sigmoid 1 has .0557."""
    assert pb.phase_diagram(pb.Tanh()).fixed_point(5 / 3, 0).chi_1 == pytest.approx(
        1.2098, abs=5e-5
    )
    assert pb.phase_diagram(pb.Sigmoid()).fixed_point(1, 0).chi_1 == pytest.approx(0.0557, abs=5e-5)


def test_a_critical_point_is_a_fixed_point_with_unit_slope():
    diagram = pb.phase_diagram(pb.Activation("tanh(x) + x/10"))
    sigma = diagram.critical_sigma_w(0.3)
    found = diagram.fixed_point(sigma, 0.3)
    assert found.chi_1 == pytest.approx(1, abs=1e-9)
    assert found.chi_q < 1
    assert found.forward_depth == pytest.approx(-1 / np.log(found.chi_q))


def test_picture_and_bad_input():
    figure = pb.phase_diagram(pb.Tanh()).plot(1.5, 0.2)
    assert {"critical", "this network"} <= {trace.name for trace in figure.data}
    assert to_svg(figure).startswith("<svg")
    assert "1.0000" in pb.phase_diagram(pb.Tanh()).text()
    with pytest.raises(ConfigError, match="expected an activation"):
        pb.phase_diagram("tanh")
    with pytest.raises(ConfigError, match="sigma_b"):
        pb.phase_diagram(pb.Tanh()).critical_sigma_w(-1)


@pytest.mark.parametrize("block", [pb.Conv2d(3, 3, 3), pb.LayerNorm(4), pb.GRU(4, 4)])
def test_what_is_no_activation_is_referred_to_the_forecast(block):
    with pytest.raises(ConfigError, match=r"expected an activation .* pb.forecast\(net, X, Y\)"):
        pb.phase_diagram(block)


def test_the_critical_point_is_that_of_convolutions_too():
    """Around a circle, with biases, deep enough to be at the fixed point."""
    sigma_b = 0.3
    sigma_w = pb.phase_diagram(pb.Tanh()).critical_sigma_w(sigma_b)
    blocks = [pb.Conv2d(3, 8, 1)]
    for _ in range(30):
        blocks += [pb.Tanh(), pb.Conv2d(8, 8, 3, padding=1, padding_mode="circular")]
    scheme = pb.init.normal(std=sigma_w, bias_std=sigma_b)
    theory = theory_of(blocks, images(2), PIXELS, scheme=scheme)
    np.testing.assert_allclose(carried(theory, first=-2), 1.0, rtol=0.02)
