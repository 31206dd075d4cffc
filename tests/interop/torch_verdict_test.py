"""A module is judged by the weights, the biases and the data that it has; advice keeps its word."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch_modules import Skip

import pullback as pb

ANALYTIC = ("independence", "exact", "coupled", "finite_width")


def stacked(*widths, activation=nn.ReLU, last=None, seed=0):
    torch.manual_seed(seed)
    parts = []
    for n_in, n_out in pairwise(widths):
        parts += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*parts[:-1], *([last()] if last else []))


def data(samples=60, width=10, outputs=10):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, width)), np.arange(samples) % outputs


def with_(module, at, weight=None, bias=None):
    layer = [part for part in module if isinstance(part, nn.Linear)][at]
    with torch.no_grad():
        if weight is not None:
            layer.weight.copy_(torch.as_tensor(weight).expand_as(layer.weight))
        if bias is not None:
            layer.bias.fill_(bias)
    return module


def all_set(module, weight, bias=0.0):
    for at in range(sum(isinstance(part, nn.Linear) for part in module)):
        with_(module, at, weight, bias)
    return module


def copies(module):
    """Each unit of the first layer twice."""
    first, second = module[0], module[2]
    with torch.no_grad():
        half = len(first.weight) // 2
        first.weight[half:] = first.weight[:half]
        first.bias[half:] = first.bias[:half]
        second.weight[:, half:] = second.weight[:, :half]
    return module


def forecast(module, X, Y):
    return pb.forecast(module, X, Y, methods=ANALYTIC, progress=False)


THREE = (10, 10, 10)
BROKEN = {
    "bias −100": (lambda: with_(stacked(*THREE), 0, bias=-100.0), "dead", "bias"),
    "bias −100, leaky": (
        lambda: with_(stacked(*THREE, activation=nn.LeakyReLU), 0, bias=-100.0),
        "vanishing", "bias",
    ),
    "bias −10, sigmoid": (
        lambda: with_(stacked(*THREE, activation=nn.Sigmoid), 0, bias=-10.0), "vanishing", "bias",
    ),
    "bias −100 before a ReLU output": (
        lambda: with_(stacked(*THREE, last=nn.ReLU), 1, bias=-100.0), "dead", "bias",
    ),
    "all zero": (lambda: all_set(stacked(*THREE), 0.0), "dead", "weights"),
    "zero weights": (
        lambda: with_(with_(stacked(*THREE), 0, weight=0.0), 1, weight=0.0), "dead", "weights",
    ),
    "zero read-out": (lambda: with_(stacked(10, *THREE), 2, weight=0.0), "dead", "weights"),
    "zeros in the middle": (
        lambda: with_(stacked(10, *THREE, activation=nn.Tanh), 1, weight=0.0), "dead", "weights",
    ),
    "all equal": (lambda: all_set(stacked(*THREE), 0.3, 0.3), "symmetric", "weights"),
    "equal weights": (
        lambda: with_(stacked(*THREE, activation=nn.Tanh), 0, weight=0.3), "symmetric", "weights",
    ),
    "copies": (lambda: copies(stacked(*THREE)), "symmetric", "weights"),
    "weights below 0": (
        lambda: with_(stacked(10, *THREE), 1, weight=-torch.rand(10, 10)), "dead", "weight mean",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_module_that_cannot_learn_is_not_kept(name):
    make, word, cause = BROKEN[name]
    module, (X, Y) = make(), data()
    if name == "weights below 0":  # dead for sure only where nothing below 0 comes in
        with_(module, 1, bias=0.0)
    f = forecast(module, X, Y)
    assert (f.verdict, f.cause) == (word, cause)
    assert "eep this" not in f.text()
    with pytest.raises(AssertionError):
        pb.assert_gradients_ok(module, X, Y)
    assert f.advice.offered
    assert f.advice.apply_(module) is module
    again = forecast(module, X, Y)
    assert again.verdict == "healthy"
    low, high = f.advice.interval
    assert low / 1.5 < again.ratio < high * 1.5


def test_a_branch_that_starts_at_zero_is_healthy_and_one_that_is_dead_is_not():
    X, Y = data()
    for bias, word in ((None, "healthy"), (-100.0, "dead")):
        body = stacked(*THREE)
        with_(body, 1, weight=0.0, bias=0.0) if bias is None else with_(body, 0, bias=bias)
        f = forecast(nn.Sequential(nn.Linear(10, 10), Skip(body), nn.Linear(10, 10)), X, Y)
        assert f.verdict == word
        text = " ".join(f.text().split())
        assert ("residual branch ends in zero weights" in text) == (bias is None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_the_ratio_is_that_of_the_module(dtype):
    """δ by torch's own autograd, on the same samples."""
    module, (X, Y) = stacked(10, 30, 30, 10).to(dtype), data()
    f = forecast(module, X, Y)
    h, kept = torch.as_tensor(X), []
    for part in module.double():
        h = part(h)
        if isinstance(part, nn.Linear):
            h.retain_grad()
            kept.append(h)
    nn.functional.cross_entropy(h, torch.as_tensor(Y), reduction="sum").backward()
    norms = [float(z.grad.square().sum(1).mean().sqrt()) for z in kept]
    assert f.ratio == pytest.approx(norms[0] / norms[-1], rel=1e-6)
    for layer, norm in zip(f.layers, norms, strict=True):
        assert layer.rms_measured * layer.n_out**0.5 == pytest.approx(norm, rel=1e-6)
    assert "as it is" in f.text()


