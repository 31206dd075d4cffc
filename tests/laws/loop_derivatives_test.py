"""The derivatives of loops: adjoints, complex steps, second order, and the closed sum."""

from __future__ import annotations

import numpy as np
import pytest

from pullback.calculus import (
    cotangents,
    gradients,
    hessian_vector_product,
    jacobian,
    linearise,
    pushforward,
)
from pullback.ir import (
    Add,
    Axis,
    Contract,
    Input,
    Named,
    Node,
    Parameter,
    Rename,
    Scan,
    fn,
    simplify,
    symbol,
    walk,
)
from pullback.ir.build import add, multiply, scalar_map
from pullback.ir.evaluate import evaluate
from pullback.ir.scan import scan
from pullback.net.program import compile_program

BATCH, TIME, UNITS, INNER = Axis("batch"), Axis("time", 4), Axis("units", 3), Axis("inner", 3)
X, START = Input("x", (BATCH, TIME, UNITS)), Input("start", (BATCH, UNITS))
COUPLING = Input("coupling", (UNITS,))  # the same at every turn, and no parameter
WEIGHT = Parameter("W", (UNITS, INNER))
LEAVES = (X, START, COUPLING, WEIGHT)
RNG = np.random.default_rng(0)
SHAPES = {"x": (2, 4, 3), "start": (2, 3), "coupling": (3,), "W": (3, 3)}
VALUES = {name: RNG.normal(size=shape) for name, shape in SHAPES.items()}
CHANGES = {name: RNG.normal(size=shape) for name, shape in SHAPES.items()}


def turn(states: tuple[Node, ...], now: tuple[Node, ...]) -> tuple[Node, ...]:
    """Two states that need one another, an equation, and an argument of each kind."""
    h, c = states
    product = Contract((Rename(h, ((UNITS, INNER),)), WEIGHT), (BATCH, UNITS))
    z = Named("z.0", add(product, now[0], multiply(c, COUPLING)), "z")
    after = Named("a.0", scalar_map(fn("tanh")(symbol(0)), z), "a")
    return after, scalar_map(fn("sigmoid")(symbol(0)) * symbol(1), c, after)


def loop(backward: bool) -> tuple[Node, ...]:
    return scan(TIME, (START, START), (X,), turn, backward, 1)


def stepped(node: Node, leaves: tuple[Node, ...] = LEAVES) -> np.ndarray:
    """The change of a node along CHANGES of some leaves, by a complex step."""
    moved = {k: v.astype(complex) for k, v in VALUES.items()}
    for leaf in leaves:
        moved[leaf.name] += 1e-30j * CHANGES[leaf.name]
    return evaluate(node, moved).imag / 1e-30


def tangents(leaves: tuple[Node, ...]) -> dict[Node, Node]:
    return {leaf: Input(f"v_{leaf.name}", leaf.axes) for leaf in leaves}


def given(**more: np.ndarray) -> dict[str, np.ndarray]:
    return {**VALUES, **{f"v_{name}": change for name, change in CHANGES.items()}, **more}


both = pytest.mark.parametrize("backward", [False, True])


@both
@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
@pytest.mark.parametrize("of", ["h", "c", "z", "h before"])
def test_pushforward_and_pullback_are_adjoint_and_right(backward, leaf, of):
    h, c = loop(backward)
    held = h.arg
    (z,) = (each for each in held.body.equations() if each.role == "z")
    root = {"h": h, "c": c, "z": held.at(z), "h before": held.at(held.body.states[0])}[of]
    change = evaluate(pushforward(root, tangents((leaf,))), given())
    np.testing.assert_allclose(change, stepped(root, (leaf,)), rtol=1e-11, atol=1e-13)
    seed = Input("seed", root.axes)
    u = np.random.default_rng(1).normal(size=change.shape)
    back = evaluate(simplify(cotangents(root, [leaf], seed)[leaf])[0], given(seed=u))
    assert back.shape == SHAPES[leaf.name]
    assert np.sum(u * change) == pytest.approx(np.sum(back * CHANGES[leaf.name]), rel=1e-11)


@both
def test_each_link_is_what_its_tensor_says(backward):
    """linearise's own maps: applied, transposed, and written out."""
    node = loop(backward)[1]
    for arg, link in linearise(node):
        v, u = Input("v", arg.axes), Input("u", node.axes)
        shape = evaluate(arg, VALUES).shape
        data = given(v=RNG.normal(size=shape), u=RNG.normal(size=evaluate(node, VALUES).shape))
        pushed, pulled = evaluate(link @ v, data), evaluate(link.T @ u, data)
        assert np.sum(pushed * data["u"]) == pytest.approx(np.sum(pulled * data["v"]))
        called = dict(link.names)
        tied = [axis for axis in arg.axes if axis not in called]
        moved = Rename(v, tuple(link.names)) if link.names else v
        assert all(link.structure()[axis.name] == "diagonal" for axis in tied)
        whole = evaluate(Contract((link.tensor, moved), node.axes), data)
        np.testing.assert_allclose(whole, pushed, rtol=1e-10, atol=1e-12)


@both
def test_second_derivatives(backward):
    h, c = loop(backward)
    total = Add((Contract((h, c, h), ()), Contract((c, X), ())))
    v = tangents(LEAVES)
    slopes = gradients(total, LEAVES)
    products = hessian_vector_product(total, LEAVES, v)
    for slope, product in zip(slopes, products, strict=True):
        expected = stepped(slope)
        np.testing.assert_allclose(evaluate(product, given()), expected, rtol=1e-10, atol=1e-12)
        forward = pushforward(slope, v)
        np.testing.assert_allclose(evaluate(forward, given()), expected, rtol=1e-10, atol=1e-12)
    roots = {str(at): node for at, node in enumerate((*slopes, *products))}
    program = compile_program(roots, "Both.", leaves=(*LEAVES, *v.values()))
    inputs = given()
    found = program({"W": inputs.pop("W")}, inputs)
    for key, node in roots.items():
        np.testing.assert_allclose(found[key], evaluate(node, given()), rtol=1e-11, atol=1e-13)


