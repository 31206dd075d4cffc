"""The checkers themselves: what is right passes, and what is wrong by 0.1 % is rejected."""

import numpy as np
import pytest
from zoo import FLOAT64

from pullback.errors import DataError, ShapeError, UnknownNameError
from pullback.ir.evaluate import evaluate
from pullback.laws import adjoint_check, bracket_check, gradient_check

WRONG = 1.001


def wrong_everywhere(array):
    return array * WRONG


def wrong_in_one_entry(array):
    """At the entry nearest to the middle of the sorted ones: neither the largest nor a zero."""
    array = np.array(array, np.float64)
    order = np.argsort(np.abs(array), axis=None)
    place = np.unravel_index(order[array.size // 2], array.shape)
    array[place] *= WRONG
    return array


ways = pytest.mark.parametrize("spoil", [wrong_everywhere, wrong_in_one_entry])
rng = np.random.default_rng(0)
A, x, y = rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), rng.normal(size=7)
AT = {"x": x, "y": y}


def analytic(p):
    return np.sum(np.tanh(p["x"] @ A.T)) + np.sum(p["y"] ** 3) * np.sum(p["x"])


def real_only(p):
    return float(np.real(analytic(p))) if np.isrealobj(p["x"]) else float(analytic(p))


def partly_complex(p):
    """Complex numbers pass through, but |x| hands on a wrong slope."""
    return np.sum(np.abs(p["x"])) * np.sum(p["y"] ** 2)


TANH = {
    "x": (1 - np.tanh(x @ A.T) ** 2) @ A + np.sum(y**3),
    "y": 3 * y**2 * np.sum(x),
}
ABSOLUTE = {"x": np.sign(x) * np.sum(y**2), "y": 2 * y * np.sum(np.abs(x))}
FUNCTIONS = {
    "analytic": (analytic, TANH, "complex step"),
    "real only": (real_only, TANH, "central differences"),
    "absolute value": (partly_complex, ABSOLUTE, "central differences"),
}
functions = pytest.mark.parametrize(
    ("function", "gradient", "method"), FUNCTIONS.values(), ids=FUNCTIONS.keys()
)


@functions
def test_right_gradient_passes(function, gradient, method):
    found = gradient_check(function, gradient, AT)
    assert found.ok, found
    assert found.method == method
    assert found.errors.keys() == {"x", "y"}


@functions
@ways
@pytest.mark.parametrize("name", ["x", "y"])
def test_wrong_gradient_is_rejected(function, gradient, method, spoil, name):
    found = gradient_check(function, gradient | {name: spoil(gradient[name])}, AT)
    assert not found.ok
    assert found.worst.where.startswith(name)
    assert found.worst.error == pytest.approx(1e-3, rel=0.9)
    other = "y" if name == "x" else "x"
    assert found.errors[other] <= found.tolerance < found.errors[name]


@pytest.mark.parametrize("case", FLOAT64[::6], ids=repr)
@ways
def test_wrong_gradient_of_a_network_is_rejected(case, spoil):
    """In each parameter in turn."""
    _, grads = case.net.value_and_grad(case.params(), *case.data())
    values = case.values()

    def loss(at):
        return evaluate(case.net.total, {**values, **at})[()]

    for name, grad in grads.items():
        spoilt = spoil(grad)
        if np.array_equal(spoilt, grad):  # zeros stay zeros: nothing is wrong
            continue
        one = {name: case.params()[name]}
        found = gradient_check(loss, {name: spoilt}, one, directions=1)
        assert not found.ok, name


def test_one_wrong_entry_among_many():
    at = {"w": rng.normal(size=(100, 100))}
    slope = 2 * at["w"]
    assert gradient_check(lambda p: np.sum(p["w"] ** 2), {"w": slope}, at).ok
    spoilt = {"w": wrong_in_one_entry(slope)}
    assert not gradient_check(lambda p: np.sum(p["w"] ** 2), spoilt, at).ok


@pytest.mark.parametrize(("directions", "entries"), [(0, 64), (3, 0)])
@functions
def test_directions_and_entries_each_reject_alone(function, gradient, method, directions, entries):
    def check(gradient):
        return gradient_check(function, gradient, AT, directions=directions, entries=entries)

    assert check(gradient).ok
    for at in range(y.size):
        spoilt = np.where(np.arange(y.size) == at, WRONG * gradient["y"], gradient["y"])
        assert not check(gradient | {"y": spoilt}).ok


def test_kink_at_the_point_is_left_in_doubt():
    """At 0 every slope of |x| from −1 to 1 is one; beyond them is wrong, also there."""
    at = {"x": np.zeros(3)}
    for slope in (-1.0, 0.0, 0.5, 1.0):
        assert gradient_check(lambda p: np.sum(np.abs(p["x"])), {"x": np.full(3, slope)}, at).ok
    assert not gradient_check(lambda p: np.sum(np.abs(p["x"])), {"x": np.full(3, 1.1)}, at).ok


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_rejected(bad):
    spoilt = {**TANH, "y": np.where(np.arange(7) == 3, bad, TANH["y"])}
    found = gradient_check(analytic, spoilt, AT)
    assert not found.ok
    assert found.errors["y"] == np.inf


def test_a_zero_gradient_is_rejected():
    found = gradient_check(analytic, {"x": TANH["x"], "y": 0 * y}, AT)
    assert found.worst.error == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("gradient", "at", "error", "words"),
    [
        ({"x": TANH["x"]}, AT, UnknownNameError, ["lacks 'y'"]),
        ({**TANH, "yy": y}, AT, UnknownNameError, ["'yy'", "did you mean 'y'"]),
        ({**TANH, "x": x.T}, AT, ShapeError, ["x has shape (4, 3)", "expected (3, 4)"]),
        ({}, {}, DataError, ["no array"]),
    ],
)
def test_a_gradient_that_does_not_fit_is_an_error(gradient, at, error, words):
    with pytest.raises(error) as caught:
        gradient_check(analytic, gradient, at)
    assert all(word in str(caught.value) for word in words)


