"""Simplification: one normal form for one meaning, reached once, with the value kept."""

import random

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pullback.ir import (
    Add,
    Axis,
    Constant,
    Contract,
    Input,
    LogSumExp,
    Map,
    Max,
    Named,
    Rename,
    identity,
    simplify,
    symbol,
    walk,
)
from pullback.ir.build import (
    add,
    mean_over,
    multiply,
    scalar_map,
    scale,
    subtract,
    sum_over,
    with_axes,
)
from pullback.ir.evaluate import evaluate_all
from pullback.ir.language.parse import parse
from pullback.ir.scalar.primitives import fn

SIZES = {"n": 3, "d": 2}
OPEN = {name: Axis(name) for name in SIZES}
KNOWN = {name: Axis(name, size) for name, size in SIZES.items()}
LEAVES = {"X": "nd", "Y": "nd", "y": "n", "t": "n", "w": "d", "v": "d", "s": "", "r": ""}
x0, x1 = symbol(0), symbol(1)
sigmoid, softplus = fn("sigmoid"), fn("softplus")
FUNCTIONS = {
    "tanh": sp.tanh(x0),
    "sigmoid": sigmoid(x0),
    "softplus": softplus(x0),
    "square": x0**2,
    "bell": sp.exp(-(x0**2) / 2),
    "half": x0 / 2,
    "swish": x0 * sigmoid(x0),
    "odd": 1 - 2 * sigmoid(-x0),
}
PAIRS = {"difference": x0 - x1, "damped": sp.tanh(x0) * sp.exp(-(x1**2)), "ratio": x0 / (1 + x1**2)}

# A formula without an order: operands are a bag, and nothing says how they are bracketed.
# Sums of these numbers are exact, so that no order shows in the last digit.
numbers = st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0]), max_size=2)


def sums_and_products(inner):
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.just("add"), several, numbers),
        st.tuples(st.just("multiply"), several, st.just([])),
        st.tuples(st.just("map"), st.sampled_from(sorted(FUNCTIONS)), inner),
        st.tuples(st.just("pair"), st.sampled_from(sorted(PAIRS)), inner, inner),
    )


def everything(inner):
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        sums_and_products(inner),
        st.tuples(st.just("multiply"), several, numbers),
        st.tuples(st.just("contract"), several, st.sampled_from(["", "n", "d"])),
        st.tuples(st.sampled_from(["logsumexp", "max", "mean"]), inner),
    )


formula = st.recursive(st.sampled_from(sorted(LEAVES)), everything, max_leaves=7)
shape = st.recursive(st.none(), sums_and_products, max_leaves=6)


def leaves(axes):
    return {
        name: Input(name, tuple(axes[letter] for letter in letters))
        for name, letters in LEAVES.items()
    }


def written(tree, axes, order, names=()):
    """The formula as one person may write it: operands in some order, bracketed somehow."""
    unused = iter(names)

    def bracketed(combine, operands):
        order.shuffle(operands)
        while len(operands) > 1:
            at = order.randrange(len(operands) - 1)
            operands[at : at + 2] = [sorted_axes(combine(*operands[at : at + 2]))]
        return operands[0]

    def build(tree):
        match tree:
            case None:
                return leaves(axes)[next(unused, "s")]
            case str():
                return leaves(axes)[tree]
            case ("add" | "multiply" as kind, inner, constants):
                combine = add if kind == "add" else multiply
                return bracketed(combine, [*map(build, inner), *map(Constant, constants)])
            case ("contract", inner, over):
                product = bracketed(multiply, [build(each) for each in inner])
                return sum_over(product, [a for a in product.axes if a.name not in over])
            case ("map", name, inner):
                return scalar_map(FUNCTIONS[name], build(inner))
            case ("pair", name, one, other):
                a, b = build(one), build(other)
                if order.random() < 0.5:
                    return sorted_axes(scalar_map(PAIRS[name], a, b))
                swapped = PAIRS[name].xreplace({x0: x1, x1: x0})
                return sorted_axes(scalar_map(swapped, b, a))
            case (reduction, inner):
                node = build(inner)
                if not node.axes:
                    return node
                if reduction == "mean":
                    return mean_over(node, node.axes[-1:])
                return {"logsumexp": LogSumExp, "max": Max}[reduction](node, node.axes[-1])

    return build(tree)


