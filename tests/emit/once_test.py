"""What is computed once is not computed again, however it is written."""

from __future__ import annotations

import numpy as np
from contraction_test import close
from general_networks import GENERAL

from pullback.ir import (
    Add,
    Axis,
    Contract,
    Input,
    Map,
    Named,
    Rename,
    Scalar,
    fn,
    rows,
    symbol,
)
from pullback.ir.evaluate import evaluate_all
from pullback.net.program import Compiled, compile_program

B, I, J, K, T = Axis("b"), Axis("i", 4), Axis("j", 3), Axis("k", 4), Axis("t", 2)
x, y, h = Input("x", (B, I)), Input("y", (J, I)), Input("h", (B, T, I))
LEAVES = (x, y, h)


def program(*nodes) -> Compiled:
    """A program of some nodes, which are right."""
    roots = {f"r{at}": node for at, node in enumerate(nodes)}
    compiled = compile_program(roots, "Once.", leaves=LEAVES)
    rng = np.random.default_rng(0)
    given = {leaf.name: rng.normal(size=[axis.size or 5 for axis in leaf.axes]) for leaf in LEAVES}
    found, expected = compiled({}, given), evaluate_all((*LEAVES, *nodes), given)
    for key, node in roots.items():
        close(found[key], expected[node])
    return compiled


def called(renamed: bool) -> tuple[Input | Rename, Input | Rename]:
    return (Rename(x, ((I, K),)), Rename(y, ((I, K),))) if renamed else (x, y)


def tanh(node):
    return Map(Scalar.of(fn("tanh")(symbol(0))), (node,))


def test_a_product_in_two_orders_of_its_axes_and_of_what_it_sums():
    one, other = Contract(called(False), (B, J)), Contract(called(True), (J, B))
    assert program(tanh(one), tanh(other)).source.count("np.matmul") == 1


def test_a_product_of_more_axes_and_a_sum():
    w = Rename(y, ((I, K),))
    products = Contract((h, y), (T, B, J)), Contract((Rename(h, ((I, K),)), w), (B, J, T))
    assert program(*map(tanh, products)).source.count("np.matmul") == 1
    sums = Contract((h,), (B, I)), Contract((Rename(h, ((I, K),)),), (K, B))
    assert program(*map(tanh, sums)).source.count("np.sum") == 1


def test_products_that_differ_are_two():
    p, q = Axis("p", 4), Axis("q", 4)
    square = Rename(x, ((I, p),)), Rename(x, ((I, q),))
    assert program(Contract((x, x), (B,)), Contract((x, x), (I,))).source.count("out=") >= 2
    program(Contract(square, (p, q)), Contract((x, x), ()), Contract((x, x), (B,)))


def test_slices_of_one_length_at_two_places_are_two():
    short = Axis("s", 2)
    parts = [Contract((x, rows(short, I, at, at + 2)), (B, short)) for at in (0, 2, 0)]
    source = program(*map(tanh, parts)).source
    assert source.count("x[:, 0:2]") == source.count("x[:, 2:4]") == 1
    wide = Axis("l", 5)
    padded = [Contract((h, rows(T, to, 0, 2)), (B, I, to)) for to in (K, wide)]
    program(*map(tanh, padded))


def test_the_value_of_an_equation_inside_another_expression():
    a = Named("a", tanh(x))
    again = Add((Contract((tanh(x), x), (B, I)), a))
    source = program(a, again).source
    assert source.count("np.tanh") == 1
    (attention,) = [case for case in GENERAL if case.name == "attention over tokens"]
    assert attention.net.value_and_grad_program.source.count("np.exp(") == 2  # one in a sum


def test_an_equation_that_is_constant_along_an_axis_stays_apart():
    z = Input("z", (B,))
    wide = Named("wide", Map(Scalar.of(fn("tanh")(symbol(0)), 2), (y, z)))
    leaves = (*LEAVES, z)
    compiled = compile_program({"a": wide, "b": tanh(y)}, "Two shapes.", leaves=leaves)
    given = {leaf.name: np.ones([axis.size or 5 for axis in leaf.axes]) for leaf in leaves}
    found = compiled({}, given)
    assert (found["a"].ndim, found["b"].shape) == (3, (3, 4))


def test_a_copy_is_made_once_for_all_products_that_read_it():
    """The copy of windows that a convolution multiplies serves its weight's gradient too."""
    (case,) = (each for each in GENERAL if each.name == "strided groups of channels")
    source = case.net.value_and_grad_program.source
    copies = [line for line in source.splitlines() if "[...] = " in line and "transpose" in line]
    assert copies
    assert len({line.partition(" = ")[2] for line in copies}) == len(copies)


def test_a_copy_whose_place_was_taken_is_made_again():
    """Two products copy into one spare array in turns, and each is right."""
    axes = [Axis(name, 8) for name in "pqrst"]
    p, q, r, s, t = axes
    u, v = Input("u", (p, q, r)), Input("v", (p, q, r))
    a, b = Input("a", (s, q)), Input("b", (t, q))
    out = [Contract(pair, (p, r, s)) for pair in ((u, a), (v, a))]
    out += [Contract(pair, (p, r, t)) for pair in ((u, b), (v, b))]
    roots = {f"r{at}": node for at, node in enumerate(map(tanh, out))}
    rng = np.random.default_rng(0)
    given = {n.name: rng.normal(size=[axis.size for axis in n.axes]) for n in (u, v, a, b)}
    found, expected = compile_program(roots, "Turns.")({}, given), evaluate_all(out, given)
    for key, node in zip(roots, out, strict=True):
        close(found[key], np.tanh(expected[node]))


def test_an_expression_lies_as_the_arrays_do_that_it_is_made_of():
    turned = Contract((tanh(Contract((h,), (T, B, I))), Input("w", (B, T))), (I,))
    roots = {"r": turned}
    source = compile_program(roots, "As they lie.", leaves=(h,)).source
    assert "tanh(h, " in source


def test_slopes_of_what_saturates_are_quiet_far_out():
    far = np.array([-1e4, -90.0, 0.0, 90.0, 1e4], np.float32)
    z = Input("z", (Axis("n"),))
    for name in ("sigmoid_slope", "sech2"):
        slope = compile_program({"r": Map(Scalar.of(fn(name)(symbol(0))), (z,))}, "A slope.")
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            assert np.isfinite(slope({}, {"z": far})["r"]).all()
