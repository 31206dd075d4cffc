"""Attention is torch's: heads, masks, causality, keys of other sizes; by values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pullback as pb
from pullback.calculus import gradients
from pullback.errors import ConfigError, ShapeError, UnknownNameError
from pullback.ir import Axis, Contract, Input, Parameter
from pullback.ir.evaluate import evaluate

N, T, S, E = 3, 4, 5, 6
rng = np.random.default_rng(0)
TOKENS = f"tokens={T} features={E}"
CROSS = {"query": TOKENS, "key": f"keys={S} left={E}", "value": f"keys={S} right={E}"}
OTHER = {"query": TOKENS, "key": f"keys={S} left=5", "value": f"keys={S} right=7"}
PADDING = {"key_padding_mask": f"keys={S}:index"}
MASK = {"attn_mask": f"tokens={T} keys={S}:index"}
CASES = {
    "self": (dict(num_heads=2), TOKENS),
    "one head": (dict(num_heads=1), TOKENS),
    "as many heads as features": (dict(num_heads=E), TOKENS),
    "no bias": (dict(num_heads=3, bias=False), TOKENS),
    "causal": (dict(num_heads=2, causal=True), TOKENS),
    "a query alone": (dict(num_heads=2), {"query": TOKENS}),
    "to others": (dict(num_heads=2), CROSS),
    "keys and values of other sizes": (dict(num_heads=2, kdim=5, vdim=7), OTHER),
    "of other sizes, no bias": (dict(num_heads=2, kdim=5, vdim=7, bias=False), OTHER),
    "padding of itself": (
        dict(num_heads=2),
        {"query": TOKENS, "key_padding_mask": f"seen={T}:index"},
    ),
    "padding": (dict(num_heads=2), {**CROSS, **PADDING}),
    "mask": (dict(num_heads=3), {**CROSS, **MASK}),
    "both masks": (dict(num_heads=2, kdim=5, vdim=7), {**OTHER, **PADDING, **MASK}),
    "causal under padding": (
        dict(num_heads=2, causal=True),
        {"query": TOKENS, "key_padding_mask": f"seen={T}:index"},
    ),
}


def drawn(net):
    """Numbers for each input; of masks some are 1, but the first key counts always."""
    found = {}
    for name, leaf in net.xs.items():
        shape = (N, *(axis.size for axis in leaf.axes[1:]))
        if leaf.whole:
            found[name] = (rng.random(shape) < 0.4).astype(int)
            found[name][..., 0] = 0
        else:
            found[name] = rng.normal(size=shape)
    return found


def torchs(module, inputs, causal):
    """What torch's module gives for the inputs of ours."""
    given = {name: torch.tensor(value) for name, value in inputs.items()}
    query = given.get("query", given.get("x"))
    key = given.get("key", query)
    heads, masks = module.num_heads, {}
    if "key_padding_mask" in given:
        masks["key_padding_mask"] = given["key_padding_mask"].bool()
    if "attn_mask" in given:
        masks["attn_mask"] = given["attn_mask"].bool().repeat_interleave(heads, dim=0)
    if causal:
        masks["attn_mask"] = torch.ones(T, key.shape[1], dtype=torch.bool).triu(1)
    return module(query, key, given.get("value", key), need_weights=False, **masks)[0]


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_torchs(name):
    options, x = CASES[name]
    net = pb.Network(pb.MultiheadAttention(E, **options), pb.SquaredError(), x=x)
    plain = {name: value for name, value in options.items() if name != "causal"}
    module = torch.nn.MultiheadAttention(E, batch_first=True, **plain).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    params = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    assert [(spec.name, spec.shape) for spec in net.specs] == [
        (name, value.shape) for name, value in params.items()
    ]
    inputs, Y = drawn(net), rng.normal(size=(N, T, E))
    output = torchs(module, inputs, options.get("causal", False))
    loss = 0.5 * ((output - torch.tensor(Y)) ** 2).reshape(N, -1).sum(1).mean()
    loss.backward()
    X = inputs.get("x", inputs)
    np.testing.assert_allclose(net.predict(params, X), output.detach().numpy(), rtol=1e-9)
    value, grads = net.value_and_grad(params, X, Y)
    assert value == pytest.approx(loss.item(), rel=1e-12)
    for name, parameter in module.named_parameters():
        largest = parameter.grad.abs().max().item()
        np.testing.assert_allclose(
            grads[name], parameter.grad.numpy(), rtol=1e-9, atol=1e-11 * largest
        )


def test_a_query_with_nothing_left_gets_no_values_and_gives_no_gradient():
    """torch's module gives NaN there, its scaled_dot_product_attention 0."""
    x = {"query": TOKENS, "key_padding_mask": f"seen={T}:index"}
    net = pb.Network(pb.MultiheadAttention(E, 2), pb.SquaredError(), x=x)
    params = {name: value + 0.1 for name, value in net.init(seed=0).items()}
    X = {"query": rng.normal(size=(N, T, E)), "key_padding_mask": np.zeros((N, T), int)}
    X["key_padding_mask"][1] = 1
    np.testing.assert_allclose(net.predict(params, X)[1], np.tile(params["out_proj.bias"], (T, 1)))
    Y = rng.normal(size=(N, T, E))
    _, grads = net.value_and_grad(params, X, Y)
    kept = np.array([0, 2])
    few = {name: value[kept] for name, value in X.items()}
    _, expected = net.value_and_grad(params, few, Y[kept])
    np.testing.assert_allclose(
        grads["in_proj_weight"], expected["in_proj_weight"] * 2 / 3, rtol=1e-10, atol=1e-15
    )


