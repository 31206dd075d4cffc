"""Slices of one axis that meet are of one length, or an error names them and their lengths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pullback as pb
from pullback.errors import AxisError, ConfigError, ShapeError

# a formula, its axes, the only length of n where its slices meet
MEET = [
    ("sum(x[1:]*x[:1])", {"x": "n"}, 2),
    ("sum(x[:3]*x[1:])", {"x": "n"}, 4),
    ("sum((x[1:]-x[:3])**2)", {"x": "n"}, 4),
    ("x[1:]@y[:2]", {"x": "n", "y": "n"}, 3),
    ("dot(x[1:-1], x[:2])", {"x": "n"}, 4),
    ("sum(where(x[1:] > x[:2], x[1:], x[:2]))", {"x": "n"}, 3),
    ("sum(maximum(x[1:], x[:2])*exp(x[1:]))", {"x": "n"}, 3),
    ("sum(cumsum(x[1:])*x[:2])", {"x": "n"}, 3),
    ("sum(A[1:,1:]*A[:2,:2])", {"A": "n n"}, 3),
    ("mean((A[:,1:]/A[:,:2])**2)", {"A": "m n"}, 3),
    ("x[1:]*x[:2]", {"x": "n"}, 3),
    ("x[1:] + x[:2]", {"x": "n"}, 3),
]


def arrays(axes, n):
    rng = np.random.default_rng(3)
    sizes = {"n": n, "m": 2}
    return {v: rng.uniform(0.5, 1.5, [sizes[a] for a in of.split()]) for v, of in axes.items()}


def peer(text):
    """The same in jax, whose slices are written in the same way."""
    names = {
        name: getattr(jnp, name)
        for name in ("sum", "dot", "where", "maximum", "exp", "cumsum", "mean")
    }
    return lambda **given: eval(text, {**names, **given})  # noqa: S307  a text of this file


@pytest.mark.parametrize(("text", "axes", "n"), MEET)
def test_where_they_meet_all_is_as_in_jax(text, axes, n):
    e, given = pb.expr(text, **axes), arrays(axes, n)
    wrt = next(iter(axes))

    def one(at):
        return peer(text)(**{**given, wrt: at})

    with jax.enable_x64(True):
        np.testing.assert_allclose(e(**given), one(jnp.asarray(given[wrt])), rtol=1e-12)
        for order, slope in ((1, jax.jacrev(one)), (2, jax.hessian(one))):
            found = e.derivative(wrt, order)(**given)
            np.testing.assert_allclose(found, slope(given[wrt]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("text", "axes", "n"), MEET)
def test_elsewhere_every_way_in_names_the_slices(text, axes, n):
    e, given = pb.expr(text, **axes), arrays(axes, n + 3)
    wrt = next(iter(axes))
    ways = [e, e.derivative(wrt), e.derivative(wrt, 2), e.function()]
    ways += [] if e.node.axes else [e.gradient(wrt), e.function(wrt=wrt)]
    for way in ways:
        with pytest.raises(ShapeError, match=rf"has length \d and .* has length .*'n' is {n}"):
            way(**given)
    with pytest.raises(ShapeError, match=f"meet entry by entry only where 'n' is {n}"):
        e.along(wrt)(**given, **{f"d{wrt}": given[wrt]})


@pytest.mark.parametrize("target", ["numpy", "numba", "jax", "torch"])
def test_emitted_code_refuses_them(target):
    torch = pytest.importorskip("torch")
    for text, axes, n in (MEET[0], MEET[8], MEET[10]):
        namespace = {}
        exec(pb.derive(pb.expr(text, **axes), wrt=[*axes], order=2).code(target), namespace)  # noqa: S102
        wrong = [*arrays(axes, n + 1).values()]
        wrong = [torch.tensor(each) for each in wrong] if target == "torch" else wrong
        for name in ("value_and_grad", "hessian", "jacobian", "second_derivatives"):
            if name in namespace:
                with pytest.raises(ValueError, match=f"only where 'n' is {n}"):
                    namespace[name](*wrong)


def test_an_elimination_refuses_them():
    with pytest.raises(ConfigError, match="axis 'n' of 'x' is 3 long, and sizes says 5"):
        pb.accumulate(pb.expr("x[1:]*x[:2]", x="n"), "x", sizes={"n": 5})


def test_an_expectation_refuses_them():
    mean = pb.expect(pb.expr("sum(x[1:]*y[:1])", x="n", y="n"), {"x": pb.normal("m", 1)})
    assert mean.value(m=2.0, y=[1.0, 5.0]) == pytest.approx(2.0)
    for given in ({"y": [1.0, 5.0, 6.0]}, {"y": [1.0, 5.0], "x": (3,)}):
        with pytest.raises(ShapeError, match="meet entry by entry only where 'n' is 2"):
            mean.value(m=2.0, **given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sum(x[1:]*x[:1]) + sum(x[:3]*x[1:])", "'n' is 2, x[:3] and x[1:] meet"),
        ("sum(x[1:]*x[:1]) + sum(x[:3])", "x[:3] needs 3 entries of 'n'"),
        ("sum(x[1:]*x[:1]) + sum(x[-3:])", "x[-3:] needs 3 entries of 'n'"),
        ("sum(x[1:]*x[:1]*x[2:])", "do not meet"),
        ("sum(x[1:]*x[:1]) + x[2]", "nothing of (n=2) is picked"),
    ],
)
def test_at_once_where_no_length_fits(text, message):
    with pytest.raises(AxisError) as caught:
        pb.expr(text, x="n")
    assert message in str(caught.value)


def test_slices_of_one_length_tell_nothing():
    e = pb.expr("sum(x[1:]*x[:-1])", x="n")
    assert not e.notes
    assert [e(x=np.ones(n)) for n in (2, 5)] == [1.0, 4.0]
    told = pb.expr("sum(x[1:]*x[:3])", x="n")
    assert told.notes == ("x[1:] and x[:3] meet entry by entry only where 'n' is 4.",)