def sorted_axes(node):
    return with_axes(node, tuple(sorted(node.axes, key=lambda axis: axis.name, reverse=True)))


def value_and_scale(node, axes):
    """The node's value, and the largest number met on the way to it."""
    rng = np.random.default_rng(5)
    arrays = {
        name: rng.uniform(-1, 1, [SIZES[letter] for letter in letters])
        for name, letters in LEAVES.items()
    }
    every = evaluate_all((*leaves(axes).values(), node), arrays)
    return every[node], max(1.0, *(np.abs(every[each]).max() for each in walk((node,))))


examples = settings(max_examples=60, deadline=None, derandomize=True)


@examples
@given(
    shape,
    st.permutations(sorted(LEAVES)),
    st.sampled_from(["", "n", "d", "nd"]),
    st.integers(0, 10**6),
)
def test_the_order_of_writing_leaves_no_trace(tree, names, over, seed):
    forms = set()
    for order in (random.Random(seed), random.Random(seed + 1)):
        # leaves are handed out as the tree is built, before operands are shuffled
        node = written(("contract", [tree], over), OPEN, order, names)
        forms.add(simplify(node)[0])
    assert len(forms) == 1


@examples
@given(formula, st.sampled_from([OPEN, KNOWN]))
def test_simplifying_twice_is_simplifying_once(tree, axes):
    (once,) = simplify(written(tree, axes, random.Random(0)))
    assert simplify(once)[0] is once


@examples
@given(formula, st.sampled_from([OPEN, KNOWN]))
def test_value_and_axes_are_kept(tree, axes):
    node = written(tree, axes, random.Random(0))
    (simple,) = simplify(node)
    assert simple.axes == node.axes
    before, size = value_and_scale(node, axes)
    after, _ = value_and_scale(simple, axes)
    np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12 * size)


def read(text):
    over = {name: tuple(OPEN[a] for a in letters) for name, letters in LEAVES.items()}
    used = {n for n in over if n in text.replace("sum", "").replace("exp", "").replace("tanh", "")}
    return sorted_axes(parse(text, {name: over[name] for name in sorted(used)}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("y*X + y*Y", "y*(Y + X)"),
        ("X*X*X*2", "(X*2)*(X*X)"),
        ("0.5*((X + y)*(Y + s))", "(y + X)*((s + Y)*0.5)"),
        ("0.25*y + s - 0.25*y", "s + 0*y"),
        ("sum(t*(X@w))", "sum((t@X)*w)"),
        ("tanh(X + y + s)", "tanh(s + (y + X))"),
        ("tanh(X*s)*w*t", "(t*tanh(s*X))*w"),
        ("1/(X/Y)", "Y/X"),
        # what stands in brackets is not simplified before what surrounds it
        ("s*Y + s + X", "s*Y + X + s"),
        ("(s-2)*((s-2)*(-2))", "(s-2)*(s-2)*(-2)"),
        ("(w*Y)*(w*Y)*(w+3)", "(w*Y)*((w+3)*(w*Y))"),
        ("sum(y*y)*(3*sum(s*y))", "3*sum(y*y)*sum(s*y)"),
        ("sum(X,'d')*t*sum(v)", "t*sum(v)*sum(X,'d')"),
        ("sum(w)*(s*exp(-s**2))", "sum(w)*s*exp(-s**2)"),
    ],
)
def test_two_ways_of_writing_are_one_node(one, other):
    assert simplify(read(one))[0] is simplify(read(other))[0]


n, d = OPEN["n"], OPEN["d"]
k = Axis("k", 4)
of = leaves(OPEN)
X, Y, y, w, v, s = (of[name] for name in "XYywvs")
c = Input("c", (k,))
i, j = Axis("i"), Axis("j")
A = Input("A", (i, j))
z = Named("z.0", Contract((X, w), (n,)), "z")
a = Named("a.0", scalar_map(sigmoid(x0), z), "a")


def f(expr, *args):
    return scalar_map(expr, *args)


