"""One-hots, first largest places, masks and what is detached: what they mean, and their slopes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from pullback.calculus import gradients, hessian_vector_product, linearise, pushforward
from pullback.errors import AxisError
from pullback.ir import (
    ArgMax,
    Axis,
    Constant,
    Contract,
    Detach,
    Graph,
    Input,
    LogSumExp,
    Max,
    Named,
    OneHot,
    Parameter,
    Rename,
    fn,
    simplify,
    symbol,
)
from pullback.ir.build import multiply, scalar_map, shares, softmax
from pullback.ir.evaluate import evaluate
from pullback.ir.flow import flow
from pullback.ir.forms import Lookup, Reduce, Softmax
from pullback.ir.language.text import as_text
from pullback.ir.lift import lifted

n, k, d = Axis("n", 5), Axis("k", 4), Axis("d", 3)
s, w, c = Parameter("s", (n, k)), Input("w", (n, k)), Input("c", (n, k))
W, index = Parameter("W", (k, d)), Input("index", (n,), True)
rng = np.random.default_rng(0)
VALUES = {
    "s": rng.normal(size=(5, 4)),
    "c": rng.normal(size=(5, 4)),
    "w": (rng.random((5, 4)) > 0.4).astype(float),
    "W": rng.normal(size=(4, 3)),
    "index": np.array([0, 3, 3, 1, 3]),
}
VALUES["w"][0] = 0  # nothing is left
VALUES["w"][1] = [0, 1, 1, 1]
VALUES["s"][1, 0] = 1e300  # whatever stands there
VALUES["s"][2] = 1.0  # ties


@pytest.fixture(autouse=True)
def double_jax():
    with jax.enable_x64(True):
        yield


def masked_softmax(x):
    """torch's form, with 0 where nothing is left; its own slopes are NaN there."""
    mask = torch.tensor(VALUES["w"]) > 0
    held = torch.where(mask, x, torch.zeros_like(x))
    return torch.where(
        mask, torch.softmax(held.masked_fill(~mask, -1e9), dim=1), torch.zeros_like(x)
    )


def test_what_is_masked_does_not_count():
    mask = VALUES["w"] > 0
    rest = np.where(mask, VALUES["s"], -np.inf)
    some = mask.any(axis=1)
    top = evaluate(Max(s, k, where=w), VALUES)
    np.testing.assert_array_equal(top, np.where(some, rest.max(axis=1), 0.0))
    total = evaluate(LogSumExp(s, k, w), VALUES)
    np.testing.assert_allclose(total[some], np.log(np.exp(rest[some]).sum(axis=1)), rtol=1e-14)
    assert total[0] == 0.0
    np.testing.assert_array_equal(
        evaluate(ArgMax(s, k, w), VALUES), np.where(some, rest.argmax(axis=1), 0)
    )
    weights = evaluate(softmax(s, k, w), VALUES)
    np.testing.assert_array_equal(weights[~mask], 0.0)
    np.testing.assert_allclose(weights.sum(axis=1), some, rtol=1e-14)


