"""A torch module wherever a network is expected: read with its own weights, data as tensors."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import pullback as pb
from pullback.errors import ConfigError, DTypeError, PullbackWarning

X = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
CLASSES = torch.arange(12) % 3
VALUES = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
CE, MSE = nn.CrossEntropyLoss(), nn.MSELoss()


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def read(module, loss=MSE):
    return pb.from_torch(module, loss, example=X[:1])


def test_what_needs_no_loss_takes_the_module_with_its_own_weights():
    module = mlp()
    net, params = read(module)
    x = X.numpy()
    J = pb.jacobian(module, X).dense()
    assert np.array_equal(J, pb.jacobian(net, params, x).dense())
    by_torch = torch.func.vmap(torch.func.jacrev(module))(X).detach().numpy()
    np.testing.assert_allclose(J, by_torch, rtol=1e-12, atol=1e-14)
    assert np.array_equal(
        pb.jacobian(module, X, "0.weight").dense(), pb.jacobian(net, params, x, "0.weight").dense()
    )
    np.testing.assert_allclose(pb.jacobian(module, X[0]).dense(), J[0], rtol=1e-12)
    assert np.array_equal(pb.ntk(module, X, X[:3]), pb.ntk(net, params, x, x[:3]))
    assert np.array_equal(pb.ntk(module, X1=X), pb.ntk(net, params, x))
    delta = np.ones(3)
    closed = pb.closed_form(module, X[0])
    assert np.array_equal(
        closed.evaluate(delta, 0), pb.closed_form(net, params, x[0]).evaluate(delta, 0)
    )


@pytest.mark.parametrize(("Y", "loss"), [(CLASSES, CE), (VALUES, MSE)])
def test_the_loss_is_guessed_from_the_targets_and_said(Y, loss):
    module = mlp()
    net, params = read(module, loss)
    x, y = X.numpy(), Y.numpy()
    v = {name: np.ones(value.shape) for name, value in params.items()}
    calls = {
        "laplace": lambda of, *held, **o: pb.laplace(of, *held, x, y, **o).factor,
        "ggn_vector_product": lambda of, *held, **o: pb.ggn_vector_product(
            of, *held, X=x, Y=y, v=v, **o
        )["0.bias"],
        "check": lambda of, *held, **o: pb.check(of, *held, x, y, **o).worst,
    }
    for name, call in calls.items():
        expected = call(net, params)
        with pytest.warns(
            PullbackWarning,
            match=f"{name}: the loss is {net.criterion!r}".replace("(", r"\(").replace(")", r"\)"),
        ):
            assert np.array_equal(call(module), expected)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.array_equal(call(module, loss=loss), expected)


def test_fit_starts_from_the_module_and_leaves_it_as_it_is():
    module = mlp()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    net, params = read(module, CE)
    options = dict(epochs=2, batch_size=4, progress=False, engine="numpy")
    expected = pb.fit(net, X.numpy(), CLASSES.numpy(), params, **options).params
    found = pb.fit(module, X, CLASSES, loss=CE, **options).params
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, CLASSES), batch_size=4)
    options |= dict(shuffle=False)
    of_arrays = pb.fit(module, X, CLASSES, loss=CE, **options).params
    of_batches = pb.fit(module, loader, loss=CE, **options).params
    assert all(np.array_equal(of_arrays[name], value) for name, value in of_batches.items())
    once = pb.fit(module, iter(loader), loss=CE, **options | dict(epochs=1)).history
    assert len(once["loss"]) == 1
    module.load_state_dict({name: torch.as_tensor(value) for name, value in found.items()})
    np.testing.assert_allclose(net.predict(found, X.numpy()), module(X).detach().numpy())


def test_parameters_that_are_given_count():
    module = mlp()
    net, params = read(module)
    other = {name: value + 0.1 for name, value in params.items()}
    expected = pb.jacobian(net, other, X.numpy()).dense()
    assert np.array_equal(pb.jacobian(module, other, X).dense(), expected)
    assert np.array_equal(pb.jacobian(module, X, params=other).dense(), expected)
    one = {"0.weight": other["0.weight"]}
    assert np.array_equal(
        pb.jacobian(module, one, X).dense(), pb.jacobian(net, params | one, X.numpy()).dense()
    )


def test_a_module_is_derived_without_data():
    with pytest.warns(PullbackWarning, match=r"derive: the loss is MSELoss.*nothing says"):
        found = pb.derive(mlp())
    assert found.text() == pb.derive(read(mlp())[0]).text()
    assert pb.derive(mlp(), "rows", loss=CE).text() == pb.derive(read(mlp(), CE)[0], "rows").text()
    conv = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(4, 1))
    found = pb.derive(conv, "rows", loss=MSE, example=torch.ones(1, 1, 4))
    assert "conv" in found.text() or "U(" in found.text() or "X" in found.text()


def test_samples_of_several_axes_alone_and_in_a_batch():
    module = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 2)).double()
    images = torch.randn(5, 1, 3, 3, dtype=torch.float64)
    J = pb.jacobian(module, images)
    assert J.shape == (5, 2, 9)
    assert pb.jacobian(module, images[0]).shape == (2, 9)
    assert pb.closed_form(module, images[0]).evaluate(np.ones(2), 0).shape == (8,)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(7, 4), nn.Linear(4, 3)

    def forward(self, words):
        return self.out(self.table(words).mean(1))


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (Words(), torch.randint(0, 7, (12, 5))),
        (nn.Linear(4, 3), [[0, 1, 2, 3]] * 12),  # lists of whole numbers
        (nn.Linear(4, 3), X > 0),
        (nn.Linear(4, 3), X.numpy()),  # float64 for a module of float32
        (nn.Linear(4, 3), X.float().requires_grad_()),
        (nn.Linear(4, 3), X.float().t().contiguous().t()),
        (nn.Linear(4, 3).bfloat16(), X.float()),
    ],
    ids=["words", "lists", "truth", "other precision", "gradients", "turned", "bfloat16"],
)
def test_data_of_every_kind(module, x):
    found = pb.fit(module, x, CLASSES, loss=CE, epochs=1, batch_size=4, progress=False)
    assert np.isfinite(found.history["loss"]).all()
    assert pb.ntk(module, x).shape == (36, 36)


def test_half_precision_is_said():
    with pytest.warns(PullbackWarning, match="ntk: X holds numbers of half precision"):
        assert pb.ntk(nn.Linear(4, 3).half(), X.half()).dtype == np.float32
    f = pb.forecast(mlp().half(), X.half(), CLASSES, methods=("coupled",))
    assert any("half precision" in each for each in f.assumptions)


MISSING = [
    (lambda net: pb.jacobian(net), "jacobian needs params and X"),
    (lambda net: pb.jacobian(mlp()), r"jacobian needs X: jacobian\(net, X\)"),
    (lambda net: pb.ntk(net, {}), "ntk needs X1"),
    (lambda net: pb.laplace(mlp(), X), r"laplace needs Y: laplace\(net, X, Y\)"),
    (lambda net: pb.fit(net), "fit needs X"),
    (lambda net: pb.fit(mlp(), X, CLASSES, epoch=3), "fit has no 'epoch': did you mean 'epochs'"),
    (lambda net: pb.fit(), "fit needs net and X"),
    (lambda net: pb.check(mlp(), X), "check needs Y"),
    (lambda net: pb.derive(), "derive needs subject"),
    (lambda net: pb.fit(net, X, CLASSES, loss=CE), "but the network has one"),
    (lambda net: pb.derive(pb.expr("x**2", x=""), loss=CE), "it is for a torch module"),
    (lambda net: pb.jacobian(nn.Linear, X), "net is the class Linear; expected a network"),
    (lambda net: pb.fit(torch.tanh, X, VALUES), "expected a network"),
    (lambda net: pb.laplace(nn.Linear(4, 1).double(), X, CLASSES), "the module has one output"),
    (lambda net: pb.fit(mlp(), []), "X is empty; expected batches"),
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(MISSING)))
def test_what_is_missing_is_named(at):
    call, words = MISSING[at]
    with pytest.raises(ConfigError, match=words):
        call(read(mlp())[0])


def test_data_without_numbers():
    for x in (X.to_sparse(), torch.ones(12, 4, device="meta"), X.cfloat(), [["a"] * 4] * 12):
        with pytest.raises(DTypeError, match="X "):
            pb.jacobian(mlp(), x)


def test_signatures_are_those_of_networks():
    assert list(inspect.signature(pb.jacobian).parameters) == [
        "net", "params", "X", "wrt", "of", "devices",
    ]  # fmt: skip
    assert list(inspect.signature(pb.fit).parameters)[:5] == [
        "net", "X", "Y", "params", "optimizer",
    ]  # fmt: skip


def test_images_that_the_module_flattens_are_given_as_they_are():
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    images = torch.randn(9, 1, 2, 3, dtype=torch.float64)
    net, params = pb.from_torch(module, CE, example=images[:1])
    flat, y = images.reshape(9, -1), torch.arange(9) % 3
    assert np.array_equal(net.predict(params, images), net.predict(params, flat))
    one, other = (net.value_and_grad(params, x, y) for x in (images, flat))
    assert one[0] == other[0]
    assert pb.jacobian(net, params, images).shape == (9, 3, 6)
    assert pb.jacobian(net, params, images[0]).shape == (3, 6)
    assert pb.check(net, params, images, y).ok
    pb.fit(net, images, y, params, epochs=1, batch_size=4, progress=False)
    with pytest.raises(pb.errors.ShapeError, match="expected"):
        net.predict(params, images.reshape(9, 1, 3, 2))  # as torch's Flatten would not mind
