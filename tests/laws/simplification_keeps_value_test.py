"""Simplification changes the form and never the value, the axes, or what has been simplified."""

import graphs
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import FLOAT64, close

from pullback.calculus import cotangents, gradients
from pullback.ir import Add, Contract, Input, Named, simplify, symbol, walk
from pullback.ir.build import add, scalar_map, scale
from pullback.ir.evaluate import evaluate_all
from pullback.nn import named_loss

every_case = pytest.mark.parametrize("case", FLOAT64, ids=repr)
a_few = settings(max_examples=250, deadline=None, derandomize=True)


@a_few
@given(st.lists(graphs.graphs(steps=8), min_size=1, max_size=3), st.integers(1, 4))
def test_random_nodes(nodes, batch):
    simpler = simplify(*nodes)
    known = evaluate_all((*graphs.INPUTS, *nodes, *simpler), graphs.values(batch=batch))
    for node, simple in zip(nodes, simpler, strict=True):
        assert simple.axes == node.axes
        close(known[simple], known[node], tight=1e-9)


def test_axes_of_a_sum_stay_in_their_order():
    """A sum sorts its operands, and simpler operands sort otherwise; the axes do not follow."""
    x, y, W = graphs.LEAVES
    rows = scalar_map(sp.tanh(symbol(0)), Input("u", (graphs.J,)))
    for term in (W, y, rows):
        for simpler in (add(term, scale(0.0, W)), scale(2.0, scale(0.5, term)), term):
            for other in (x, y, rows):
                node = Add((other, simpler))
                assert simplify(node)[0].axes == node.axes


@a_few
@given(st.lists(graphs.graphs(steps=8), min_size=1, max_size=3))
def test_what_is_simple_stays(nodes):
    simpler = simplify(*nodes)
    assert simplify(*simpler) == simpler


@a_few
@given(graphs.graphs(smooth=True, steps=8), st.integers(1, 4))
def test_gradients_of_random_nodes(node, batch):
    """The raw sweep against the simplified one."""
    total = Contract((node,), ())
    reached = [leaf for leaf in graphs.LEAVES if leaf in set(walk(simplify(total)))]
    raw = cotangents(total, reached) if reached else {}
    simple = gradients(total, reached) if reached else ()
    known = evaluate_all((*graphs.INPUTS, *raw.values(), *simple), graphs.values(batch=batch))
    for leaf, slope in zip(reached, simple, strict=True):
        assert slope.axes == leaf.axes
        close(known[slope], known[raw[leaf]], tight=1e-9)


@every_case
def test_networks(case):
    """The loss and gradients as a network holds them against what its blocks built."""
    net = case.net
    output = net.model.build(net.x, "")
    total = named_loss(net.criterion, output, net.target)
    raw = cotangents(total, net.parameters.values())
    plain = case.evaluate(output, total, *(raw[leaf] for leaf in net.parameters.values()))
    simple = case.evaluate(net.output, net.total, *net.gradients.values())
    values = case.params()
    for name, before, after in zip(("output", "loss", *net.gradients), plain, simple, strict=True):
        if case.l2 and name == "loss":
            squares = [(v**2).sum() for k, v in values.items() if k.endswith("weight")]
            before = before + case.l2 / 2 * sum(squares)
        if case.l2 and name.endswith("weight"):
            before = before + case.l2 * values[name]
        close(after, before)


@every_case
def test_every_equation_of_the_forward_pass_survives(case):
    """z and a of each block are still there by name: names are barriers."""
    raw = case.net.model.build(case.net.x, "")
    names = [node.name for node in walk((raw,)) if isinstance(node, Named)]
    assert [n for n in case.net.equations if n.startswith(("z.", "a."))] == names
