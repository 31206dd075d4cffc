"""Hessian-vector products: reverse over reverse, forward over reverse, complex step, and jax."""

import graphs
import numpy as np
import pytest
from hypothesis import given, settings
from zoo import FLOAT64, close, named

from pullback.calculus import gradients, hessian_vector_product, pushforward
from pullback.ir import Contract, Input, simplify, walk
from pullback.ir.evaluate import evaluate_all
from pullback.laws import adjoint_check

STEP = 1e-30


@pytest.mark.parametrize("case", FLOAT64, ids=repr)
def test_four_ways(case):
    jax_peer = pytest.importorskip("jax_peer")
    net, params, direction = case.net, case.params(), case.params(seed=1)
    leaves = tuple(net.parameters.values())
    along = {leaf: Input(f"v.{leaf.name}", leaf.axes) for leaf in leaves}
    slopes = tuple(net.gradients[leaf.name] for leaf in leaves)

    reverse = hessian_vector_product(net.total, leaves, along)
    forward = tuple(pushforward(slope, along) for slope in slopes)
    arrays = {f"v.{name}": value for name, value in direction.items()}
    by_reverse, by_forward = (case.evaluate(*nodes, **arrays) for nodes in (reverse, forward))

    stepped = {name: value + STEP * 1j * direction[name] for name, value in params.items()}
    by_step = [value.imag / STEP for value in case.evaluate(*slopes, **stepped)]
    theirs = jax_peer.answer(case).hessian_product
    largest = max(np.max(np.abs(value)) for value in by_step)
    for at, leaf in enumerate(leaves):
        assert reverse[at].axes == forward[at].axes == leaf.axes
        for found in (by_reverse[at], by_forward[at], theirs[leaf.name]):
            assert found.shape == by_step[at].shape
            assert np.max(np.abs(found - by_step[at])) <= 1e-10 * max(largest, 1e-3)


@pytest.mark.parametrize("name", ["depth 3", "sigmoid, bits", "GELU()", "residual, nested", "l2"])
def test_hessian_is_symmetric(name):
    case = named(name)
    leaves = tuple(case.net.parameters.values())
    along = {leaf: Input(f"v.{leaf.name}", leaf.axes) for leaf in leaves}
    product = hessian_vector_product(case.net.total, leaves, along)

    def hessian(v):
        found = case.evaluate(*product, **{f"v.{name}": part for name, part in v.items()})
        return dict(zip(v, found, strict=True))

    shapes = {name: value.shape for name, value in case.params().items()}
    found = adjoint_check(hessian, hessian, shapes, shapes, pairs=2, entries=64)
    assert found.ok, found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(graphs.graphs(smooth=True, steps=7))
def test_random_nodes(node):
    total = Contract((node,), ())
    reached = [leaf for leaf in graphs.LEAVES if leaf in set(walk(simplify(total)))]
    if not reached:
        return
    along = {leaf: Input(f"v.{leaf.name}", leaf.axes) for leaf in reached}
    slopes = gradients(total, reached)
    reverse = hessian_vector_product(total, reached, along)
    forward = tuple(pushforward(slope, along) for slope in slopes)

    values, direction = graphs.values(seed=0), graphs.values(seed=1)
    arrays = {**values, **{f"v.{leaf.name}": direction[leaf.name] for leaf in reached}}
    known = evaluate_all((*graphs.INPUTS, *along.values(), *reverse, *forward), arrays)
    moved = {leaf.name: values[leaf.name] + STEP * 1j * direction[leaf.name] for leaf in reached}
    stepped = evaluate_all((*graphs.INPUTS, *slopes), {**values, **moved})
    for slope, one, other in zip(slopes, reverse, forward, strict=True):
        expected = np.imag(stepped[slope]) / STEP
        close(known[one], expected, tight=1e-9)
        close(known[other], expected, tight=1e-9)
