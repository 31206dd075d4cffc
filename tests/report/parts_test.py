"""The parts of the page: the drawing, pictures, verdicts."""

import re
import struct
import zlib
from itertools import pairwise

import numpy as np
import pytest

import pullback as pb
from pullback.report.drawing.figures import Series, curves
from pullback.report.drawing.network_svg import PER_ROW, DrawingScale, _rows, draw
from pullback.report.drawing.picture import png
from pullback.report.layers import SkipArc, layers_of
from pullback.report.sections.outcome import outcome
from pullback.report.sections.samples import square
from pullback.report.words import verdicts


def deep(count, activation=pb.Tanh):
    parts = [each for _ in range(count) for each in (pb.Linear(3, 3), activation())]
    return pb.Network(pb.Sequential(*parts), loss=pb.SquaredError())


def test_layers_have_the_symbols_of_the_equations():
    model = pb.Sequential(pb.Linear(4, 3), pb.Activation("x**3"), pb.Linear(3, 2, bias=False))
    layers = layers_of(pb.Network(model, loss=pb.CrossEntropy()))
    first, last = layers
    assert (first.z, first.out, first.weight, first.delta) == ("z₁", "a₁", "W₁", "δ₁")
    assert (first.activation, first.parameters, first.shape) == ("x**3", 15, (3, 4))
    assert (last.out, last.activation, last.parameters) == ("z₂", "", 6)
    assert layers.parameters == {"0.weight": "W₁", "0.bias": "b₁", "2.weight": "W₂"}


def test_residual_blocks_skip():
    inner = pb.Sequential(pb.Linear(3, 3), pb.Tanh(), pb.Linear(3, 3))
    model = pb.Sequential(pb.Linear(4, 3), pb.Residual(inner), pb.Linear(3, 1))
    layers = layers_of(pb.Network(model, loss=pb.SquaredError()))
    assert layers.skips == (SkipArc(1, 3),)
    assert [layer.out for layer in layers] == ["z₁", "a₂", "h₃", "z₄"]


def test_arrows_are_wider_where_delta_is_larger():
    scale = DrawingScale.of([1e-5, 3e-2])
    assert (scale.low, scale.high) == (-5, -1)
    widths = [scale(size) for size in (0.0, 1e-5, 1e-4, 1e-3, 1e-1, 10.0)]
    assert widths == sorted(widths)
    assert widths[1] < widths[2] < widths[3] < widths[4] == widths[5]


@pytest.mark.parametrize("columns", [2, 8, 9, 22, 60])
def test_rows_hold_every_column_and_repeat_the_last(columns):
    rows = _rows(columns)
    assert rows[0][0] == 0
    assert rows[-1][-1] == columns - 1
    assert all(before[-1] == after[0] for before, after in pairwise(rows))
    assert all(2 <= len(row) <= PER_ROW for row in rows)


def test_drawing_says_every_delta_in_words():
    net = deep(3)
    sizes = {"0": 0.5, "2": 0.0, "4": float("1e-9")}
    svg = draw(layers_of(net), sizes)
    assert "δ₁ 0.500, δ₂ 0, δ₃ 1.00×10⁻⁹" in svg
    assert svg.count("<polygon") == 3 + 3  # one a layer, and the legend's


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (1.0, "Every layer learns: before training δ grows 1× a layer"),
        (0.125, "Every layer learns: before training δ shrinks 2× a layer"),
        (0.05, "The first layers hardly learn"),
        (1e-9, "shrinks 1e+03× a layer; at the first layer it is 1.00×10⁻⁹× the output's"),
        (20.0, "blow up"),
        (0.0, "Nothing arrives at the first layer before training"),
    ],
)
def test_verdict_about_the_flow(first, said):
    layers = layers_of(deep(4))
    sizes = {"0": first, "2": 1.0, "4": 1.0, "6": 1.0}
    assert said in verdicts.network(layers, sizes, "before training")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([3.0, 2.0, 1.0], "still falling"),
        ([3.0, 1.0, 1.05], "near its lowest (1.00 after epoch 2)"),
        ([3.0, 1.0, 2.0], "overfitting"),
    ],
)
def test_verdict_about_training(held, said):
    text = verdicts.training({"loss": [3.0, 2.0, 0.5], "validation_loss": held, "seconds": [1.0]})
    assert text.startswith("The loss fell from 3.00 to 0.500 in 3 epochs (1.0 s)")
    assert said in text


