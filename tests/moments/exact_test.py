"""Laws at any width: last hidden layer, linear networks, ReLU norms, at 4σ with 1e5 draws."""

from __future__ import annotations

import numpy as np
import pytest
from networks import chain, deltas, inputs, labels, values, z_score

import pullback as pb
from pullback.errors import NotApplicableError
from pullback.moments.law.finite_width import active_log

DRAWS = 100_000


def forecast(net, X, Y, scheme, methods, draws=DRAWS):
    return pb.forecast(net, X, Y, scheme, methods=methods, draws=draws, progress=False)


CASES = {
    "relu": (pb.ReLU(), 6, 3, pb.SquaredError()),
    "tanh, torch's loss": (pb.Tanh(), 4, 2, pb.MSELoss()),
    "softplus, one unit": (pb.Softplus(), 1, 2, pb.SquaredError(reduction="sum")),
    "own": (pb.Activation("maximum(x, 0.1*x) - abs(x)/7"), 5, 1, pb.MSELoss(reduction="sum")),
}


@pytest.mark.parametrize("name", CASES)
def test_last_hidden_layer_is_exact(name):
    activation, hidden, outputs, loss = CASES[name]
    net = pb.Network(chain([4, hidden, outputs], activation), loss=loss)
    scheme = pb.init.normal(std=0.9, mean=1.1, bias_std=0.3)
    f = forecast(net, inputs(5, 4), values(5, outputs), scheme, ("exact", "monte_carlo"))
    for layer in f.layers:
        for quantity, name in ((layer.delta_mean, "mean"), (layer.delta_ms, "square")):
            found, drawn = quantity["exact"], getattr(f.sampled[layer.index], name)
            assert found.kind == "law"
            error = drawn.error or 0.01 * drawn.value  # heavy tails give no error
            assert abs(found - drawn.value) < 4 * error


def test_exact_formula_against_networks_traced_one_by_one():
    net = pb.Network(chain([4, 6, 3], pb.ReLU()), loss=pb.SquaredError())
    scheme = pb.init.normal(std=0.9, mean=1.1, bias_std=0.3)
    X, Y = inputs(5, 4), values(5, 3)
    f = forecast(net, X, Y, scheme, ("exact", "independence"))
    d = deltas(net, scheme, X, Y, 3000, "0")
    layer = f.layers[0]
    assert abs(z_score(layer.delta_mean["exact"], d.mean(axis=(1, 2)))) < 4
    assert abs(z_score(layer.delta_ms["exact"], (d**2).mean(axis=(1, 2)))) < 4
    assert abs(z_score(layer.delta_mean["independence"], d.mean(axis=(1, 2)))) > 20


def test_independence_plus_its_gap_is_exact():
    net = pb.Network(chain([4, 6, 3], pb.SiLU()), loss=pb.SquaredError())
    scheme = pb.init.normal(std=0.9, mean=1.1, bias_std=0.3)
    f = forecast(net, inputs(5, 4), values(5, 3), scheme, ("exact", "independence"))
    e = f.explain(0)
    assert e.mean == pytest.approx(f.layers[0].delta_mean["exact"], rel=1e-12)
    assert e.independence == pytest.approx(f.layers[0].delta_mean["independence"], rel=1e-12)
    assert e.independence + e.gap.value == pytest.approx(e.mean, rel=1e-12)
    assert e.kind == "law"
    assert [c.holds for c in e.conditions] == [abs(c.size) < 0.1 for c in e.conditions]


def test_linear_network_second_moment_is_a_law():
    net = pb.Network(
        pb.Sequential(pb.Linear(4, 3), pb.Linear(3, 5), pb.Linear(5, 2)), loss=pb.MSELoss()
    )
    scheme = pb.init.normal(std=0.7, bias_std=0.4)
    f = forecast(net, inputs(6, 4), values(6, 2), scheme, ("finite_width", "monte_carlo"))
    for layer in f.layers:
        assert layer.delta_ms["finite_width"].kind == "law"
        assert abs(layer.delta_ms["finite_width"].z) < 4


@pytest.mark.parametrize("entries", ["normal", "orthogonal"])
@pytest.mark.parametrize("units", [3, 32])
def test_one_relu_layer_adds_its_exact_log(units, entries):
    """ln ‖D Wᵀu‖² with D of n fair coins, at least one up; orthogonal W by a signed QR."""
    rng = np.random.default_rng(units)
    if entries == "normal":
        back = np.sqrt(2 / units) * rng.normal(size=(40_000, units))
    else:
        direction = rng.normal(size=(40_000, units))
        back = np.sqrt(2) * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    active = rng.random(back.shape) < 0.5
    norms = np.where(active, back**2, 0).sum(axis=1)
    logs = np.log(norms[norms > 0])
    mean, variance = active_log(units, 2 / units, entries)
    assert abs(z_score(mean, logs)) < 4
    assert variance == pytest.approx(logs.var(), rel=0.04)


