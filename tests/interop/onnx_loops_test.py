"""ONNX's recurrent operators: what onnxruntime computes."""

import numpy as np
import pytest
from onnx_models import model, node, run
from zoo import close

import pullback as pb
from pullback.errors import ConversionError

rng = np.random.default_rng(1)
X = rng.normal(size=(6, 4)).astype(np.float32)
UNITS = 3
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def looped(kind, ways=1, bias=True, starts=False, output="Y", **settings):
    """A model: x as two steps of two features, one operator, and one of its outputs."""
    gates = GATES[kind] * UNITS
    tensors = [
        ("W", rng.normal(size=(ways, gates, 2)).astype(np.float32)),
        ("R", rng.normal(size=(ways, gates, UNITS)).astype(np.float32)),
        ("B", rng.normal(size=(ways, 2 * gates)).astype(np.float32)),
        ("sequence", np.array([-1, 2, 2])),
        ("row", np.array([0, -1])),
        ("widths", np.array([UNITS] * ways)),
    ]
    before = [node("Reshape", ["x", "sequence"], ["s"]),
              node("Transpose", ["s"], ["t"], perm=[1, 0, 2])]  # fmt: skip
    given = ["t", "W", "R", "B" if bias else ""]
    if starts:
        before.append(node("Concat", ["t", "t"], ["u"], axis=2))
        before.append(node("Slice", ["u", "zero", "units", "two"], ["h"]))
        before.append(node("Tanh", ["h"], ["c"]))
        tensors += [("zero", np.array([0])), ("units", np.array([UNITS])), ("two", np.array([2]))]
        given += ["", "h", *(["c"] if kind == "LSTM" else [])]
    outs = ["Y", "Y_h", *(["Y_c"] if kind == "LSTM" else [])]
    batch = 2 if output == "Y" else 1
    perm = [batch, *(at for at in range(batch + 2) if at != batch)]
    behind = [node("Transpose", [output], ["v"], perm=perm), node("Reshape", ["v", "row"], ["y"])]
    loop = node(kind, given, outs, hidden_size=UNITS, **settings)
    used = {"W", "R", *(["B"] if bias else [])}
    return model([*before, loop, *behind], tensors), used


MODELS = {
    "rnn": looped("RNN"),
    "rnn of tanh": looped("RNN", activations=["Tanh"]),
    "rnn backwards": looped("RNN", direction="reverse", bias=False),
    "gru": looped("GRU", linear_before_reset=1),
    "gru both ways": looped("GRU", 2, linear_before_reset=1, direction="bidirectional"),
    "gru, the last": looped("GRU", 2, output="Y_h", linear_before_reset=1,
                            direction="bidirectional"),
    "gru from a state": looped("GRU", 2, starts=True, linear_before_reset=1,
                               direction="bidirectional"),
    "lstm": looped("LSTM"),
    "lstm both ways": looped("LSTM", 2, direction="bidirectional"),
    "lstm, the last c": looped("LSTM", output="Y_c", bias=False),
    "lstm from states": looped("LSTM", 2, starts=True, direction="bidirectional"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_recurrence_is_read(name):
    content, used = MODELS[name]
    net, params = pb.from_onnx(content, loss=pb.MSELoss())
    assert set(params) == used
    close(net.predict(params, X), run(content, X), np.float32)
    data = X.astype(float) + 0.01
    assert pb.check(net, params, data, np.ones_like(net.predict(params, data))).ok


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (looped("GRU")[0], "linear_before_reset=0"),
        (looped("LSTM", activations=["Relu", "Tanh", "Tanh"])[0], "activations are Relu, Tanh"),
        (looped("RNN", activations=["Relu"])[0], "activations are Relu"),
        (looped("LSTM", clip=1.0)[0], "'clip'"),
    ],
)
def test_what_is_not_read_is_named(content, words):
    with pytest.raises(ConversionError, match=words):
        pb.from_onnx(content, loss=pb.MSELoss())
