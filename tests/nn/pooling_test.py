"""Pools are torch's: values and slopes, the first of equal entries, whatever hangs over the end."""

import numpy as np
import pytest
from by_torch import beside_torch
from convolution_test import built, output_of
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.errors import ConfigError, ShapeError

torch = pytest.importorskip("torch")
drawn = settings(max_examples=40, deadline=None, derandomize=True)
few = st.integers(1, 3)


@st.composite
def pools(draw, n, kind):
    each = st.tuples(*[few] * n)
    options = {"kernel_size": draw(each), "stride": draw(st.none() | each),
               "ceil_mode": draw(st.booleans())}  # fmt: skip
    options["padding"] = draw(st.integers(0, min(options["kernel_size"]) // 2))
    if kind == "max":
        options["dilation"] = draw(st.integers(1, 2))
    else:
        options["count_include_pad"] = draw(st.booleans())
    if kind == "avg" and n == 2:
        options["divisor_override"] = draw(st.none() | few)
    return options, (2, *draw(st.tuples(*[st.integers(5, 8)] * n)))


def compare(name, options, shape):
    beside_torch(getattr(pb, name)(**options), getattr(torch.nn, name)(**options), shape)


@drawn
@given(pools(1, "max"))
def test_max_pool1d(case):
    compare("MaxPool1d", *case)


@drawn
@given(pools(2, "max"))
def test_max_pool2d(case):
    compare("MaxPool2d", *case)


@drawn
@given(pools(1, "avg"))
def test_avg_pool1d(case):
    compare("AvgPool1d", *case)


@drawn
@given(pools(2, "avg"))
def test_avg_pool2d(case):
    compare("AvgPool2d", *case)


@pytest.mark.parametrize("kind", ["Avg", "Max"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 9])
def test_adaptive_pools(kind, size):
    compare(f"Adaptive{kind}Pool1d", {"output_size": size}, (2, 7))
    compare(f"Adaptive{kind}Pool2d", {"output_size": (size, 3)}, (2, 7, 6))
    compare(f"Adaptive{kind}Pool2d", {"output_size": (None, size)}, (2, 4, 6))


@pytest.mark.parametrize("block", [pb.MaxPool1d(2), pb.MaxPool1d(3, 1, 1),
                                   pb.AdaptiveMaxPool1d(3)], ids=repr)  # fmt: skip
def test_of_equal_entries_the_first_has_the_slope(block):
    """Flat areas of an image: amax would share, max pooling does not."""
    torch_block = getattr(torch.nn, type(block).__name__)
    arguments = {key: value for key, value in vars(block).items() if value is not None}
    x = np.array([[[1.0, 1.0, 1.0, 0.0, 2.0, 2.0, 2.0]]])
    net = pb.Network(pb.Sequential(pb.Conv1d(1, 1, 1, bias=False), block, pb.Flatten()),
                     pb.SquaredError(), x="channels=1 length=7")  # fmt: skip
    found = pb.jacobian(net, {"0.weight": np.ones((1, 1, 1))}, x[0], wrt="x")
    found = np.asarray(found.array if hasattr(found, "array") else found.dense())
    given = torch.tensor(x, requires_grad=True)
    out = torch_block(**arguments)(given).flatten()
    expected = [torch.autograd.grad(each, given, retain_graph=True)[0].numpy() for each in out]
    np.testing.assert_array_equal(found.reshape(np.shape(expected)), expected)


@pytest.mark.parametrize(("n", "out"), [(4, 2), (5, 2), (6, 2), (7, 3)])
def test_a_last_window_that_starts_in_the_padding_is_dropped(n, out):
    assert output_of(pb.MaxPool1d(2, 3, ceil_mode=True), np.ones((1, 1, n))).shape[-1] == out


def test_the_mean_of_a_window_over_the_end_is_over_what_is_padded():
    found = output_of(pb.AvgPool1d(3, 2, 1, ceil_mode=True), np.ones((1, 1, 4)))
    np.testing.assert_allclose(found, [[[2 / 3, 1.0, 0.5]]])


def test_the_zeros_of_the_padding_count_by_default():
    found = output_of(pb.AvgPool1d(3, 1, 1), np.ones((1, 1, 3)))
    np.testing.assert_allclose(found, [[[2 / 3, 1.0, 2 / 3]]])
    alone = output_of(pb.AvgPool1d(3, 1, 1, count_include_pad=False), np.ones((1, 1, 3)))
    np.testing.assert_allclose(alone, np.ones((1, 1, 3)))


def test_padding_is_never_the_largest():
    found = output_of(pb.MaxPool1d(3, 1, 1), np.array([[[-5.0, -3.0, -4.0]]]))
    np.testing.assert_array_equal(found, [[[-3.0, -3.0, -3.0]]])


def test_a_window_for_each_gate():
    """Where windows overlap, one entry may be the largest of several: its slopes add up."""
    net = pb.Network(pb.Sequential(pb.Conv1d(1, 1, 1, bias=False), pb.MaxPool1d(3, 1)),
                     pb.SquaredError(reduction="sum"), x="channels=1 length=5")  # fmt: skip
    X, Y = np.array([[[0.0, 1.0, 9.0, 2.0, 0.0]]]), np.zeros((1, 1, 3))
    _, found = net.value_and_grad({"0.weight": np.ones((1, 1, 1))}, X, Y)
    np.testing.assert_allclose(found["0.weight"], [[[3 * 9.0 * 9.0]]])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: pb.MaxPool1d(3, padding=2), ConfigError, "at most half"),
        (lambda: pb.AvgPool2d(2, divisor_override=0), ConfigError, "divisor_override is 0"),
        (lambda: pb.AdaptiveAvgPool2d((2, 2, 2)), ConfigError, "expected 2 sizes"),
        (lambda: pb.AdaptiveAvgPool1d(0), ConfigError, "output_size is 0"),
        (lambda: built(pb.MaxPool2d(4), x="channels=1 height=3 width=5"), ShapeError,
         "a kernel of 4 is longer than the axis 'height', 3 long"),
        (lambda: built(pb.MaxPool1d(2, 1, 1, dilation=2), x="channels=1 length=1"), ShapeError,
         "only padding"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
