"""A network that goes out to ONNX computes the same in onnxruntime, and comes back as it was."""

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from onnx_models import B, W, constant, model, node, run
from torch import nn
from zoo import ZOO, close, named

import pullback as pb
from pullback.errors import ConversionError, DataError

every_case = pytest.mark.parametrize("case", ZOO, ids=repr)


@every_case
def test_onnxruntime_computes_the_same(case):
    """In float32, which onnxruntime has for every operator, and for batches of any size."""
    params = {name: value.astype(np.float32) for name, value in case.params().items()}
    content, (X, _) = pb.to_onnx(case.net, params), case.data()
    for batch in (1, 5):
        x = np.resize(X, (batch, X.shape[1])).astype(np.float32)
        close(run(content, x), case.net.predict(params, x), np.float32)


@every_case
def test_what_comes_back_is_what_went_out(case):
    params, (X, _) = case.params(), case.data()
    net, back = pb.from_onnx(pb.to_onnx(case.net, params), loss=case.loss)
    assert list(back) == list(params)
    assert all(np.array_equal(back[name], params[name]) for name in params)
    assert all(back[name].dtype == case.dtype for name in params)
    close(net.predict(back, X), case.net.predict(params, X), case.dtype)
    if "Sequential(Sequential" not in repr(case.model) and "formula" not in repr(case.model):
        assert repr(net.model).count("Residual(") == repr(case.model).count("Residual(")
        for block in ("Tanh()", "GELU()", "SELU()", "ELU(alpha=0.5)", "LeakyReLU(slope=0.2)"):
            assert repr(net.model).count(block) == repr(case.model).count(block)


def test_double_precision_in_onnxruntime():
    case = named("cross-entropy, labels")
    params, (X, _) = case.params(), case.data()
    close(run(pb.to_onnx(case.net, params), X), case.net.predict(params, X))


def test_the_file_is_the_bytes(tmp_path):
    case = named("residual, scaled")
    file = tmp_path / "net.onnx"
    content = pb.to_onnx(case.net, case.params(), file)
    assert file.read_bytes() == content
    assert content == pb.to_onnx(case.net, case.params())  # nothing of the moment is in it
    net, params = pb.from_onnx(file, loss=case.loss)
    other, same = pb.from_onnx(str(file), loss=case.loss)
    assert net.model == other.model
    assert all(np.array_equal(params[name], same[name]) for name in params)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    case, file = named("mse"), tmp_path / "net.onnx"
    before = pb.to_onnx(case.net, case.params(), file)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(DataError, match="No space left on device; what was there is as it was"):
        pb.to_onnx(case.net, case.params(seed=1), file)
    assert file.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]
    with pytest.raises(DataError, match="there is no folder"):
        pb.to_onnx(case.net, case.params(), tmp_path / "no" / "net.onnx")


