"""Expectations as books print them: the formula as text, its number, and the interval of draws."""

from math import erf

import numpy as np
import pytest
from expectations import S, U, V, a, b, gaussian, m
from scipy.stats import norm

import pullback as pb
from pullback import errors, normal

RNG = np.random.default_rng(28)
A, B, C = (RNG.standard_normal((3, 3)) for _ in range(3))
A2, B2, C2 = (each + each.T for each in (A, B, C))
X, Y = np.array([1.0, 2.0]), np.array([0.5, -1.0])
M = RNG.standard_normal((2, 3))
P, Q = RNG.standard_normal((3, 2)), RNG.standard_normal((2, 2))
SPREAD = np.array([[0.7, 0.1, 0.2], [0.1, 0.6, 0.0], [0.2, 0.0, 0.8]])
R = S + np.outer(m, m)
FULL, CENTRED = {"x": normal("m", cov="Sigma")}, {"x": normal(0, cov="Sigma")}
MATRIX = {"X": normal("M", rows="U", columns="V")}
CENTRAL = {"order": 2, "central": True}
VECTORS = dict.fromkeys("ABC", "n n") | dict.fromkeys("abx", "n")
GIVEN = dict(A=A, B=B, C=C, a=a, b=b, m=m, Sigma=S)
X_A_X = {"X": "n p", "A": "p n", "B": "p n"}
W_X = {"W": "h n", "x": "n"}
W_XY = {"w": "n", "x": "n", "y": "n"}


def magnus(*of):
    """E of three quadratic forms of a centred x: Magnus, Statistica Neerlandica 32, 1978."""
    one, two, three = (each @ S for each in of)
    t = np.trace
    return (
        t(one) * t(two) * t(three)
        + 2 * (t(one) * t(two @ three) + t(two) * t(one @ three) + t(three) * t(one @ two))
        + 8 * t(one @ two @ three)
    )


def wave(x, y, sign):
    return np.exp(-0.5 * np.sum((x + sign * y) ** 2)) / 2