@pytest.mark.parametrize(
    ("loss", "Y"),
    [
        (pb.CrossEntropy(), [0, 1, 1]),
        (pb.BinaryCrossEntropy(), [[1, 0], [0, 1], [0, 1]]),
        (pb.LogisticLoss(), [[1, -1], [-1, 1], [-1, 1]]),
    ],
)
def test_outcome_reads_targets_as_the_loss_does(loss, Y):
    net = pb.Network(pb.Linear(2, 2, bias=False), loss=loss)
    X = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    found = outcome(net, {"weight": np.eye(2)}, X, np.array(Y), ["a", "b"])
    assert found.wanted.tolist() == [0, 1, 1]
    assert found.said.tolist() == [0, 1, 0]
    assert found.confusion.tolist() == [[1, 0], [1, 1]]
    assert found.mistakes() == [("b", "a", 1)]


def test_a_perfect_prediction_of_values_explains_everything():
    net = pb.Network(pb.Linear(1, 1, bias=False), loss=pb.SquaredError())
    X = np.arange(4.0)[:, None]
    found = outcome(net, {"weight": np.array([[2.0]])}, X, 2 * X)
    assert (found.r2, found.rmse) == (1.0, 0.0)


def test_png_is_one():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    data = png(pixels)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (3, 2)
    start = data.index(b"IDAT") + 4
    size = struct.unpack(">I", data[start - 8 : start - 4])[0]
    rows = zlib.decompress(data[start : start + size])
    assert rows[1:13] == bytes(range(12))
    assert (rows[0], rows[13]) == (0, 0)


def test_pictures_are_noticed_by_their_neighbours():
    rng = np.random.default_rng(0)
    noise = rng.uniform(size=(200, 64))
    smooth = noise.reshape(-1, 8, 8)
    smooth = (smooth + np.roll(smooth, 1, axis=2)).reshape(-1, 64)
    assert square(smooth) == (8, 8)
    assert square(noise) is None
    assert square(smooth - 1) is None
    assert square(smooth[:, :60]) is None


def test_edges_are_as_thick_as_weights_and_dashed_where_negative():
    net = pb.Network(pb.Sequential(pb.Linear(2, 2), pb.Tanh(), pb.Linear(2, 1)), pb.MSELoss())
    params = {name: value * 0 for name, value in net.init(0).items()}
    params["0.weight"] = np.array([[2.0, -1.0], [0.0, 0.5]])
    svg = draw(layers_of(net), {"0": 1.0, "2": 1.0}, params=params)
    found = re.findall(r'class="mesh (plus|minus)" d="[^"]*" style="stroke-width:([\d.]+)"', svg)
    # from the first input to both units, then from the second
    assert found[:4] == [("plus", "2.70"), ("plus", "0.30"), ("minus", "1.50"), ("plus", "0.90")]
    assert "minus" not in draw(layers_of(net), {"0": 1.0, "2": 1.0})


def test_maps_tokens_and_loops_are_drawn_as_what_they_are():
    conv = pb.Sequential(pb.Conv2d(1, 3, 3), pb.ReLU(), pb.Flatten(), pb.Linear(108, 2))
    net = pb.Network(conv, pb.CrossEntropy(), x="channels=1 height=8 width=8")
    layers = layers_of(net, np.zeros((1, 1, 8, 8)))
    svg = draw(layers, {layer.path: 1.0 for layer in layers})
    assert svg.count('<rect class="unit forward"') == 3  # a sheet for each channel
    assert svg.count('<rect class="unit data"') == 1
    assert "C" not in "".join(re.findall(r'class="arrow forward" d="([^"]*)"', svg))
    loop = pb.Network(pb.GRU(3, 4, batch_first=True), pb.MSELoss(), x="time=5 features=3")
    layers = layers_of(loop, np.zeros((1, 5, 3)))
    assert layers.layers[0].loops
    svg = draw(layers, {layer.path: 1.0 for layer in layers})
    assert "C" in "".join(re.findall(r'class="arrow forward" d="([^"]*)"', svg))


def test_lines_are_called_at_their_ends_without_meeting():
    series = [Series("one", [1.0, 0.100], "@ink"), Series("two", [1.0, 0.101], "@backward")]
    layout = curves("x", series, "loss", "", "", log=True).layout
    below, above = layout["annotations"]
    low, high = layout["yaxis"]["range"]
    assert [below["text"], above["text"]] == ["one", "two"]
    assert above["y"] - below["y"] == pytest.approx(0.075 * (high - low), rel=0.05)
    assert above["font"]["color"] == "@backward-ink"
    assert layout["showlegend"] is False
