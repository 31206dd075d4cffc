"""Mutated ONNX files: each loads and runs, or is refused by an error of ours."""

from __future__ import annotations

import collections
import warnings

import numpy as np
import onnx

import pullback as pb
from pullback.errors import PullbackError


def seeds() -> list[bytes]:
    """Files to start from: layers, skips, formulas, constants, both precisions."""
    L, R, S = pb.Linear, pb.Residual, pb.Sequential
    models = [
        S(L(4, 3), pb.Tanh(), L(3, 2)),
        S(L(3, 4), R(S(L(4, 4), pb.ReLU(), L(4, 4)), 0.5), pb.GELU(), L(4, 1)),
        S(L(2, 3), pb.Activation("where(x > 0, x, 1.5*x)"), pb.SELU(), L(3, 2, bias=False)),
        S(L(4, 4, name="body.fc"), pb.LeakyReLU(0.2), L(4, 2, name="head")),
    ]
    found = []
    for at, model in enumerate(models):
        net = pb.Network(model, loss=pb.MSELoss())
        params = net.init(seed=at, dtype=(np.float32, np.float64)[at % 2])
        found.append(pb.to_onnx(net, params))
    return found


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with a few bits, bytes or stretches changed, or fields of the model."""
    if rng.random() < 0.6:
        for _ in range(rng.integers(1, 3)):
            content = _field(content, rng)
        return content
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(data))) if data else 0
        match rng.integers(5):
            case 0:
                data[at : at + 1] = bytes([data[at] ^ (1 << int(rng.integers(8)))]) if data else b""
            case 1:
                data[at : at + 1] = rng.bytes(1)
            case 2:
                del data[at : at + int(rng.integers(1, 20))]
            case 3:
                data[at:at] = rng.bytes(int(rng.integers(1, 12)))
            case _:
                data[at:at] = data[int(rng.integers(len(data) + 1)) :][:16]
    return bytes(data)


def _field(content: bytes, rng: np.random.Generator) -> bytes:
    """The model with one thing of its graph changed, if it still is a model."""
    try:
        proto = onnx.load_model_from_string(content)
    except Exception:  # damaged before: it stays so
        return content
    graph = proto.graph
    nodes, tensors = list(graph.node), list(graph.initializer)
    node = nodes[int(rng.integers(len(nodes)))] if nodes else None
    tensor = tensors[int(rng.integers(len(tensors)))] if tensors else None
    numbers = (-1, 0, 1, 3, 2**31, 2**62)
    number = numbers[int(rng.integers(len(numbers)))]
    kinds = ("Add", "Mul", "Transpose", "Identity", "Clip", "Conv", "Loop", "Reshape", "", "\x1b[")
    match rng.integers(9):
        case 0 if node:
            node.op_type = kinds[int(rng.integers(len(kinds)))]
        case 1 if node and node.input:
            node.input[int(rng.integers(len(node.input)))] = ("x", "", "output", "nowhere")[
                int(rng.integers(4))
            ]
        case 2 if node and len(node.input) > 1:
            node.input.pop()
        case 3 if node:
            graph.node.remove(node)
        case 4 if tensor and tensor.dims:
            tensor.dims[0] = number
        case 5 if tensor:
            tensor.data_type = int(rng.integers(-1, 30))
        case 6 if tensor:
            tensor.name = ('a"b', "a\nb", tensors[0].name, "x", "")[int(rng.integers(5))]
        case 7 if node:
            graph.node.append(node)
        case 8 if proto.opset_import:
            proto.opset_import[0].version = number
    return proto.SerializeToString()


def files(count: int, seed: int) -> str:
    """Read that many mutated files; one closing line of counts."""
    counts: collections.Counter[str] = collections.Counter()
    start = seeds()
    for at in range(count):
        rng = np.random.default_rng([seed, at])
        content = mutated(start[at % len(start)], rng)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                net, params = pb.from_onnx(content, loss=pb.MSELoss())
                net.predict(params, rng.normal(size=(3, net.n_in or 2)))
        except PullbackError as fault:
            shown = str(fault).replace("\n", "").isprintable()
            counts[type(fault).__name__ if shown else "control characters"] += 1
        else:
            counts["read"] += 1
    told = ", ".join(f"{number} {name}" for name, number in counts.most_common())
    return f"{count} files: {told}"


def test_mutated_files_are_read_or_refused(size):
    closing = files(size(300, 10_000), seed=0)
    print(closing)
    assert "read" in closing
    assert "DataError" in closing
    assert "ConversionError" in closing
    assert "control" not in closing
