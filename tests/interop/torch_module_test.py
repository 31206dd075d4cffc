"""A module that is read computes what torch computes: value, every gradient, names, output."""

import copy

import numpy as np
import pytest
import torch
import torch_modules
from torch import nn
from zoo import close

import pullback as pb

every_module = pytest.mark.parametrize("name", torch_modules.ALL)


@every_module
def test_value_and_gradients_are_autograds(name):
    module, (X, Y) = torch_modules.made(name), torch_modules.data()
    net, params = pb.from_torch(module, loss=nn.CrossEntropyLoss(), example=X[:1])
    value, grads = net.value_and_grad(params, X.numpy(), Y.numpy())
    output = module(X.clone())
    theirs = nn.functional.cross_entropy(output, Y)
    theirs.backward()
    # torch's softplus has a threshold, and two of its backward passes have float32 constants
    loose = ("Softplus", "Hardsigmoid", "CELU")
    tight = 1e-7 if name.split()[0] in loose else 1e-11
    assert value == pytest.approx(theirs.item(), rel=tight)
    used = {n: p for n, p in module.named_parameters() if p.grad is not None}
    assert set(grads) == set(used)
    for parameter, grad in grads.items():
        close(grad, used[parameter].grad.numpy(), tight=tight)
    close(net.predict(params, X.numpy()), output.detach().numpy(), tight=tight)


@every_module
def test_parameters_have_the_modules_names(name):
    """A state dict of torch is one of ours as it is; ours is loaded into torch."""
    module, (X, Y) = torch_modules.made(name), torch_modules.data()
    net, params = pb.from_torch(module, nn.CrossEntropyLoss(), X[:1])
    state = module.state_dict()
    assert all(np.array_equal(state[key].numpy(), value) for key, value in params.items())
    used = {key: value for key, value in state.items() if key in params}
    assert net.loss(used, X, Y) == net.loss(params, X.numpy(), Y.numpy())
    other = {key: value + 1 for key, value in params.items()}
    module.load_state_dict({**state, **{k: torch.from_numpy(v) for k, v in other.items()}})
    close(net.predict(other, X.numpy()), module(X.clone()).detach().numpy(), tight=1e-8)


def test_place_names_stay_as_they_are():
    """Where the blocks' places give the module's names, no block needs a name of its own."""
    for name in ("nested sequential", "flatten, dropout, identity", "Tanh 3"):
        net, _ = pb.from_torch(torch_modules.made(name), nn.MSELoss())
        assert "name=" not in repr(net)


def test_params_are_copies():
    module, (X, _) = torch_modules.made("names"), torch_modules.data()
    net, params = pb.from_torch(module, nn.MSELoss())
    before = net.predict(params, X)
    with torch.no_grad():
        module.first.weight.zero_()
    assert np.array_equal(net.predict(params, X), before)


def test_single_and_half_precision():
    module, (X, _) = torch_modules.made("skips"), torch_modules.data()
    for dtype, bound in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        low = copy.deepcopy(module).to(dtype)
        net, params = pb.from_torch(low, nn.MSELoss(), example=X[:2])
        assert {array.dtype for array in params.values()} == {np.dtype(np.float32)}
        found = net.predict(params, X.float())
        theirs = low(X.to(dtype)).detach().float().numpy()
        assert np.abs(found - theirs).max() <= bound * np.abs(theirs).max()


def test_tensors_are_taken_as_arrays():
    module, (X, Y) = torch_modules.made("names"), torch_modules.data()
    net, params = pb.from_torch(module, nn.CrossEntropyLoss())
    held = dict(module.named_parameters())  # they require gradients
    value, grads = net.value_and_grad(held, X, Y)
    expected, arrays = net.value_and_grad(params, X.numpy(), Y.numpy())
    assert value == expected
    assert all(np.array_equal(grads[key], arrays[key]) for key in arrays)


@pytest.mark.parametrize("trained", [True, False])
def test_parameters_of_one_number(trained):
    """A bias of one number is a bias, by whichever way the module is traced; never a constant."""

    def checked(module, x):
        assert x.shape[1] == 1
        return torch.tanh(module.fc(x))

    class One(nn.Module):
        def __init__(self, forward):
            super().__init__()
            self.fc, self.how = nn.Linear(1, 1), forward

        def forward(self, x):
            return self.how(self, x)

    for forward in (checked, lambda m, x: nn.functional.linear(x, m.fc.weight, m.fc.bias)):
        module = One(forward).requires_grad_(trained)
        net, params = pb.from_torch(module, nn.MSELoss(), example=np.ones((1, 1)))
        assert list(params) == ["fc.weight", "fc.bias"]
        assert net.trained == (tuple(params) if trained else ())


def test_example_of_images():
    """What a leading Flatten flattens is given as (batch, features)."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 2), nn.Tanh()).double()
    X = torch.randn(3, 1, 2, 3, dtype=torch.float64)
    net, params = pb.from_torch(module, nn.MSELoss(), example=X)
    close(net.predict(params, X.reshape(3, -1)), module(X).detach().numpy())


def test_names_go_through_everything():
    """A network whose blocks have names of their own is a network like any other."""
    module, (X, Y) = torch_modules.made("add with alpha"), torch_modules.data()
    net, params = pb.from_torch(module, nn.CrossEntropyLoss())
    X, Y = X.numpy(), Y.numpy()
    assert list(params) == [f"{n}.{p}" for n in ("fc1", "fc2", "head") for p in ("weight", "bias")]
    assert pb.check(net, params, X, Y).ok
    trace = net.trace(params, X, Y)
    assert set(trace.delta) >= {"fc1", "fc2", "head"}
    assert pb.jacobian(net, params, X, wrt="fc2.weight").shape == (len(X) * 3, 25)
    assert "fc1.weight" in pb.derive(net).code("torch")
    assert [layer.name for layer in pb.forecast(net, X, Y, methods="coupled").layers] == [
        "fc1", "fc2", "head",
    ]  # fmt: skip
    result = pb.fit(net, X, Y, params, epochs=2, batch_size=None, progress=False)
    assert set(result.params) == set(params)


def test_two_blocks_of_one_name_are_refused():
    with pytest.raises(pb.errors.ConfigError, match=r"two parameters are called 'a\.weight'"):
        pb.Network(
            pb.Sequential(pb.Linear(2, 2, name="a"), pb.Linear(2, 2, name="a")), pb.MSELoss()
        )