def test_width_32_depth_10_varies_as_published():
    """Simulated 1.743, exact 1.775, the rule 5·depth/width 1.562."""
    assert 10 * active_log(32, 2 / 32)[1] == pytest.approx(1.775, abs=5e-4)
    assert active_log(2000, 1e-3, "orthogonal")[1] == pytest.approx(3 / 2002, rel=0.01)


@pytest.mark.parametrize("scheme", [pb.init.he(), pb.init.orthogonal(2**0.5)], ids=["he", "qr"])
def test_relu_log_norm_is_a_law_when_the_output_error_is_given(scheme):
    """Targets so large that δ at the output is −y, whatever the weights."""
    net = pb.Network(chain([16] * 7 + [1], pb.ReLU()), loss=pb.SquaredError())
    bare = pb.Sequential(
        *(pb.Linear(b.n_in, b.out_features, bias=False) if isinstance(b, pb.Linear) else b
          for b in net.model.blocks)
    )  # fmt: skip
    net = pb.Network(bare, loss=pb.SquaredError())
    f = forecast(
        net, inputs(4, 16), np.full((4, 1), 1e6), scheme, ("finite_width", "monte_carlo"), 4000
    )
    for layer in f.layers[:-1]:
        assert layer.log_mean["finite_width"].kind == "law"
        assert abs(layer.log_mean["finite_width"].z) < 4
        assert layer.log_var["finite_width"] == pytest.approx(
            layer.log_var["monte_carlo"], rel=0.08
        )
        assert layer.dead["finite_width"] == pytest.approx(layer.dead["monte_carlo"], abs=2e-3)


def test_any_activation_varies_as_its_recursion_says():
    """tanh, σ_w = 1, one class far away: Var ln‖δ‖² of the first of 12 layers of width 64."""
    net = pb.Network(chain([64] * 13 + [1], pb.Tanh()), loss=pb.SquaredError())
    f = forecast(
        net, inputs(1, 64), np.full((1, 1), 1e6), pb.init.lecun(),
        ("finite_width", "monte_carlo"), 1500,
    )  # fmt: skip
    layer = f.layers[0]
    assert layer.log_var["finite_width"] == pytest.approx(layer.log_var["monte_carlo"], rel=0.12)
    for found, drawn in zip(
        layer.log_quantiles["finite_width"], layer.log_quantiles["monte_carlo"], strict=True
    ):
        assert abs(found - drawn) < 0.12


def test_mean_square_of_relu_with_a_given_output_error_is_independence():
    """E δ² is a product of factors at any width there, and tails are heavy: the median is not."""
    net = pb.Network(chain([64] * 4 + [1], pb.ReLU()), loss=pb.SquaredError())
    f = forecast(
        net, inputs(3, 64), np.full((3, 1), 1e6), pb.init.he(), ("independence", "monte_carlo"),
        4000,
    )  # fmt: skip
    layer = f.layers[0]
    assert abs(layer.delta_ms["independence"].z) < 4


def test_methods_that_do_not_apply_give_the_reason():
    net = pb.Network(chain([4, 6, 6, 3], pb.ReLU()), loss=pb.CrossEntropy())
    f = forecast(net, inputs(5, 4), labels(5, 3), pb.init.orthogonal(), ("coupled", "exact"))
    with pytest.raises(NotApplicableError, match="coupled: Stein's lemma needs independent"):
        f.layers[0].delta_ms["coupled"]
    with pytest.raises(NotApplicableError, match="exact: the exact formula is for squared errors"):
        f.layers[1].delta_mean["exact"]
    with pytest.raises(NotApplicableError, match="monte_carlo: not asked for"):
        f.layers[0].delta_ms["monte_carlo"]
    assert "exact" not in f.layers[0].delta_mean
    assert f.layers[0].delta_mean.get("exact") is None


def test_linear_chain_of_width_1_is_a_product_of_fourth_moments():
    """δ at the first of d Linear blocks is Π w² · z, so E δ² = E z² (3 σ⁴)^(d−1)."""
    model = pb.Sequential(*(pb.Linear(1, 1, bias=False) for _ in range(5)))
    net = pb.Network(model, loss=pb.SquaredError())
    scheme = pb.init.normal(std=0.7)
    f = pb.forecast(
        net, np.ones((1, 1)), np.zeros((1, 1)), scheme, methods=("finite_width",), progress=False
    )
    for layer in f.layers:
        expected = 0.49 ** (layer.index + 1) * (3 * 0.49**2) ** (4 - layer.index)
        assert layer.delta_ms["finite_width"] == pytest.approx(expected, rel=1e-12)
