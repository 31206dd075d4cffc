"""Values and gradients are torch's, and so are the parameters' names, order and layout."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
import torch_peer
from zoo import ZOO, close, named

import pullback as pb

every_case = pytest.mark.parametrize("case", ZOO, ids=repr)


@every_case
def test_value_and_gradients(case):
    tight = 1e-10 if case.dtype is np.float64 else 1e-4
    value, grads = case.net.value_and_grad(case.params(), *case.data())
    expected, expected_grads = torch_peer.value_and_grad(case)
    assert value == pytest.approx(expected, rel=tight)
    assert list(grads) == list(expected_grads)
    for name, grad in grads.items():
        assert grad.dtype == case.dtype
        close(grad, expected_grads[name], case.dtype, tight=1e-10)


@every_case
def test_predict(case):
    output = case.net.predict(case.params(), case.data()[0])
    assert output.dtype == case.dtype
    close(output, torch_peer.predict(case), case.dtype)


@every_case
def test_state_dict(case):
    """Names, shapes and their order; a state dict goes from one to the other as it is."""
    state = torch_peer.module(case.model).state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == {
        k: v.shape for k, v in case.net.init(seed=0).items()
    }
    assert list(state) == list(case.net.init(seed=0))


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        (pb.MSELoss(), torch.nn.MSELoss(), "mse"),
        (pb.CrossEntropy(), torch.nn.CrossEntropyLoss(), "cross-entropy, labels"),
        (pb.CrossEntropy(), torch.nn.CrossEntropyLoss(), "cross-entropy, probabilities"),
        (pb.LogisticLoss(), torch.nn.SoftMarginLoss(), "logistic"),
    ],
)
def test_default_reductions_are_torchs(ours, theirs, name):
    """Our mean is over samples; where torch's is over entries too, one output makes them equal."""
    case = named(name)
    X, Y = case.data()
    net = pb.Network(case.model, loss=ours)
    z = torch_peer.twin(case)(torch.tensor(X))
    assert net.loss(case.params(), X, Y) == pytest.approx(theirs(z, torch.tensor(Y)).item())


def test_binary_cross_entropy_sums_over_outputs():
    """torch's default averages over outputs: three outputs, a third of ours."""
    case = named("logits, probabilities")
    X, Y = case.data()
    z = torch_peer.twin(case)(torch.tensor(X))
    theirs = torch.nn.BCEWithLogitsLoss()(z, torch.tensor(Y)).item()
    assert case.net.loss(case.params(), X, Y) == pytest.approx(3 * theirs)