@both
def test_all_that_is_read_of_a_loop_has_one_delta(backward):
    """With h, c and z read outside, δ is the derivative by z at each turn: by x, which adds."""
    h, c = loop(backward)
    (z,) = (each for each in h.arg.body.equations() if each.role == "z")
    total = Add((Contract((h, h, c), ()), Contract((h.arg.stacked(z), X), ())))
    slopes = gradients(total, (X, WEIGHT))
    found = {node for node in walk(slopes) if isinstance(node, Named) and node.role == "delta"}
    (delta,) = found
    outside = evaluate(h.arg.stacked(z), VALUES)
    by_x = evaluate(slopes[0], VALUES)
    np.testing.assert_allclose(evaluate(delta, VALUES) + outside, by_x, rtol=1e-12)
    change = np.sum(by_x * CHANGES["x"]) + np.sum(evaluate(slopes[1], VALUES) * CHANGES["W"])
    assert change == pytest.approx(stepped(total, (X, WEIGHT)), rel=1e-11)


def test_the_whole_jacobian():
    (h, _) = loop(False)
    whole = evaluate(jacobian(h, WEIGHT), VALUES)
    change = np.tensordot(whole, CHANGES["W"], 2)
    np.testing.assert_allclose(change, stepped(h, (WEIGHT,)), rtol=1e-11)


def test_a_linear_loop_is_the_closed_sum():
    """h_t = A h_{t−1} + x_t gives δ_t = Σ_{s ≥ t} (Aᵀ)^{s−t} g_s, and ∂A = Σ δ_t h_{t−1}ᵀ."""

    def linear(states, now):
        product = Contract((Rename(states[0], ((UNITS, INNER),)), WEIGHT), (BATCH, UNITS))
        return (add(product, now[0]),)

    (h,) = scan(TIME, (START,), (X,), linear, lead=1)
    g = Input("g", h.axes)
    by_x, by_start, by_weight = gradients(Contract((h, g), ()), (X, START, WEIGHT))
    data = given(g=RNG.normal(size=(2, 4, 3)))
    A = VALUES["W"]
    powers = [np.linalg.matrix_power(A, k) for k in range(5)]
    delta = np.stack(
        [sum(data["g"][:, s] @ powers[s - t] for s in range(t, 4)) for t in range(4)], 1
    )
    np.testing.assert_allclose(evaluate(by_x, data), delta, rtol=1e-12)
    np.testing.assert_allclose(evaluate(by_start, data), delta[:, 0] @ A, rtol=1e-12)
    hs = evaluate(h, data)
    before = np.concatenate([VALUES["start"][:, None], hs[:, :-1]], 1)
    expected = np.einsum("nti,ntj->ij", delta, before)
    np.testing.assert_allclose(evaluate(by_weight, data), expected, rtol=1e-12)


def test_a_weight_s_gradient_is_one_product_after_the_loop():
    h, _ = loop(False)
    (slope,) = gradients(Contract((h, h), ()), (WEIGHT,))
    assert isinstance(slope, Contract)
    assert set(slope.summed) == {BATCH, TIME}
    for node in walk((slope,)):
        if isinstance(node, Scan):
            inside = [each for each in walk(node.body.nexts) if set(each.axes) >= {UNITS, INNER}]
            assert all(isinstance(each, Input) for each in inside)


def test_a_loop_in_a_loop_has_derivatives():
    t, s = Axis("t", 3), Axis("s", 2)
    table, one, zero = Input("table", (t, s)), Input("one", ()), Input("zero", (s,))

    def row(states, now):
        (products,) = scan(s, (one,), (now[0],), lambda p, n: (multiply(p[0], n[0]),))
        return (scalar_map(fn("tanh")(symbol(0)), add(states[0], products)),)

    (node,) = scan(t, (zero,), (table,), row)
    total = Contract((node, node), ())
    values = {"table": RNG.normal(size=(3, 2)), "one": 0.7, "zero": RNG.normal(size=2)}
    for leaf, slope in zip((table, one), gradients(total, (table, one)), strict=True):
        found, value = evaluate(slope, values), np.asarray(values[leaf.name])
        for at in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[at] += 1e-30j
            expected = evaluate(total, {**values, leaf.name: moved}).imag / 1e-30
            assert found[at] == pytest.approx(expected, rel=1e-11)
    program = compile_program(dict(zip("ab", gradients(total, (table, one)), strict=True)), "Two.")
    found = program({}, {name: np.asarray(value) for name, value in values.items()})
    np.testing.assert_allclose(found["a"], evaluate(gradients(total, (table,))[0], values))


@pytest.mark.parametrize("backward", [False, True])
def test_one_loop_has_the_changes_for_all_arguments_of_all_that_a_loop_makes(backward):
    """Not one for each pair of a result and an argument."""
    total = add(*loop(backward))
    change = pushforward(total, {leaf: Input(f"d.{leaf.name}", leaf.axes) for leaf in LEAVES})
    bodies = {node.body for node in walk((change,)) if isinstance(node, Scan)}
    assert len(bodies) == 2
    found = evaluate(change, given(**{f"d.{name}": each for name, each in CHANGES.items()}))
    np.testing.assert_allclose(found, stepped(total), rtol=1e-11)
