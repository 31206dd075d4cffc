"""A network that goes out to torch computes the same there, and comes back as it was."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from zoo import ZOO, close, named

import pullback as pb

every_case = pytest.mark.parametrize("case", ZOO, ids=repr)


@every_case
def test_torch_computes_the_same(case):
    params, (X, _) = case.params(), case.data()
    module = pb.to_torch(case.net, params)
    state = module.state_dict()
    assert isinstance(module, nn.Module)
    assert {key: value.shape for key, value in params.items()} == {
        key: tuple(value.shape) for key, value in state.items()
    }
    assert all(np.array_equal(state[key].numpy(), params[key]) for key in params)
    output = module(torch.from_numpy(X))
    assert output.dtype == torch.from_numpy(X).dtype
    close(output.detach().numpy(), case.net.predict(params, X), case.dtype)


@every_case
def test_what_comes_back_is_what_went_out(case):
    """The blocks too, but for the text of a formula."""
    params, (X, _) = case.params(), case.data()
    net, back = pb.from_torch(pb.to_torch(case.net, params), loss=case.loss, example=X[:1])
    assert list(back) == list(params)
    assert all(np.array_equal(back[key], params[key]) for key in params)
    if "formula" not in repr(case.model) and "Hardsigmoid" not in repr(case.model):
        assert net.model == case.model
    close(net.predict(back, X), case.net.predict(params, X), case.dtype)


def test_a_sequential_is_a_sequential():
    module = pb.to_torch(named("cross-entropy, labels").net, named("mse").params())
    assert type(module) is nn.Sequential
    assert [type(part) for part in module] == [nn.Linear, nn.Tanh, nn.Linear]


def test_torch_can_train_it():
    case = named("residuals in a row")
    module, (X, Y) = pb.to_torch(case.net, case.params()), case.data()
    loss = 0.5 * ((module(torch.from_numpy(X)) - torch.from_numpy(Y)) ** 2).sum(1).mean()
    loss.backward()
    _, grads = case.net.value_and_grad(case.params(), X, Y)
    for name, parameter in module.named_parameters():
        close(parameter.grad.numpy(), grads[name])


def test_it_can_be_copied_and_pickled():
    case = named("residual, nested")
    module, X = pb.to_torch(case.net, case.params()), torch.from_numpy(case.data()[0])
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):  # noqa: S301  our own
        assert torch.equal(other(X), module(X))


def test_parameters_are_copies():
    case = named("mse")
    params = case.params()
    module = pb.to_torch(case.net, params)
    with torch.no_grad():
        module[0].weight.zero_()
    assert params["0.weight"].any()


OWN_NAMES = pb.Network(
    pb.Sequential(
        pb.Linear(4, 5, name="enc.fc"),
        pb.Sin(),
        pb.Residual(pb.Sequential(pb.Linear(5, 5, name="f1"), pb.LeakyReLU(0.3)), 0.5),
        pb.Linear(5, 2, name="enc.out"),
    ),
    loss=pb.MSELoss(),
)


def test_names_of_their_own():
    """Dotted names nest; an activation never takes the name of a Linear."""
    params = OWN_NAMES.init(seed=1)
    module = pb.to_torch(OWN_NAMES, params)
    assert set(module.state_dict()) == set(params)
    assert isinstance(module.enc.fc, nn.Linear)
    X = np.random.default_rng(0).normal(size=(3, 4))
    close(module(torch.from_numpy(X)).detach().numpy(), OWN_NAMES.predict(params, X))
    net, back = pb.from_torch(module, pb.MSELoss(), X)
    assert net.model == OWN_NAMES.model
    assert list(back) == list(params)


@pytest.mark.parametrize(
    "formula",
    ["where(x > 0, x, x/(1 - x))", "step(x) - 1/3", "minimum(1, maximum(x, -1))", "2**x",
     "log1p(x**2)", "x/(1 + exp(-x))", "pi*x**3"],
)  # fmt: skip
def test_formulas_are_read_back(formula):
    model = pb.Sequential(pb.Linear(3, 4), pb.Activation(formula), pb.Linear(4, 2))
    net = pb.Network(model, loss=pb.MSELoss())
    params, X = net.init(seed=0), np.random.default_rng(0).normal(size=(20, 3))
    back, held = pb.from_torch(pb.to_torch(net, params), pb.MSELoss(), X)
    close(back.predict(held, X), net.predict(params, X))


def test_bad_parameters_are_named():
    params = named("mse").params()
    with pytest.raises(pb.errors.UnknownNameError, match=r"params lacks '2\.bias'"):
        pb.to_torch(named("mse").net, {k: v for k, v in params.items() if k != "2.bias"})
    with pytest.raises(pb.errors.ShapeError, match=r"0\.weight has shape \(4, 6\)"):
        pb.to_torch(named("mse").net, {**params, "0.weight": params["0.weight"].T})
    with pytest.raises(pb.errors.ConfigError, match="net is 3"):
        pb.to_torch(3, {})