def test_the_record_prints():
    found = gradient_check(analytic, TANH | {"y": wrong_in_one_entry(TANH["y"])}, AT)
    assert found.text() == str(found)
    for text in (found.text(), found._repr_html_()):
        assert "complex step" in text
        assert "WRONG at y" in text
    data = found.to_dict()
    assert data["ok"] is False
    assert data["worst"]["where"].startswith("y")
    assert "right" in gradient_check(analytic, TANH, AT).text()


# ⟨u, J v⟩ = ⟨Jᵀ u, v⟩


def two_parts(v):
    return {"p": A @ v["a"] + v["b"][0], "q": np.outer(v["b"], v["a"][:2] * 0 + 1)}


def two_parts_transposed(u):
    b = u["q"].sum(1)
    b[0] += u["p"].sum()
    return {"a": A.T @ u["p"], "b": b}


SHAPES = {"a": (4,), "b": (3,)}, {"p": (5,), "q": (3, 2)}


def test_right_transpose_passes():
    assert adjoint_check(lambda v: A @ v, lambda u: A.T @ u, (4,), (5,)).ok
    found = adjoint_check(two_parts, two_parts_transposed, *SHAPES)
    assert found.ok, found


@ways
def test_wrong_transpose_is_rejected(spoil):
    B = spoil(A)
    found = adjoint_check(lambda v: A @ v, lambda u: B.T @ u, (4,), (5,))
    assert not found.ok
    assert found.errors["entries"] == pytest.approx(1e-3, rel=0.01)
    assert not adjoint_check(lambda v: B @ v, lambda u: A.T @ u, (4,), (5,)).ok


@pytest.mark.parametrize("part", ["a", "b"])
@ways
def test_wrong_part_of_a_transpose_is_rejected(part, spoil):
    def transposed(u):
        right = two_parts_transposed(u)
        return right | {part: spoil(right[part])}

    found = adjoint_check(two_parts, transposed, *SHAPES)
    assert not found.ok


def test_one_wrong_entry_of_a_large_map():
    M = rng.normal(size=(60, 50))
    N = wrong_in_one_entry(M)
    assert adjoint_check(lambda v: M @ v, lambda u: M.T @ u, (50,), (60,)).ok
    assert not adjoint_check(lambda v: M @ v, lambda u: N.T @ u, (50,), (60,)).ok


def test_a_map_of_another_shape_is_an_error():
    with pytest.raises(ShapeError, match=r"out has shape \(5,\); expected \(4,\)"):
        adjoint_check(lambda v: A @ v, lambda u: A.T @ u, (4,), (4,))


# every bracketing


CHAIN = [rng.normal(size=shape) for shape in ((2, 3), (3, 4), (4, 2), (2, 5), (5, 3))]


def test_right_products_pass():
    found = bracket_check(CHAIN)
    assert found.ok, found
    assert len(found.errors) == 14
    assert [len(bracket_check(CHAIN[:n]).errors) for n in (2, 3, 4)] == [1, 2, 5]


@ways
@pytest.mark.parametrize("at", range(5))
def test_wrong_product_is_rejected(spoil, at):
    """Wrong wherever one of the factors is multiplied from the left, or for the last the right."""

    def multiply(a, b):
        is_it = a is CHAIN[at] if at < 4 else b is CHAIN[at]
        return spoil(a @ b) if is_it else a @ b

    assert not bracket_check(CHAIN, multiply).ok


def test_wrong_in_every_bracketing_alike_is_rejected():
    """All agree with each other; the product of the dense matrices does not."""
    assert not bracket_check(CHAIN[:2], lambda a, b: WRONG * (a @ b)).ok
    twice = [a * 1.0 for a in CHAIN]
    twice[0] = wrong_everywhere(twice[0])
    found = bracket_check(twice, dense=lambda m: CHAIN[0] if m is twice[0] else m)
    assert not found.ok


@pytest.mark.parametrize("n", [0, 1, 9])
def test_too_long_a_chain_is_an_error(n):
    with pytest.raises(DataError, match="expected 2 to 8"):
        bracket_check([np.eye(2)] * n)
