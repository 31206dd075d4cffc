"""Embedding is torch's: rows that numbers look up, repeated ones, one that does not learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pullback as pb
from pullback.errors import ConfigError, DataError, DTypeError, ShapeError

rng = np.random.default_rng(0)
X, Y = rng.integers(0, 6, (7, 5)), rng.normal(size=(7, 5, 3))


def pair(padding_idx=None):
    net = pb.Network(
        pb.Sequential(pb.Embedding(6, 4, padding_idx), pb.Linear(4, 3)),
        pb.MSELoss(),
        x="tokens=5:index",
    )
    module = torch.nn.Sequential(
        torch.nn.Embedding(6, 4, padding_idx=padding_idx), torch.nn.Linear(4, 3)
    ).double()
    return net, module, {name: value.numpy() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("padding_idx", [None, 0, 2, -1])
def test_values_and_gradients_are_torchs(padding_idx):
    net, module, params = pair(padding_idx)
    params["0.weight"] = rng.normal(size=(6, 4))  # the padding's row need not be 0
    module.load_state_dict({name: torch.tensor(value) for name, value in params.items()})
    loss = torch.nn.functional.mse_loss(module(torch.tensor(X)), torch.tensor(Y))
    loss.backward()
    value, grads = net.value_and_grad(params, X, Y)
    assert value == pytest.approx(loss.item(), rel=1e-12)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(grads[name], parameter.grad.numpy(), rtol=1e-9, atol=1e-15)
    if padding_idx is not None:
        assert not grads["0.weight"][padding_idx].any()


@pytest.mark.parametrize("padding_idx", [None, 2])
def test_it_starts_as_torchs_whatever_the_scheme(padding_idx):
    net = pb.Network(pb.Embedding(400, 50, padding_idx), pb.MSELoss(), x="tokens:index")
    for scheme in (None, pb.init.he(), pb.init.torch_default()):
        weight = net.init(seed=1, scheme=scheme)["weight"]
        rest = weight if padding_idx is None else np.delete(weight, padding_idx, axis=0)
        assert abs(rest.mean()) < 0.03
        assert abs(rest.std() - 1) < 0.03
        assert padding_idx is None or not weight[padding_idx].any()


def test_it_learns_in_batches_and_single_precision():
    net, _, params = pair()
    single = {name: value.astype(np.float32) for name, value in params.items()}
    result = pb.fit(net, X, Y.astype(np.float32), params=single, epochs=3, batch_size=3,
                    progress=False)  # fmt: skip
    assert result.history["loss"][-1] < result.history["loss"][0]
    assert {value.dtype for value in result.params.values()} == {np.dtype(np.float32)}


def test_one_number_a_sample():
    net = pb.Network(pb.Embedding(6, 4), pb.SquaredError(), x=":index")
    params = net.init(seed=0)
    np.testing.assert_array_equal(net.predict(params, X[:, 0]), params["weight"][X[:, 0]])


def test_what_is_no_place_is_named_before_any_work():
    net, _, params = pair()
    for wrong, place in ((6, r"X\[2, 3\] is 6"), (-1, r"X\[2, 3\] is -1")):
        given = X.copy()
        given[2, 3] = wrong
        for call in (net.predict, lambda p, x: net.value_and_grad(p, x, Y)):
            with pytest.raises(DataError, match=place + "; expected a whole number from 0"):
                call(params, given)
        with pytest.raises(DataError, match=place):
            pb.fit(net, given, Y, params=params, epochs=1, progress=False)
    with pytest.raises(DTypeError, match="whole numbers"):
        net.predict(params, X.astype(float))


def test_what_is_no_embedding_is_refused():
    for options, reason in (
        ((0, 4), "num_embeddings"),
        ((6, 0), "embedding_dim"),
        ((6, 4, 6), "padding_idx is 6; expected the number of a row, from 0 to 5"),
        ((6, 4, 1.0), "padding_idx"),
        ((6, 4, True), "padding_idx"),
    ):
        with pytest.raises(ConfigError, match=reason):
            pb.Embedding(*options)
    for option, given in (("max_norm", 1.0), ("scale_grad_by_freq", True), ("sparse", True)):
        with pytest.raises(ConfigError, match=f"{option} is {given}; expected"):
            pb.Embedding(6, 4, **{option: given})
    with pytest.raises(ShapeError, match="declare the input as in x='tokens:index'"):
        pb.Network(pb.Embedding(6, 4), pb.MSELoss(), x="tokens=5")
