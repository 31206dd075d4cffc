"""Convolutions and their transposes are torch's: values, slopes, names, initial law, refusals."""

import numpy as np
import pytest
from by_torch import beside_torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.errors import ConfigError, ShapeError, UnknownNameError
from pullback.laws import adjoint_check

torch = pytest.importorskip("torch")
drawn = settings(max_examples=40, deadline=None, derandomize=True)
few = st.integers(1, 3)


def spec(n: int) -> st.SearchStrategy[int | tuple[int, ...]]:
    """A number for both directions or one for each."""
    return few | st.tuples(*[few] * n)


@st.composite
def convolutions(draw, n):
    groups = draw(st.integers(1, 2))
    channels = [groups * draw(st.integers(1, 2)) for _ in range(2)]
    options = {
        "kernel_size": draw(spec(n)), "stride": draw(spec(n)), "dilation": draw(spec(n)),
        "padding": draw(st.integers(0, 2) | st.just("valid") | st.just("same")),
        "groups": groups, "bias": draw(st.booleans()),
        "padding_mode": draw(st.sampled_from(["zeros", "circular", "reflect", "replicate"])),
    }  # fmt: skip
    shape = (channels[0], *draw(st.tuples(*[st.integers(3, 7)] * n)))
    return channels, options, shape


def compare(name, channels, options, shape):
    if options.get("padding") == "same" and options["stride"] not in (1, (1,), (1, 1)):
        with pytest.raises(ConfigError, match="stride 1 only"):
            getattr(pb, name)(*channels, **options)
        return
    block = getattr(pb, name)(*channels, **options)
    module = getattr(torch.nn, name)(*channels, **options)
    try:
        module(torch.zeros(1, *shape))
    except RuntimeError:
        x = " ".join(f"{n}={s}" for n, s in zip("abc", shape, strict=False))
        with pytest.raises(ShapeError):
            pb.Network(block, pb.SquaredError(), x=x)
        return
    beside_torch(block, module, shape)


@drawn
@given(convolutions(1))
def test_conv1d(case):
    compare("Conv1d", *case)


@drawn
@given(convolutions(2))
def test_conv2d(case):
    compare("Conv2d", *case)


@st.composite
def transposed(draw, n):
    channels, options, shape = draw(convolutions(n))
    del options["padding_mode"]
    options["padding"] = draw(st.integers(0, 2))
    options["output_padding"] = draw(st.integers(0, 2))
    return channels, options, shape


def compare_transposed(name, channels, options, shape):
    n = len(shape) - 1
    strides, dilations = (
        value if isinstance(value := options[part], tuple) else (value,) * n
        for part in ("stride", "dilation")
    )
    if any(options["output_padding"] >= max(p) for p in zip(strides, dilations, strict=True)):
        with pytest.raises(ConfigError, match="output_padding"):
            getattr(pb, name)(*channels, **options)
        reject()
    compare(name, channels, options, shape)


@drawn
@given(transposed(1))
def test_conv_transpose1d(case):
    compare_transposed("ConvTranspose1d", *case)


@drawn
@given(transposed(2))
def test_conv_transpose2d(case):
    compare_transposed("ConvTranspose2d", *case)


def output_of(block, X, params=None):
    names = ("channels", "height", "width") if X.ndim == 4 else ("channels", "length")
    x = " ".join(f"{name}={size}" for name, size in zip(names, X.shape[1:], strict=True))
    net = pb.Network(block, pb.SquaredError(), x=x)
    return net.predict({} if params is None else params, X)


@pytest.mark.parametrize(("length", "out"), [(5, 3), (6, 3), (7, 4), (8, 4)])
def test_two_lengths_have_one_convolution_and_the_transpose_is_told_which(length, out):
    """Stride 2: 5 and 6 both give 3, so the transpose of 3 needs output_padding for 6."""
    conv = pb.Conv1d(1, 1, 3, stride=2, padding=1, bias=False)
    ones = {"weight": np.ones((1, 1, 3))}
    assert output_of(conv, np.ones((1, 1, length)), ones).shape == (1, 1, out)
    back = pb.ConvTranspose1d(1, 1, 3, stride=2, padding=1, bias=False,
                              output_padding=1 - length % 2)  # fmt: skip
    assert output_of(back, np.ones((1, 1, out)), ones).shape == (1, 1, length)


def test_output_padding_adds_columns_that_are_computed():
    """The last column of 2n is the last tap's, and not 0."""
    up = pb.ConvTranspose1d(1, 1, 3, stride=2, padding=1, output_padding=1, bias=False)
    found = output_of(up, np.array([[[1.0, 2.0]]]), {"weight": np.array([[[10.0, 20.0, 30.0]]])})
    np.testing.assert_allclose(found, [[[20.0, 50.0, 40.0, 60.0]]])


def test_same_padding_of_an_even_kernel_has_its_extra_zero_behind():
    same = pb.Conv1d(1, 1, 2, padding="same", bias=False)
    found = output_of(same, np.array([[[1.0, 2.0, 1.0, 6.0, -2.0]]]),
                      {"weight": np.ones((1, 1, 2))})  # fmt: skip
    np.testing.assert_allclose(found, [[[3.0, 3.0, 7.0, 4.0, -2.0]]])