def test_what_torch_writes_is_read():
    """MatMul and Add, GELU and SiLU written out as products, Dropout and Flatten."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 8, bias=False), nn.SiLU(),
        nn.Dropout(0.2), nn.LeakyReLU(0.2), nn.Linear(8, 3),
    ).eval()  # fmt: skip
    buffer, X = io.BytesIO(), torch.randn(5, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is the old one; the new one needs more
        torch.onnx.export(
            module, (X[:1],), buffer, dynamo=False, opset_version=17, input_names=["x"],
            dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip
    net, params = pb.from_onnx(buffer.getvalue(), loss=pb.CrossEntropy())
    assert "GELU()" in repr(net.model)
    assert "SiLU()" in repr(net.model)
    assert "slope=0.2)" in repr(net.model)
    close(net.predict(params, X), module(X).detach().numpy(), np.float32)
    close(net.predict(params, X), run(buffer.getvalue(), X.numpy()), np.float32)


@pytest.mark.parametrize(
    "nodes",
    {
        "matmul, add": [node("MatMul", ["x", "W"], ["h"]), node("Add", ["B", "h"], ["y"])],
        "gemm": [node("Gemm", ["x", "W", "B"], ["y"], alpha=1.0, beta=1.0)],
        "gemm, turned": [node("Gemm", ["x", "W", "B"], ["y"], transB=1)],
        "transposed": [node("Transpose", ["W"], ["d"]), node("MatMul", ["x", "d"], ["y"])],
        "axes that stay": [
            node("Transpose", ["W"], ["d"], perm=[0, 1]), node("MatMul", ["x", "d"], ["y"]),
        ],
        "skip": [
            node("MatMul", ["x", "W"], ["h"]),
            node("Relu", ["h"], ["a"]),
            node("Sub", ["x", "a"], ["s"]),
            node("Div", ["s", "two"], ["y"]),
        ],
        "one unit": [node("MatMul", ["x", "V"], ["h"]), node("Add", ["h", "one"], ["y"])],
        "clip": [
            node("MatMul", ["x", "W"], ["h"]),
            node("Clip", ["h", "", "two"], ["a"]),
            node("HardSigmoid", ["a"], ["y"]),
        ],
        "where": [
            node("MatMul", ["x", "W"], ["h"]),
            node("Less", ["h", "two"], ["c"]),
            node("Exp", ["h"], ["e"]),
            node("Where", ["c", "e", "h"], ["y"]),
        ],
        "several": [
            node("MatMul", ["x", "W"], ["h"]),
            node("Tanh", ["h"], ["t"]),
            node("Max", ["h", "t", "two"], ["m"]),
            node("Celu", ["m"], ["y"], alpha=0.5),
        ],
        "reshape": [
            node("Reshape", ["x", "shape"], ["r"]),
            node("MatMul", ["r", "W"], ["h"]),
            node("Pow", ["h", "two"], ["y"]),
        ],
    }.items(),
    ids=lambda item: item[0],
)  # fmt: skip
def test_models_made_by_hand(nodes):
    tensors = [("W", W), ("V", W[:, :1]), ("B", B), ("one", np.ones(1, np.float32)),
               ("shape", np.array([-1, 4]))]  # fmt: skip
    used = {name for each in nodes[1] for name in each.input}
    two = constant("two", np.array(2, np.float32))
    content = model([two, *nodes[1]], [pair for pair in tensors if pair[0] in used])
    net, params = pb.from_onnx(content, loss=pb.MSELoss())
    X = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    close(net.predict(params, X), run(content, X), np.float32)
    if nodes[0] in ("matmul, add", "gemm", "gemm, turned", "one unit"):
        assert list(params) == ["weight", "bias"]


def external():
    """A tensor whose values lie in another file."""
    tensor = numpy_helper.from_array(W, "W")
    onnx.external_data_helper.set_external_data(tensor, location="/etc/hostname")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def short():
    """A tensor with fewer bytes than its shape asks for."""
    tensor = numpy_helper.from_array(W, "W")
    tensor.raw_data = tensor.raw_data[:12]
    return tensor


MATMUL = node("MatMul", ["x", "W"], ["y"], name="first")
BAD = {
    "no bytes": (b"", DataError, "damaged, or not an ONNX model"),
    "other bytes": (b"PK\x03\x04 no model", DataError, "damaged, or not an ONNX model"),
    "half": (model([MATMUL], [("W", W)])[:90], DataError, "damaged"),
    "elsewhere": (model([MATMUL], [external()]), DataError, "keeps 'W' in another file"),
    "too short": (model([MATMUL], [short()]), DataError, "damaged"),
    "an operator": (model([node("Det", ["x"], ["y"], name="c1")], []),
                    ConversionError, "Det at node 'c1': it has no counterpart"),
    "a weight without taps": (model([node("Conv", ["x", "W"], ["y"], name="c1")], [("W", W)]),
                              ConversionError, "Conv at node 'c1': its weight"),
    "without a name": (model([node("Hardmax", ["x"], ["y"])], []),
                       ConversionError, "Hardmax at node 0: it has no counterpart"),
    "a domain": (model([node("Relu", ["x"], ["y"], name="r", domain="custom")], []),
                 ConversionError, "Relu at node 'r' is of the domain 'custom'"),
    "lengths": (model([node("Shape", ["x"], ["s"], start=0, end=1),
                       node("Cast", ["s"], ["n"], to=1, name="c"),
                       node("Mul", ["x", "n"], ["y"])], []),
                ConversionError, "Cast at node 'c': it calculates with the lengths of axes"),
    "two outputs": (model([node("Neg", ["x"], ["y"]), node("Abs", ["x"], ["z"])], [],
                          outputs=("y", "z")), ConversionError, "1 inputs and 2 outputs"),
    "unequal widths": (model([node("MatMul", ["x", "W"], ["y"], name="m")], [("W", W[:3])]),
                       ConversionError, "MatMul at node 'm' takes 3 features, but 4 come in"),
    "whole numbers": (model([MATMUL], [("W", np.ones((4, 4), np.int32))]), Exception, "W|first"),
    "transposed": (model([node("Gemm", ["x", "W"], ["y"], name="g", transA=1)], [("W", W)]),
                   ConversionError, "Gemm at node 'g': it transposes the value"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_named(name):
    content, kind, words = BAD[name]
    with pytest.raises(pb.errors.PullbackError, match=words) as caught:
        pb.from_onnx(content, loss=pb.MSELoss())
    assert isinstance(caught.value, kind)


def test_names_that_fit_stay():
    tensors = [("body.fc.weight", W), ("body.fc.bias", B)]
    nodes = [node("Gemm", ["x", "body.fc.weight", "body.fc.bias"], ["y"], transB=1)]
    _, params = pb.from_onnx(model(nodes, tensors), loss=pb.MSELoss())
    assert list(params) == ["body.fc.weight", "body.fc.bias"]


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*none\.onnx'"):
        pb.from_onnx(tmp_path / "none.onnx", loss=pb.MSELoss())
    with pytest.raises(DataError, match="is not a regular file"):
        pb.from_onnx(tmp_path, loss=pb.MSELoss())


def test_a_loss_is_needed():
    with pytest.raises(pb.errors.ConfigError, match="loss is 3; expected a loss such as"):
        pb.from_onnx(b"", loss=3)
