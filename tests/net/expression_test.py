"""Expressions against jax: values, gradients, and what they say about arrays that do not fit."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import special
from jax.scipy.stats import norm as normal

from pullback.derive import derive
from pullback.errors import (
    AxisError,
    DataError,
    DTypeError,
    ExpressionError,
    ShapeError,
    UnknownNameError,
)
from pullback.ir.language.functions import ELEMENTWISE
from pullback.net.expression import expr

jax.config.update("jax_enable_x64", True)

SIZES = {"n": 5, "m": 5, "d": 3, "k": 4, "e": 3, "i": 4, "j": 4}


def arrays(axes, dtype=np.float64):
    rng = np.random.default_rng(11)
    return {
        name: rng.normal(size=[SIZES[axis] for axis in names.split()]).astype(dtype)
        for name, names in axes.items()
    }


def agrees(e, reference, given, rtol=1e-10):
    """Value and gradient for every variable, against jax."""
    value, grads = e.function(wrt=list(given))(**given)
    expected, slopes = jax.value_and_grad(lambda v: reference(**v))(given)
    assert isinstance(value, float)
    np.testing.assert_allclose(value, expected, rtol=rtol)
    for name, slope in slopes.items():
        assert grads[name].shape == given[name].shape
        np.testing.assert_allclose(grads[name], slope, rtol=rtol, atol=1e-12, err_msg=name)


def entropy(p):
    return -(p * jnp.log(p)).sum()


XWY = {"X": "n d", "w": "d", "y": "n"}
FORMULAS = [
    ("mean(log(1+exp(-y*(X@w))))", XWY, lambda X, w, y: jnp.log1p(jnp.exp(-y * (X @ w))).mean()),
    ("mean((X@w - y)**2)/2", XWY, lambda X, w, y: ((X @ w - y) ** 2).mean() / 2),
    ("sum(maximum(0, 1 - y*(X@w))) + 0.1*norm2sq(w)", XWY,
     lambda X, w, y: jnp.maximum(0, 1 - y * (X @ w)).sum() + 0.1 * w @ w),
    ("mean(abs(X@w - y)) + 0.3*norm(w)", XWY,
     lambda X, w, y: jnp.abs(X @ w - y).mean() + 0.3 * jnp.linalg.norm(w)),
    ("mean(-t*log(sigma(z)) - (1-t)*log(1-sigma(z)))", {"z": "n", "t": "n"},
     lambda z, t: (jax.nn.softplus(z) - t * z).mean()),
    ("mean(logsumexp(X@W, 'k') - dot(X@W, Y, 'k'))", {"X": "n d", "W": "d k", "Y": "n k"},
     lambda X, W, Y: (special.logsumexp(X @ W, axis=1) - ((X @ W) * Y).sum(1)).mean()),
    ("logsumexp(X)", {"X": "n d"}, lambda X: special.logsumexp(X)),
    ("-dot(softmax(z), log(softmax(z)))", {"z": "k"}, lambda z: entropy(jax.nn.softmax(z))),
    ("sum(softmax(X, 'n')*Y)", {"X": "n d", "Y": "n d"},
     lambda X, Y: (jax.nn.softmax(X, axis=0) * Y).sum()),
    ("sum((V @ tanh(W @ x + b) + c - y)**2)",
     {"W": "k d", "x": "d", "b": "k", "V": "i k", "c": "i", "y": "i"},
     lambda W, x, b, V, c, y: ((V @ jnp.tanh(W @ x + b) + c - y) ** 2).sum()),
    ("x @ A @ rename(x, d='e')/2 - x@b", {"x": "d", "A": "d e", "b": "d"},
     lambda x, A, b: x @ A @ x / 2 - x @ b),
    ("sumsq(X.T @ rename(X, d='e'))", {"X": "n d"}, lambda X: ((X.T @ X) ** 2).sum()),
    ("trace(A @ rename(B, k='l'), 'i l')", {"A": "i j", "B": "j k"},
     lambda A, B: jnp.trace(A @ B)),
    ("trace(A)**2 + sum(A.T*C)", {"A": "i j", "C": "j i"},
     lambda A, C: jnp.trace(A) ** 2 + (A.T * C).sum()),
    ("sum(max(X, 'd')) + max(X) - min(X)", {"X": "n d"},
     lambda X: X.max(1).sum() + X.max() - X.min()),
    ("mean(X)*sum(mean(X, 'n')**2)", {"X": "n d"},
     lambda X: X.mean() * (X.mean(0) ** 2).sum()),
    ("sum((x*x)**p)", {"x": "n", "p": ""}, lambda x, p: ((x * x) ** p).sum()),
    ("sum(a**x/(1 + x**2))*e**-b", {"x": "n", "a": "", "b": ""},
     lambda x, a, b: (jnp.abs(a) ** x / (1 + x**2)).sum() * jnp.exp(-b)),
    ("sum(log(X**2 + 1)*y - b)", {"X": "n d", "y": "n", "b": "d"},
     lambda X, y, b: (jnp.log(X**2 + 1) * y[:, None] - b).sum()),
    ("b1*(1-exp(-b2*x))", {"b1": "", "b2": "", "x": ""},
     lambda b1, b2, x: b1 * (1 - jnp.exp(-b2 * x))),
    ("norm2(X@w) - norm2(w)", {"X": "n d", "w": "d"},
     lambda X, w: jnp.linalg.norm(X @ w) - jnp.linalg.norm(w)),
    ("norm(x - y) + sqrt(1 + x@y*(x@y))", {"x": "d", "y": "d"},
     lambda x, y: jnp.linalg.norm(x - y) + jnp.sqrt(1 + (x @ y) ** 2)),
    ("sum(minimum(X, b)*maximum(b, X))", {"X": "n d", "b": "d"},
     lambda X, b: (jnp.minimum(X, b) * jnp.maximum(b, X)).sum()),
    ("sum(sqrt(square(x)) + sin(pi*x)*cos(x)/2)", {"x": "n"},
     lambda x: (jnp.abs(x) + jnp.sin(jnp.pi * x) * jnp.cos(x) / 2).sum()),
    ("sum((x[1:] - x[:-1])**2) + x[0]*x[-1]", {"x": "n"},
     lambda x: ((x[1:] - x[:-1]) ** 2).sum() + x[0] * x[-1]),
    ("sum(where(z > 0, log(1 + z**2), b*z))", {"z": "n d", "b": "d"},
     lambda z, b: jnp.where(z > 0, jnp.log1p(z**2), b * z).sum()),
    ("w", {"w": ""}, lambda w: w),
    ("sum(w)", {"w": "d"}, lambda w: w.sum()),
    ("sum(w - w) + 0*sum(v) + 3", {"w": "d", "v": "d"}, lambda w, v: 3.0),
    ("mean(u*v) - mean(u)*mean(v)", {"u": "n", "v": "n"},
     lambda u, v: (u * v).mean() - u.mean() * v.mean()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "axes", "reference"), FORMULAS, ids=[f[0] for f in FORMULAS])
def test_value_and_gradients_are_those_of_jax(text, axes, reference):
    given = arrays(axes)
    if "a" in given:
        given["a"] = np.abs(given["a"])
    agrees(expr(text, **axes), reference, given)


COUNTERPARTS = {
    "exp": jnp.exp,
    "log": jnp.log,
    "ln": jnp.log,
    "tanh": jnp.tanh,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "atan": jnp.arctan,
    "arctan": jnp.arctan,
    "asin": jnp.arcsin,
    "arcsin": jnp.arcsin,
    "acos": jnp.arccos,
    "arccos": jnp.arccos,
    "erf": special.erf,
    "step": lambda x: jnp.heaviside(x, 0.0),
    "sign": jnp.sign,
    "heaviside": lambda x: jnp.heaviside(x, 0.5),
    "abs": jnp.abs,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "sigma": jax.nn.sigmoid,
    "sigmoid_slope": lambda x: jax.nn.sigmoid(x) * jax.nn.sigmoid(-x),
    "sech2": lambda x: 1 / jnp.cosh(x) ** 2,
    "log_cosh": lambda x: jnp.log(jnp.cosh(x)),
    "softplus": jax.nn.softplus,
    "normal_cdf": normal.cdf,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "sqrt": jnp.sqrt,
    "square": jnp.square,
    "log1p": jnp.log1p,
    "expm1": jnp.expm1,
}


@pytest.mark.parametrize("name", sorted(ELEMENTWISE.keys() - {"maximum", "minimum"}))
def test_every_elementwise_function_is_that_of_jax(name):
    positive = name in {"log", "ln", "sqrt"}
    x = np.linspace(0.1 if positive else -0.95, 0.9 if name[-3:] in ("sin", "cos") else 2.0, 8)
    agrees(
        expr(f"dot({name}(x), c)", x="n", c="n"),
        lambda x, c: COUNTERPARTS[name](x) @ c,
        {"x": x, "c": np.arange(8.0)},
    )


@pytest.mark.parametrize(
    ("text", "axes", "reference", "given"),
    [
        ("sum(maximum(x, y))", {"x": "n", "y": "n"}, lambda x, y: jnp.maximum(x, y).sum(),
         {"x": np.array([1.0, 2.0]), "y": np.array([1.0, 3.0])}),
        ("sum(minimum(x, 1))", {"x": "n"}, lambda x: jnp.minimum(x, 1).sum(),
         {"x": np.array([1.0, 2.0, 0.0])}),
        ("max(x)", {"x": "n"}, lambda x: x.max(), {"x": np.array([4.0, 1.0, 4.0])}),
        ("sum(relu(x))", {"x": "n"}, lambda x: jax.nn.relu(x).sum(), {"x": np.zeros(2)}),
        ("sum(abs(x))", {"x": "n"}, lambda x: jnp.sign(x) @ x, {"x": np.zeros(2)}),
    ],
)  # fmt: skip
def test_ties_and_kinks_are_shared_as_in_jax(text, axes, reference, given):
    agrees(expr(text, **axes), reference, given)


def logistic():
    return expr("mean(log(1+exp(-y*(X@w))))", X="n d", y="n", w="d")


def margins(scale):
    rng = np.random.default_rng(3)
    X, w = rng.normal(size=(6, 2)), np.array([scale, -scale])
    return X, np.sign(rng.normal(size=6)), w


def test_logistic_regression_has_the_gradient_with_the_right_sign():
    X, y, w = margins(1.0)
    value, grads = logistic().function(wrt=["w"])(X=X, y=y, w=w)
    by_hand = sum(-y[i] * X[i] / (1 + np.exp(y[i] * (w @ X[i]))) for i in range(6)) / 6
    np.testing.assert_allclose(grads["w"], by_hand, rtol=1e-13)
    # downhill is down
    assert logistic()(X=X, y=y, w=w - 0.01 * grads["w"]) < value


def test_the_logistic_gradient_is_one_formula():
    gradient = logistic().gradient("w")
    assert gradient.text == (
        'sum(-X*y*sigmoid(sum(-X*w*y, axis="d"))*(1/sum(1, axis="n")), axis="n")'
    )
    same = expr("-(sigmoid(-y*(X@w))*y) @ X*(1/sum(y/y))", X="n d", y="n", w="d")
    X, y, w = margins(1.0)
    np.testing.assert_allclose(gradient(X=X, y=y, w=w), same(X=X, y=y, w=w), rtol=1e-13)


@pytest.mark.parametrize("margin", [-1000.0, 1000.0])
@pytest.mark.filterwarnings("error")
def test_a_large_margin_neither_overflows_nor_vanishes(margin):
    value, grads = logistic().function(wrt=["w"])(X=[[1.0]], y=[1.0], w=[margin])
    assert value == max(0.0, -margin)
    assert grads["w"].tolist() == [-1.0 if margin < 0 else 0.0]


def test_cross_entropy_is_stable_and_its_gradient_is_p_minus_t():
    e = expr("logsumexp(z) - dot(t, z)", z="k", t="k")
    value, grads = e.function(wrt="z")(z=[1000.0, 0.0, -1000.0], t=[0.0, 1.0, 0.0])
    assert value == 1000.0
    np.testing.assert_allclose(grads["z"], [1.0, -1.0, 0.0], atol=1e-300)


def test_a_gradient_is_an_expression_again():
    e = expr("sum(x**3)", x="n")
    slope = e.gradient("x")
    assert slope.leaves == e.leaves
    assert slope(x=[1, 2]).tolist() == [3.0, 12.0]
    # ⟨gradient, v⟩ differentiated once more: a Hessian-vector product
    along = expr("3*dot(x**2, v)", x="n", v="n")
    assert along.gradient("x")(x=[1, 2], v=[1, 1]).tolist() == [6.0, 12.0]


def test_a_gradient_that_is_constant_has_the_shape_of_its_variable():
    slope = expr("sum(x)", x="n d").gradient("x")
    assert slope(x=np.zeros((2, 3))).tolist() == [[1.0] * 3] * 2


def test_no_gradient_gives_an_empty_dict():
    assert expr("sum(x)", x="n").function()(x=[1, 2]) == (3.0, {})
    value, grads = expr("x + 1", x="n").function(wrt=[])(x=[1, 2])
    assert value.tolist() == [2.0, 3.0]
    assert grads == {}


def test_variables_may_have_the_names_of_arguments():
    e = expr("sum(text*self*wrt)", text="n", self="n", wrt="")
    value, grads = e.function(wrt=["self"])(text=[1, 2], self=[3, 4], wrt=2)
    assert (value, grads["self"].tolist()) == (22.0, [2.0, 4.0])
    assert e(text=[1, 2], self=[3, 4], wrt=2) == 22.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_the_arrays_is_that_of_the_result(dtype):
    given = arrays(XWY, dtype)
    value, grads = expr("mean((X@w - y)**2)", **XWY).function(wrt=["w"])(**given)
    assert isinstance(value, float)
    assert grads["w"].dtype == dtype
    assert expr("X@w*c", X="n d", w="d", c="")(X=given["X"], w=given["w"], c=2).dtype == dtype


@pytest.mark.parametrize("w", [[1, 2], (1.0, 2.0), np.array([1, 2]), np.array([1.0, 2.0])])
def test_lists_and_whole_numbers_become_float64(w):
    assert expr("2*w", w="d")(w=w).dtype == np.float64
    assert expr("w*v", w="d", v="d")(w=w, v=np.ones(2, np.float32)).dtype == np.float64


def test_a_scalar_variable_has_a_scalar_gradient():
    value, grads = expr("b**2", b="").function(wrt="b")(b=3)
    assert (value, grads["b"], grads["b"].shape) == (9.0, 6.0, ())
    assert f"{grads['b']:.1f}" == "6.0"


def test_results_share_no_memory_with_the_arrays_given():
    x = np.ones(3)
    e = expr("x", x="n")
    e(x=x)[0] = 5
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_an_expression_prints_as_it_is_written_and_survives_pickling():
    e = expr("X@w + b", X="n d", w="d", b="")
    assert repr(e) == "expr('X@w + b', X='n d', w='d', b='')"
    again = pickle.loads(pickle.dumps(e))  # noqa: S301  our own bytes
    assert again == e
    assert again.node is e.node


GOOD = {"X": np.ones((4, 2)), "y": np.ones(4), "w": np.ones(2)}
WRONG = [
    ({"w": ...}, UnknownNameError, "no value is given for 'w'"),
    ({"v": [1, 2]}, UnknownNameError, "unknown variable 'v': known: X, w, y"),
    ({"x": [1, 2]}, UnknownNameError, "unknown variable 'x': did you mean 'X'?"),
    ({"w": np.ones(3)}, ShapeError, "w has shape (3,); expected (d=2)"),
    ({"y": np.ones((4, 1))}, ShapeError, "y has shape (4, 1); expected (n=4)"),
    ({"X": np.ones(4)}, ShapeError, "X has shape (4,); expected (n, d)"),
    ({"w": "ab"}, DTypeError, "w has dtype <U2; expected float32 or float64"),
    ({"w": [1, 2j]}, DTypeError, "w has dtype complex128"),
    ({"w": np.ones(2, np.float16)}, DTypeError, "w has dtype float16"),
    ({"w": [None, 1]}, DTypeError, "w has dtype object"),
    ({"X": [[1, 2], [3]]}, DTypeError, "X is not an array of numbers"),
    ({"w": [1, np.nan]}, DataError, "w holds nan, first at [1]"),
    ({"X": [[1, 2], [3, np.inf]] * 2}, DataError, "X holds inf, first at [1, 1]"),
    ({"X": np.ones((0, 2)), "y": []}, DataError, "X is empty: its shape is (0, 2)"),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG, ids=[w[2] for w in WRONG])
def test_arrays_that_do_not_fit_are_named(change, error, message):
    given = {name: value for name, value in (GOOD | change).items() if value is not ...}
    with pytest.raises(error) as caught:
        logistic()(**given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "axes", "message"),
    [
        ("trace(A)", {"A": "i j"}, "axes 'i' and 'j' have sizes 2 and 3"),
        ("sum(y[4:])", {"y": "n"}, "a slice of 'n'=2 has length 0"),
        ("y[2]", {"y": "n"}, "a slice of 'n'=2 has length 0"),
        ("sum(A)*sum(rename(x, k='i') + y)", {"A": "i j", "x": "k", "y": "i"},
         "axes 'k' and 'i' have sizes 3 and 2"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_go_together_are_named(text, axes, message):
    shapes = {"A": (2, 3), "x": (3,), "y": (2,)}
    with pytest.raises(ShapeError) as caught:
        expr(text, **axes)(**{name: np.ones(shapes[name]) for name in axes})
    assert message in str(caught.value)


def test_a_gradient_is_of_a_scalar():
    e = expr("X@w", X="n d", w="d")
    for take in (lambda: e.gradient("w"), lambda: e.function(wrt=["w"])):
        with pytest.raises(AxisError, match=r"'X@w' has axes \(n\): reduce it with sum or mean"):
            take()


def test_a_gradient_is_for_a_known_variable():
    with pytest.raises(UnknownNameError, match="unknown variable 'W': did you mean 'w'"):
        logistic().gradient("W")


CANCELLED = [
    ("sum(x - x)", "x"), ("sum(0*w + x)", "w"), ("sum(x**0)", "x"), ("sum(x/x)", "x"),
    ("sum(x*w/w)", "w"), ("sum((w - w)**2) + sum(tanh(x))", "w"), ("b - b + 0*sum(x)", "b"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name"), CANCELLED, ids=[c[0] for c in CANCELLED])
def test_what_has_cancelled_has_a_derivative_of_zeros(text, name):
    e = expr(text, **{v: "" if v == "b" else "n" for v in "xwb" if v in text.replace("tanh", "")})
    given = {leaf.name: np.arange(1.0, 4.0) if leaf.axes else np.array(2.0) for leaf in e.leaves}
    zeros = np.zeros_like(given[name])
    _, slopes = e.function(wrt=name)(**given)
    np.testing.assert_array_equal(slopes[name], zeros)
    np.testing.assert_array_equal(e.gradient(name)(**given), zeros)
    for order in (1, 2):
        assert f"∂L/∂{name} = 0" in derive(e, wrt=name, order=order).text()
    emitted: dict = {}
    exec(derive(e, wrt=name).code("numpy"), emitted)  # noqa: S102  that is what is tested
    value, found = emitted["value_and_grad"](**given)
    assert value == pytest.approx(e(**given))
    np.testing.assert_array_equal(found[name] + zeros, zeros)
    assert np.shape(found[name]) == np.shape(zeros)


@pytest.mark.parametrize("text", ["x/(x - x)", "sqrt(-x**2)", "log(0*x)"])
def test_a_formula_that_is_nowhere_real_is_refused(text):
    with pytest.raises(ExpressionError, match="not a finite real number"):
        expr(text, x="")


@pytest.mark.parametrize(
    "step",
    ["tanh(%s)", "1/(1+x/(2+%s))", "x*sqrt(1+%s)", "log(1+exp(%s))", "maximum(%s, 2*x)", "x-(%s)"],
)
def test_deep_formulas_take_seconds_not_the_stack(step):
    text = "x"
    for _ in range(12):
        text = step % text
    assert np.isfinite(expr(f"sum({text})", x="n").gradient("x")(x=[0.3, 0.4])).all()


def test_a_product_of_many_sums_is_not_multiplied_out():
    names = [f"v{i}" for i in range(24)]
    e = expr("*".join(f"(1+{name})" for name in names), **dict.fromkeys(names, ""))
    value, grads = e.function(wrt="v0")(**dict.fromkeys(names, 1.0))
    assert (value, grads["v0"]) == (2.0**24, 2.0**23)


def test_steps_of_numbers_add_up_as_numbers():
    ones = {"a": 1.0, "b": 2.0}
    assert expr("step(a) + step(b)", a="", b="")(**ones) == 2.0
    assert expr("relu(a) + relu(a + b)", a="", b="").derivative("a")(**ones) == 2.0
    rows = expr("broadcast(step(u) + step(v), 'n')*x", u="m", v="m", x="n")
    assert rows(u=[1.0], v=[2.0], x=[3.0, 4.0]).tolist() == [[6.0, 8.0]]
