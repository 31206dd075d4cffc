"""The coupled recursion against draws and against the published cases; with b = 0, independence."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from networks import chain, deltas, inputs, labels, values

import pullback as pb
from pullback.moments.law.backward import CotangentLine, OnUnit, backward
from pullback.moments.law.forward import Signal, forward
from pullback.moments.law.layers import IDENTITY, LawReading
from pullback.moments.law.weights import weights_of

NETS = pb.Residual, pb.Sequential, pb.Linear


def recursion(model, scheme, square, start, coupled):
    """δ at every Linear for one case of inputs of that mean square and zero mean."""
    structure = LawReading(pb.Network(model, loss=pb.SquaredError()), {}).structure()
    weights = weights_of(structure, scheme)
    signal = Signal(np.zeros(1), np.array([square]), False)
    tail = () if structure.tail.function is IDENTITY else (structure.tail,)
    steps = forward((*structure.ops, *tail), signal, weights)
    return backward(steps, start, weights, coupled)


def line(offset, slope, noise):
    return CotangentLine(*(np.array([float(v)]) for v in (offset, slope, noise)))


def drawn(widths, phi, slope, sigma, square, draws, seed=0):
    """z and the weights of plain NumPy networks on one input of that mean square."""
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        a = np.full(widths[0], np.sqrt(square))
        zs, ws = [], []
        for n_in, n_out in pairwise(widths):
            ws.append(sigma / np.sqrt(n_in) * rng.normal(size=(n_out, n_in)))
            zs.append(ws[-1] @ a)
            a = phi(zs[-1])
        yield zs, ws, a


def test_relu_he_with_a_sum_pool_equals_the_published_case_and_draws():
    """Five layers of width 300, L = Σ_j relu(z_j): E δ² 1.769(21), E δ .320(4) at layer 1."""
    widths = [300] * 6
    model = chain(widths, pb.ReLU(), pb.ReLU())
    found = recursion(model, pb.init.he(), 1.0, line(1, 0, 0), coupled=True)
    plain = recursion(model, pb.init.he(), 1.0, line(1, 0, 0), coupled=False)
    assert found[0].square[0] == pytest.approx(1.773, abs=2e-3)
    assert found[0].mean[0] == pytest.approx(0.318, abs=1e-3)
    assert plain[0].square[0] == pytest.approx(0.5, abs=1e-12)
    assert plain[0].mean[0] == 0
    squares, means = [], []
    for zs, ws, _ in drawn(widths, lambda z: np.maximum(z, 0), None, np.sqrt(2), 1.0, 100):
        delta = (zs[-1] > 0) * 1.0
        for z, w in zip(zs[-2::-1], ws[::-1], strict=False):
            delta = (z > 0) * (w.T @ delta)
        squares.append((delta**2).mean())
        means.append(delta.mean())
    for value, many in ((found[0].square[0], squares), (found[0].mean[0], means)):
        error = np.std(many) / np.sqrt(len(many))
        assert abs(value - np.mean(many)) < 4 * error + 0.01 * value


def test_tanh_as_wide_as_its_outputs_equals_draws():
    """Outputs as many as units: the trace adds more than half of E δ² at layer 1."""
    net = pb.Network(chain([300] * 4, pb.Tanh()), loss=pb.SquaredError())
    X = np.sqrt(300) * np.eye(300)[:20]
    f = pb.forecast(net, X, 0 * X, pb.init.lecun(), methods=METHODS, progress=False)
    d = deltas(net, pb.init.lecun(), X, 0 * X, 25, "0")
    by_draw = (d**2).mean(axis=(1, 2))
    error = by_draw.std() / np.sqrt(len(by_draw))
    layer = f.layers[0]
    assert abs(layer.delta_ms["coupled"] - by_draw.mean()) < 4 * error + 0.02 * by_draw.mean()
    assert abs(layer.delta_ms["independence"] - by_draw.mean()) > 15 * error


METHODS = ("independence", "coupled")
L, S, R = pb.Linear, pb.Sequential, pb.Residual
GELUS = [p for _ in range(3) for p in (L(250, 250), pb.GELU())]
STREAM = [R(S(pb.Tanh(), L(120, 120)), 0.7) for _ in range(4)]
AFTER = [R(S(L(100, 100), pb.ReLU()), 0.5) for _ in range(3)]
FULL = pb.init.normal(std=1.2, bias_std=0.3)
OWN = {  # model, loss, scheme, outputs
    "deep gelu, wide outputs": (S(L(8, 250), pb.GELU(), *GELUS, L(250, 250)), 1.2, 250),
    "biased weights": (chain([8, 200, 200, 5], pb.ReLU()), "mean", 5),
    "wide outputs, sine": (chain([8, 100, 100, 300], pb.Sin()), 1.0, 300),
    "pre-activation residual": (S(L(8, 120), *STREAM, L(120, 120)), 1.0, 120),
    "post-activation residual": (S(L(8, 100), pb.Tanh(), *AFTER, L(100, 100)), 1.0, 100),
    "own activation, biases": (
        chain([8, 150, 150, 150], pb.Activation("maximum(x, 0.1*x) - abs(x)/7")), "bias", 150,
    ),
}  # fmt: skip


def scheme_of(kind):
    if kind == "mean":
        return pb.init.normal(std=1.0, mean=1.5, bias_std=0.2)
    return FULL if kind == "bias" else pb.init.normal(std=kind)


@pytest.mark.parametrize("name", OWN)
def test_coupled_equals_draws_where_independence_does_not(name):
    model, kind, outputs = OWN[name]
    net, scheme = pb.Network(model, loss=pb.SquaredError()), scheme_of(kind)
    X, Y = inputs(6, 8), 0.5 * values(6, outputs)
    f = pb.forecast(net, X, Y, scheme, methods=(*METHODS, "monte_carlo"), draws=200, progress=False)
    layer = f.layers[0]
    square, plain = layer.delta_ms["coupled"], layer.delta_ms["independence"]
    drawn_ = layer.delta_ms["monte_carlo"]
    error = f.sampled[0].square.error or 0.02 * drawn_
    # 3 % for the finite width
    assert abs(square - drawn_) < 4 * error + 0.03 * drawn_, (square, drawn_, error)
    assert abs(square - drawn_) < 0.5 * abs(plain - drawn_), (square, drawn_, plain)


def test_without_a_trace_coupled_is_independence():
    """Zero trace at the output: b = 0 at every layer."""
    model = chain([7, 40, 30, 20], pb.Softplus(), pb.Softplus())
    scheme = pb.init.normal(std=1.3, mean=0.4, bias_std=0.2)
    for start in (line(0.3, 0, 2.0), line(0, 0, 1.0)):
        coupled, plain = (recursion(model, scheme, 0.8, start, c) for c in (True, False))
        last = max(coupled)
        # φ'' of the last activation makes a trace, so the first comparison is below it
        assert coupled[last].square == pytest.approx(plain[last].square, rel=1e-13)
    no_mean = pb.init.normal(std=1.3, bias_std=0.2)
    for coupled, plain in zip(
        *(recursion(model, no_mean, 0.8, line(0, 0, 1.0), c).values() for c in (True, False)),
        strict=True,
    ):
        assert coupled.square == pytest.approx(plain.square, rel=1e-13)
        assert coupled.mean == pytest.approx(plain.mean, abs=1e-13)


def test_few_outputs_beside_the_width_make_coupled_independence():
    net = pb.Network(chain([5, 4000, 4000, 2], pb.Tanh()), loss=pb.CrossEntropy())
    f = pb.forecast(net, inputs(9, 5), labels(9, 2), pb.init.lecun(), METHODS, progress=False)
    for layer in f.layers:
        assert layer.delta_ms["coupled"] == pytest.approx(layer.delta_ms["independence"], rel=1e-3)


def test_trace_of_a_skip_is_carried_by_hermite_coefficients():
    """u(h') of h' = h + s y, given y alone: coefficients fall with powers of the correlation."""
    stream = pb.Sequential(L(30, 30), R(L(30, 30), 0.5))
    n = 32
    terms = np.zeros((n, 1))
    terms[0], terms[1], terms[2] = 0.2, 0.5, 0.3
    start = OnUnit(terms, np.array([1.0]))
    found = recursion(stream, pb.init.lecun(), 1.0, start, coupled=True)
    # h ~ N(0, 1), y ~ N(0, 1), h' ~ N(0, 1.25)
    assert found[1].mean[0] == pytest.approx(0.5 * 0.2)
    assert found[1].square[0] == pytest.approx(0.25)
    assert found[1].trace[0] == pytest.approx(0.25 * 0.5 / np.sqrt(1.25))