SIZE = 0.5 * np.linalg.norm(X)  # the standard deviation of w @ X
# text, axes, laws, options, arrays, the published number, the formula
BOOK = [
    ("outer(x, x)@A@outer(x, x)", VECTORS, FULL, {}, GIVEN,
     R @ (A + A.T) @ R + m @ A @ m * (S - np.outer(m, m)) + np.trace(A @ S) * R,  # Cookbook 8.2.4
     "E[x xᵀ A x xᵀ] = (mᵀ A m + tr(A Σ)) (m mᵀ + Σ) + (m mᵀ + Σ) (A + Aᵀ) (m mᵀ + Σ)"
     " − 2 (mᵀ A m) m mᵀ"),
    ("(x.T@A@x)*(x.T@B@x)*(x.T@C@x)", VECTORS | dict.fromkeys("ABC", "n n sym"), CENTRED, {},
     GIVEN | dict(A=A2, B=B2, C=C2), magnus(A2, B2, C2), None),
    ("(x@x)**2", {"x": "n"}, {"x": normal(0, "sigma")}, {}, {"sigma": 0.7, "n": 4}, 0.7**4 * 24,
     "E[‖x‖⁴] = n (n + 2) σ⁴"),
    ("x.T@A@x", {"x": "n", "A": "n n sym"}, {"x": normal("m n", "sigma")}, CENTRAL,
     {"A": A2, "m": m, "sigma": 0.7}, 2 * 0.7**4 * np.sum(A2**2) + 4 * 0.49 * m @ A2 @ A2 @ m,
     "Var(xᵀ A x) = 2 σ⁴ ‖A‖² + 4 σ² mᵀ A² m"),
    ("x**4", {"x": ""}, {"x": normal("mu", "sigma")}, {}, {"mu": 0.3, "sigma": 0.7},
     0.3**4 + 6 * 0.09 * 0.49 + 3 * 0.7**4, "E[x⁴] = μ⁴ + 6 μ² σ² + 3 σ⁴"),
    ("(b@x)**3", VECTORS, FULL, {}, GIVEN, (b @ m) ** 3 + 3 * b @ m * (b @ S @ b),
     "E[(bᵀ x)³] = (bᵀ m)³ + 3 (bᵀ m) bᵀ Σ b"),
    ("X@A@X", X_A_X, MATRIX, {}, {"A": P, "M": M, "U": U, "V": SPREAD},
     U @ P.T @ SPREAD + M @ P @ M, "E[X A X] = M A M + U Aᵀ V"),
    ("trace(X@A)*trace(X@B)", X_A_X, MATRIX, {}, {"A": P, "B": P + 1, "M": M, "U": U, "V": SPREAD},
     np.trace(M @ P) * np.trace(M @ (P + 1)) + np.trace(P @ U @ (P + 1).T @ SPREAD),
     "E[tr(X A) tr(X B)] = tr(A M) tr(B M) + tr(A U Bᵀ V)"),
    ("X@A@X.T@B@X@C@X.T", {"X": "n p", "A": "p p", "B": "n n", "C": "p p"},
     {"X": normal(0, rows="U", columns="V")}, {}, {"A": A, "B": Q, "C": C, "U": U, "V": SPREAD},
     np.trace(A @ SPREAD) * np.trace(C @ SPREAD) * U @ Q @ U
     + np.trace(Q @ U) * np.trace(A @ SPREAD @ C @ SPREAD) * U
     + np.trace(A @ SPREAD @ C.T @ SPREAD) * U @ Q.T @ U, None),  # Gupta and Nagar 2.3.8
    ("X.T@X", {"X": "n p"}, {"X": normal(0, columns="V")}, CENTRAL, {"V": V, "n": 4},
     4 * (np.einsum("ik,jl->ijkl", V, V) + np.einsum("il,jk->ijkl", V, V)),
     "Cov(Xᵀ X)[j,k,l,r] = n Vⱼₗ Vₖᵣ + n Vⱼᵣ Vₖₗ"),  # Wishart
    ("X@X.T@X@X.T", {"X": "n p"}, {"X": normal(0, "s")}, {}, {"s": 0.5, "n": 2, "p": 3},
     0.5**4 * 18 * np.eye(2), "E[X Xᵀ X Xᵀ] = p (n + p + 1) s⁴ I"),
    ("(x-m).T@inv(Sigma)@(x-m)", {"x": "n", "m": "n", "Sigma": "n n sym"}, FULL, {},
     {"m": m, "Sigma": S}, 3.0, "E[(x − m)ᵀ Σ⁻¹ (x − m)] = n"),
    ("mean((x-mean(x))**2)", {"x": "n"}, {"x": normal("mu", "sigma")}, {},
     {"mu": 0.4, "sigma": 0.7, "n": 5}, 0.49 * 0.8,
     "E[(1/n) ‖x − (1/n) 𝟏ᵀ x‖²] = (1/n) (n − 1) σ²"),
    ("sum(W**2)", {"W": "m n"}, {"W": normal("mu", "s")}, {}, {"mu": 0.2, "s": 0.5, "m": 2, "n": 3},
     6 * 0.29, "E[‖W‖²] = m n (μ² + s²)"),
    ("det(X)", {"X": "n n"}, {"X": normal("M n n", "s")}, {}, {"M": Q, "s": 0.5}, np.linalg.det(Q),
     "E[det(X)] = det(M)"),
    ("cos(w@x)*cos(w@y)", W_XY, {"w": normal(0, 1)}, {}, {"x": X, "y": Y},
     wave(X, Y, 1) + wave(X, Y, -1),
     "E[cos(wᵀ x) cos(wᵀ y)] = ½ (exp(xᵀ y − ½ ‖x‖² − ½ ‖y‖²) + exp(−xᵀ y − ½ ‖x‖² − ½ ‖y‖²))"),
    ("exp(a@x/3)*sin(b@x)", VECTORS, FULL, {}, GIVEN,
     np.imag(np.exp((a / 3 + 1j * b) @ m + (a / 3 + 1j * b) @ S @ (a / 3 + 1j * b) / 2)), None),
    ("exp(x)", {"x": "n"}, FULL, CENTRAL, {"m": m, "Sigma": S},
     np.exp(np.add.outer(m + np.diag(S) / 2, m + np.diag(S) / 2)) * np.expm1(S), None),
    ("abs(w)", {"w": ""}, {"w": normal(0, "sigma")}, {}, {"sigma": 0.7}, 0.7 * np.sqrt(2 / np.pi),
     "E[|w|] = √(2/π) σ"),
    ("relu(W@x+b)", W_X | {"b": "h"}, {"W": normal(0, "s"), "b": normal(0, "t")}, {},
     {"s": 0.5, "t": 0.2, "x": X, "h": 2}, np.full(2, np.hypot(SIZE, 0.2) / np.sqrt(2 * np.pi)),
     "E[relu(W x + b)] = (1/√(2π)) √(s² ‖x‖² + t²) 𝟏"),
    ("V@relu(W@x)", W_X | {"V": "m h"}, {"W": normal(0, "s"), "V": normal(0, "t")}, CENTRAL,
     {"s": 0.5, "t": 0.4, "x": X, "m": 2, "h": 4}, 4 * 0.16 * SIZE**2 / 2 * np.eye(2),
     "Cov(V relu(W x)) = ½ h s² t² ‖x‖² I"),  # He et al. 2015
    ("outer(x, x)*tanh(a@x)", VECTORS, CENTRED, {}, GIVEN, np.zeros((3, 3)),
     "E[tanh(aᵀ x) x xᵀ] = 0"),
    ("w*step(w@x)", W_XY, {"w": normal(0, "s")}, {}, {"x": X, "s": 0.5},
     0.25 * X / SIZE / np.sqrt(2 * np.pi), None),
    ("w*(w@y)*step(w@x-0.3)", W_XY, {"w": normal("mu n", "s")}, {},
     {"mu": [0.1, 0.3], "x": X, "y": Y, "s": 0.5}, None, None),
    ("erf(w@x)*(w@y)", W_XY, {"w": normal("mu n", "s")}, {},
     {"mu": [0.1, 0.2], "x": X, "y": Y, "s": 0.5},
     -0.15 * erf(0.5 / np.sqrt(1 + 2 * SIZE**2))
     + 0.25 * X @ Y * gaussian(lambda z: 2 / np.sqrt(np.pi) * np.exp(-z * z), 0.5, SIZE), None),
    ("W2.T@(W3.T@(W3@(W2@(W1@x))-y))", {"W1": "h n", "W2": "k h", "W3": "m k", "x": "n", "y": "m"},
     {"W1": normal(0, "s"), "W2": normal(0, "t"), "W3": normal(0, "u")}, CENTRAL,
     {"s": 0.5, "t": 0.4, "u": 0.3, "x": X, "y": Y, "h": 3, "k": 2}, None,
     "Cov(e) = k m (h m + h k + k m + h + m + k + 3) s² t⁴ u⁴ ‖x‖² I + k t² u² ‖y‖² I"),
]  # fmt: skip


