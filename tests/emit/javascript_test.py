"""The law for JavaScript: what a module computes on typed arrays is what the network computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING
from general_targets_test import inputs_of, task
from loop_targets_test import LEAVES, roots, values
from matrix_networks import BY_HAND
from node_peer import Node, started
from zoo import ZOO, named

import pullback as pb
from pullback.emit import lower
from pullback.emit.target import javascript
from pullback.emit.target.javascript_helpers import ERF
from pullback.emit.target.language import Task
from pullback.ir.evaluate import evaluate, evaluate_all
from pullback.net.checks import checked_batch, checked_data


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with started() as found:
        yield found


@pytest.mark.parametrize("case", ZOO, ids=repr)
def test_the_zoo(node, case):
    source = pb.derive(case.net).code("javascript")
    data = checked_data(case.net, *case.data())
    value, grads = node(source, "value_and_grad", case.params(), *data)
    expected, slopes = case.net.value_and_grad(case.params(), *case.data())
    tight = 1e-6 if case.dtype is np.float32 else 1e-12
    assert value == pytest.approx(expected, rel=tight)
    assert list(grads) == list(slopes)
    for name, grad in grads.items():
        assert grad.dtype == case.dtype
        bound = tight * max(np.max(np.abs(slopes[name])), 1e-3)
        np.testing.assert_allclose(grad, slopes[name].ravel(), rtol=0, atol=bound)


@pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING, *BY_HAND], ids=repr)
def test_general_networks(node, case):
    by_hand = case in BY_HAND
    inputs = checked_batch(case.net, *case.data) if by_hand else inputs_of(case)
    source = javascript.emit([task(case.net, javascript)], ["A network."])
    data = [inputs[leaf.name] for leaf in case.net.inputs]
    value, grads = node(source, "value_and_grad", case.params, *data)
    nodes = (case.net.total, *case.net.gradients.values())
    expected = evaluate_all((*case.net.inputs, *nodes), {**case.params, **inputs})
    assert value == pytest.approx(float(expected[case.net.total]), rel=1e-12)
    assert list(grads) == list(case.net.gradients)
    for name, gradient in case.net.gradients.items():
        np.testing.assert_allclose(grads[name], expected[gradient].ravel(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("backward", [False, True])
def test_a_loop(node, backward):
    nodes = roots(backward)
    program = lower(nodes, javascript.RESERVED, LEAVES)
    looped = Task("looped", "As it says.", program, {name: name for name in nodes})
    source = javascript.emit([looped], ["A loop."])
    for steps in (1, 3):
        given = values(steps)
        found = node(source, "looped", *(given[leaf.name] for leaf in LEAVES))
        for name, root in nodes.items():
            expected = np.ravel(evaluate(root, given))
            np.testing.assert_allclose(np.ravel(found[name]), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("mean(log(1+exp(-y*(X@w))))", dict(X="n d", y="n", w="d")),
        ("sum((X[1:]@w - y[:-1])**2) + sum(X[-2:]@w)", dict(X="n d", y="n", w="d")),
        ("sum(exp(A@w))", dict(A="n d", w="d")),
        ("sum(sin(A)) * sum(w)", dict(A="n d", w="k")),
        ("sum(-w**2 * erf(w)) - sum(abs(w) / (1 + w**4))", dict(w="d")),
    ],
)
def test_expressions_of_open_sizes(node, text, axes):
    rng = np.random.default_rng(1)
    sizes = {"n": 6, "d": 3, "k": 2}
    data = {key: rng.normal(size=[sizes[a] for a in spec.split()]) for key, spec in axes.items()}
    d = pb.derive(pb.expr(text, **axes), wrt="w")
    value, grads = node(d.code("javascript"), "value_and_grad", *data.values())
    namespace: dict[str, Any] = {}
    exec(d.code("numpy"), namespace)  # noqa: S102  the same in another language
    expected, slopes = namespace["value_and_grad"](*data.values())
    assert value == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(grads["w"], slopes["w"], rtol=1e-11)


def test_class_numbers_and_rows_are_the_same(node):
    case = named("cross-entropy, labels")
    source = pb.derive(case.net).code("javascript")
    x, labels = case.data()
    found = [
        node(source, "value_and_grad", case.params(), x, y)[0]
        for y in (labels.astype(np.int32), np.eye(case.net.target.axes[-1].size)[labels])
    ]
    assert found[0] == found[1] == pytest.approx(case.net.loss(case.params(), x, labels))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (dict(x=np.zeros(7)), r"RangeError: x is not of shape \(batch, 4\)"),
        (dict(target=np.asarray([9] * 5)), "target holds a number that is not from 0 to 2"),
        (dict(params={"0.weight": np.zeros(3)}), "0.weight is not of shape"),
    ],
)
def test_wrong_arrays_are_refused(node, change, says):
    case = named("cross-entropy, labels")
    x, labels = case.data()
    given = dict(params=case.params(), x=x, target=labels)
    given["params"] = given["params"] | change.pop("params", {})
    with pytest.raises(RuntimeError, match=says):
        node(pb.derive(case.net).code("javascript"), "value_and_grad", *(given | change).values())


def test_special_functions_keep_their_digits(node):
    from scipy.special import erf, erfc

    x = np.concatenate([np.linspace(-30, 30, 2001), [0.0, 1e-300, 2.0, np.nextafter(2.0, 0)]])
    source = ERF.replace("function", "export function")
    for name, exact in (("erf", erf), ("erfc", erfc)):
        script = f"{source}\nexport const all = (x) => x.map({name});"
        np.testing.assert_allclose(node(script, "all", x), exact(x), rtol=3e-13, atol=1e-300)


def test_what_lengths_do_not_tell_is_asked_for(node):
    d = pb.derive(pb.expr("sum(sin(A))", A="n d"), wrt="A")
    bare = "export const bare = () => value_and_grad(new Float64Array(4));"
    with pytest.raises(RuntimeError, match=r"A needs a shape: A.shape = \[n, d\]"):
        node(f"{d.code('javascript')}\n{bare}", "bare")


def test_no_name_of_a_network_ends_a_comment_or_a_string(node):
    block = pb.Activation("tanh(x)")
    net = pb.Network(pb.Sequential(pb.Linear(1, 1), block), loss=pb.SquaredError())
    d = replace(pb.derive(net), subject="x\u2028;throw 1 //\nthrow 2;\r\x85throw 3")
    params = {"0.weight": np.ones((1, 1)), "0.bias": np.zeros(1)}
    ones = np.ones((2, 1))
    value, _ = node(d.code("javascript"), "value_and_grad", params, ones, ones)
    assert value == pytest.approx((1 - np.tanh(1)) ** 2 / 2)
