"""A network that cannot learn is never called healthy, and its cause is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from networks import chain, inputs, labels, values

import pullback as pb
from pullback.moments.answer.svg import to_svg

ANALYTIC = ("independence", "exact", "coupled", "finite_width")


def sick(net, X, Y, scheme):
    return pb.forecast(net, X, Y, scheme, ANALYTIC, progress=False)


def narrow(widths, last=None, activation=None):
    return pb.Network(chain(widths, activation or pb.ReLU(), last), loss=pb.MSELoss())


def deep(activation, depth=20, width=20, loss=None):
    widths = [10, *[width] * depth, 5]
    return pb.Network(chain(widths, activation), loss=loss or pb.CrossEntropy())


@pytest.mark.parametrize(
    ("widths", "last", "cause", "layer"),
    [
        ([1, 4, 2, 1], pb.ReLU(), "activation", 2),  # of the output
        ([3, *[3] * 8, 1], None, "width", None),
    ],
)
def test_narrow_layers_die_by_chance(widths, last, cause, layer):
    """As often as networks do: the share is that of plain draws, by other code."""
    net, X, Y = narrow(widths, last), inputs(30, widths[0]), values(30, 1)
    f = sick(net, X, Y, pb.init.he())
    assert (f.verdict, f.cause, f.culprit) == ("dead", cause, cause)
    dead = []
    for seed in range(100):
        gradients = net.value_and_grad(net.init(seed, pb.init.he()), X, Y)[1]
        dead.append(not gradients["0.weight"].any())
    assert abs(f.tried.dead_share - np.mean(dead)) < 0.2
    assert "no gradient" in f.sentence
    assert layer is None or f"layer {layer}" in f.sentence
    assert not f.advice.offered
    assert f.advice.scheme == pb.init.he()
    with pytest.raises(AssertionError, match="no gradient"):
        pb.assert_gradients_ok(net, X, Y, scheme=pb.init.he())


@pytest.mark.parametrize("widths", [(1, 4, 2, 1), (1, 2, 2, 1)])
def test_a_few_dead_networks_are_counted(widths):
    """Whether they make the verdict, or a spread that depth/width makes anyway."""
    f = sick(narrow(list(widths)), inputs(30, 1), values(30, 1), pb.init.he())
    assert (f.verdict, f.cause) in (("heavy-tailed", "depth/width"), ("dead", "width"))
    assert 0.05 < f.tried.dead_share < 0.25
    assert f"in {round(100 * f.tried.dead_share)} of 100 networks drawn no gradient" in f.sentence
    with pytest.raises(AssertionError, match="no gradient"):
        pb.assert_gradients_ok(f.setting.net, f.setting.x, f.setting.target, scheme=f.scheme)


def test_wide_layers_do_not_die():
    f = sick(narrow([1, 32, 32, 1]), inputs(30, 1), values(30, 1), pb.init.he())
    assert f.verdict == "healthy"
    assert f.tried.dead_share == 0
    assert "none is dead" in f.text()


@pytest.mark.parametrize(
    ("activation", "scheme", "word", "cause"),
    [
        (pb.Tanh(), pb.init.lecun(bias_std=50.0), "vanishing", "bias"),
        (pb.ReLU(), pb.init.normal(std=1.0, mean=-30.0), "dead", "weight mean"),
        (pb.Tanh(), pb.init.constant(0.1, bias_std=0.1), "symmetric", "weights"),
        (pb.Activation("relu(x-40)"), pb.init.lecun(), "dead", "activation"),
    ],
    ids=["bias", "weight mean", "constant", "flat"],
)
def test_schemes_that_cannot_work(activation, scheme, word, cause):
    X = np.abs(inputs(30, 10))
    f = sick(deep(activation, depth=3), X, labels(30, 5), scheme)
    assert (f.verdict, f.cause) == (word, cause)
    assert cause in f.sentence


@pytest.mark.parametrize(
    ("activation", "scheme", "words"),
    [
        (pb.ReLU(), pb.init.normal(std=100.0), "z overflows float32 at layer 2"),
        (pb.Identity(), pb.init.normal(std=1e10), "z overflows float32 at layer"),
        (pb.Identity(), pb.init.normal(std=1e-10), "underflows float32 at layer"),
    ],
    ids=["relu", "linear up", "linear down"],
)
def test_what_leaves_the_numbers_is_said_in_words(activation, scheme, words):
    """In text, JSON and figures: no NaN, no infinity, no ratio of 1e196."""
    net = deep(activation, depth=24, loss=pb.MSELoss())
    methods = (*ANALYTIC, "monte_carlo")
    f = pb.forecast(net, inputs(20, 10), values(20, 5), scheme, methods, draws=20, progress=False)
    assert words in f.sentence
    assert f.verdict in ("exploding", "vanishing")
    told = f"{f.text()} {f.sentence} {f.advice.text()}".split()
    assert not {"nan", "inf", "nan×", "inf×"} & {word.strip(",.;:") for word in told}
    plain = json.loads(json.dumps(f.to_dict(), allow_nan=False))
    assert plain["ratio"] in (None, 0.0)
    assert plain["confirmed"]["overflow"] in f.sentence
    for kind in ("depth", "signal"):
        svg = to_svg(f.plot(kind))
        assert "nan" not in svg
        assert "inf" not in svg.replace("infinite", "")


def stamps(samples, start=1.7e9):
    return (start + 60 * np.arange(samples))[:, None]


@pytest.mark.parametrize(
    ("X", "Y", "word", "cause", "words"),
    [
        (1e6 * inputs(40, 3), values(40, 1), "unscaled", "inputs", "spread 9.43e+05"),
        (1e-6 * inputs(40, 3), values(40, 1), "unscaled", "inputs", "X.std(axis=0)"),
        (stamps(40), values(40, 1), "unscaled", "inputs", "mean 1.7e+09 and spread 693"),
        (1 + 0.001 * inputs(40, 3), values(40, 1), "unscaled", "inputs", "mean 1"),
        (inputs(40, 3), 1e6 * values(40, 1), "unscaled", "targets", "Scale your targets"),
        (np.full((40, 3), 2.0), values(40, 1), "constant", "inputs", "All 40 samples of X"),
        (np.full((40, 1), 1.7e9), values(40, 1), "constant", "inputs", "float32 has rounded"),
    ],
    ids=["large", "small", "time", "offset", "targets", "constant", "rounded"],
)  # fmt: skip
def test_data_off_scale_are_named_with_their_mean_and_spread(X, Y, word, cause, words):
    net = pb.Network(chain([X.shape[1], 32, 32, 1], pb.ReLU()), loss=pb.MSELoss())
    f = sick(net, X, Y, pb.init.he())
    assert (f.verdict, f.cause) == (word, cause)
    assert words in f"{f.sentence} {f.advice.sentence}"
    assert not f.advice.offered


def test_one_column_off_scale_is_named_and_the_line_of_code_scales_it():
    X = inputs(60, 4)
    X[:, 2] = 5e6 + 1e6 * X[:, 2]
    net = pb.Network(chain([4, 32, 32, 1], pb.Tanh()), loss=pb.MSELoss())
    f = sick(net, X, values(60, 1), pb.init.lecun())
    assert f.cause == "inputs"
    assert "column 2 of X has mean" in f.advice.sentence
    fix = f.scales[0].fix.removesuffix(" makes that 0 and 1")
    assert fix in f.advice.text()
    held = {"X": X.copy()}
    exec(fix, held)  # noqa: S102  # that it runs is the test
    np.testing.assert_array_equal(np.delete(held["X"], 2, 1), np.delete(X, 2, 1))
    assert sick(net, held["X"], values(60, 1), pb.init.lecun()).scales == ()


@pytest.mark.parametrize(
    ("shape", "fix"),
    [((20, 1, 6, 6), "X = X / 255"), ((20, 36), "X = (X - X.mean(axis=0)) / X.std(axis=0)")],
)
def test_pixels_of_255_are_scaled_by_what_people_write(shape, fix):
    X = np.random.default_rng(0).integers(0, 256, size=shape).astype(float)
    X[..., 0] = 9.0  # a pixel that never changes is divided by no 0
    X[0].flat[1] = 255.0
    first = [pb.Flatten()] if len(shape) > 2 else []
    model = pb.Sequential(*first, pb.Linear(36, 24), pb.Tanh(), pb.Linear(24, 2))
    x = "channels=1 height=6 width=6" if first else "features"
    net = pb.Network(model, loss=pb.CrossEntropy(), x=x)
    f = sick(net, X, labels(20, 2), pb.init.lecun())
    assert f.cause == "inputs"
    assert fix in f.advice.sentence
    held = {"X": X.copy()}
    exec(f.scales[0].fix.partition(" makes")[0], held)  # noqa: S102
    assert np.isfinite(held["X"]).all()
    assert sick(net, held["X"], labels(20, 2), pb.init.lecun()).scales == ()


def test_one_sample_is_judged_and_said():
    net = pb.Network(chain([3, 32, 1], pb.ReLU()), loss=pb.MSELoss())
    f = sick(net, inputs(1, 3), values(1, 1), pb.init.he())
    assert f.verdict == "healthy"
    assert "one sample" in f.text()


def test_saturated_inputs_are_the_cause_and_scaling_them_the_fix():
    """y = x⁴ on |x| ≤ 100 through sigmoids: no initialisation is any better, none is offered."""
    X = np.linspace(-100, 100, 120)[:, None]
    net = narrow([1, 20, 20, 1], activation=pb.Sigmoid())
    f = sick(net, X, X**4, pb.init.torch_default())
    assert (f.verdict, f.cause) == ("vanishing", "inputs")
    assert "spread 58" in f.advice.sentence
    assert not f.advice.offered
    assert f.advice.after == f.advice.before


def test_advice_that_draws_do_not_confirm_is_not_offered():
    """Theory's own candidate, on inputs that saturate: the same networks, drawn, are no better."""
    X = 25 * inputs(100, 1)  # within bounds, so that scaling is not the first thing to say
    net = narrow([1, 10, 10, 10, 1], activation=pb.Sigmoid())
    f = sick(net, X, values(100, 1), pb.init.torch_default())
    after = sick(net, X, values(100, 1), f.advice.scheme)
    if f.advice.offered:
        assert after.ratio == pytest.approx(f.advice.after)
        assert abs(np.log(after.ratio)) < abs(np.log(f.ratio))
    else:
        assert "no better than the present" in f.advice.sentence


def test_equal_seeds_give_equal_verdicts():
    net, X, Y = deep(pb.Tanh(), depth=2), inputs(30, 10), labels(30, 5)
    one, two = (sick(net, X, Y, pb.init.lecun()) for _ in range(2))
    assert one.to_dict() == two.to_dict()
    assert one.tried.samples == 30
    assert len(one.tried) == 100