@pytest.mark.parametrize("row", BOOK, ids=[row[0] for row in BOOK])
def test_it_is_the_number_and_the_formula_of_the_book(row):
    text, axes, laws, options, arrays, published, formula = row
    e = pb.expr(text, **{name: over for name, over in axes.items() if name in text})
    found = pb.expect(e, laws, **options)
    names = {leaf.name for leaf in found.leaves}
    given = {n: value for n, value in arrays.items() if n in names or isinstance(value, int)}
    value = found.value(**given)
    if published is not None:
        np.testing.assert_allclose(value, published, rtol=1e-8, atol=1e-9)
    if formula is not None:
        assert found.formula == formula
    drawn = found.simulate(draws=4000, seed=7, **given)
    off = np.abs(value - drawn.value)
    assert (off <= 4 * np.maximum(drawn.error, 1e-12)).all(), off / drawn.error
    assert all(step.reason for step in found.steps)


def test_a_step_far_out_is_seen_though_the_function_grows():
    """x² step(x − 0.3) jumps by 0.09 and is 10⁶ elsewhere."""
    e = pb.expr("w**3*step(w-0.3)", w="")
    found = pb.expect(e, {"w": normal(0.1, 0.5)}).value()
    assert found == pytest.approx(gaussian(lambda z: z**3 * (z > 0.3), 0.1, 0.5), rel=1e-7)


