"""Targets are never broadcast: the outputs' shape, the column that is meant, or an error."""

import warnings

import numpy as np
import pytest
import torch

import pullback as pb
from pullback.errors import DTypeError, PullbackWarning, ShapeError

X = np.random.default_rng(0).normal(size=(5, 3))
ROW = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
LOSSES = {
    "SquaredError": (pb.SquaredError(), ROW),
    "MSELoss": (pb.MSELoss(), ROW),
    "BinaryCrossEntropy": (pb.BinaryCrossEntropy(), ROW),
    "BCELoss": (pb.BCELoss(), ROW),
    "LogisticLoss": (pb.LogisticLoss(), 2 * ROW - 1),
}
losses = pytest.mark.parametrize(("loss", "y"), LOSSES.values(), ids=LOSSES.keys())


def network(loss, outputs=1):
    net = pb.Network(pb.Linear(3, outputs), loss=loss)
    return net, net.init(seed=0)


@losses
@pytest.mark.filterwarnings("ignore::pullback.errors.PullbackWarning")
def test_one_number_a_sample_is_the_column_for_one_output(loss, y):
    net, params = network(loss)
    value, grads = net.value_and_grad(params, X, y)
    expected, theirs = net.value_and_grad(params, X, y[:, None])
    assert value == expected
    for name, grad in grads.items():
        np.testing.assert_array_equal(grad, theirs[name])


@losses
@pytest.mark.parametrize(
    ("shape", "outputs"),
    [
        ((5,), 2),
        ((5, 1), 2),
        ((1, 5), 1),
        ((1,), 1),
        ((1, 1), 1),
        ((), 1),
        ((5, 5), 1),
        ((2, 5), 2),
    ],
)
def test_whatever_would_have_to_be_broadcast_is_an_error_with_both_shapes(loss, y, shape, outputs):
    net, params = network(loss, outputs)
    Y = np.broadcast_to(y[0], shape)
    with pytest.raises(ShapeError) as caught:
        net.loss(params, X, Y)
    said = str(caught.value)
    assert "5" in said
    assert "scalar" in said or str(shape) in said


@pytest.mark.parametrize(
    ("shape", "outputs", "fix"),
    [((1, 5), 1, "Y.T"), ((2, 5), 2, "Y.T"), ((5, 1, 1), 1, "Y.reshape(-1, 1)")],
)
def test_a_shape_that_is_nearly_right_is_told_how(shape, outputs, fix):
    net, params = network(pb.SquaredError(), outputs)
    with pytest.raises(ShapeError) as caught:
        net.loss(params, X, np.zeros(shape))
    assert fix in str(caught.value)


def test_a_column_of_class_numbers_is_told_how():
    net, params = network(pb.CrossEntropy(), 2)
    with pytest.raises(ShapeError, match=r"Y\.ravel\(\)"):
        net.loss(params, X, ROW[:, None])


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 2)])
def test_a_network_that_keeps_the_width_wants_targets_as_wide(shape):
    net = pb.Network(pb.Tanh(), loss=pb.SquaredError())
    with pytest.raises(ShapeError, match="outputs=3"):
        net.loss({}, X, np.zeros(shape))


def test_only_the_loss_that_torch_broadcasts_warns_and_names_the_fix():
    net, params = network(pb.MSELoss())
    with pytest.warns(
        PullbackWarning, match=r"\(5,\) as the column \(5, 1\).*Y\[:, None\]"
    ) as seen:
        net.loss(params, X, ROW)
    assert seen[0].filename == __file__
    quiet = [(net, params, ROW[:, None]), (*network(pb.SquaredError()), ROW)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each, start, Y in quiet:
            each.loss(start, X, Y)


def test_torch_agrees_on_the_column_and_not_on_the_row():
    module = torch.nn.Linear(3, 1).double()
    net, params = pb.from_torch(module, loss=torch.nn.MSELoss())
    outputs, y = module(torch.tensor(X)), torch.tensor(ROW)
    with pytest.warns(PullbackWarning):
        ours = net.loss(params, X, y)
    np.testing.assert_allclose(ours, torch.nn.MSELoss()(outputs, y[:, None]).item())
    with pytest.warns(UserWarning, match="broadcasting"):
        theirs = torch.nn.MSELoss()(outputs, y).item()
    assert abs(ours - theirs) > 0.01


@pytest.mark.parametrize("Y", [None, ROW * 1j, np.full(5, "a"), np.full(5, None)])
def test_targets_that_are_no_numbers_are_an_error(Y):
    net, params = network(pb.SquaredError())
    with pytest.raises(DTypeError, match="Y has dtype"):
        net.loss(params, X, Y)
