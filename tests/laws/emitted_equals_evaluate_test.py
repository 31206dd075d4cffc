"""What the emitted program computes is what the slow interpreter says, equation by equation."""

import graphs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import ZOO, close, named

from pullback.ir import Contract, Max, Named, simplify, symbol
from pullback.ir.build import scalar_map
from pullback.ir.evaluate import evaluate_all
from pullback.net.program import compile_program

every_case = pytest.mark.parametrize("case", ZOO, ids=repr)


@every_case
def test_value_and_gradients(case):
    net = case.net
    value, grads = net.value_and_grad(case.params(), *case.data())
    assert list(grads) == list(case.params())
    expected = case.evaluate(net.total, *net.gradients.values())
    close(value, expected[0], case.dtype)
    for grad, slow in zip(grads.values(), expected[1:], strict=True):
        assert grad.dtype == case.dtype
        close(grad, slow, case.dtype)


@every_case
def test_loss_and_predict(case):
    output, loss = case.evaluate(case.net.output, case.net.total)
    close(case.net.loss(case.params(), *case.data()), loss, case.dtype)
    close(case.net.predict(case.params(), case.data()[0]), output, case.dtype)


@every_case
def test_trace(case):
    """Every equation is in the trace, under the name of its block, and has its value."""
    net = case.net
    trace = net.trace(case.params(), *case.data())
    kinds = {"z": trace.z, "a": trace.a, "delta": trace.delta, "gradient": trace.gradient}
    held = {f"{kind}.{path}": v for kind, each in kinds.items() for path, v in each.items()}
    held["loss"] = np.asarray(trace.loss, case.dtype)
    assert held.keys() == net.equations.keys()
    expected = case.evaluate(*net.equations.values())
    for (name, found), slow in zip(
        ((name, held[name]) for name in net.equations), expected, strict=True
    ):
        assert found.dtype == case.dtype, name
        close(found, slow, case.dtype)


def test_results_are_not_overwritten_by_the_next_call():
    case = named("depth 3")
    X, Y = case.data()
    _, first = case.net.value_and_grad(case.params(), X, Y)
    kept = {name: grad.copy() for name, grad in first.items()}
    case.net.value_and_grad(case.params(), 2 * X, Y)
    for name, grad in first.items():
        assert np.array_equal(grad, kept[name])


def test_batches_of_several_sizes_in_turn():
    """The arrays that a program keeps between calls are those of the batch at hand."""
    case = named("residual, nested")
    X, Y = case.data()
    for size in (5, 2, 4, 1, 3, 5, 2):
        _, grads = case.net.value_and_grad(case.params(), X[:size], Y[:size])
        alone = [case.net.value_and_grad(case.params(), X[[n]], Y[[n]])[1] for n in range(size)]
        for name, grad in grads.items():
            close(grad, np.mean([each[name] for each in alone], axis=0))


def test_inputs_are_left_as_they_were():
    case = named("sigmoid, bits")
    params, (X, Y) = case.params(), case.data()
    before = [value.copy() for value in (*params.values(), X, Y)]
    case.net.value_and_grad(params, X, Y)
    case.net.trace(params, X, Y)
    for value, was in zip((*params.values(), X, Y), before, strict=True):
        assert np.array_equal(value, was)


def test_roots_of_one_value():
    """Each result has an array of its own, whether it is an equation, its right side or both."""
    x, y, _ = graphs.LEAVES
    squares, double = Contract((x, x), y.axes), scalar_map(2 * symbol(0), y)
    top = Max(double, y.axes[0])
    for node in (squares, double, top, y):
        one, other = Named("z.1", node, "z"), Named("z.2", node, "z")
        for roots in ((node, node), (one, node), (node, one), (one, other), (one, one)):
            named_roots = {f"r{at}": root for at, root in enumerate(simplify(*roots))}
            found = compile_program({**named_roots, "x": x}, "Twice.")({}, graphs.values())
            expected = evaluate_all((x, node), graphs.values())[node]
            close(found["r0"], expected)
            close(found["r1"], expected)
            assert found["r0"] is not found["r1"] or not node.axes


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(graphs.graphs(), min_size=1, max_size=3), st.integers(1, 4))
def test_random_programs(nodes, batch):
    """Several roots that share parts, in one program."""
    roots = {f"r{at}": node for at, node in enumerate(simplify(*nodes))}
    needed = evaluate_all((*graphs.INPUTS, *roots.values()), graphs.values(batch=batch))
    inputs = {leaf.name: needed[leaf] for leaf in graphs.INPUTS}
    leaves = {f"given{at}": leaf for at, leaf in enumerate(graphs.INPUTS)}
    found = compile_program({**roots, **leaves}, "Random.")({}, inputs)
    for name, root in roots.items():
        close(np.asarray(found[name]), needed[root], tight=1e-10)
