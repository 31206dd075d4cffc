"""Jacobians by elimination: costs of known graphs, orders by brute force, code of every target."""

from itertools import permutations

import numpy as np
import pytest
import sympy as sp
import torch

import pullback as pb
from pullback.errors import ConfigError, NotApplicableError, ShapeError, UnknownNameError
from pullback.ir import Axis, Constant, Contract, Input, Node, fn, symbol
from pullback.ir.build import add, multiply, scalar_map, subtract
from pullback.ir.pattern import Index, Pattern
from pullback.ir.sizes import Sizes
from pullback.net.program import execute
from pullback.plan.elimination import orders
from pullback.plan.elimination.graph import LinearisedGraph
from pullback.plan.elimination.program import straight_line

X = symbol(0)
RNG = np.random.default_rng(5)


def number(name: str) -> Input:
    return Input(name, ())


def gate(name: str, function: str, x: Node, h: Node) -> Node:
    z = add(multiply(number(f"w{name}"), x), multiply(number(f"u{name}"), h), number(f"b{name}"))
    return scalar_map(fn(function)(X), z)


def lstm():
    x, h, c = map(number, "xhc")
    i, f, o = (gate(name, "sigmoid", x, h) for name in "ifo")
    after = add(multiply(f, c), multiply(i, gate("g", "tanh", x, h)))
    return [multiply(o, scalar_map(fn("tanh")(X), after)), after], [x, h, c]


def gru():
    x, h = number("x"), number("h")
    r, z = gate("r", "sigmoid", x, h), gate("z", "sigmoid", x, h)
    inner = multiply(r, add(multiply(number("un"), h), number("bh")))
    n = scalar_map(fn("tanh")(X), add(multiply(number("wn"), x), number("bn"), inner))
    return [add(multiply(scalar_map(1 - X, z), n), multiply(z, h))], [x, h]


def scaled_by_its_root(node: Node, square: Node) -> Node:
    return Contract((node, scalar_map((X + 1e-5) ** -sp.Rational(1, 2), square)), node.axes)


def layer_norm(n):
    axis = Axis("n", n)
    x, share = Input("x", (axis,)), Constant(1 / n, (axis,))
    moved = subtract(x, Contract((x, share), ()))
    return [scaled_by_its_root(moved, Contract((moved, moved, share), ()))], [x]


def rms_norm(n):
    axis = Axis("n", n)
    x = Input("x", (axis,))
    return [scaled_by_its_root(x, Contract((x, x, Constant(1 / n, (axis,))), ()))], [x]


def attention(n):
    axis = Axis("n", n)
    s = Input("s", (axis,))
    each = scalar_map(sp.exp(X), s)
    weights = scalar_map(X / symbol(1), each, Contract((each,), ()))
    return [Contract((weights, Input("v", (axis,))), ())], [s]


def recurrence(turns):
    w, h = number("w"), number("h")
    xs = [number(f"x{t}") for t in range(turns)]
    leaves = [w, h, *xs]
    for x in xs:
        h = scalar_map(fn("tanh")(X), add(multiply(w, h), x))
    return [h], leaves


def convolutions(n, taps, layers):
    x = Input("x", (Axis("p0", n),))
    now = x
    for layer in range(layers):
        (at,) = now.axes
        to, tap = Axis(f"p{layer + 1}", at.size - taps + 1), Axis(f"t{layer}", taps)
        window = Pattern((at, to, tap), (Index.on(at) - Index.on(to) - Index.on(tap),))
        now = Contract((now, window, Input(f"w{layer}", (tap,))), (to,))
    return [now], [x]