def test_weights_are_correlated_not_turned_round():
    found = output_of(pb.Conv1d(1, 1, 2, bias=False), np.array([[[1.0, 0.0, 0.0]]]),
                      {"weight": np.array([[[5.0, 7.0]]])})  # fmt: skip
    np.testing.assert_allclose(found, [[[5.0, 0.0]]])


@pytest.mark.parametrize("n", [1, 2])
def test_the_transpose_is_the_transpose(n):
    """⟨y, conv x⟩ = ⟨convᵀ y, x⟩ with one weight."""
    conv, back = getattr(pb, f"Conv{n}d"), getattr(pb, f"ConvTranspose{n}d")
    options = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2, "bias": False}
    weight = {"weight": np.random.default_rng(0).normal(size=(6, 2, *(3,) * n))}
    there, here = (1, 4, *(9,) * n), (1, 6, *(4,) * n)
    found = adjoint_check(
        lambda v: {"y": output_of(conv(4, 6, 3, **options), v["x"], weight)},
        lambda u: {"x": output_of(back(6, 4, 3, **options), u["y"], weight)},
        {"x": there}, {"y": here}, pairs=3, entries=4,
    )  # fmt: skip
    assert found.ok, found


def test_initial_weights_have_torchs_law():
    """Uniform in ±1/√(in/groups · k²), biases too; of the transpose by its own second axis."""
    cases = {
        pb.Conv2d(4, 6, 3, groups=2): torch.nn.Conv2d(4, 6, 3, groups=2),
        pb.ConvTranspose2d(4, 6, 3, groups=2): torch.nn.ConvTranspose2d(4, 6, 3, groups=2),
        pb.ConvTranspose1d(3, 5, 4): torch.nn.ConvTranspose1d(3, 5, 4),
    }
    for block, module in cases.items():
        n = module.weight.ndim - 2
        x = f"channels={module.in_channels} " + " ".join("abc"[at] + "=8" for at in range(n))
        net = pb.Network(block, pb.SquaredError(), x=x)
        fan_in = module.weight[0].numel()  # as torch counts it
        assert {spec.n_in for spec in net.specs} == {fan_in}
        drawn = net.init(scheme=pb.init.torch_default(), seed=0)
        for name, value in drawn.items():
            largest = np.max(np.abs(value))
            assert largest <= fan_in**-0.5
            assert largest > 0.3 * fan_in**-0.5, name
            theirs = dict(module.named_parameters())[name].abs().max().item()
            assert theirs <= fan_in**-0.5 * (1 + 1e-6), name  # they draw from the same


X = "channels=4 height=6 width=5"


def built(block, x):
    return pb.Network(block, pb.SquaredError(), x=x)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: pb.Conv2d(4, 6, 3, groups=3), ConfigError, "in_channels is 4, which 3 groups"),
        (lambda: pb.Conv2d(4, 6, 3, padding="same", stride=2), ConfigError, "stride 1 only"),
        (lambda: pb.Conv2d(4, 6, 3, padding="sane"), UnknownNameError, "same"),
        (lambda: pb.Conv2d(4, 6, 3, padding_mode="mirror"), UnknownNameError, "reflect"),
        (lambda: pb.Conv2d(4, 6, (3, 3, 3)), ConfigError, r"expected a whole number, or 2 of them"),
        (lambda: pb.Conv2d(4, 6, 0), ConfigError, "kernel_size is 0"),
        (lambda: pb.Conv2d(4, 6, 3, padding=-1), ConfigError, "padding is -1"),
        (lambda: pb.ConvTranspose2d(4, 6, 3, output_padding=1), ConfigError,
         "less than the stride"),
        (lambda: built(pb.Conv2d(4, 6, 7), x=X), ShapeError,
         "a kernel of 7 is longer than the axis 'height', 6 long"),
        (lambda: built(pb.Conv2d(4, 6, 4, dilation=3, padding=1), x=X), ShapeError,
         "a kernel of 4, 10 long with its dilation, is longer than the axis 'height', 8 long with "
         "its padding"),
        (lambda: built(pb.Conv2d(3, 6, 3), x=X), ShapeError,
         "takes 3 channels, but what comes in has 'channels' of 4"),
        (lambda: built(pb.Conv1d(4, 6, 3), x=X), ShapeError,
         r"needs the axes \(batch, channels, length\), found \(batch, channels=4, height=6"),
        (lambda: built(pb.Conv2d(4, 6, 3), x="channels=4 height width=5"), ShapeError,
         "needs the length of the axis 'height'; say it"),
        (lambda: built(pb.Conv2d(4, 6, 3, padding=6, padding_mode="reflect"), x=X), ShapeError,
         "reflect padding has at most 5"),
        (lambda: built(pb.ConvTranspose1d(4, 6, 2, padding=2), x="channels=4 length=3"),
         ShapeError, "the padding takes away all"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