q, t, s, d, e = Axis("n", 2), Axis("t", 4), Axis("s", 3), Axis("d", 5), Axis("e", 2)
Q, K, V = Parameter("Q", (q, t, d)), Parameter("K", (q, s, d)), Parameter("V", (q, s, e))
WHERE = Input("where", (t, s))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("masked", [False, True])
def test_the_function_is_torchs(causal, scale, masked):
    values = {leaf.name: rng.normal(size=[a.size for a in leaf.axes]) for leaf in (Q, K, V)}
    values["where"] = np.array([[0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
    node = pb.scaled_dot_product_attention(Q, K, V, WHERE if masked else None, causal, scale)
    assert node.axes == (q, t, e)
    mask = np.ones((4, 3), bool)
    if causal:
        mask &= np.tri(4, 3, dtype=bool)
    if masked:
        mask &= values["where"] > 0
    tensors = [torch.tensor(values[name], requires_grad=True) for name in "QKV"]
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *tensors, attn_mask=torch.tensor(mask), scale=scale
    )
    np.testing.assert_allclose(evaluate(node, values), theirs.detach(), rtol=1e-9, atol=1e-14)
    (theirs**2).sum().backward()
    found = gradients(Contract((node, node), ()), [Q, K, V])
    for slope, tensor in zip(found, tensors, strict=True):
        np.testing.assert_allclose(evaluate(slope, values), tensor.grad, rtol=1e-9, atol=1e-13)


def test_causal_scores_far_out_leave_no_trace():
    n = Axis("tokens", 3)
    x, v = Input("x", (n, Axis("d", 1))), Input("v", (n, e))
    node = pb.scaled_dot_product_attention(x, x, v, causal=True)
    values = {"x": np.array([[1.0], [1e3], [1e4]]), "v": np.eye(3)[:, :2]}
    np.testing.assert_array_equal(evaluate(node, values), [[1, 0], [0, 1], [0, 0]])


def test_equations_read_as_the_textbook_has_them():
    net = pb.Network(pb.MultiheadAttention(E, 2), pb.SquaredError(), x=TOKENS)
    names = [equation.name for equation in net.graph.equations]
    assert names == [
        "z.query", "z.key", "z.scores", "stat.total", "a.weights", "z.value", "a.heads",
        "z.out_proj", "loss",
    ]  # fmt: skip
    text = pb.derive(net, convention="index").text()
    assert "softmax" in text
    assert "𝟏[" in text


def test_what_does_not_fit_is_refused():
    block = pb.MultiheadAttention
    for make, reason in (
        (lambda: block(6, 4), "embed_dim is 6; expected a multiple of num_heads, which is 4"),
        (lambda: block(0, 1), "embed_dim"),
        (lambda: block(6, 2, batch_first=False), "the batch is always the first axis"),
        (lambda: block(6, 2, dropout=1.5), "dropout is 1.5"),
        (lambda: block(6, 2, kdim=0), "kdim"),
        (lambda: block(6, 2, causal=1), "causal"),
        (lambda: block(6, 2, add_bias_kv=True), "add_bias_kv is True; expected False"),
        (lambda: block(6, 2, add_zero_attn=True), "add_zero_attn is True; expected False"),
    ):
        with pytest.raises(ConfigError, match=reason):
            make()

    def network(x, **options):
        return pb.Network(block(6, 2, **options), pb.MSELoss(), x=x)

    with pytest.raises(ShapeError, match="takes \\(batch, tokens, features\\)"):
        network("features=6")
    with pytest.raises(ShapeError, match="takes 6 features"):
        network("tokens=3 features=5")
    with pytest.raises(ShapeError, match="know how many tokens there are"):
        network("tokens features=6", causal=True)
    with pytest.raises(UnknownNameError, match="key"):
        network({"query": TOKENS, "keys": TOKENS})
    with pytest.raises(ConfigError, match="no query"):
        network({"key": TOKENS, "value": TOKENS})
    with pytest.raises(ShapeError, match="whole numbers that are 1 where a key does not count"):
        network({"query": TOKENS, "key_padding_mask": f"seen={T}"})
    with pytest.raises(ShapeError, match=r"expected \(batch, queries, keys\)"):
        network({"query": TOKENS, "attn_mask": f"seen={T}:index"})
    with pytest.raises(ShapeError, match="do not meet"):
        pb.scaled_dot_product_attention(Q, K, Q)
    with pytest.raises(ShapeError, match="expected one known size"):
        pb.scaled_dot_product_attention(Q, V, V)