ROWS = {
    "nested products are one": (multiply(y, Contract((X, w), (n,))), Contract((X, w, y), (n,))),
    "nested sums are one": (add(y, add(s, X)), Add((s, y, X))),
    "a sum over two axes is one": (sum_over(sum_over(X, (n,)), (d,)), Contract((X,), ())),
    "a product of sums over one axis stays": (
        multiply(sum_over(w, (d,)), sum_over(v, (d,))),
        Contract((Contract((w,), ()), Contract((v,), ())), ()),
    ),
    "a transpose and back is nothing": (with_axes(with_axes(X, (d, n)), (n, d)), X),
    "functions of functions are one": (f(sp.exp(x0), f(-(x0**2), y)), f(sp.exp(-(x0**2)), y)),
    "log of 1 + exp": (f(sp.log(x0), add(Constant(1.0), f(sp.exp(x0), y))), f(softplus(x0), y)),
    "log of sigmoid": (f(sp.log(x0), f(sigmoid(x0), y)), f(-softplus(-x0), y)),
    "1 − (1 − sigmoid)": (subtract(Constant(1.0), f(1 - sigmoid(x0), y)), f(sigmoid(x0), y)),
    "times one": (multiply(y, Constant(1.0)), y),
    "times ones along its own axis": (multiply(y, Constant(1.0, (n,))), y),
    "ones along another axis stay": (
        multiply(y, Constant(1.0, (d,))),
        Contract((y, Constant(1.0, (d,))), (n, d)),
    ),
    "plus nothing": (add(y, Constant(0.0)), y),
    "times nothing": (multiply(X, Constant(0.0), w), Constant(0.0, (n, d))),
    "minus itself": (subtract(X, X), Constant(0.0, (n, d))),
    "plus itself": (add(y, y), scale(2.0, y)),
    "a sum of multiples": (subtract(scale(3.0, y), scale(0.5, y)), scale(2.5, y)),
    "by itself": (multiply(y, f(1 / x0, y)), Constant(1.0, (n,))),
    "times itself": (multiply(y, y), f(x0**2, y)),
    "a sum of squares": (sum_over(f(x0**2, y), (n,)), Contract((y, y), ())),
    "mean over an open axis": (
        mean_over(y, (n,)),
        Contract((y, f(1 / x0, Contract((Constant(1.0, (n,)),), ()))), ()),
    ),
    "mean over a known axis": (mean_over(c, (k,)), Contract((c, Constant(0.25)), ())),
    "ones summed over a known axis": (sum_over(Constant(1.0, (k,)), (k,)), Constant(4.0)),
    "an identity renames": (Contract((A, identity(j, d)), (i, d)), Rename(A, ((j, d),))),
    "an identity between summed axes stays": (
        Contract((A, identity(i, j)), ()),
        Contract((A, identity(i, j)), ()),
    ),
    "a renaming and back": (Rename(Rename(A, ((j, d),)), ((d, j),)), A),
    "two renamings are one": (Rename(Rename(A, ((j, d),)), ((d, n),)), Rename(A, ((j, n),))),
    "a name is a barrier for sums": (
        subtract(Named("h", add(y, s)), s),
        Add((Named("h", Add((y, s))), scale(-1.0, s))),
    ),
    "a name is a barrier for functions": (f(sp.exp(x0), a), f(sp.exp(x0), a)),
    "log of 1 − a named sigmoid is of z": (
        f(sp.log(x0), subtract(Constant(1.0), a)),
        f(-softplus(x0), z),
    ),
    "cross-entropy of a named sigmoid is of z": (
        f(-x1 * sp.log(x0) - (1 - x1) * sp.log(1 - x0), a, y),
        f(x0 * softplus(-x1) + (1 - x0) * softplus(x1), y, z),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_normal_form_is(row):
    node, expected = ROWS[row]
    (form,) = simplify(node)
    assert form is expected


def test_the_log_of_a_named_sigmoid_is_stable():
    assert simplify(f(sp.log(x0), a))[0] is f(-softplus(-x0), z)


def test_equal_numbers_are_one_node_of_one_digest():
    assert Constant(1) is Constant(1.0)
    assert Constant(-0.0) is Constant(0.0)
    # nothing keeps these alive, so that each is built anew
    digests = {Constant(value).digest for value in (7919, 7919.0)}
    assert len(digests) == 1


def test_an_equation_is_called_by_its_name():
    _, form = simplify(a, multiply(f(sigmoid(x0), z), y))
    assert form is Contract((a, y), (n,))


def test_roots_taken_together_keep_their_order():
    assert simplify(y, add(y, Constant(0.0)), X) == (y, y, X)


def test_a_map_is_left_alone_where_nothing_is_shorter():
    node = f(sp.tanh(x0), Contract((X, w), (n,)))
    assert isinstance(node, Map)
    assert simplify(node)[0] is node
