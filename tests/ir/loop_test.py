"""Loops as nodes: what they mean, when they are one object, when they are refused."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest

from pullback.errors import AxisError
from pullback.ir import Axis, Contract, Input, Named, Node, Parameter, Rename, Scan, fn, simplify
from pullback.ir import symbol as x_
from pullback.ir.build import add, multiply, scalar_map
from pullback.ir.evaluate import evaluate
from pullback.ir.flow import form
from pullback.ir.forms import Recursion
from pullback.ir.lift import lifted
from pullback.ir.scan import scan
from pullback.ir.unroll import unrolled

BATCH, TIME, UNITS, INNER = Axis("batch"), Axis("time", 4), Axis("units", 3), Axis("inner", 3)
X, START = Input("x", (BATCH, TIME, UNITS)), Input("start", (BATCH, UNITS))
WEIGHT = Parameter("W", (UNITS, INNER))
RNG = np.random.default_rng(0)
VALUES = {
    "x": RNG.normal(size=(2, 4, 3)),
    "start": RNG.normal(size=(2, 3)),
    "W": RNG.normal(size=(3, 3)),
}


def turn(states: tuple[Node, ...], now: tuple[Node, ...]) -> tuple[Node, ...]:
    """tanh(W h + x), and the running sum of it."""
    h, total = states
    product = Contract((Rename(h, ((UNITS, INNER),)), WEIGHT), (BATCH, UNITS))
    after = scalar_map(fn("tanh")(x_(0)), Named("z", add(product, now[0]), "z"))
    return after, add(total, multiply(after, after))


def loop(backward: bool = False, lead: int = 1) -> tuple[Node, ...]:
    return scan(TIME, (START, START), (X,), turn, backward, lead)


def by_hand(backward: bool, weight: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    h = total = VALUES["start"]
    hs, totals = [h] * 4, [h] * 4
    for t in range(4)[:: -1 if backward else 1]:
        h = np.tanh(h @ weight.T + VALUES["x"][:, t])
        total = total + h * h
        hs[t], totals[t] = h, total
    return hs, totals


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("lead", [0, 1, 2])
def test_it_is_the_loop(backward, lead):
    hs, totals = by_hand(backward, VALUES["W"])
    for node, expected in zip(loop(backward, lead), (hs, totals), strict=True):
        assert node.axes == (*(BATCH, UNITS)[:lead], TIME, *(BATCH, UNITS)[lead:])
        np.testing.assert_allclose(evaluate(node, VALUES), np.stack(expected, lead), rtol=1e-14)


@pytest.mark.parametrize("backward", [False, True])
def test_a_placeholder_is_the_state_before_each_turn(backward):
    h, _ = loop(backward)
    before = evaluate(h.at(h.body.states[0]), VALUES)
    after, first = evaluate(h, VALUES), 3 if backward else 0
    np.testing.assert_array_equal(before[:, first], VALUES["start"])
    moved = (before[:, :-1], after[:, 1:]) if backward else (before[:, 1:], after[:, :-1])
    np.testing.assert_array_equal(*moved)


def test_equal_loops_are_one_object():
    assert loop() == loop()
    assert loop()[0] is not loop(backward=True)[0]
    h, total = loop()
    assert h.family == total.family
    assert copy(h) is h
    assert h.digest != total.digest


def test_simplified_states_stay_in_one_loop():
    simple = simplify(*loop())
    assert len({node.family for node in simple}) == 1
    assert simplify(*simple) == simple
    for node, plain in zip(simple, loop(), strict=True):
        np.testing.assert_allclose(evaluate(node, VALUES), evaluate(plain, VALUES), rtol=1e-13)


@pytest.mark.parametrize("last", [False, True])
def test_a_draw_of_a_weight_is_a_draw_of_every_state(last):
    draw = Axis("draw")
    several = Parameter("W", (draw, *WEIGHT.axes))
    (node,) = lifted([loop()[0]], {WEIGHT: several}, last=last)
    weights = RNG.normal(size=(5, 3, 3))
    found = evaluate(node, {**VALUES, "W": weights})
    found = np.moveaxis(found, node.axes.index(draw), 0)
    assert [axis for axis in node.axes if axis != draw] == [BATCH, TIME, UNITS]
    for at in range(5):
        np.testing.assert_allclose(found[at], np.stack(by_hand(False, weights[at])[0], 1))


@pytest.mark.parametrize("backward", [False, True])
def test_written_out_it_is_the_same(backward):
    nodes = loop(backward)
    for node, plain in zip(nodes, unrolled(*nodes), strict=True):
        assert plain.axes == node.axes
        assert not isinstance(plain, Scan)
        np.testing.assert_allclose(evaluate(plain, VALUES), evaluate(node, VALUES), rtol=1e-14)


def test_a_loop_of_unknown_length_stays():
    t = Axis("t")
    (sums,) = scan(t, (Input("s", ()),), (Input("v", (t,)),), lambda s, n: (add(s[0], n[0]),))
    assert unrolled(sums) == (sums,)
    for length in (1, 5):
        v = RNG.normal(size=length)
        np.testing.assert_allclose(evaluate(sums, {"s": 0.5, "v": v}), 0.5 + np.cumsum(v))


def test_a_loop_in_a_loop():
    """Σ over rows of the running product along each."""
    t, s = Axis("t", 3), Axis("s", 2)
    table, one = Input("table", (t, s)), Input("one", ())

    def row(states, now):
        (products,) = scan(s, (one,), (now[0],), lambda p, n: (multiply(p[0], n[0]),))
        return (add(states[0], products),)

    (node,) = scan(t, (Input("zero", (s,)),), (table,), row)
    values = {"table": RNG.normal(size=(3, 2)), "one": 1.0, "zero": np.zeros(2)}
    expected = np.cumsum(np.cumprod(values["table"], axis=1), axis=0)
    np.testing.assert_allclose(evaluate(node, values), expected)
    np.testing.assert_allclose(evaluate(unrolled(node)[0], values), expected)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda s, n: (n[0], s[1]), None),
        (lambda s, n: (Contract((s[0],), (BATCH,)), s[1]), "goes on with the axes (batch)"),
        (lambda s, n: (s[0],), "every state needs a start and a next value"),
        (lambda s, n: (add(s[0], Contract((X,), s[0].axes)), s[1]), "stands in the body"),
    ],
    ids=["fine", "axes", "missing", "whole"],
)
def test_what_is_no_loop_is_refused(step, says):
    if says is None:
        scan(TIME, (START, START), (X,), step)
        return
    with pytest.raises(AxisError) as found:
        scan(TIME, (START, START), (X,), step)
    assert says in str(found.value)


def test_a_loop_reads_something_along_its_axis():
    with pytest.raises(AxisError, match="nothing that the loop reads has the axis time=4"):
        scan(TIME, (START,), (START,), lambda s, n: s)


def test_the_form_of_a_loop_holds_the_equations_of_a_turn():
    state = Named("a", loop()[0], "a")
    found = form(state)
    assert isinstance(found, Recursion)
    assert found.over == TIME
    assert [each.name for each in found.equations] == ["z"]
    assert set(found.args) == {X, START}
