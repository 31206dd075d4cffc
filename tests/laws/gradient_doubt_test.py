"""What a gradient check says where rounding, chance, kinks or the domain leave it in doubt."""

import math
import zlib

import numpy as np
import pytest
import torch

from pullback.errors import DataError, DTypeError, ShapeError
from pullback.laws import gradient_check

X = np.array([1.0, 2.0, 3.0])
rng = np.random.default_rng(0)


def squares(p):
    return float(np.sum(p["x"] ** 2))


def status(function, gradient, at=X, **options):
    return gradient_check(function, {"x": np.asarray(gradient, float)}, {"x": at}, **options)


# float32


def linear(n_in=2, n_out=1, seed=0):
    """A torch module with its gradient by torch, all of it in float32."""
    torch.manual_seed(seed)
    module = torch.nn.Linear(n_in, n_out)
    inputs, targets = torch.randn(5, n_in), torch.randn(5, n_out)

    def cost(p):
        weight, bias = (torch.tensor(p[name], dtype=torch.float32) for name in ("weight", "bias"))
        return torch.nn.functional.mse_loss(inputs @ weight.T + bias, targets)

    torch.nn.functional.mse_loss(module(inputs), targets).backward()
    at = dict(module.named_parameters())
    return cost, {name: value.grad.clone() for name, value in at.items()}, at


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("item", [False, True])
def test_the_right_gradient_of_a_float32_module_is_right(seed, item):
    cost, gradient, at = linear(seed=seed)
    function = (lambda p: cost(p).item()) if item else cost
    found = gradient_check(function, gradient, at)
    assert found.ok, found
    assert 1e-7 < found.resolution < 5e-4
    assert "as fine as rounding" in found.verdict


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_tenth_of_a_percent_is_seen_in_float32(seed, name):
    cost, gradient, at = linear(seed=seed)
    found = gradient_check(cost, gradient | {name: 1.001 * gradient[name]}, at)
    assert found.status == "wrong"
    assert found.worst.where.startswith(name)


def test_a_function_that_takes_nothing_but_float32_gets_it():
    _, gradient, at = linear()
    torch.manual_seed(0)
    module = torch.nn.Linear(2, 1)
    inputs, targets = torch.randn(5, 2), torch.randn(5, 1)

    def cost(p):  # float64 weights would not multiply float32 inputs
        given = {name: torch.from_numpy(value) for name, value in p.items()}
        outputs = torch.func.functional_call(module, given, (inputs,))
        return torch.nn.functional.mse_loss(outputs, targets)

    assert gradient_check(cost, gradient, at).ok


# rounding of other kinds


ROUNDED = {
    "an offset": lambda p: squares(p) + 1e12,
    "cancelled": lambda p: (squares(p) + 1e12) - 1e12,
    "four digits": lambda p: round(squares(p), 4),
    "float16": lambda p: np.float16(np.sum(np.float16(p["x"]) ** 2)),
    "float32 inputs": lambda p: squares({"x": np.float64(np.float32(p["x"]))}),
    "jitter": lambda p: squares(p) + 1e-9 * (zlib.crc32(p["x"].real.tobytes()) % 1009) / 1009,
}
rounded = pytest.mark.parametrize("function", ROUNDED.values(), ids=ROUNDED.keys())


@rounded
def test_rounding_makes_no_right_gradient_wrong(function):
    assert status(function, 2 * X).status != "wrong"
    assert status(function, 4 * X).status == "wrong"
    assert status(function, 2.002 * X).status != "right"


def test_too_coarse_a_function_is_said_to_be_so():
    found = status(ROUNDED["float16"], 2 * X)
    assert found.verdict.startswith("cannot tell: at x, random direction 1 the slope is")
    assert "compute it in float64" in found.verdict
    assert "cannot tell" in found.text()
    assert found.to_dict()["status"] == "cannot tell"


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e-8, 1e8, 1e30, 1e150])
def test_scales_do_not_matter(scale):
    assert status(squares, 2 * X * scale, X * scale).ok
    assert status(squares, 2.002 * X * scale, X * scale).status == "wrong"