# fma of forward, reverse, Markowitz and the best order, by dynamic programming over all orders
KNOWN = {
    "LSTM cell": (lstm(), (30, 34, 24, 23)),
    "GRU cell": (gru(), (None, 16, 18, 16)),
    "layer norm of 3": (layer_norm(3), (39, 39, 36, 36)),
    "layer norm of 4": (layer_norm(4), (68, 68, 56, 56)),
    "layer norm of 5": (layer_norm(5), (105, 105, 80, 80)),
    "RMS norm of 4": (rms_norm(4), (20, 20, 20, 20)),
    "attention over 4": (attention(4), (40, 16, 20, 16)),
    "RNN of 6 turns": (recurrence(6), (85, 29, 40, 29)),
    "convolutions, 9 and 3 taps": (convolutions(9, 3, 3), (90, 72, 90, 72)),
    "convolutions, 7 and 2 taps": (convolutions(7, 2, 4), (68, 54, 59, 54)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_costs(name):
    (roots, wrt), expected = KNOWN[name]
    graph = straight_line(roots, wrt, Sizes()).graph
    ways = (orders.forward, orders.reverse, orders.markowitz, orders.exact)
    found = [way(graph) for way in ways]
    assert [None if e is None else f.fma for f, e in zip(found, expected, strict=True)] == [
        *expected
    ]
    assert graph.cost(found[-1].order) == found[-1].fma
    hot = orders.annealed(graph, found[0], 0.3, np.random.default_rng(0))
    assert hot.fma == graph.cost(hot.order) >= found[-1].fma


def drawn(seed):
    """A graph of three inputs, six vertices inside and two outputs."""
    rng = np.random.default_rng(seed)
    reads = [(), (), ()]
    for at in range(3, 9):
        few = rng.choice(at, size=min(at, int(rng.integers(1, 4))), replace=False)
        reads.append(tuple(sorted(int(each) for each in few)))
    used = {each for read in reads for each in read}
    loose = tuple(at for at in range(9) if at not in used)
    return LinearisedGraph((*reads, loose or (8,), (7, 8)), (9, 10))


@pytest.mark.parametrize("seed", range(12))
def test_the_best_order_is_that_of_brute_force(seed):
    graph = drawn(seed)
    brute = min(graph.cost(order) for order in permutations(graph.inner))
    found = orders.exact(graph)
    assert found.fma == graph.cost(found.order) == brute
    assert orders.best(graph, 0.1, 0)[-1].fma == brute


EXPRESSIONS = [
    (["tanh(W@x+b)"], dict(W="m n", x="n", b="m"), dict(n=3, m=2)),
    (["max(x*y)"], dict(x="n", y="n"), dict(n=3)),
    (["exp(x)/sum(exp(x))"], dict(x="n"), dict(n=4)),
    (["logsumexp(x*y)"], dict(x="n", y="n"), dict(n=3)),
    (["relu(x)*abs(y) + x**3/y"], dict(x="", y=""), {}),
    (["sin(a)+cos(a+b)", "cos(a)*sin(a+b)", "a*exp(-b**2)"], dict(a="", b=""), {}),
    (["mean((X@w-y)**2)"], dict(X="n d", w="d", y="n"), dict(n=3, d=2)),
]


@pytest.mark.parametrize(("texts", "axes", "sizes"), EXPRESSIONS)
@pytest.mark.parametrize("target", ["numpy", "numba", "jax", "torch"])
def test_code_is_the_jacobian(texts, axes, sizes, target):
    import jax

    exprs = [pb.expr(text, **axes) for text in texts]
    found = pb.accumulate(exprs if len(texts) > 1 else exprs[0], sizes=sizes, seconds=0.1)
    shapes = {name: tuple(sizes[axis] for axis in each.split()) for name, each in axes.items()}
    point = {name: RNG.normal(size=shape) for name, shape in shapes.items()}

    def value(given):
        return np.concatenate([np.ravel(each(**given)) for each in exprs])

    given = {
        "numpy": lambda x: x,
        "numba": lambda x: x if x.ndim else float(x),
        "jax": jax.numpy.asarray,
        "torch": torch.as_tensor,
    }[target]
    with jax.enable_x64(True):
        space = execute(found.code(target), {})
        J = space["jacobian"](**{name: given(np.asarray(x)) for name, x in point.items()})
        J = {name: np.asarray(each) for name, each in J.items()}
    for name, x in point.items():
        assert J[name].shape == (*found.outputs, *np.shape(x))
        columns = J[name].reshape(len(value(point)), -1)
        for at, place in enumerate(np.ndindex(np.shape(x))):
            step = np.zeros(np.shape(x))
            step[place] = 1e-6
            near = value({**point, name: x + step}) - value({**point, name: x - step})
            np.testing.assert_allclose(columns[:, at], near / 2e-6, rtol=1e-6, atol=1e-7)


def test_a_network():
    net = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.Tanh(), pb.Linear(3, 2)), pb.MSELoss())
    found, params, x = pb.accumulate(net, sizes={"features": 2}), net.init(0), np.array([0.3, -0.2])
    np.testing.assert_allclose(found(params, x=x)["x"], pb.jacobian(net, params, x).dense())
    both = pb.accumulate(net, ["x", "2.bias"], sizes={"features": 2})(params, x=x)
    np.testing.assert_allclose(both["2.bias"], np.eye(2))


