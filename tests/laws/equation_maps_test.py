"""The map of an equation is its pushforward, its transpose the pullback; equal ones are one."""

from itertools import pairwise

import numpy as np
import pytest
from general_networks import GENERAL
from matrix_networks import BY_HAND

import pullback as pb
from pullback.calculus import Routes, cotangents, local_map, pushforward
from pullback.calculus.equation import alone
from pullback.ir import Axis, Contract, Graph, Input, Named, Rename
from pullback.ir.evaluate import evaluate
from pullback.nn import Block

S, L = pb.Sequential, pb.Linear
SOME = [*BY_HAND, *(c for c in GENERAL if c.name in ("attention over tokens", "encoder layer"))]


def maps(net):
    graph = Graph({"output": net.built})
    for equation in graph.equations:
        for source in graph.reads(equation):
            if isinstance(source, (Named, Input)) and not getattr(source, "whole", False):
                yield equation, source, local_map(equation, source)


def drawn(leaf, rng):
    shape = [axis.size or {"batch": 2}.get(axis.name, 3) for axis in leaf.axes]
    whole = isinstance(leaf, Input) and leaf.whole
    return rng.integers(0, 2, shape) if whole else rng.normal(size=shape)


@pytest.mark.parametrize("case", SOME, ids=repr)
def test_it_is_the_pushforward_and_its_transpose_the_pullback(case):
    rng, seen = np.random.default_rng(0), 0
    for equation, source, link in maps(case.net):
        right, leaves = alone(equation)
        alike = Named("e", right)
        leaf = leaves[source]
        link = local_map(alike, leaf)
        tangent, seed = Input("tangent", leaf.axes), Input("seed", right.axes)
        values = {each.name: drawn(each, rng) for each in (*leaves.values(), tangent, seed)}
        pushed = pushforward(right, {leaf: tangent})
        pulled = cotangents(right, [leaf], seed)[leaf]
        for found, expected in (
            (link @ tangent, pushed), (link.T @ seed, pulled), (link.T.T @ tangent, pushed)
        ):  # fmt: skip
            assert found.axes == expected.axes or {*found.axes} == {*expected.axes}
            turned = Contract((found,), expected.axes)
            one, other = (evaluate(each, values) for each in (turned, expected))
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
        seen += 1
    assert seen or case.name == "unnamed alone"


def test_what_an_equation_leaves_alone_is_not_on_the_tensor():
    net = pb.Network(S(L(4, 3), pb.LayerNorm(3)), loss=pb.SquaredError(), x="tokens=5 features=4")
    found = {equation.name: link for equation, source, link in maps(net) if source.name != "z.0"}
    z = found["z.0"]
    assert z.tensor is net.parameters["0.weight"]
    assert z.structure() == {
        "batch": "identity", "tokens": "identity", "features": "dense", "units.0": "dense"
    }  # fmt: skip
    assert not any(axis.name == "tokens" for axis in z.tensor.axes)


def test_axes_of_one_name_on_both_sides_are_kept_apart():
    n, t, d = Axis("batch"), Axis("t", 3), Axis("d", 2)
    x = Named("x", Input("data", (n, t, d)))
    other = Rename(x, ((t, t.primed),))
    scores = Named("scores", Contract((x, other), (n, t, t.primed)), "z")
    link = local_map(scores, x)
    assert dict(link.names).keys() == {t}
    rng = np.random.default_rng(0)
    values = {"data": rng.normal(size=(2, 3, 2)), "v": rng.normal(size=(2, 3, 2))}
    v = Input("v", x.axes)
    found, expected = evaluate(link @ v, values), evaluate(pushforward(scores, {x: v}), values)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


class Unrolled(Block):
    """h ← tanh(W h), named at each step."""

    def build(self, x, at):
        f, out = x.axes[-1], at.axis("units", 3)
        weight = at.parameter("weight", (out, f))
        for step in range(5):
            z = at.z(Contract((x, weight), (*x.axes[:-1], out)), f"{step}")
            a = at.a(pb.ir.build.scalar_map(pb.ir.fn("tanh")(pb.ir.symbol(0)), z), f"{step}")
            x = a if step == 4 else Named(f"back.{step}", Rename(a, ((out, f),)))
        return x


def test_equal_equations_are_linearised_once():
    net = pb.Network(Unrolled(), loss=pb.SquaredError(), x="features=3")
    steps = [e for e in Graph({"output": net.built}).equations if e.role == "a"]
    rights = [alone(each)[0] for each in steps]
    assert all(one is other for one, other in pairwise(rights))
    ways = Routes.of(Graph({"output": net.built}).between(net.x, net.built))
    assert list(ways.into)[-1] is net.built
    assert sum(len(into) for into in ways.into.values()) == 5 + 5 + 4
