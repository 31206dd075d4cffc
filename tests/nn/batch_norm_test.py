"""Batch norm in both modes is torch's: values, gradients, and what it remembers of its batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import close

import pullback as pb
from pullback.calculus.backward import gradients
from pullback.errors import ConfigError, ShapeError
from pullback.ir import Contract, Input, simplify, walk
from pullback.ir.flow import flow
from pullback.ir.forms import Affine, Normalise, Rescale

OPTIONS = {
    "default": {},
    "average of all batches": {"momentum": None},
    "momentum and eps": {"momentum": 0.3, "eps": 1e-2},
    "without gain and bias": {"affine": False},
    "without memory": {"track_running_stats": False},
    "bare": {"affine": False, "track_running_stats": False},
}
SHAPES = {
    "features": (pb.BatchNorm1d, torch.nn.BatchNorm1d, (3,), "channels=3"),
    "length": (pb.BatchNorm1d, torch.nn.BatchNorm1d, (3, 4), "channels=3 length=4"),
    "pixels": (pb.BatchNorm2d, torch.nn.BatchNorm2d, (3, 2, 2), "channels=3 height=2 width=2"),
}


def pair(kind: str, options: dict[str, Any]) -> tuple[pb.Network, dict[str, Any], torch.nn.Module]:
    """Ours and torch's with the same parameters, drawn away from where they start."""
    ours, theirs, _, axes = SHAPES[kind]
    net = pb.Network(pb.Sequential(ours(3, **options)), pb.MSELoss(), x=axes)
    module = torch.nn.Sequential(theirs(3, **options)).double()
    start = net.init()
    assert list(start) == list(module.state_dict())
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(start[name], value)
    rng = np.random.default_rng(5)
    params = {
        name: value + (rng.uniform(0.5, 1.5, value.shape) if "num" not in name else 0.0)
        for name, value in start.items()
    }
    module.load_state_dict({name: torch.tensor(value) for name, value in params.items()})
    return net, params, module


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", SHAPES)
def test_three_steps_in_training_and_then_evaluation_are_torch_s(kind, options):
    net, params, module = pair(kind, options)
    rng = np.random.default_rng(0)
    for _ in range(3):
        X, Y = rng.normal(1.0, 2.0, (2, 5, *SHAPES[kind][2]))
        value, grads = net.value_and_grad(params, X, Y)
        module.zero_grad()
        loss = torch.nn.functional.mse_loss(module(torch.tensor(X)), torch.tensor(Y))
        assert value == pytest.approx(loss.item(), rel=1e-12)
        held = dict(module.named_parameters())
        assert set(grads) == set(held)
        if held:
            loss.backward()
        for name, gradient in grads.items():
            close(gradient, held[name].grad.numpy(), tight=1e-9)
        params = net.updated(params, X)
        for name, buffer in module.named_buffers():
            close(params[name], buffer.numpy(), tight=1e-12)
    close(net.predict(params, X), module.eval()(torch.tensor(X)).detach().numpy(), tight=1e-12)
    evaluated = net.eval()
    loss = torch.nn.functional.mse_loss(module(torch.tensor(X)), torch.tensor(Y))
    assert evaluated.loss(params, X, Y) == pytest.approx(loss.item(), rel=1e-12)
    assert evaluated.updated(params, X).keys() == params.keys()
    for name, value in evaluated.updated(params, X).items():
        np.testing.assert_array_equal(value, params[name])


