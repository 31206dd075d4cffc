"""The encoder layer is torch's: norms before or after, in evaluation, with dropped units."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pullback as pb
from pullback.errors import ConfigError, UnknownNameError

N, T, D = 3, 4, 6
rng = np.random.default_rng(0)
ROWS = [
    dict(norm_first=False, activation="relu"),
    dict(norm_first=True, activation="relu"),
    dict(norm_first=False, activation="gelu"),
    dict(norm_first=True, activation="gelu", bias=False, layer_norm_eps=1e-3),
]


def pair(mask=False, **options):
    """Our network and torch's layer with one set of parameters."""
    x = f"tokens={T} features={D}"
    declared = {"src": x, "src_key_padding_mask": f"seen={T}:index"} if mask else x
    layer = pb.TransformerEncoderLayer(D, 2, 8, **options)
    net = pb.Network(layer, pb.SquaredError(), x=declared)
    plain = {name: value for name, value in options.items() if name != "causal"}
    module = torch.nn.TransformerEncoderLayer(D, 2, 8, batch_first=True, **plain).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    params = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    assert [(s.name, s.shape) for s in net.specs] == [(n, p.shape) for n, p in params.items()]
    return net, module, params


def compare(net, module, params, X, output, Y):
    loss = 0.5 * ((output - torch.tensor(Y)) ** 2).reshape(len(Y), -1).sum(1).mean()
    loss.backward()
    value, grads = net.value_and_grad(params, X, Y)
    assert value == pytest.approx(loss.item(), rel=1e-12)
    largest = max(p.grad.abs().max().item() for p in module.parameters())
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(
            grads[name], parameter.grad.numpy(), rtol=1e-9, atol=1e-12 * largest
        )


@pytest.mark.parametrize("options", ROWS, ids=str)
def test_values_and_gradients_are_torchs(options):
    net, module, params = pair(**options)
    net, module = net.eval(), module.eval()
    X, Y = rng.normal(size=(N, T, D)), rng.normal(size=(N, T, D))
    output = module(torch.tensor(X))
    np.testing.assert_allclose(net.predict(params, X), output.detach(), rtol=1e-9)
    compare(net, module, params, X, output, Y)


def test_causal_and_under_padding():
    net, module, params = pair(mask=True, causal=True, dropout=0.0)
    X, Y = {"src": rng.normal(size=(N, T, D))}, rng.normal(size=(N, T, D))
    X["src_key_padding_mask"] = np.array([[0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    later = torch.ones(T, T, dtype=torch.bool).triu(1)
    padded = torch.tensor(X["src_key_padding_mask"]).bool()
    output = module(torch.tensor(X["src"]), src_mask=later, src_key_padding_mask=padded)
    compare(net, module, params, X, output, Y)


def test_what_is_dropped_is_dropped_as_in_torch():
    """Torch draws its masks itself; with p = 0 in it, ours by hand say what is dropped."""
    net, _, params = pair(dropout=0.5)
    assert sorted(net.noise) == [
        "dropout.mask", "dropout1.mask", "dropout2.mask", "self_attn.dropout.mask"
    ]  # fmt: skip
    still, _, _ = pair(dropout=0.0)
    assert not still.noise
    X, Y = rng.normal(size=(N, T, D)), rng.normal(size=(N, T, D))
    kept = {
        name: np.full([axis.size or N for axis in each.leaf.axes], 0.5)
        for name, each in net.noise.items()
    }
    value, grads = net.value_and_grad(params, X, Y, noise=kept)  # half of each, times two
    expected, slopes = still.value_and_grad(params, X, Y)
    assert value == pytest.approx(expected, rel=1e-12)
    for name, slope in slopes.items():
        np.testing.assert_allclose(grads[name], slope, rtol=1e-9, atol=1e-12)


def test_layers_stack_and_learn():
    layer = pb.TransformerEncoderLayer(D, 2, 8, dropout=0.1, norm_first=True, causal=True)
    net = pb.Network(
        pb.Sequential(pb.Embedding(5, D), layer, layer, pb.LayerNorm(D), pb.Linear(D, 5)),
        pb.CrossEntropy(),
        x=f"tokens={T}:index",
    )
    X = rng.integers(0, 5, (8, T))
    result = pb.fit(net, X, X, epochs=8, batch_size=4, optimizer=pb.optim.Adam(0.01),
                    progress=False)  # fmt: skip
    assert result.history["loss"][-1] < result.history["loss"][0]
    params = net.init(seed=0)
    changed = X.copy()
    changed[:, -1] = (changed[:, -1] + 1) % 5
    before, after = net.predict(params, X), net.predict(params, changed)
    np.testing.assert_array_equal(before[:, :-1], after[:, :-1])
    assert (before[:, -1] != after[:, -1]).any()


def test_what_does_not_fit_is_refused():
    layer = pb.TransformerEncoderLayer
    for make, reason in (
        (lambda: layer(6, 4), "multiple of num_heads"),
        (lambda: layer(6, 2, 0), "dim_feedforward"),
        (lambda: layer(6, 2, dropout=2.0), "dropout"),
        (lambda: layer(6, 2, activation=abs), "activation"),
        (lambda: layer(6, 2, batch_first=False), "the batch is always the first axis"),
        (lambda: layer(6, 2, layer_norm_eps=-1.0), "eps"),
    ):
        with pytest.raises(ConfigError, match=reason):
            make()
    with pytest.raises(UnknownNameError, match="gelu"):
        layer(6, 2, activation="gellu")
    with pytest.raises(UnknownNameError, match="source"):
        pb.Network(layer(6, 2), pb.MSELoss(), x={"source": "tokens=3 features=6"})