def test_what_a_format_cannot_hold_is_named():
    X, Y = data()
    module = stacked(10, 10, 10, 10, 10)
    with torch.no_grad():
        for part in module[::2]:
            part.weight.mul_(3000)
    assert forecast(module, X, Y).sentence.startswith("Exploding: δ grows")
    assert "z overflows float16 at layer 1" in forecast(module.half(), X, Y).sentence
    module = module.float()
    with torch.no_grad():
        for part in module[::2]:
            part.weight.mul_(1e12)
    f = forecast(module, X, Y)
    assert "z overflows float32 at layer 2" in f.sentence
    assert f.to_dict()["ratio"] is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_named(value):
    module, (X, Y) = stacked(*THREE), data()
    with torch.no_grad():
        module[2].weight[3, 4] = value
    with pytest.raises(pb.errors.DataError, match=r"2\.weight holds .*, first at \[3, 4\]"):
        forecast(module, X, Y)
    X[5, 6] = value
    with pytest.raises(pb.errors.DataError, match=r"X holds .*, first at \[5, 6\]"):
        forecast(stacked(*THREE), X, Y)


@pytest.mark.parametrize("widths", [(1, 20, 20, 1), (1, 50, 50, 50, 1), (1, 10, 1)])
def test_quartic_through_sigmoids_gets_no_harmful_advice(widths):
    """σ_w = 12 was promised to give 0.1, and gave 1e-6 where 1e-3 had been."""
    module = stacked(*widths, activation=nn.Sigmoid)
    X = torch.linspace(-100, 100, 200)[:, None]
    before = {name: value.clone() for name, value in module.state_dict().items()}
    f = pb.forecast(module, X, X**4, loss=nn.MSELoss(), methods=ANALYTIC)
    assert (f.verdict, f.cause) == ("vanishing", "inputs")
    assert "Scale your inputs: they have mean 0 and spread 58" in f.advice.sentence
    assert "Scale your targets" in f.advice.sentence
    f.advice.apply_(module)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_one_class_and_constant_targets_are_forecast():
    module = stacked(10, 30, 30, 10)
    X, Y = data()
    assert forecast(module, X, 0 * Y).verdict == "healthy"
    assert forecast(module, X, np.full((60, 10), 0.5)).verdict == "healthy"
    assert "one sample" in forecast(module, X[:1], Y[:1]).text()


def test_units_without_a_gradient_are_counted():
    module, (X, Y) = stacked(10, 20, 10), data()
    with torch.no_grad():
        module[0].bias[:12] = -100.0
    f = forecast(module, X, Y)
    assert f.verdict == "healthy"
    assert "layer 0 60%" in f.text()


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.out = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.attention(x, x, x, need_weights=False)[0].mean(1))


@pytest.mark.parametrize("X", [1.7e9, 1e30])
def test_numbers_that_attention_cannot_compare_are_named_as_the_cause(X):
    """Rounding is all that is left of their differences, so they are no example to read by."""
    torch.manual_seed(0)
    X = (X + 0.3 * X * np.random.default_rng(0).normal(size=(20, 5, 4))).astype(np.float32)
    f = forecast(Attending(), X, np.arange(20) % 3)
    assert f.cause == "inputs"
    assert "Scale your inputs" in f.advice.sentence
    assert "nan" not in f.text()


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.loop, self.out = kind(4, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, x):
        return self.out(self.loop(x)[0][:, -1])


@pytest.mark.parametrize(
    ("kind", "which"), [(nn.LSTM, "bias_ih_l0"), (nn.LSTM, "bias_hh_l0"), (nn.GRU, "bias_ih_l0")]
)
def test_biases_of_a_loop_are_named_as_the_cause(kind, which):
    torch.manual_seed(0)
    module = Recurrent(kind)
    with torch.no_grad():
        getattr(module.loop, which).fill_(-100.0)
    X = np.random.default_rng(0).normal(size=(20, 5, 4)).astype(np.float32)
    f = forecast(module, X, np.arange(20) % 3)
    assert f.verdict in ("vanishing", "dead")
    assert f.cause == "bias"


def test_a_norm_with_a_state_is_tried_with_what_would_help():
    """Remedies change a network whose running statistics are updated."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
                           nn.Linear(128, 10))  # fmt: skip
    with torch.no_grad():
        module[1].bias.fill_(-100.0)
    X = np.random.default_rng(0).normal(size=(20, 1, 6, 6)).astype(np.float32)
    f = forecast(module, X, np.arange(20) % 10)
    assert (f.verdict, f.cause) == ("dead", "bias")
    assert f.advice.remedies
