"""Whatever moves entries goes out to torch and ONNX, and computes the same there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx.reference
import onnxruntime
import pytest
import torch
from pattern_cases import CASES, N, leaves_of
from zoo import close

import pullback as pb
from pullback.ir import Input, Node, Rename
from pullback.ir.build import spread
from pullback.ir.lift import lifted
from pullback.net.inputs import BATCH
from pullback.nn import Block, Scope

every = pytest.mark.parametrize("name", CASES)


@dataclass(frozen=True, eq=False)
class Moved(Block):
    """One of the cases: what has the batch comes in, everything else is a parameter."""

    name: str

    def build(self, x: Any, at: Scope) -> Node:
        given = x if isinstance(x, dict) else {"x": x}
        node = CASES[self.name]
        instead: dict[Node, Node] = {
            leaf: Rename(given[leaf.name], ((BATCH, N),)) if N in leaf.axes
            else at.parameter(leaf.name, leaf.axes)
            for leaf in reads(self.name)
        }  # fmt: skip
        (found,) = lifted([node], instead)
        if N in found.axes:
            found = Rename(found, ((N, BATCH),))
        rest = (axis for axis in found.axes if axis != BATCH)
        return at.a(spread(found, (BATCH, *rest)))


def reads(name: str) -> list[Input]:
    inside = walked(CASES[name])
    return [leaf for leaf in leaves_of(CASES[name]) if leaf in inside or leaf.name == "x"]


def walked(node: Node) -> set[Node]:
    return {node}.union(*(walked(arg) for arg in node.args))


def network(name: str) -> tuple[pb.Network, dict[str, Any], list[Any]]:
    leaves = [leaf for leaf in reads(name) if N in leaf.axes]
    text = {
        leaf.name: " ".join(f"{a.name}={a.size}" for a in leaf.axes if a != N) for leaf in leaves
    }
    net = pb.Network(Moved(name), loss=pb.SquaredError(), x=text)
    rng = np.random.default_rng(0)
    params = {spec.name: rng.normal(size=spec.shape) for spec in net.specs}
    given = [rng.normal(size=(3, *(a.size for a in leaf.axes if a != N))) for leaf in leaves]
    return net, params, given


@every
def test_torch(name):
    net, params, given = network(name)
    module = pb.to_torch(net, params)
    assert set(module.state_dict()) == set(params)
    output = module(*map(torch.from_numpy, given))
    close(output.detach().numpy(), net.predict(params, dict(zip(net.xs, given, strict=True))))
    if params:
        (output**2).sum().backward()
        _, grads = net.value_and_grad(
            params, dict(zip(net.xs, given, strict=True)), np.zeros(output.shape)
        )
        for key, parameter in module.named_parameters():
            close(parameter.grad.numpy() / (2 * len(output)), grads[key])


@every
def test_onnx(name):
    net, params, given = network(name)
    content = pb.to_onnx(net, params)
    feed = dict(zip(net.xs, given, strict=True))
    reference = onnx.reference.ReferenceEvaluator(onnx.load_model_from_string(content))
    (output,) = reference.run(None, feed)
    close(output, net.predict(params, feed))
    held = {key: value.astype(np.float32) for key, value in params.items()}
    session = onnxruntime.InferenceSession(
        pb.to_onnx(net, held), providers=["CPUExecutionProvider"]
    )
    (output,) = session.run(None, {key: value.astype(np.float32) for key, value in feed.items()})
    np.testing.assert_allclose(output, net.predict(params, feed), rtol=1e-4, atol=1e-5)
