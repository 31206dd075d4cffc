"""Linear maps that are the same at every place: frequency by frequency, or as one convolution."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import jax_peer  # noqa: F401  float64
import numpy as np
import pytest
from zoo import close

import pullback as pb
from pullback.closed.convolution.circular import FourierForm
from pullback.closed.convolution.composed import WindowForm
from pullback.closed.convolution.steps import steps as steps_of

S = pb.Sequential
RNG = np.random.default_rng(0)


def ring(inputs: int, outputs: int, taps: int = 3, **options: Any) -> pb.Conv1d:
    return pb.Conv1d(inputs, outputs, taps, padding="same", padding_mode="circular", **options)


def grid(inputs: int, outputs: int) -> pb.Conv2d:
    return pb.Conv2d(inputs, outputs, 3, padding=1, padding_mode="circular", bias=False)


CIRCULAR = {
    "one channel": (S(*(ring(1, 1) for _ in range(4))), "channels=1 length=16"),
    "odd length": (S(ring(1, 2), ring(2, 3), ring(3, 1)), "channels=1 length=9"),
    "two axes": (S(grid(2, 3), grid(3, 2)), "channels=2 height=6 width=5"),
    "skipped": (S(ring(2, 2), pb.Residual(ring(2, 2)), ring(2, 2)), "channels=2 length=8"),
    "batch norm": (S(ring(1, 2), pb.BatchNorm1d(2), ring(2, 2)), "channels=1 length=8"),
    "a mean of neighbours": (
        S(ring(2, 2), ring(2, 2, bias=False, groups=2)),
        "channels=2 length=7",
    ),
}
C1, C2 = pb.Conv1d, pb.Conv2d
WINDOWS: dict[str, tuple[pb.Block, str, tuple[int, ...], tuple[int, ...]]] = {
    "two": (S(C1(1, 2, 3), C1(2, 2, 3), C1(2, 3, 2)), "channels=1 length=16", (4,), (1,)),
    "strides": (
        S(C1(1, 2, 3), C1(2, 2, 3, stride=2), C1(2, 1, 4, stride=3)),
        "channels=1 length=40", (9,), (6,),
    ),
    "pools": (
        S(C1(1, 2, 3), pb.AvgPool1d(2), pb.AvgPool1d(3), C1(2, 2, 2)),
        "channels=1 length=26", (12,), (6,),
    ),
    "two axes": (
        S(C2(1, 2, 3), pb.AvgPool2d(2), C2(2, 1, (2, 1))),
        "channels=1 height=8 width=8", (4, 2), (2, 2),
    ),
    "batch norm": (
        S(C1(1, 2, 3), pb.BatchNorm1d(2), C1(2, 2, 2)), "channels=1 length=8", (2,), (1,),
    ),
}  # fmt: skip


def made(model: pb.Block, x: str) -> tuple[pb.Network, dict[str, Any]]:
    net = pb.Network(model, pb.SquaredError(), x=x).eval()
    params = net.init(seed=3)
    for name, value in params.items():
        if "running_var" in name:
            value[...] = 2.5
    return net, params


@pytest.mark.parametrize("name", CIRCULAR)
def test_circular_convolutions_are_diagonal_in_frequency(name: str) -> None:
    net, params = made(*CIRCULAR[name])
    c = pb.closed_form(net, params)
    assert isinstance(c, FourierForm)
    assert c.error < 1e-12
    matrix = c._known.product(c.chain.behind(0))  # written out, which this form never does
    delta = RNG.normal(size=(2, c.outputs))
    close(c.evaluate(delta, 0), delta @ matrix)
    for layer in range(1, c.last):  # those within a skip, too
        close(c.evaluate(delta, layer), delta @ c._known.product(c.chain.behind(layer)))
    values = np.linalg.svd(matrix, compute_uv=False)
    close(np.resize(c.singular_values, len(values)), values)
    steps = [c._known.product(step.items) for step in steps_of(c.chain)]
    norms = [np.linalg.norm(step, 2) for step in steps]
    close(c.condition, np.prod(norms) / np.linalg.norm(matrix, 2))


def test_equal_circular_convolutions_are_a_power_whatever_the_depth() -> None:
    net, params = made(S(*(ring(2, 2, bias=False) for _ in range(7))), "channels=2 length=12")
    same = dict.fromkeys(params, params["0.weight"] / 2)
    c = pb.closed_form(net, same)
    assert "(Ŵ(ω)ᴴ)^6" in c.form
    delta = RNG.normal(size=c.outputs)
    for layer in range(6):
        close(c.evaluate(delta, layer), delta @ c._known.product(c.chain.behind(layer)))


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_one_after_the_other_are_one_window(name: str) -> None:
    model, x, taps, stride = WINDOWS[name]
    net, params = made(model, x)
    c = pb.closed_form(net, params)
    assert isinstance(c, WindowForm)
    assert (c.kernel.taps, c.kernel.stride) == (taps, stride)
    assert c.error < 1e-12
    # the kernel is what a convolution of torch's kind would have for weight
    into = RNG.normal(size=(1, *[axis.size for axis in c.chain.places[0].axes]))
    found = jax.lax.conv_general_dilated(
        jnp.asarray(into), jnp.asarray(c.kernel.weight), stride, "VALID"
    )
    matrix = c._known.product(c.chain.behind(0))
    close(np.asarray(found).ravel(), matrix @ into.ravel())


@pytest.mark.parametrize(
    "model",
    [
        S(pb.Conv1d(1, 1, 3, padding=1), pb.Conv1d(1, 1, 3, padding=1)),  # zeros at the border
        S(ring(1, 2), pb.Conv1d(2, 2, 3, stride=2, padding=1, padding_mode="circular")),
        S(pb.Conv1d(1, 2, 3), pb.Flatten(), pb.Linear(12, 3)),
    ],
)
def test_what_is_no_convolution_is_one_matrix(model: pb.Block) -> None:
    net, params = made(model, "channels=1 length=8")
    c = pb.closed_form(net, params)
    assert c.method == "one matrix"
    assert c.error < 1e-12


def test_a_matrix_at_every_token_is_no_convolution() -> None:
    net, params = made(S(pb.Linear(3, 4), pb.Linear(4, 2)), "tokens=5 features=3")
    assert pb.closed_form(net, params).method == "one matrix"


def test_a_norm_is_said_to_be_why_there_is_no_region() -> None:
    model = S(pb.Linear(4, 5), pb.LayerNorm(5), pb.ReLU(), pb.Linear(5, 2))
    net, params = made(model, "features")
    c = pb.closed_form(net, params, np.arange(4.0))
    assert not c.exists
    assert "a norm is not piecewise linear" in c.reason
