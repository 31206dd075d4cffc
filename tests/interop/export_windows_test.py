"""Convolutions and pooling go out as torch's modules and ONNX's operators, where they are those."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest
import torch
from zoo import close

import pullback as pb

LINE, IMAGE = (4, 9), (4, 7, 6)
MODULES = {
    "Conv1d": [
        pb.Conv1d(4, 3, 3), pb.Conv1d(4, 3, 2, stride=2), pb.Conv1d(4, 6, 3, padding=2, groups=2),
        pb.Conv1d(4, 4, 3, groups=4, bias=False), pb.Conv1d(4, 8, 2, groups=4, stride=3),
        pb.Conv1d(4, 3, 3, dilation=2, padding=1, stride=2), pb.Conv1d(4, 3, 4, padding="same"),
        pb.Conv1d(4, 3, 3, padding="same", dilation=2), pb.Conv1d(4, 1, 1),
        pb.Conv1d(4, 3, 9), pb.Conv1d(4, 2, 5, stride=3, padding=2),
    ],
    "Conv2d": [
        pb.Conv2d(4, 3, 3), pb.Conv2d(4, 2, (2, 3), stride=(2, 1), padding=(0, 1)),
        pb.Conv2d(4, 4, 2, groups=2, dilation=(1, 2)), pb.Conv2d(4, 4, 3, padding="same", groups=4),
        pb.Conv2d(4, 2, (2, 3), padding="same"),
    ],
    "ConvTranspose1d": [
        pb.ConvTranspose1d(4, 3, 3), pb.ConvTranspose1d(4, 2, 3, stride=2, padding=1),
        pb.ConvTranspose1d(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2),
        pb.ConvTranspose1d(4, 4, 2, dilation=3, groups=4, bias=False),
        pb.ConvTranspose1d(4, 2, 2, stride=3, output_padding=2),
    ],
    "ConvTranspose2d": [
        pb.ConvTranspose2d(4, 3, 2, stride=2),
        pb.ConvTranspose2d(4, 2, (3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0)),
    ],
    "MaxPool1d": [
        pb.MaxPool1d(2), pb.MaxPool1d(3, stride=1, padding=1), pb.MaxPool1d(2, dilation=3),
        pb.MaxPool1d(2, stride=2, ceil_mode=True), pb.MaxPool1d(3, stride=2, padding=1),
    ],
    "MaxPool2d": [
        pb.MaxPool2d(2), pb.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0)),
        pb.MaxPool2d(2, ceil_mode=True),
    ],
    "AvgPool1d": [pb.AvgPool1d(2), pb.AvgPool1d(3, stride=1, padding=1), pb.AvgPool1d(4, stride=3)],
    "AvgPool2d": [pb.AvgPool2d(2), pb.AvgPool2d((3, 2), stride=(2, 1), padding=(1, 1))],
}  # fmt: skip
# what no module of torch says in the same way goes out step by step
STEPS = [
    pb.AvgPool1d(3, padding=1, count_include_pad=False), pb.AvgPool1d(2, ceil_mode=True),
    pb.AvgPool2d(2, divisor_override=3), pb.AdaptiveAvgPool1d(4), pb.AdaptiveAvgPool2d((3, 1)),
]  # fmt: skip
OPERATORS = {"Conv": "Conv", "ConvTranspose": "ConvTranspose", "MaxPool": "MaxPool",
             "AvgPool": "AveragePool"}  # fmt: skip
# onnx's own evaluator cannot run these
UNREAD = [MODULES["ConvTranspose1d"][2], MODULES["MaxPool1d"][1]]
EVERY = [block for blocks in MODULES.values() for block in blocks] + STEPS


def network(block: Any) -> tuple[pb.Network, dict[str, Any], Any]:
    shape = LINE if type(block).__name__.endswith("1d") else IMAGE
    text = " ".join(f"axis{at}={size}" for at, size in enumerate(shape))
    net = pb.Network(pb.Sequential(block, pb.Tanh()), pb.MSELoss(), x=text)
    rng = np.random.default_rng(0)
    params = {spec.name: rng.normal(size=spec.shape) for spec in net.specs}
    dtype = np.float64 if params else np.float32  # without parameters it is single precision
    return net, params, rng.normal(size=(3, *shape)).astype(dtype)


@pytest.mark.parametrize("block", EVERY, ids=repr)
def test_torch(block):
    net, params, X = network(block)
    module = pb.to_torch(net, params)
    assert set(module.state_dict()) == set(params)
    output = module(torch.from_numpy(X))
    close(output.detach().numpy(), net.predict(params, X), X.dtype)
    if params:
        (output**2).mean().backward()
        _, grads = net.value_and_grad(params, X, np.zeros(output.shape))
        for name, parameter in module.named_parameters():
            close(parameter.grad.numpy(), grads[name])


@pytest.mark.parametrize("block", EVERY, ids=repr)
def test_onnx(block):
    net, params, X = network(block)
    model = onnx.load_model_from_string(pb.to_onnx(net, params))
    if block not in UNREAD:
        (output,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": X})
        close(output, net.predict(params, X), X.dtype)
    held = {key: value.astype(np.float32) for key, value in params.items()}
    session = onnxruntime.InferenceSession(
        pb.to_onnx(net, held), providers=["CPUExecutionProvider"]
    )
    (output,) = session.run(None, {"x": X.astype(np.float32)})
    np.testing.assert_allclose(output, net.predict(params, X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_they_are_modules_and_operators(name):
    for block in MODULES[name]:
        net, params, _ = network(block)
        module = pb.to_torch(net, params)
        assert type(module) is torch.nn.Sequential
        assert type(module[0]) is getattr(torch.nn, name)
        model = onnx.load_model_from_string(pb.to_onnx(net, params))
        assert [node.op_type for node in model.graph.node] == [OPERATORS[name[:-2]], "Tanh"]