def test_a_square_matrix_has_one_name_twice_in_its_law_too():
    e = pb.expr("W@A@W.T", W="n n", A="n n")
    law = normal("M n n", rows="U n n", columns="V")
    assert pb.expect(e, {"W": law}).formula == "E[W A Wᵀ] = tr(A V) U + M A Mᵀ"
    with pytest.raises(errors.ConfigError, match="has 1 axes; expected 2"):
        pb.expect(e, {"W": normal("M n n", rows="U n")})
    with pytest.raises(errors.ConfigError, match="axis 'n'"):
        pb.expect(e, {"W": normal("M n n n", 1)})


def test_the_chance_of_a_positive_sum():
    e = pb.expr("step(w@x)", w="n", x="n")
    found = pb.expect(e, {"w": normal(0.2, 0.5)}).value(x=X)
    assert found == pytest.approx(norm.cdf(0.6 / SIZE))


def test_terms_of_very_different_size_are_kept():
    e = pb.expr("1e15*a + x", x="", a="")
    assert pb.expect(e, {"x": normal("m", 1)}).value(a=0.0, m=2.0) == 2.0


def test_a_long_power_is_as_soon_there_as_a_short_one():
    e = pb.expr("(sum(x)+a@x+b@x+1)**6", x="n", a="n", b="n")
    found = pb.expect(e, {"x": normal("m", cov="C")})
    mean, variance = 1 + (1 + a + b) @ m, (1 + a + b) @ S @ (1 + a + b)
    expected = mean**6 + 15 * mean**4 * variance + 45 * mean**2 * variance**2 + 15 * variance**3
    np.testing.assert_allclose(found.value(a=a, b=b, m=m, C=S), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda e: pb.expect(e, {"x": normal(0, 1)}, order=2, central="yes"), errors.ConfigError,
         "central is 'yes'"),
        (lambda e: pb.expect(e, {"x": normal(0, 1)}, name=3), errors.ConfigError, "name is 3"),
        (lambda e: pb.expect(e, {"x": normal(0, 1)}, name="<b>"), errors.ConfigError, "letters"),
        (lambda e: normal(True, 1), errors.ConfigError, "mean is True"),
        (lambda e: pb.expect(e, {"x": normal(1e200, 1)}), errors.NonFiniteError,
         "beyond 1e308"),
        (lambda e: pb.expect(pb.expr("inv(W + A)", W="n n", A="n n"), {"W": normal(0, 1)}),
         errors.NotApplicableError, "has no mean"),
        (lambda e: pb.expect(pb.expr("tan(x)", x=""), {"x": normal(0, 1)}),
         errors.NotApplicableError, "a pole"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(pb.expr("sum(x**2)", x="n"))


def test_a_direction_has_no_closed_form():
    found = pb.expect(pb.expr("x/norm(x)", x="n"), {"x": normal(0, 1)})
    assert found.method == "simulation"
    assert abs(found.value(n=3)).max() < 0.03


def test_a_mean_along_an_axis_that_only_the_random_variable_has():
    found = pb.expect(pb.expr("erf(mean(x))", x="n"), {"x": normal(0.3, 0.5)})
    assert found.value(n=3) == pytest.approx(erf(0.3 / np.sqrt(1 + 2 * 0.25 / 3)))


def test_the_edges_of_closed_forms():
    zero = pb.expect(pb.expr("det(X)", X="n n"), {"X": normal(0, 1)})
    assert zero.formula == "E[det(X)] = 0"
    assert pb.expect(pb.expr("abs(w)", w=""), {"w": normal(0, 0)}).value() == 0
    jumps = pb.expect(pb.expr("w*step(w@x)", w="n", x="n"), {"w": normal(0, 1)})
    with np.errstate(all="ignore"), pytest.raises(errors.NonFiniteError, match="divided by 0"):
        jumps.value(x=[0.0, 0.0])
    assert "the root of 2/pi" in pb.expect(pb.expr("abs(w)", w=""), {"w": normal(0, 1)}).latex()
