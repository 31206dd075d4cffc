"""What people do around a module: forwards put on one object, what is not registered, data sets."""

from __future__ import annotations

import functools
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoo import close

import pullback as pb
from pullback.errors import ConfigError, ConversionError

X = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
CLASSES = torch.arange(12) % 3
CE, MSE = nn.CrossEntropyLoss(), nn.MSELoss()
FIT = dict(epochs=1, batch_size=4, progress=False, engine="numpy")


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def by_closure(m):
    old = m[0].forward
    m[0].forward = lambda x: 2 * old(x)


def by_partial(m):
    m[0].forward = functools.partial(lambda f, x: 2 * f(x), m[0].forward)


def by_default(m):
    m[0].forward = lambda x, layer=m[0]: F.linear(x, 2 * layer.weight, layer.bias)


def by_global(m):
    code = "lambda x: layer.bias + x @ layer.weight.T * 2"
    m[0].forward = types.FunctionType(compile(code, "t", "eval").co_consts[0], {"layer": m[0]})


def by_method(m):
    m[1].forward = types.MethodType(lambda self, x: torch.tanh(2 * x), m[1])


def without_closure(m):
    m[1].forward = lambda x: 2 * F.silu(x)


def at_the_top(m):
    m.forward = lambda x, f=m.forward: 2 * f(x)


@pytest.mark.parametrize(
    "put",
    [by_closure, by_partial, by_default, by_global, by_method, without_closure, at_the_top],
)
def test_a_forward_of_one_object_works_on_the_copy(put):
    module = mlp()
    put(module)
    net, params = pb.from_torch(module, CE)
    assert set(net.trained) == set(module.state_dict())
    value, grads = net.value_and_grad(params, X, CLASSES)
    loss = CE(module(X), CLASSES)
    loss.backward()
    assert value == pytest.approx(loss.item(), rel=1e-12)
    for name, parameter in module.named_parameters():
        close(grads[name], parameter.grad.numpy(), tight=1e-9)


ELSEWHERE = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)


class Plain(nn.Module):
    """One whose layers, or parameters, stand in a list of Python's."""

    def __init__(self, kept, how):
        super().__init__()
        self.kept, self.how, self.out = kept, how, nn.Linear(3, 3)

    def forward(self, x):
        return self.out(self.how(self.kept, x))


@pytest.mark.parametrize(
    "module",
    [
        Plain([nn.Linear(4, 3)], lambda kept, x: kept[0](x)),
        Plain([nn.Linear(4, 3).double()], lambda kept, x: kept[0](x)),
        Plain([nn.Parameter(torch.ones(4, 3).double())], lambda kept, x: x @ kept[0]),
        Plain(None, lambda kept, x: x @ ELSEWHERE),
    ],
    ids=["layers", "layers of float64", "parameters", "elsewhere"],
)
def test_what_is_not_the_module_s_own_is_refused(module):
    with pytest.raises(ConversionError, match=r"none of the module's own.*ParameterList"):
        pb.from_torch(module.double(), MSE, example=X)


def test_a_penalty_of_weights_in_the_loss_is_not_lost():
    module = mlp()
    penalty = lambda: 0.1 * sum(p.square().sum() for p in module.parameters())  # noqa: E731
    with pytest.raises(ConversionError, match=r"computed of parameters elsewhere.*l2="):
        pb.from_torch(module, lambda z, y: F.cross_entropy(z, y) + penalty())


@pytest.mark.parametrize(
    "loss",
    [lambda z, y: CE(z[0], y[0]) + MSE(z[1], y[1]), lambda z, y: CE(z["a"], y)],
    ids=["tuple", "dict"],
)
def test_a_loss_of_several_outputs_says_what_to_do(loss):
    with pytest.raises(ConversionError, match=r"takes several outputs.*output=…, or join them"):
        pb.from_torch(mlp(), loss)


def test_a_lazy_module_says_to_run_it():
    lazy = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))
    for call in (lambda: pb.fit(lazy, X, CLASSES, loss=CE), lambda: pb.jacobian(lazy, X)):
        with pytest.raises(ConversionError, match=r"run the module once, as module\(X\[:1\]\)"):
            call()
    with torch.device("meta"):
        empty = nn.Linear(4, 3)
    with pytest.raises(ConversionError, match=r"weight has no values yet: .*load_state_dict"):
        pb.ntk(empty, X)


def test_batch_norm_in_training_is_fitted():
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()
    found = pb.fit(module, X, CLASSES, loss=CE, **FIT).params
    assert found["1.num_batches_tracked"] == 3
    module.load_state_dict({name: torch.as_tensor(value) for name, value in found.items()})


def test_a_data_set_is_given_as_batches():
    data = torch.utils.data.TensorDataset(X, CLASSES)
    net, params = pb.from_torch(mlp(), CE)
    for call in (lambda: pb.fit(mlp(), data), lambda: pb.fit(net, data, params=params)):
        with pytest.raises(ConfigError, match=r"X is a TensorDataset; .*DataLoader\(X, batch_size"):
            call()


@pytest.mark.parametrize("call", [pb.forecast, pb.report])
def test_a_question_without_its_targets(call):
    with pytest.raises(ConfigError, match=f"{call.__name__} needs Y"):
        call(mlp(), X)


def test_state_dicts_and_parameters_as_they_are():
    module = mlp()
    net, params = pb.from_torch(module, CE)
    expected = net.predict(params, X)
    for held in (module.state_dict(), dict(module.named_parameters())):
        assert np.array_equal(net.predict(held, X), expected)
        assert pb.jacobian(module, held, X).shape == (12, 3, 4)
    half, small = mlp().bfloat16(), X.bfloat16()
    net, params = pb.from_torch(half, CE)
    assert np.array_equal(net.predict(half.state_dict(), small), net.predict(params, small.float()))


def test_coordinates_that_a_call_makes_leaves_of_are_no_parameters():
    """As SIREN's forward does, so that a caller can differentiate by them."""

    class Siren(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(2, 3)

        def forward(self, coords):
            coords = coords.clone().detach().requires_grad_(True)
            return torch.sin(self.net(coords)), coords

    net, params = pb.from_torch(Siren(), nn.MSELoss(), example=torch.ones(2, 2))
    assert net.predict(params, np.zeros((1, 2))).shape == (1, 3)


class Shortcut(nn.Module):
    """A block whose shortcut is an empty Sequential, as in many ResNets."""

    def __init__(self):
        super().__init__()
        self.inner, self.shortcut = nn.Linear(4, 4), nn.Sequential()

    def forward(self, x):
        return torch.relu(self.inner(x) + self.shortcut(x))


def test_an_empty_sequential_changes_nothing():
    module = nn.Sequential(Shortcut(), nn.Sequential(), nn.Linear(4, 3)).double()
    net, params = pb.from_torch(module, CE)
    close(net.predict(params, X.numpy()), module(X).detach().numpy())