@pytest.mark.parametrize(
    ("text", "axes", "point"),
    [
        ("sum(x)*x_0", dict(x="n", x_0=""), dict(x=[1.0, 2.0], x_0=5.0)),  # names of entries
        ("sin(v2*d3_1)*exp(v2)", dict(v2="", d3_1=""), dict(v2=0.3, d3_1=0.7)),  # and of numbers
        ("norm(x)", dict(x="n"), dict(x=[0.0, 0.0])),  # flat where it is 0
        ("x - x + y", dict(x="", y=""), dict(x=1.0, y=2.0)),  # one has cancelled
        ("x**k", dict(x="", k=""), dict(x=0.0, k=2.0)),
        ("max(x)", dict(x="n"), dict(x=[1.0, 1.0, 0.0])),
        ("logsumexp(x)", dict(x="n"), dict(x=[800.0, 799.0])),
    ],
)
def test_where_formulas_degenerate_it_is_the_gradient(text, axes, point):
    e = pb.expr(text, **axes)
    found = pb.accumulate(e, sizes={"n": len(point["x"])} if axes.get("x") == "n" else None)
    _, known = e.function(wrt=list(axes))(**point)
    for name, J in found(**point).items():
        np.testing.assert_allclose(J, known[name], rtol=1e-12)


def test_what_is_said():
    found = pb.accumulate(pb.expr("sin(x*y)*exp(x*y)", x="", y=""))
    assert found.proven
    assert (found.fma, found.table()["forward"]) == (4, 8)
    assert found.verdict == "reverse mode costs 4 fma, the least of all orders."
    assert "eliminated: v4 v3 v2" in str(found)
    assert "<table>" in found._repr_html_()


def test_bad_input():
    e = pb.expr("sum(x**2)", x="n")
    with pytest.raises(ConfigError, match="how long is its axis 'n'"):
        pb.accumulate(e)
    with pytest.raises(ConfigError, match="more than 4000 numbers"):
        pb.accumulate(e, sizes={"n": 5000})
    with pytest.raises(UnknownNameError, match="unknown variable 'y'"):
        pb.accumulate(e, "y", sizes={"n": 2})
    with pytest.raises(UnknownNameError, match="unknown axis 'm'"):
        pb.accumulate(e, sizes={"n": 2, "m": 2})
    with pytest.raises(ShapeError, match=r"x has shape \(3,\); expected \(2,\)"):
        pb.accumulate(e, sizes={"n": 2})(x=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"x is not of shape \(2,\)"):
        execute(pb.accumulate(e, sizes={"n": 2}).code(), {})["jacobian"](np.ones(3))
    with pytest.raises(UnknownNameError, match="unknown target 'c'"):
        pb.accumulate(e, sizes={"n": 2}).code("c")
    with pytest.raises(ConfigError, match="takes an expression"):
        pb.accumulate("x**2")
    with pytest.raises(ConfigError, match="no cycle"):
        LinearisedGraph(((), (2,), (1,)), (2,))
    net = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.BatchNorm1d(3)), pb.MSELoss())
    with pytest.raises(NotApplicableError, match="other samples"):
        pb.accumulate(net)