@given(st.integers(2, 6), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_any_shape_is_normalised_and_its_gradient_is_torch_s(batch, channels, length, seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(2, batch, channels, length))
    model = pb.Sequential(pb.BatchNorm1d(channels), pb.Linear(length, 2))
    net = pb.Network(model, pb.MSELoss(), x=f"channels={channels} length={length}")
    module = torch.nn.Sequential(
        torch.nn.BatchNorm1d(channels), torch.nn.Linear(length, 2)
    ).double()
    params = net.init(seed=1)
    module.load_state_dict({name: torch.tensor(value) for name, value in params.items()})
    Y = Y[..., :1] + np.zeros(2)
    output = module(torch.tensor(X))
    loss = ((output - torch.tensor(Y)) ** 2).mean()
    value, grads = net.value_and_grad(params, X, Y)
    assert value == pytest.approx(loss.item(), rel=1e-9)
    loss.backward()
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(grads[name], parameter.grad.numpy(), rtol=1e-7, atol=1e-9)


def test_the_remembered_variance_is_unbiased_and_the_one_used_is_not():
    net = pb.Network(pb.BatchNorm1d(1, momentum=1.0, eps=0.0), pb.SquaredError())
    X = np.array([[0.0], [2.0]])
    assert net.updated(net.init(), X)["running_var"] == [2.0]
    assert net.loss(net.init(), X, np.array([[-1.0], [1.0]])) == 0.0  # the biased one is 1


def test_state_has_no_gradient_no_penalty_and_no_decay():
    model = pb.Sequential(pb.Linear(3, 4), pb.BatchNorm1d(4), pb.Linear(4, 2))
    net = pb.Network(model, pb.MSELoss(), l2=0.1)
    params, X = net.init(seed=0), np.random.default_rng(0).normal(size=(6, 3))
    Y = X[:, :2]
    state = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert set(params) - set(net.trained) == state
    assert set(net.value_and_grad(params, X, Y)[1]) == set(net.trained)
    plain = pb.Network(model, pb.MSELoss())
    squares = sum(np.sum(params[name] ** 2) for name in ("0.weight", "2.weight"))
    assert net.loss(params, X, Y) - plain.loss(params, X, Y) == pytest.approx(0.05 * squares)
    evaluated = net.eval()
    assert pb.jacobian(evaluated, params, X, wrt="params").shape[1] == sum(
        params[name].size for name in net.trained
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_bias_that_the_mean_takes_out_again_has_a_right_gradient_of_rounding(seed):
    net = pb.Network(
        pb.Sequential(pb.Linear(4, 5), pb.BatchNorm1d(5), pb.Tanh(), pb.Linear(5, 2)), pb.MSELoss()
    )
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(40, 4)), rng.normal(size=(40, 2))
    for each in (net, net.eval()):
        found = pb.check(each, net.init(seed), X, Y)
        assert found.ok, found.text()


def test_what_is_normalised_and_over_which_axes_is_read_from_the_nodes():
    net = pb.Network(pb.Sequential(pb.BatchNorm2d(3)), pb.MSELoss(),
                     x="channels=3 height=2 width=2")  # fmt: skip
    (form,) = (f for f in flow(net.built_graph).values() if isinstance(f, Normalise))
    assert [axis.name for axis in form.axes] == ["batch", "height", "width"]
    (rescaled,) = (f for f in flow(net.built_graph).values() if isinstance(f, Affine))
    assert (rescaled.weight.name, rescaled.bias.name) == ("0.weight", "0.bias")
    assert [type(f) for f in flow(net.eval().built_graph).values()] == [Rescale]


def test_one_entry_has_no_variance():
    net = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.BatchNorm1d(3)), pb.MSELoss())
    params, one = net.init(), np.ones((1, 2))
    says = r"at '1' takes the variance over batch, which holds one entry.*use net.eval\(\)"
    for reader in (
        lambda: net.value_and_grad(params, one, np.ones((1, 3))),
        lambda: net.loss(params, one, np.ones((1, 3))),
        lambda: net.trace(params, one, np.ones((1, 3))),
        lambda: net.updated(params, one),
        lambda: pb.fit(net, np.ones((5, 2)), np.ones((5, 3)), batch_size=2, progress=False),
        lambda: pb.fit(net, one, np.ones((1, 3)), optimizer=pb.optim.LBFGS(), progress=False),
    ):
        with pytest.raises(ShapeError, match=says):
            reader()
    assert net.predict(params, one).shape == (1, 3)
    length = pb.Network(pb.BatchNorm1d(2), pb.MSELoss(), x="channels=2 length=3")
    assert np.isfinite(length.loss(length.init(), np.ones((1, 2, 3)), np.ones((1, 2, 3))))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: pb.BatchNorm1d(0), ConfigError, "num_features"),
        (lambda: pb.BatchNorm1d(3, eps=-1.0), ConfigError, "eps is -1.0"),
        (lambda: pb.BatchNorm1d(3, momentum=1.5), ConfigError, "momentum is 1.5"),
        (lambda: pb.BatchNorm1d(3, affine=1), ConfigError, "affine"),
        (lambda: pb.Network(pb.BatchNorm1d(3), pb.MSELoss(), x="a=3 b=2 c=2"), ShapeError,
         r"takes \(batch, channels\) or \(batch, channels, length\)"),
        (lambda: pb.Network(pb.BatchNorm2d(3), pb.MSELoss(), x="a=3"), ShapeError,
         r"takes \(batch, channels, height, width\)"),
        (lambda: pb.Network(pb.BatchNorm1d(3), pb.MSELoss(), x="a=4"), ShapeError, "a=4"),
    ],
)  # fmt: skip
def test_what_makes_no_batch_norm_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize("kind", SHAPES)
def test_the_backward_pass_is_the_compact_one_over_any_axes(kind):
    """Nothing but δ and δ x̂ is summed: deviations from a mean sum to 0."""
    layer, _, _, axes = SHAPES[kind]
    net = pb.Network(pb.Sequential(pb.Tanh(), layer(3)), pb.MSELoss(), x=axes)
    x, (output,) = net.inputs[0], simplify(net.graph.roots["output"])
    seed = Input("seed", output.axes)
    sums = [
        node
        for node in walk(gradients(output, (x,), seed))
        if isinstance(node, Contract) and node.axes and x.axes[0] in node.summed
    ]
    assert sum(seed in set(walk((node,))) for node in sums) == 2
    assert len(sums) == 4  # and the mean and the variance
