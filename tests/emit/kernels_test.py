"""The program that runs calls kernels where windows go over a batch: the same values as without."""

import numpy as np
import pytest

import pullback as pb
from pullback import emit
from pullback.net.program import execute

NETS = {
    "padded max pool": [pb.Conv2d(2, 6, 3, padding=1), pb.ReLU(), pb.MaxPool2d(3, 2, padding=1)],
    "two layers and pools": [
        pb.Conv2d(2, 4, 3, bias=False), pb.ReLU(), pb.MaxPool2d(2), pb.Conv2d(4, 3, 2), pb.Tanh(),
        pb.MaxPool2d(2, 1),
    ],
    "groups and strides": [
        pb.Conv2d(2, 4, 3, stride=2, padding=2, dilation=2, groups=2), pb.Sigmoid(),
        pb.Conv2d(4, 4, 2, groups=4),
    ],
    "transposed": [pb.ConvTranspose2d(2, 4, 3, stride=2, padding=1), pb.Tanh(), pb.AvgPool2d(3, 2)],
    "means with padding": [pb.Conv2d(2, 4, 3), pb.ReLU(), pb.AvgPool2d(3, 2, padding=1)],
    "a norm and a linear layer": [
        pb.Conv2d(2, 4, 3), pb.BatchNorm2d(4), pb.ReLU(), pb.MaxPool2d(2), pb.Flatten(),
        pb.Linear(36, 3),
    ],
}  # fmt: skip
KERNELS = {
    "padded max pool": {"to_positions", "to_taps", "pooled", "pooled_back"},
    "two layers and pools": {"to_positions", "to_taps", "to_places", "pooled", "pooled_back"},
    "groups and strides": {"to_positions", "to_taps", "to_places"},
    "transposed": {"to_places", "to_taps", "summed", "summed_back"},
    "means with padding": {"to_positions", "to_taps", "summed", "summed_back"},
    "a norm and a linear layer": {"to_positions", "to_taps", "pooled", "pooled_back"},
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("samples", [1, 2, 19])
def test_with_kernels_and_without(name, samples):
    net = pb.Network(pb.Sequential(*NETS[name]), pb.MSELoss(), x="channels=2 height=8 width=8")
    params, rng = net.init(seed=1), np.random.default_rng(0)
    X = rng.standard_normal((samples, 2, 8, 8))
    Y = rng.standard_normal(net.predict(params, X).shape)
    mode, inputs = net.batch(params, X, Y)
    program = mode.value_and_grad_program
    found = program(params, inputs)

    plain = emit.lower(program.roots, emit.inplace.RESERVED, mode.inputs)
    own = execute(emit.inplace.emit(plain, "Without."), {})
    expected = {key: np.empty_like(value) for key, value in found.items() if np.ndim(value)}
    (loss,) = own["run"](params, inputs, own["workspace"](samples, np.float64), expected)
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-12)
    for key, value in expected.items():
        scale = max(1.0, np.abs(value).max())
        np.testing.assert_allclose(found[key], value, atol=1e-11 * scale, rtol=0)


@pytest.mark.parametrize("name", NETS)
def test_which_kernels_are_called(name):
    """And nothing is read by windows beside them, nor brought into an order twice."""
    net = pb.Network(pb.Sequential(*NETS[name]), pb.MSELoss(), x="channels=2 height=8 width=8")
    source = net.value_and_grad_program.source
    called = {each for each in set().union(*KERNELS.values()) if f"{each}(" in source}
    assert called == KERNELS[name]
    assert "np.argmax" not in source
    assert source.count(".transpose(3, 0, 1, 2)") <= 1  # the batch comes to the front at most once


def test_printed_code_needs_no_kernels():
    net = pb.Network(pb.Sequential(*NETS["padded max pool"]), pb.MSELoss(),
                     x="channels=2 height=8 width=8")  # fmt: skip
    assert "pullback" not in pb.derive(net).code("numpy").split('"""', 2)[-1]


def test_ties_go_to_the_first_as_without():
    """Many equal entries, also at 0 behind a ReLU."""
    net = pb.Network(pb.Sequential(pb.Conv2d(1, 1, 1), pb.ReLU(), pb.MaxPool2d(2)), pb.MSELoss(),
                     x="channels=1 height=4 width=4")  # fmt: skip
    params = {"0.weight": np.ones((1, 1, 1, 1)), "0.bias": np.zeros(1)}
    X = np.random.default_rng(0).integers(-1, 2, (40, 1, 4, 4)).astype(float)
    checked = pb.check(net, params, X, np.zeros((40, 1, 2, 2)))
    torch = pytest.importorskip("torch")
    module = pb.to_torch(net, params)
    x = torch.from_numpy(X)
    torch.nn.functional.mse_loss(module(x), torch.zeros(40, 1, 2, 2, dtype=x.dtype)).backward()
    _, grads = net.value_and_grad(params, X, np.zeros((40, 1, 2, 2)))
    for mine, theirs in zip(grads.values(), module.parameters(), strict=True):
        np.testing.assert_allclose(mine, theirs.grad.numpy(), atol=1e-12)
    assert checked is not None