def test_scales_may_be_mixed_in_one_array():
    scale = np.array([1e8, 1e-8, 1.0])
    slope = (1 - np.tanh(1.0) ** 2) / scale
    assert status(lambda p: float(np.sum(np.tanh(p["x"] / scale))), slope, scale).ok
    assert not status(lambda p: float(np.sum(np.tanh(p["x"] / scale))), 1.001 * slope, scale).ok


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_at_a_minimum_rounding_is_no_error(offset):
    A, b = rng.normal(size=(20, 3)), rng.normal(size=20)
    w = np.linalg.lstsq(A, b)[0]
    for real in (np.asarray, float):
        found = status(lambda p, f=real: f(np.sum((A @ p["x"] - b) ** 2)), 2 * A.T @ (A @ w - b), w)
        assert found.ok, found
    assert status(lambda p: squares(p) + offset, np.zeros(3), np.zeros(3)).ok


# chance


def test_a_random_function_is_told_so_and_not_called_wrong():
    def dropout(p):
        return torch.nn.functional.dropout(torch.from_numpy(p["x"]), 0.5).pow(2).sum()

    found = status(dropout, 2 * X)
    assert (found.ok, found.status) == (False, "cannot tell")
    assert "random" in found.verdict
    assert "seed it" in found.verdict

    def seeded(p):
        torch.manual_seed(0)
        return dropout(p)

    x = torch.tensor(X, requires_grad=True)
    seeded({"x": x.detach().numpy()})  # draws the mask that the next line draws again
    torch.manual_seed(0)
    torch.nn.functional.dropout(x, 0.5).pow(2).sum().backward()
    assert status(seeded, x.grad).ok


def test_a_function_that_changes_on_the_way_is_random_too():
    calls = []

    def drifting(p):
        calls.append(1)
        return squares(p) + (1.0 if len(calls) > 40 else 0.0)

    assert status(drifting, 2 * X).status == "cannot tell"


# kinks and edges


def relu(z):
    return np.maximum(z, 0)


@pytest.mark.parametrize("slope", [-1.0, -0.3, 0.0, 1.0])
def test_at_a_kink_every_slope_between_the_two_sides_is_right(slope):
    found = status(lambda p: float(np.abs(p["x"]).sum()), np.full(2, slope), np.zeros(2))
    assert found.ok
    assert found.kinks == ("x[0]", "x[1]")
    assert "at a kink in x[0], x[1]" in found.verdict


def test_beyond_a_kink_is_wrong_by_what_is_beyond():
    found = status(lambda p: float(np.abs(p["x"]).sum()), [1.1, 0.0], np.zeros(2))
    assert found.status == "wrong"
    assert found.worst.expected == pytest.approx(1.0)


def test_a_complex_step_on_one_side_of_a_kink_is_not_the_last_word():
    """NumPy's maximum(0 + 1e-30j, 0) has slope 1, and torch says 0."""
    assert status(lambda p: relu(p["x"]).sum(), [0.0, 1.0], np.array([0.0, 2.0])).ok
    assert not status(lambda p: relu(p["x"]).sum(), [1.5, 1.0], np.array([0.0, 2.0])).ok


@pytest.mark.parametrize("n", [1, 100])
def test_kinks_that_cancel_along_a_line_are_seen_in_its_parts(n):
    """relu(a) − relu(b) has the slope 0 by torch at 0, and is t along (1, −1)."""
    assert status(
        lambda p: float(relu(p["x"][:n]).sum() - relu(p["x"][n:]).sum()),
        np.zeros(2 * n),
        np.zeros(2 * n),
    ).ok


@pytest.mark.parametrize("beside", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("at", [0.0, 1.0])
def test_a_kink_beside_the_point_does_not_matter(beside, at):
    def function(p):
        return float(np.abs(p["x"] - at - beside).sum())

    assert status(function, [-1.0], np.array([at])).ok
    if beside > 1e-9:
        assert status(function, [-1.001], np.array([at])).status == "wrong"


EDGES = {
    "sqrt": (lambda p: float(np.sqrt(p["x"]).sum()), 0.0),
    "a complex sqrt": (lambda p: np.sqrt(p["x"]).sum(), 0.0),
    "math.sqrt": (lambda p: math.sqrt(p["x"][0]), 0.0),
    "infinite steepness": (lambda p: float(np.sqrt(np.abs(p["x"])).sum()), 0.0),
    "the cube root": (lambda p: float(np.cbrt(p["x"]).sum()), 0.0),
    "NaN at the point": (lambda p: float(np.log(-p["x"]).sum()), 1.0),
    "infinite at the point": (lambda p: float(1 / np.abs(p["x"]).sum()), 0.0),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("function", "at"), EDGES.values(), ids=EDGES.keys())
@pytest.mark.parametrize("claim", [0.5, 10.0])
def test_at_the_edge_of_the_domain_nothing_can_be_told(function, at, claim):
    found = status(function, [claim], np.array([at]))
    assert found.status == "cannot tell", found
    assert not found.ok


# what the function returns, and what is given


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_an_array_of_one_number_is_a_cost(shape):
    assert status(lambda p: np.sum(p["x"] ** 2).reshape(shape), 2 * X).ok
    assert status(lambda p: torch.tensor(squares(p)).reshape(shape), 2 * X).status != "wrong"


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (X, ShapeError, r"an array \(3,\); expected one number"),
        (np.zeros(0), ShapeError, r"an array \(0,\)"),
        ((1.0, {"x": X}), ShapeError, "a tuple of 2; expected one number, the cost alone"),
        (3, DTypeError, "a whole number"),
        (np.int32(3), DTypeError, "int32"),
        (True, DTypeError, "bool"),
        (1.0 + 0j, DTypeError, r"complex number; .* return its \.real"),
        ("3.0", DTypeError, "a str; expected one number"),
        (None, DTypeError, "a NoneType"),
        (torch.zeros(2), ShapeError, r"an array \(2,\)"),
    ],
)
def test_what_is_no_real_number_is_refused(value, error, says):
    with pytest.raises(error, match=says):
        status(lambda p: value, 2 * X)


