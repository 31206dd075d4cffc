"""The forecast as people meet it: verdicts, advice that holds, torch's default, bad input."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from networks import chain, inputs, labels, values

import pullback as pb
from pullback.errors import (
    ConfigError,
    DataError,
    NonFiniteError,
    NotApplicableError,
    UnknownNameError,
)
from pullback.moments.answer.svg import to_svg
from pullback.nn.init import Scheme

ANALYTIC = ("independence", "exact", "coupled", "finite_width")


def deep(activation, depth=20, width=100, outputs=10):
    return pb.Network(chain([20, *[width] * depth, outputs], activation), loss=pb.CrossEntropy())


def forecast(net, scheme, methods=ANALYTIC, **more):
    X = inputs(40, net.x.axes[-1].size)
    return pb.forecast(net, X, labels(40, 10), scheme, methods=methods, progress=False, **more)


VERDICTS = [
    (pb.ReLU(), pb.init.torch_default(), "vanishing", "gain"),
    (pb.Sigmoid(), pb.init.glorot(), "vanishing", "activation"),
    (pb.Tanh(), pb.init.normal(std=2.5), "exploding", "gain"),
    (pb.ReLU(), pb.init.he(), "healthy", "none"),
    (pb.Tanh(), pb.init.normal(std=1.0, bias_std=1.0), "vanishing", "bias"),
]


@pytest.mark.parametrize(("activation", "scheme", "word", "culprit"), VERDICTS, ids=repr)
def test_verdict_culprit_and_advice_that_the_forecast_confirms(activation, scheme, word, culprit):
    net = deep(activation)
    f = forecast(net, scheme)
    assert (f.verdict, f.culprit) == (word, culprit)
    assert f.verdict in f.sentence.lower()
    mended = forecast(net, f.advice.scheme)
    assert mended.verdict == "healthy"
    assert mended.ratio == pytest.approx(f.advice.after, rel=1e-9)
    net.init(seed=0, scheme=f.advice.scheme)


def test_narrow_and_deep_is_heavy_tailed():
    net = pb.Network(chain([20, *[8] * 30, 10], pb.ReLU()), loss=pb.CrossEntropy())
    f = forecast(net, pb.init.he())
    assert (f.verdict, f.culprit) == ("heavy-tailed", "depth/width")
    assert "widen" in f.advice.text()


def test_advice_holds_for_real_networks():
    net = deep(pb.Tanh(), depth=30)
    X, Y = inputs(40, 20), labels(40, 10)
    f = pb.forecast(net, X, Y, pb.init.torch_default(), methods=ANALYTIC)
    assert f.verdict == "vanishing"
    for seed in range(3):
        rms = net.trace(net.init(seed, f.advice.scheme), X, Y).rms_delta()
        norms = [
            value * np.sqrt(width) for value, width in zip(rms.values(), (100, 10), strict=False)
        ]
        first, last = rms["0"] * 10, rms[list(rms)[-1]] * 10**0.5
        assert 0.1 < first / last < 10, norms


def test_torch_default_initialisation_of_a_real_module_is_forecast():
    widths = [20, 64, 64, 64, 10]
    parts = []
    for n_in, n_out in pairwise(widths):
        parts += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    net = pb.Network(chain(widths, pb.ReLU()), loss=pb.CrossEntropy())
    X, Y = inputs(30, 20), labels(30, 10)
    f = pb.forecast(net, X, Y, pb.init.torch_default(), methods=("coupled",))
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x, y = torch.tensor(X), torch.tensor(Y)
    squares = []
    for _ in range(100):
        module = torch.nn.Sequential(*parts[:-1]).double()
        for part in module:
            if isinstance(part, torch.nn.Linear):
                part.reset_parameters()
        z = [module[0](x)]
        for part in module[1:]:
            z.append(part(z[-1]))
        loss = torch.nn.functional.cross_entropy(z[-1], y, reduction="sum")
        found = torch.autograd.grad(loss, z[::2])
        squares.append([float((d**2).mean()) for d in found])
    drawn = np.array(squares)
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    for layer, mean, doubt in zip(f.layers, drawn.mean(axis=0), error, strict=True):
        assert abs(layer.delta_ms["coupled"] - mean) < 4 * doubt + 0.03 * mean


LOSSES = [
    (pb.SquaredError(), pb.Identity(), values),
    (pb.MSELoss(), pb.Tanh(), values),
    (pb.CrossEntropy(), pb.Identity(), lambda n, k: labels(n, k)),
    (pb.CrossEntropy(), pb.Tanh(), lambda n, k: np.full((n, k), 1 / k)),
    (pb.BinaryCrossEntropy(), pb.Identity(), lambda n, k: np.eye(k)[labels(n, k)]),
    (pb.BinaryCrossEntropy(from_logits=False), pb.Sigmoid(), lambda n, k: values(n, k) > 0),
    (pb.LogisticLoss(), pb.Identity(), lambda n, k: np.sign(values(n, k))),
]


@pytest.mark.parametrize(
    ("loss", "tail", "targets"), LOSSES, ids=[f"{loss!r} {tail!r}" for loss, tail, _ in LOSSES]
)
def test_output_error_of_every_loss_equals_draws(loss, tail, targets):
    """A single Linear: z is Gaussian, so what the output says is a law."""
    last = None if isinstance(tail, pb.Identity) else tail
    net = pb.Network(chain([6, 4], pb.Identity(), last), loss=loss)
    scheme = pb.init.normal(std=1.3, mean=0.6, bias_std=0.4)
    f = pb.forecast(
        net, inputs(7, 6), targets(7, 4), scheme, ("independence", "monte_carlo"),
        draws=20_000, progress=False,
    )  # fmt: skip
    assert abs(f.layers[0].delta_ms["independence"].z) < 4
    if abs(f.sampled[0].mean.error or 0) > 1e-12:  # Σ_k δ_k of cross-entropy is 0 to rounding
        assert abs(f.layers[0].delta_mean["independence"].z) < 4


def test_forward_moments_equal_draws():
    scheme = pb.init.normal(std=1.3, mean=0.8, bias_std=0.4)
    net = pb.Network(
        pb.Sequential(
            pb.Linear(20, 300), pb.SiLU(), pb.Linear(300, 200),
            pb.Residual(pb.Sequential(pb.Tanh(), pb.Linear(200, 200)), 0.6), pb.Linear(200, 10),
        ),
        loss=pb.CrossEntropy(),
    )  # fmt: skip
    f = forecast(net, scheme, ("coupled", "monte_carlo"), draws=150)
    for layer in f.layers:
        assert layer.q + layer.z_mean**2 == pytest.approx(layer.z_ms_measured, rel=0.05)


def test_covariance_across_two_inputs_equals_draws():
    net = deep(pb.Tanh(), depth=3, width=300)
    X = np.stack([np.ones(20), np.r_[np.ones(15), -np.ones(5)]])
    f = pb.forecast(net, X, [0, 1], pb.init.normal(std=1.2, bias_std=0.3), methods=("coupled",))
    products = []
    for seed in range(60):
        z = net.trace(net.init(seed, f.scheme), X, [0, 1]).z
        products.append([np.mean(v[0] * v[1]) for v in z.values()])
    drawn, doubt = np.mean(products, axis=0), np.std(products, axis=0) / np.sqrt(60)
    for layer, mean, error in zip(f.layers, drawn, doubt, strict=True):
        assert abs(layer.covariance - mean) < 4 * error + 0.01 * abs(mean)


def test_every_number_knows_its_method():
    f = forecast(deep(pb.Tanh(), depth=2), pb.init.glorot(), (*ANALYTIC, "monte_carlo"), draws=30)
    layer = f.layers[0]
    assert layer.delta_ms["coupled"].kind == "limit"
    assert layer.delta_ms["monte_carlo"].kind == "measured"
    assert layer.log_mean["monte_carlo"].interval is not None
    low, half, high = layer.log_quantiles["monte_carlo"]
    assert low < half < high
    assert low.interval[0] <= low <= low.interval[1]
    assert "infinite width" in layer.delta_ms["independence"].assumption
    json.dumps(f.to_dict())
    assert f.text().startswith("Healthy")
    assert max(map(len, f.text().splitlines())) <= 100
    assert "<table>" in f._repr_html_()


def test_equal_seeds_give_equal_bits_whatever_the_memory_allows():
    net = deep(pb.Tanh(), depth=2)
    one, two = (forecast(net, None, ("monte_carlo",), draws=40, seed=3) for _ in range(2))
    other = forecast(net, None, ("monte_carlo",), draws=40, seed=4)
    assert one.layers[0].delta_ms["monte_carlo"] == two.layers[0].delta_ms["monte_carlo"]
    assert one.layers[0].delta_ms["monte_carlo"] != other.layers[0].delta_ms["monte_carlo"]
    small = forecast(net, None, ("monte_carlo",), draws=40, seed=3, memory=2**20)
    assert small.layers[0].delta_ms["monte_carlo"] == pytest.approx(
        one.layers[0].delta_ms["monte_carlo"], rel=0.5
    )


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("activation", [pb.Tanh(), pb.ReLU()], ids=repr)
def test_both_sides_of_steins_identity_agree_at_given_weights(activation, layer):
    net = pb.Network(chain([5, 7, 6, 3], activation), loss=pb.CrossEntropy())
    f = pb.forecast(net, inputs(9, 5), labels(9, 3), pb.init.he(), methods=("coupled",))
    tried = f.integral(layer, unit=2, sample=4)
    assert tried.left == pytest.approx(tried.right, rel=1e-6)
    assert tried.worst_z < 4.5
    assert len(tried.all_left) == (7, 6)[layer]


def test_steins_extension_equals_the_coupled_recursion():
    net = pb.Network(chain([5, 60, 50, 40], pb.SiLU()), loss=pb.SquaredError())
    scheme = pb.init.normal(std=1.1, mean=0.7, bias_std=0.2)
    f = pb.forecast(net, inputs(9, 5), values(9, 40), scheme, methods=("coupled", "independence"))
    e = f.explain(0)
    assert e.mean == pytest.approx(f.layers[0].delta_mean["coupled"], rel=1e-12)
    assert "tr(∂δ⁺/∂z⁺)" in e.text()
    assert "operatorname{tr}" in e.latex()


def test_pictures_are_figures_and_static_svg():
    f = forecast(deep(pb.ReLU(), depth=4), pb.init.he(), (*ANALYTIC, "monte_carlo"), draws=40)
    for kind in ("depth", "signal", "histogram"):
        figure = f.plot(kind)
        assert len(figure.data) >= 2
        svg = to_svg(figure)
        assert svg.startswith("<svg")
        assert all(trace.name in svg for trace in figure.data)
        assert "nan" not in svg.split("</title>")[1]
    assert "Monte Carlo" in [trace.name for trace in f.plot().data]
    with pytest.raises(UnknownNameError, match="did you mean 'depth'"):
        f.plot("dept")


def test_half_precision_underflow_and_its_scale():
    f = forecast(deep(pb.ReLU(), depth=10), pb.init.torch_default())
    half, brain = f.underflow
    assert half.format == "fp16"
    assert half.lost > 0.05
    assert half.scale > 1000
    assert brain.scale == 1
    assert f.layers[0].rms / 40 * half.scale > 2**-14


def test_assert_gradients_ok():
    X, Y = inputs(40, 20), labels(40, 10)
    pb.assert_gradients_ok(deep(pb.ReLU()), X, Y, low=0.2, high=5, scheme=pb.init.he())
    with pytest.raises(AssertionError, match=r"layer 0: .*init\.he\(\)"):
        pb.assert_gradients_ok(deep(pb.ReLU()), X, Y, scheme=pb.init.torch_default())
    with pytest.raises(ConfigError, match="low below high"):
        pb.assert_gradients_ok(deep(pb.ReLU()), X, Y, low=2.0, high=1.0)


class NoVariance(Scheme):
    def mean(self, n_in, n_out):
        return 0.0

    def variance(self, n_in, n_out):
        return float("nan")

    def weight(self, spec, rng):
        return rng.normal(size=spec.shape)


def test_bad_input_is_refused_before_work_starts():
    net, X, Y = deep(pb.Tanh(), depth=2), inputs(4, 20), labels(4, 10)
    with pytest.raises(UnknownNameError, match="unknown method 'copled': did you mean 'coupled'"):
        pb.forecast(net, X, Y, methods=("copled",))
    with pytest.raises(ConfigError, match="gives nan as the variance at layer '0'"):
        pb.forecast(net, X, Y, NoVariance())
    with pytest.raises(ConfigError, match="scheme is 'he'"):
        pb.forecast(net, X, Y, "he")
    with pytest.raises(ConfigError, match="nothing in layer '0' is random"):
        pb.forecast(net, X, Y, pb.init.constant(0.3))
    with pytest.raises(DataError, match="zero everywhere"):
        pb.forecast(net, 0 * X, Y)
    with pytest.raises(DataError, match="X holds NaN"):
        pb.forecast(net, X * np.nan, Y)
    with pytest.raises(ConfigError, match="draws is 0"):
        pb.forecast(net, X, Y, draws=0)
    with pytest.raises(NonFiniteError, match="infinite"):
        pb.forecast(deep(pb.Activation("exp(x**2)"), 2), X, Y, methods=("coupled",))
    with pytest.raises(ConfigError, match="layer is 9"):
        forecast(net, None).explain(9)
    with pytest.raises(ConfigError, match="has no Linear"):
        pb.forecast(pb.Network(pb.Tanh(), loss=pb.SquaredError()), X, X)


def test_what_theory_cannot_read_is_drawn():
    """A tanh of units that are no longer Gaussian: Monte Carlo serves, the others say why."""
    model = pb.Sequential(
        pb.Linear(20, 30), pb.ReLU(), pb.Residual(pb.Sequential(pb.Linear(30, 30), pb.ReLU())),
        pb.Tanh(), pb.Linear(30, 10),
    )  # fmt: skip
    net = pb.Network(model, loss=pb.CrossEntropy())
    f = forecast(net, pb.init.he(), (*ANALYTIC, "monte_carlo"), draws=30)
    assert f.layers[0].delta_ms["monte_carlo"] > 0
    with pytest.raises(NotApplicableError, match="not Gaussian"):
        f.layers[0].delta_ms["coupled"]
    assert f.layers[0].q is None
    f.text()
