"""A module in training mode is read in it: batch statistics, running ones, and evaluation after."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from zoo import close

import pullback as pb
from pullback.errors import ConversionError, NotApplicableError
from pullback.interop.operators import reductions

RNG = np.random.default_rng(0)


def around(norm, width=5):
    return nn.Sequential(nn.Linear(4, width), norm, nn.Tanh(), nn.Linear(width, 2)).double()


NORMS = {
    "default": lambda: nn.BatchNorm1d(5),
    "average of all batches": lambda: nn.BatchNorm1d(5, momentum=None),
    "without gain and bias": lambda: nn.BatchNorm1d(5, affine=False, momentum=0.3),
    "without memory": lambda: nn.BatchNorm1d(5, track_running_stats=False),
}


@pytest.mark.parametrize("name", NORMS)
def test_training_mode_is_read_and_goes_on_as_torch_does(name):
    module = around(NORMS[name]())
    module(torch.randn(8, 4, dtype=torch.float64))  # statistics away from where they start
    before = {n: value.clone() for n, value in module.state_dict().items()}
    net, params = pb.from_torch(module, nn.MSELoss())
    assert all(torch.equal(value, module.state_dict()[n]) for n, value in before.items())
    assert list(params) == list(before)
    assert net.training
    X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 2))
    for _ in range(2):
        value, grads = net.value_and_grad(params, X, Y)
        params = net.updated(params, X)
        module.zero_grad()
        loss = nn.functional.mse_loss(module(torch.tensor(X)), torch.tensor(Y))
        loss.backward()
        assert value == pytest.approx(loss.item(), rel=1e-12)
        for each, parameter in module.named_parameters():
            close(grads[each], parameter.grad.numpy(), tight=1e-9)
        for each, buffer in module.named_buffers():
            close(params[each], buffer.numpy(), tight=1e-12)
    module.eval()
    close(net.predict(params, X), module(torch.tensor(X)).detach().numpy(), tight=1e-12)
    again = around(NORMS[name]())
    again.load_state_dict({each: torch.tensor(value) for each, value in params.items()})
    for each, value in again.state_dict().items():
        close(value.numpy(), module.state_dict()[each].numpy(), tight=1e-12)


def test_a_module_in_evaluation_has_one_mode_and_frozen_statistics():
    module = around(nn.BatchNorm1d(5)).eval()
    net, params = pb.from_torch(module, nn.MSELoss())
    assert not net.two_modes
    assert net.eval() is net
    x = RNG.normal(size=(3, 4))
    assert pb.jacobian(net, params, x).shape == (3, 2, 4)
    norm_only = around(nn.BatchNorm1d(5))
    norm_only[1].eval()  # as a backbone that is fine-tuned
    assert not pb.from_torch(norm_only, nn.MSELoss())[0].two_modes


def test_one_channel_of_statistics_is_no_constant():
    for mode in (True, False):
        module = around(nn.BatchNorm1d(1), width=1).train(mode)
        net, params = pb.from_torch(module, nn.MSELoss())
        assert params["1.running_var"].shape == (1,)
        x = RNG.normal(size=(4, 4))
        close(net.predict(params, x), module.eval()(torch.tensor(x)).detach().numpy())


def test_what_needs_samples_alone_says_so():
    net, params = pb.from_torch(around(nn.BatchNorm1d(5)), nn.MSELoss())
    with pytest.raises(NotApplicableError, match=r"the block at '1'.*use net.eval\(\)"):
        pb.jacobian(net, params, np.ones((3, 4)))
    assert pb.jacobian(net.eval(), params, np.ones((3, 4))).shape == (3, 2, 4)


def test_statistics_that_go_another_way_are_found(monkeypatch):
    """Half as far as torch's: the forward pass of training does not show it."""
    right = reductions.remember
    monkeypatch.setattr(
        reductions, "remember", lambda at, momentum, *rest: right(at, momentum / 2, *rest)
    )
    with pytest.raises(ConversionError, match=r"differ .*'1.running_mean'.* after 2 steps"):
        pb.from_torch(around(nn.BatchNorm1d(5)), nn.MSELoss())


def test_our_networks_go_out_with_their_statistics_and_are_torch_s_in_evaluation():
    model = pb.Sequential(
        pb.Linear(4, 5), pb.BatchNorm1d(5), pb.ReLU(), pb.Dropout(), pb.Linear(5, 2)
    )
    net = pb.Network(model, pb.MSELoss())
    params = {name: value + 0.25 for name, value in net.init(seed=0).items()}
    module, x = pb.to_torch(net, params), RNG.normal(size=(6, 4))
    assert set(module.state_dict()) == set(params)
    close(module(torch.tensor(x)).detach().numpy(), net.predict(params, x), tight=1e-12)
    theirs = nn.Sequential(
        nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 2)
    ).double()
    theirs.load_state_dict(module.state_dict())
    close(theirs.eval()(torch.tensor(x)).detach().numpy(), net.predict(params, x), tight=1e-12)