def test_the_slopes_of_a_masked_softmax_are_torchs():
    total = Named("stat.total", LogSumExp(s, k, w), "stat")
    loss = Contract((shares(s, total, w), c), ())
    (slope,) = gradients(loss, [s])
    x = torch.tensor(VALUES["s"], requires_grad=True)
    (masked_softmax(x) * torch.tensor(VALUES["c"])).sum().backward()
    found = evaluate(slope, VALUES)
    np.testing.assert_allclose(found, x.grad.numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(found[VALUES["w"] == 0], 0.0)


@pytest.mark.parametrize("ties", ["share", "first"])
def test_ties_share_as_in_amax_or_go_to_the_first_as_in_max_pooling(ties):
    (slope,) = gradients(Contract((Max(s, k, ties),), ()), [s])
    x = torch.tensor(VALUES["s"], requires_grad=True)
    if ties == "share":
        torch.amax(x, dim=1).sum().backward()
    else:
        torch.max_pool1d(x[:, None], 4).sum().backward()
    np.testing.assert_array_equal(evaluate(slope, VALUES), x.grad.numpy())


@pytest.mark.parametrize("ties", ["share", "first"])
def test_a_masked_maximum_has_slopes_where_something_is_left(ties):
    (slope,) = gradients(Contract((Max(s, k, ties, w),), ()), [s])
    found, mask = evaluate(slope, VALUES), VALUES["w"] > 0
    np.testing.assert_array_equal(found.sum(axis=1), mask.any(axis=1))
    np.testing.assert_array_equal(found[~mask], 0.0)
    largest = np.where(mask, VALUES["s"], -np.inf).max(axis=1, keepdims=True)
    assert ((VALUES["s"] == largest) | (found == 0)).all()
    tied = found[2][mask[2]]
    expected = np.eye(len(tied))[0] if ties == "first" else np.full(len(tied), 1 / len(tied))
    np.testing.assert_array_equal(tied, expected)


def test_a_lookup_and_its_slope_with_repeated_places():
    rows = Contract((W, OneHot(index, k)), (n, d))
    np.testing.assert_array_equal(evaluate(rows, VALUES), VALUES["W"][VALUES["index"]])
    (slope,) = gradients(Contract((rows, rows), ()), [W])
    table = torch.tensor(VALUES["W"], requires_grad=True)
    (torch.nn.functional.embedding(torch.tensor(VALUES["index"]), table) ** 2).sum().backward()
    np.testing.assert_allclose(evaluate(slope, VALUES), table.grad.numpy(), rtol=1e-13)


def test_nothing_passes_what_is_detached():
    gate = scalar_map(fn("tanh")(symbol(0)), s)
    loss = Contract((s, Detach(gate), c), ())
    (slope,) = gradients(loss, [s])
    values = {**VALUES, "s": np.clip(VALUES["s"], -2, 2)}
    x = torch.tensor(values["s"], requires_grad=True)
    (x * torch.tanh(x).detach() * torch.tensor(VALUES["c"])).sum().backward()
    np.testing.assert_allclose(evaluate(slope, values), x.grad.numpy(), rtol=1e-13)
    ours = evaluate(pushforward(loss, {s: c}), values)
    theirs = jax.jvp(
        lambda x: (x * jax.lax.stop_gradient(jnp.tanh(x)) * VALUES["c"]).sum(),
        (values["s"],),
        (VALUES["c"],),
    )[1]
    assert float(ours) == pytest.approx(float(theirs))
    moved = {**values, "s": values["s"] + 1e-30j * VALUES["c"]}
    assert evaluate(loss, moved).imag / 1e-30 == pytest.approx(float(ours))
    assert gradients(Contract((Detach(s),), ()), [s]) == (Constant(0.0, (n, k)),)
    for node in (Detach(s), OneHot(ArgMax(s, k), k), ArgMax(s, k)):
        assert linearise(node) == []


def softmax_loss(x):
    mask = VALUES["w"] > 0
    weights = jax.nn.softmax(x, axis=1, where=mask)
    weights = jnp.where(mask.any(axis=1, keepdims=True), weights, 0.0)
    return (weights**2 * VALUES["c"]).sum()


HESSIANS = {
    "softmax under a mask": (
        Contract((softmax(s, k, w), softmax(s, k, w), c), ()),
        softmax_loss,
    ),
    "squares of the largest": (
        Contract((Max(s, k, "first"), Max(s, k, "first")), ()),
        lambda x: (x[jnp.arange(5), jnp.argmax(x, axis=1)] ** 2).sum(),
    ),
    "times what is detached": (
        Contract((s, s, Detach(scalar_map(fn("tanh")(symbol(0)), s))), ()),
        lambda x: (x**2 * jax.lax.stop_gradient(jnp.tanh(x))).sum(),
    ),
    "cubes of what is looked up": (
        Contract((*[Contract((s, OneHot(index, k)), (n,))] * 3,), ()),
        lambda x: (x[jnp.arange(5), VALUES["index"]] ** 3).sum(),
    ),
}


@pytest.mark.parametrize("name", HESSIANS)
def test_products_with_a_hessian_are_jaxs(name):
    node, function = HESSIANS[name]
    values = {**VALUES, "s": np.random.default_rng(3).normal(size=(5, 4))}
    v = Input("v", (n, k))
    (found,) = hessian_vector_product(node, [s], {s: v})
    direction = np.random.default_rng(4).normal(size=(5, 4))
    expected = jax.jvp(jax.grad(function), (values["s"],), (direction,))[1]
    ours = evaluate(found, {**values, "v": direction})
    mask = VALUES["w"] > 0 if "mask" in name else np.ones((5, 4), bool)
    np.testing.assert_allclose(ours[mask], np.asarray(expected)[mask], rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(ours[~mask], 0.0)


def test_lifted_over_draws_each_draw_is_its_own():
    draws = Axis("draw", 2)
    many = Parameter("many", (draws, n, k))
    nodes = (LogSumExp(s, k, w), Max(s, k, "first", w), ArgMax(s, k, w), OneHot(ArgMax(s, k), k))
    values = {**VALUES, "many": np.stack([VALUES["s"], -VALUES["s"]])}
    for node, both in zip(nodes, lifted(nodes, {s: many}), strict=True):
        found = evaluate(both, values)
        assert both.axes == (draws, *node.axes)
        for at in range(2):
            np.testing.assert_array_equal(
                found[at], evaluate(node, {**VALUES, "s": values["many"][at]})
            )


def test_simplification_keeps_masks_ties_and_values():
    for node in (
        multiply(Max(Rename(s, ((n, Axis("m", 5)),)), k, "first"), Constant(1.0)),
        softmax(multiply(s, Constant(2.0)), k, w),
        Contract((W, OneHot(index, k), Constant(1.0, (n,))), (n, d)),
        multiply(Detach(multiply(s, s)), s),
    ):
        (simple,) = simplify(node)
        values = {**VALUES, "s": np.clip(VALUES["s"], -2, 2)}
        np.testing.assert_allclose(
            evaluate(simple, values), evaluate(node, values), rtol=1e-13, atol=1e-300
        )


def test_what_equations_are():
    total = Named("stat.total", LogSumExp(s, k, w), "stat")
    weights = Named("a.weights", shares(s, total, w), "a")
    rows = Named("z.0", Contract((W, OneHot(index, k)), (n, d)), "z")
    largest = Named("a.1", Max(rows, d, "first"), "a")
    x = Input("x", (n, k))
    of_x = Named("stat.x", LogSumExp(x, k, w), "stat")
    graph = Graph({"one": Named("a.x", shares(x, of_x, w), "a"), "two": largest, "w": weights})
    forms = {equation.name: form for equation, form in flow(graph).items()}
    assert forms["z.0"] == Lookup(W, index, k)
    assert forms["a.x"] == Softmax(x, k, of_x, where=w)
    assert forms["a.x"].args == (x, of_x, w)
    assert forms["stat.x"] == Reduce(x, (k,), "logsumexp", where=w)
    assert forms["a.1"] == Reduce(rows, (d,), "max")


def test_what_is_illegal_is_named():
    with pytest.raises(AxisError, match="not of whole numbers"):
        OneHot(Input("x", (n,)), k)
    with pytest.raises(AxisError, match="used twice"):
        OneHot(index, n)
    with pytest.raises(AxisError, match="no axis d=3"):
        ArgMax(s, d)
    with pytest.raises(AxisError, match="two sizes"):
        LogSumExp(s, k, Input("w", (Axis("n", 6),)))
    with pytest.raises(AxisError, match="ties is 'last'"):
        Max(s, k, "last")


def test_equal_nodes_are_one_and_show_what_they_are():
    assert Max(s, k) is Max(s, k, "share", None)
    assert Max(s, k, "first") is not Max(s, k)
    assert (
        len({Max(s, k, ties, where).digest for ties in ("share", "first") for where in (None, w)})
        == 4
    )
    assert as_text(LogSumExp(s, k, w)) == 'logsumexp(s, axis="k", where=w)'
    assert as_text(OneHot(index, k)) == 'onehot(index, axis="k")'
    assert as_text(Detach(s)) == "detach(s)"
