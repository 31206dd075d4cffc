"""ONNX models made by hand, and what onnxruntime computes of them."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPTIONS = onnxruntime.SessionOptions()
OPTIONS.intra_op_num_threads = OPTIONS.inter_op_num_threads = 1
OPTIONS.log_severity_level = 4


def run(content, X):
    """The output by onnxruntime."""
    session = onnxruntime.InferenceSession(content, OPTIONS)
    (source,) = session.get_inputs()
    return session.run(None, {source.name: X})[0]


def model(nodes, tensors, inputs=("x",), outputs=("y",), kind=TensorProto.FLOAT, opset=17):
    """The bytes of a model made by hand."""
    tensors = [
        t if isinstance(t, TensorProto) else numpy_helper.from_array(t[1], t[0]) for t in tensors
    ]
    graph = helper.make_graph(
        nodes,
        "made by hand",
        [helper.make_tensor_value_info(name, kind, ["n", 4]) for name in inputs],
        [helper.make_tensor_value_info(name, kind, ["n", None]) for name in outputs],
        tensors,
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("custom", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def constant(name, value):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))


W = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
B = np.arange(4, dtype=np.float32)
node = helper.make_node
