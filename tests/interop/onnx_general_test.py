"""ONNX models that are no chain of layers: what onnxruntime computes, under the file's names."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_models import B, W, constant, model, node, run
from zoo import close

import pullback as pb

ONE = np.array(1.5, np.float32)
X = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
AXIS = np.array([1])


def scaled(kind, tensor):
    nodes = [node("MatMul", ["x", "W"], ["h"]), node("Abs", ["h"], ["a"])]
    return model([*nodes, node(kind, ["a", "c"], ["y"], name="s")], [("W", W), ("c", tensor)])


MODELS = {
    "three products": (
        model([node("MatMul", ["x", "W"], ["a"]), node("Tanh", ["a"], ["b"]),
               node("MatMul", ["b", "W"], ["c"]), node("Tanh", ["c"], ["d"]),
               node("MatMul", ["d", "W"], ["y"])], [("W", W)]), ["W"]),
    "turned": (
        model([node("MatMul", ["x", "W"], ["a"]), node("Transpose", ["W"], ["V"]),
               node("MatMul", ["a", "V"], ["y"])], [("W", W)]), ["W"]),
    "under another name": (
        model([node("Identity", ["W"], ["V"]), node("MatMul", ["x", "V"], ["a"]),
               node("MatMul", ["a", "W"], ["y"])], [("W", W)]), ["W"]),
    "a bias twice": (
        model([node("MatMul", ["x", "W"], ["a"]), node("Add", ["a", "B"], ["b"]),
               node("MatMul", ["b", "V"], ["c"]), node("Add", ["c", "B"], ["y"])],
              [("W", W), ("V", W + 1), ("B", B)]), ["W", "B", "V"]),
    "a product with and without bias": (
        model([node("MatMul", ["x", "W"], ["a"]), node("Add", ["a", "B"], ["b"]),
               node("Relu", ["a"], ["c"]), node("Add", ["b", "c"], ["y"])],
              [("W", W), ("B", B)]), ["W", "B"]),
    "one bias for all units": (scaled("Add", ONE), ["W", "c"]),
    "one bias in Gemm": (
        model([node("Gemm", ["x", "W", "c"], ["y"])], [("W", W), ("c", ONE)]), ["W", "c"]),
    "a trained factor": (scaled("Mul", ONE), ["W", "c"]),
    "a trained exponent": (scaled("Pow", ONE), ["W", "c"]),
    "a trained divisor": (scaled("Div", ONE.reshape(1)), ["W", "c"]),
    "a trained maximum": (scaled("Max", ONE), ["W", "c"]),
    "a trained row": (scaled("Mul", B), ["W", "c"]),
    "a constant weight": (
        model([constant("W", W), node("MatMul", ["x", "W"], ["y"])], []), ["W"]),
    "a constant bias": (
        model([constant("c", B), node("Gemm", ["x", "W", "c"], ["y"])], [("W", W)]), ["W", "c"]),
    "alpha": (model([node("Gemm", ["x", "W"], ["y"], alpha=0.5)], [("W", W)]), ["0.weight"]),
    "beta": (model([node("Gemm", ["x", "W", "B"], ["y"], beta=2.0)], [("W", W), ("B", B)]),
             ["W", "B"]),
    "two branches": (
        model([node("MatMul", ["x", "W"], ["a"]), node("MatMul", ["x", "V"], ["b"]),
               node("Add", ["a", "b"], ["y"])], [("W", W), ("V", W + 1)]), ["W", "V"]),
    "a gate": (
        model([node("MatMul", ["x", "W"], ["a"]), node("Sigmoid", ["a"], ["s"]),
               node("Mul", ["x", "s"], ["y"])], [("W", W)]), ["W"]),
    "softmax": (
        model([node("MatMul", ["x", "W"], ["a"]), node("Softmax", ["a"], ["y"], axis=1)],
              [("W", W)]), ["W"]),
    "log softmax and a mean": (
        model([node("LogSoftmax", ["x"], ["a"]), node("ReduceMean", ["a"], ["m"], axes=[1]),
               node("Sub", ["a", "m"], ["y"])], []), []),
    "the largest": (
        model([node("ReduceMax", ["x"], ["m"], axes=[-1]), node("Sub", ["x", "m"], ["y"])], []),
        []),
    "parts": (
        model([node("Split", ["x", "sizes"], ["a", "b"], axis=1),
               node("Concat", ["b", "a", "b"], ["y"], axis=1)], [("sizes", np.array([1, 3]))]), []),
    "a slice": (
        model([node("Slice", ["x", "from", "to", "axis"], ["y"])],
              [("from", np.array([1])), ("to", np.array([3])), ("axis", AXIS)]), []),
    "an entry": (
        model([node("Gather", ["x", "two"], ["a"], axis=1), node("Unsqueeze", ["a", "axis"], ["b"]),
               node("Mul", ["x", "b"], ["y"])], [("two", np.array(2)), ("axis", AXIS)]), []),
    "batch norm": (
        model([node("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"])],
              [("g", B + 1), ("b", B), ("m", B / 2), ("v", B + 2)]), ["m", "v", "g", "b"]),
    "layer norm": (
        model([node("LayerNormalization", ["x", "g", "b"], ["y"], axis=-1)],
              [("g", B + 1), ("b", B)]), ["g", "b"]),
    "prelu": (model([node("PRelu", ["x", "s"], ["y"])], [("s", B / 3)]), ["s"]),
    "heads": (
        model([node("Reshape", ["x", "apart"], ["a"]), node("Transpose", ["a"], ["b"],
               perm=[0, 2, 1]), node("Reshape", ["b", "whole"], ["y"])],
              [("apart", np.array([0, 2, 2])), ("whole", np.array([-1, 4]))]), []),
    "einsum": (
        model([node("Einsum", ["x", "W"], ["y"], equation="bi,oi->bo")], [("W", W)]), ["weight"]),
}  # fmt: skip

ROW = np.array([0, 1, 4])
TAPS = np.random.default_rng(2).normal(size=(2, 1, 3)).astype(np.float32)


def of_a_row(kind, *more, tensors=(), opset=17, **fields):
    """An operator on (batch, 1, 4), its result as (batch, features)."""
    nodes = [node("Reshape", ["x", "row"], ["a"]), node(kind, ["a", *more], ["b"], **fields),
             node("Flatten", ["b"], ["y"])]  # fmt: skip
    return model(nodes, [("row", ROW), *tensors], opset=opset)


def whole(**numbers):
    return [(name, np.array(each)) for name, each in numbers.items()]


MODELS |= {
    "a convolution": (of_a_row("Conv", "W", tensors=[("W", TAPS)], pads=[1, 1]), ["W"]),
    "a convolution padded on one side": (
        of_a_row("Conv", "W", "B", tensors=[("W", TAPS), ("B", B[:2])], pads=[2, 0], strides=[2]),
        ["W", "B"]),
    "a convolution as long as its input": (
        of_a_row("Conv", "W", tensors=[("W", TAPS[:, :, :2])], auto_pad="SAME_UPPER"), ["W"]),
    "a transposed convolution": (
        of_a_row("ConvTranspose", "W", tensors=[("W", TAPS[:1].repeat(2, 1))], strides=[2],
                 pads=[0, 1]), ["W"]),
    "a transposed convolution, longer": (
        of_a_row("ConvTranspose", "W", tensors=[("W", TAPS[:1])], strides=[3], pads=[1, 1],
                 output_padding=[1]), ["W"]),
    "the largest of windows": (of_a_row("MaxPool", kernel_shape=[2], strides=[2]), []),
    "means of windows": (
        of_a_row("AveragePool", kernel_shape=[3], pads=[1, 1], count_include_pad=1), []),
    "means without padding": (of_a_row("AveragePool", kernel_shape=[3], pads=[1, 1]), []),
    "one mean": (of_a_row("GlobalAveragePool"), []),
    "the largest of all": (of_a_row("GlobalMaxPool"), []),
    "zeros around": (of_a_row("Pad", "w", tensors=whole(w=[0, 0, 1, 0, 0, 2])), []),
    "edges around": (
        of_a_row("Pad", "w", tensors=whole(w=[0, 0, 1, 0, 0, 2]), mode="edge"), []),
    "repeated": (of_a_row("Expand", "s", tensors=whole(s=[1, 3, 1])), []),
    "tiled": (of_a_row("Tile", "s", tensors=whole(s=[1, 1, 2])), []),
    "every second": (
        of_a_row("Slice", "f", "t", "k", "s", tensors=whole(f=[1], t=[4], k=[2], s=[2])), []),
    "backwards": (
        of_a_row("Slice", "f", "t", "k", "s", tensors=whole(f=[3], t=[-9], k=[2], s=[-1])), []),
    "two new lengths": (
        of_a_row("Unsqueeze", "s", tensors=whole(s=[1, 4])), []),
    "some entries": (of_a_row("Gather", "s", tensors=whole(s=[3, 0, 1]), axis=2), []),
    "windows of entries": (
        of_a_row("Gather", "s", tensors=whole(s=[[0, 1], [1, 2], [2, 3]]), axis=2), []),
}  # fmt: skip
MODELS |= {
    "a shape from lengths": (
        model([node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]),
               node("Unsqueeze", ["n", "zeros"], ["m"]),
               node("Concat", ["m", "rest"], ["t"], axis=0),
               node("Reshape", ["x", "t"], ["a"]), node("ReduceMax", ["a"], ["y"], axes=[2],
                                                        keepdims=0)],
              whole(zero=0, zeros=[0], rest=[2, 2])), []),
    "zeros for each sample": (
        model([node("Shape", ["x"], ["s"], start=0, end=1),
               node("Concat", ["s", "four"], ["t"], axis=0),
               constant("c", np.array(0.5, np.float32)), node("Expand", ["c", "t"], ["b"]),
               node("Sub", ["x", "b"], ["y"])], whole(four=[4])), []),
}  # fmt: skip


ONES, HALF = np.ones(1, np.float32), np.full(1, 0.5, np.float32)
MODELS |= {
    "a norm of each channel": (
        of_a_row("InstanceNormalization", "g", "s", tensors=[("g", ONES), ("s", HALF)]),
        ["g", "s"]),
    "the length of a vector": (
        of_a_row("ReduceL2", axes=[2], keepdims=1), []),
    "the sum of sizes": (of_a_row("ReduceL1", axes=[2], keepdims=1), []),
    "the sum of squares": (of_a_row("ReduceSumSquare", axes=[2], keepdims=1), []),
    "sums up to here": (of_a_row("CumSum", "k", tensors=whole(k=2)), []),
    "twice as fine": (
        of_a_row("Resize", "", "f", tensors=[("f", np.array([1, 1, 2], np.float32))],
                 mode="nearest", coordinate_transformation_mode="asymmetric",
                 nearest_mode="floor"), []),
    "between entries": (
        of_a_row("Resize", "", "f", tensors=[("f", np.array([1, 1, 1.75], np.float32))],
                 mode="linear",
                 coordinate_transformation_mode="align_corners"), ["Resize_1.grid"]),
    "between entries, by halves": (
        of_a_row("Resize", "", "f", tensors=[("f", np.array([1, 1, 1.5], np.float32))],
                 mode="linear", coordinate_transformation_mode="half_pixel"), ["Resize_1.grid"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_any_graph_is_read(name):
    content, names = MODELS[name]
    net, params = pb.from_onnx(content, loss=pb.MSELoss())
    assert sorted(params) == sorted(names)
    close(net.predict(params, X), run(content, X), np.float32)
    data = X.astype(float) + 0.01
    if net.trained:
        assert pb.check(net, params, data, np.ones_like(net.predict(params, data))).ok


def test_constants_and_statistics_are_not_trained():
    for name, frozen in (("a constant weight", {"W"}), ("batch norm", {"m", "v"})):
        net, params = pb.from_onnx(MODELS[name][0], loss=pb.MSELoss())
        assert set(params) - set(net.trained) == frozen
        drawn = net.init(seed=0)
        assert all(np.array_equal(drawn[each], params[each]) for each in frozen)


def test_rows_of_a_table():
    """Whole numbers that come in look rows up; a Cast makes numbers of them."""
    nodes = [
        node("Gather", ["W", "x"], ["a"]),
        node("ReduceSum", ["a", "one"], ["b"], keepdims=0),
        node("Cast", ["x"], ["c"], to=TensorProto.FLOAT),
        node("Add", ["b", "c"], ["y"]),
    ]
    content = model(nodes, [("W", W), ("one", AXIS)], kind=TensorProto.INT64)
    proto = onnx.load_model_from_string(content)
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    net, params = pb.from_onnx(proto.SerializeToString(), loss=pb.MSELoss())
    whole_X = np.array([[0, 3, 1, 1], [2, 2, 2, 0]])
    assert list(params) == ["W"]
    close(net.predict(params, whole_X), run(proto.SerializeToString(), whole_X), np.float32)


def test_two_inputs_are_read():
    content = model([node("Mul", ["x", "z"], ["a"]), node("MatMul", ["a", "W"], ["y"])],
                    [("W", W)], inputs=("x", "z"))  # fmt: skip
    net, params = pb.from_onnx(content, loss=pb.MSELoss())
    close(net.predict(params, {"x": X, "z": X + 1}), (X * (X + 1)) @ W, np.float32)
