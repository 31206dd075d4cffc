"""Networks of any axes and several inputs go out to torch, ONNX and jax, and compute the same."""

import importlib

import numpy as np
import onnxruntime
import pytest
import torch
from general_networks import GENERAL, IN_TRAINING
from matrix_networks import BY_HAND
from zoo import close

import pullback as pb

every = pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING], ids=repr)


def arrays(case):
    return list(case.X.values()) if isinstance(case.X, dict) else [case.X]


@every
def test_torch_computes_the_same_and_learns_the_same(case):
    module = pb.to_torch(case.net, case.params)
    assert set(module.state_dict()) == set(case.params)
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    assert trained == set(case.net.trained)
    output = module(*map(torch.from_numpy, arrays(case)))
    close(output.detach().numpy(), case.net.predict(case.params, case.X))
    if case.net.criterion.target == "classes" or type(case.net.criterion) is not pb.SquaredError:
        return
    residual = output - torch.from_numpy(case.Y)
    (0.5 * (residual**2).reshape(len(residual), -1).sum(1).mean()).backward()
    _, grads = case.net.eval().value_and_grad(case.params, case.X, case.Y)
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            close(parameter.grad.numpy(), grads[name])


@every
def test_onnxruntime_computes_the_same(case):
    held = {name: value.astype(np.float32) for name, value in case.params.items()}
    content = pb.to_onnx(case.net, held)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    feed = {
        name: x if x.dtype.kind == "i" else x.astype(np.float32)
        for name, x in zip(case.net.xs, arrays(case), strict=True)
    }
    (output,) = session.run(None, feed)
    np.testing.assert_allclose(output, case.net.predict(case.params, case.X), rtol=2e-5, atol=2e-5)


@every
def test_jax_computes_the_same(case):
    jax = importlib.import_module("jax")
    with jax.enable_x64(True):
        if case.net.noise:
            with pytest.raises(pb.errors.NotApplicableError, match=r"use to_jax\(net.eval\(\)\)"):
                pb.to_jax(case.net)
            return
        program = pb.to_jax(case.net)
        close(np.asarray(program.predict(case.params, case.X)),
              case.net.predict(case.params, case.X))  # fmt: skip
        value, grads = program.value_and_grad(case.params, case.X, case.Y)
        expected, ours = case.net.value_and_grad(case.params, case.X, case.Y)
        close(float(value), expected)
        assert set(grads) == set(ours)
        for name, gradient in grads.items():
            close(np.asarray(gradient), ours[name])
        after = case.net.updated(case.params, case.X)
        for name, value in program.updated(case.params, case.X).items():
            close(np.asarray(value), after[name])


@pytest.mark.parametrize("case", BY_HAND, ids=repr)
def test_blocks_by_hand_go_out(case):
    X, _ = case.data
    module = pb.to_torch(case.net, case.params)
    close(module(torch.from_numpy(X)).detach().numpy(), case.net.predict(case.params, X))
    held = {name: value.astype(np.float32) for name, value in case.params.items()}
    session = onnxruntime.InferenceSession(
        pb.to_onnx(case.net, held), providers=["CPUExecutionProvider"]
    )
    (output,) = session.run(None, {"x": X.astype(np.float32)})
    np.testing.assert_allclose(output, case.net.predict(case.params, X), rtol=1e-4, atol=1e-4)
