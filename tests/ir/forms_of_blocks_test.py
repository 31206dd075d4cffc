"""What the flow says of each block: the forms of its equations; none is opaque without a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.ir.flow import flow
from pullback.ir.forms import Opaque
from pullback.nn.elementwise import Elementwise

MAP, SERIES, STEPS, TOKENS = (
    "channels=2 height=5 width=6",
    "channels=4 length=7",
    "time=3 features=4",
    "tokens=3 features=4",
)
POINTWISE = (
    "Identity ReLU LeakyReLU ELU SELU GELU SiLU Mish Sigmoid Tanh Softplus LogSigmoid Softsign Sin "
    "Erf ReLU6 Hardtanh Hardsigmoid Hardswish"
)
# equations of which the flow has no form, and why: whoever reads them asks for their Jacobian
BATCH_MEAN = "a mean over the batch, whose size no number says"
FACTOR = "a function of a sum, not of an equation"
PARTS = "parts of several lengths, put together"
SLICED = "its weight is a slice of a packed one"
TWO_VALUES = "a product of two values"
PER_CHANNEL = "what multiplies it has fewer axes"
OWN_SLOPE = "a function whose parameter is trained and in which it is not affine"
NESTED = "the largest of largest, each along windows of its own"
HELD_ROW = "one row of the table is held"

ATTENTION = [
    SLICED, SLICED, TWO_VALUES, "Reduce", "Softmax", SLICED, TWO_VALUES, "Window",
]  # fmt: skip
NORMED = ["Reduce", FACTOR, "Normalise", "Affine"]

CASES: list[tuple[Any, str, list[str]]] = [
    (pb.Linear(4, 3), "features=4", ["Affine"]),
    (pb.Sequential(pb.Tanh(), pb.Linear(4, 3)), "features=4", ["Pointwise", "Affine"]),
    (pb.Residual(pb.Linear(4, 4)), "features=4", ["Affine", "Join"]),
    *((getattr(pb, name)(), "features=4", ["Pointwise"]) for name in POINTWISE.split()),
    (pb.Activation("x**3"), "features=4", ["Pointwise"]),
    (pb.PReLU(), "features=4", [OWN_SLOPE]),
    (pb.Softmax(1), TOKENS, ["Reduce", "Softmax"]),
    (pb.LogSoftmax(), "features=4", ["Reduce", "Softmax"]),
    (pb.GLU(), "features=4", ["Window", "Window", "Gate"]),
    (pb.Concat(pb.Linear(4, 2), pb.Tanh()), "features=4", ["Pointwise", "Affine", PARTS]),
    (pb.Parallel(pb.Tanh(), pb.Linear(4, 4), join="sum"), "features=4",
        ["Pointwise", "Affine", "Join"]),
    (pb.Embedding(5, 3), "tokens=4:index", ["Lookup"]),
    (pb.Embedding(5, 3, padding_idx=0), "tokens=4:index", ["Lookup", HELD_ROW]),
    (pb.Flatten(), SERIES, ["Window"]),
    (pb.Unflatten(1, (2, 2)), "features=4", ["Window"]),
    (pb.Conv1d(4, 4, 3, stride=2, padding=1, dilation=2, groups=2), SERIES, ["Window"]),
    (pb.Conv1d(4, 4, 3, padding=1, padding_mode="reflect"), SERIES, [PARTS, "Window"]),
    (pb.Conv2d(2, 3, 3), MAP, ["Window"]),
    (pb.ConvTranspose1d(4, 2, 3, stride=2, output_padding=1), SERIES, ["Window"]),
    (pb.ConvTranspose2d(2, 2, 3, groups=2), MAP, ["Window"]),
    (pb.MaxPool1d(2, padding=1), SERIES, ["Window"]),
    (pb.MaxPool2d(2), MAP, ["Window"]),
    (pb.AvgPool1d(2), SERIES, ["Window"]),
    (pb.AvgPool2d(2, padding=1, count_include_pad=False), MAP, ["Window"]),
    (pb.AdaptiveAvgPool1d(3), SERIES, ["Window"]),
    (pb.AdaptiveAvgPool2d((1, None)), MAP, ["Window"]),
    (pb.AdaptiveMaxPool1d(3), SERIES, ["Reduce"]),
    (pb.AdaptiveMaxPool2d(2), MAP, [NESTED]),
    (pb.Upsample(2), SERIES, ["Window"]),
    (pb.BatchNorm1d(4), "features=4", [BATCH_MEAN, FACTOR, "Normalise", "Affine"]),
    (pb.BatchNorm2d(2, affine=False), MAP, [BATCH_MEAN, FACTOR, "Normalise"]),
    (pb.LayerNorm(4), TOKENS, NORMED),
    (pb.RMSNorm(4), "features=4", [FACTOR, "Normalise", "Affine"]),
    (pb.GroupNorm(2, 4), SERIES, ["Window", "Reduce", FACTOR, "Normalise", "Window"]),
    (pb.Dropout(0.5), "features=4", ["Gate"]),
    (pb.Dropout1d(0.5), SERIES, [PER_CHANNEL]),
    (pb.Dropout2d(0.5), MAP, [PER_CHANNEL]),
    (pb.MultiheadAttention(4, 2, causal=True), TOKENS, ATTENTION),
    (pb.TransformerEncoderLayer(4, 2, dim_feedforward=5, dropout=0.0, batch_first=True), TOKENS,
        [*ATTENTION, "Join", *NORMED, "Affine", "Pointwise", "Affine", "Join", *NORMED]),
    *((each(4, 3), STEPS, ["Affine", "Recursion"]) for each in (pb.RNN, pb.GRU, pb.LSTM)),
    (pb.LSTM(4, 3, bidirectional=True), STEPS,
        ["Affine", "Recursion", "Affine", "Recursion", PARTS]),
]  # fmt: skip


def forms_of(model: Any, x: str, training: bool = True) -> list[str]:
    """The name of each form, in order, and of an opaque one what it is called."""
    net = pb.Network(model, pb.MSELoss(), x=x, training=training)
    forms = flow(net.graph).items()
    return [type(form).__name__ for node, form in forms if node.role in ("z", "a", "stat")]


@pytest.mark.parametrize(("model", "x", "expected"), CASES, ids=lambda each: repr(each)[:40])
def test_each_equation_has_a_form_or_a_reason_why_not(model, x, expected):
    opaque = Opaque.__name__
    assert forms_of(model, x) == [each if " " not in each else opaque for each in expected]


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_in_evaluation_is_a_diagonal_map(affine):
    for block, x in ((pb.BatchNorm1d(4), "features=4"), (pb.BatchNorm2d(2, affine=affine), MAP)):
        assert forms_of(block, x, training=False) == ["Rescale"]


def test_a_diagonal_map_is_what_it_says():
    net = pb.Network(pb.BatchNorm1d(3), pb.MSELoss(), x="features=3", training=False)
    rng = np.random.default_rng(0)
    params = {name: rng.uniform(0.5, 2, np.shape(value)) for name, value in net.init().items()}
    X = rng.normal(size=(4, 3))
    (form,) = (f for node, f in flow(net.graph).items() if node.role == "a")
    scale, shift = (f(*(params[p.name] for p in form.given)) for f in (form.scale, form.shift))
    np.testing.assert_allclose(net.predict(params, X), scale * X + shift, rtol=1e-12)


def test_every_block_is_there():
    every = [getattr(nn, name) for name in nn.__all__]
    blocks = {each for each in every if isinstance(each, type) and issubclass(each, nn.Block)}
    assert blocks - {nn.Block, Elementwise, *(type(model) for model, _, _ in CASES)} == set()