@pytest.mark.parametrize(
    ("gradient", "at", "error", "says"),
    [
        ({"x": 2j * X}, {"x": X}, DTypeError, r"gradient\['x'\] is of type complex128"),
        ({"x": None}, {"x": X}, DTypeError, "NoneType"),
        ({"x": X}, {"x": np.array(["a"])}, DTypeError, r"at\['x'\]"),
        (X, {"x": X}, DTypeError, "expected a dict of arrays by name"),
        ({"x": X}, X, DTypeError, "expected a dict of arrays by name"),
        ({"x": X}, {"x": X * np.nan}, DataError, "x holds a NaN"),
    ],
)
def test_what_cannot_be_compared_is_refused(gradient, at, error, says):
    with pytest.raises(error, match=says):
        gradient_check(squares, gradient, at)


def test_an_error_of_the_function_itself_is_passed_on():
    with pytest.raises(KeyError, match="weights"):
        status(lambda p: p["weights"].sum(), 2 * X)


def test_a_function_may_overwrite_what_it_is_given():
    at = X.copy()

    def doubled(p):
        p["x"] *= 2
        return squares(p)

    assert status(doubled, 8 * X, at).ok
    found = status(doubled, 4 * X, at)
    assert "the function overwrites x" in found.hint
    np.testing.assert_array_equal(at, X)


# hints

M, Q, R = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
HINTS = {
    "sign": (-Q, "it is the right gradient with its sign changed"),
    "twice": (2 * Q, "it is twice the right gradient"),
    "half": (Q / 2, "it is half the right gradient"),
    "a sum": (5 * Q, "it is 5 times the right gradient: a sum where the mean is meant"),
    "a mean": (Q / 7, "the right gradient divided by 7"),
    "a factor": (1.3 * Q, "it is 1.3 times the right gradient"),
    "nothing": (0 * Q, "it is 0 everywhere"),
    "transposed": (Q.T, "it is the right gradient transposed"),
    "a term short": (Q - 0.1 * M, "0.1 × x too little: a penalty on its square?"),
    "a term too many": (Q + 0.1 * M, "0.1 × x too much"),
    "one entry": (Q + np.eye(3)[[0, 0, 1]] * 0.1, ""),
}


@pytest.mark.parametrize(("gradient", "hint"), HINTS.values(), ids=HINTS.keys())
@pytest.mark.parametrize("real", [np.asarray, float], ids=["complex", "real"])
def test_a_wrong_gradient_is_likened_to_the_right_one(gradient, hint, real):
    found = status(lambda p: real(np.sum(p["x"] * Q)), gradient, M)
    assert found.status == "wrong"
    assert (hint in found.hint) if hint else not found.hint
    assert found.hint in found.verdict


def test_arrays_that_are_swapped_reshaped_or_wrong_alone_are_named():
    def function(p):
        return np.sum(p["a"] * X) + np.sum(p["b"] * X**2)

    at = {"a": X, "b": X}
    swapped = gradient_check(function, {"a": X**2, "b": X}, at)
    assert "that of a is right for b, not for a" in swapped.hint
    alone = gradient_check(function, {"a": X, "b": -(X**2)}, at)
    assert alone.hint == "that of b is the right gradient with its sign changed"
    reshaped = status(lambda p: np.sum(p["x"] * R), R.T.reshape(3, 2), R)
    assert "reshaped where it should be transposed" in reshaped.hint
