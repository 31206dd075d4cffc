"""Expectations are what is published, what exact integration gives, and what draws give."""

import itertools
import re

import numpy as np
import pytest
from expectations import FUNCTIONS, POLYNOMIAL, QUESTION, ROWS, S, m

import pullback as pb
from pullback import errors, normal

NAMES = [f"{row.text}, {row.options or ''}".removesuffix(", ") for row in ROWS]


def test_there_are_twelve_polynomials_and_eight_with_functions():
    assert len(POLYNOMIAL) >= 12
    assert len(FUNCTIONS) >= 8


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_value_is_the_published_one_and_lies_in_the_interval_of_draws(row):
    found = row.expectation
    value = found.value(**row.arrays)
    if row.published is not None:
        np.testing.assert_allclose(value, row.published, rtol=1e-8, atol=1e-10)
    drawn = found.simulate(draws=4000, seed=3, **row.arrays)
    assert np.shape(value) == np.shape(drawn.value)
    off = np.abs(value - drawn.value)
    assert (off <= 4 * np.maximum(drawn.error, 1e-12)).all(), off / drawn.error


POINTS, WEIGHTS = np.polynomial.hermite_e.hermegauss(6)


def integrated(e, name, mean, root, **arrays):
    """E of an expression over one variable, exact for a polynomial of degree 11."""
    total = 0.0
    for at in itertools.product(range(len(POINTS)), repeat=root.shape[1]):
        weight = np.prod(WEIGHTS[list(at)]) / np.sqrt(2 * np.pi) ** len(at)
        drawn = (mean.ravel() + root @ POINTS[list(at)]).reshape(mean.shape)
        total = total + weight * np.asarray(e(**arrays, **{name: drawn}))
    return total


@pytest.mark.parametrize(
    "text",
    [
        "sum(x)**4", "x@x*x", "(x.T@A@x)**2*sum(x)", "outer(x*x, x+a)", "x**3*sum(x**2)",
        "diag(A@outer(x, x))", "cumsum(x)*x", "trace(outer(x, x)@A)*x[0]", "sum(x[1:]*x[:-1])",
        "(x-a)**4", "x**2*(A@x)*a",
    ],
)  # fmt: skip
def test_polynomials_equal_exact_integration(text):
    rng = np.random.default_rng(len(text))
    axes = {"x": "n", "A": "n n", "a": "n"}
    used = set(re.findall(r"\b[xAa]\b", text))
    e = pb.expr(text, **{name: over for name, over in axes.items() if name in used})
    given = {"A": rng.standard_normal((2, 2)), "a": rng.standard_normal(2)}
    arrays = {name: value for name, value in given.items() if name in used}
    root = rng.standard_normal((2, 2))
    law = normal(mean := rng.standard_normal(2), cov=root @ root.T)
    found = pb.expect(e, {"x": law}).value(**arrays)
    np.testing.assert_allclose(found, integrated(e, "x", mean, root, **arrays), rtol=1e-10)


def test_second_moments_less_the_means_are_covariances():
    e = pb.expr("tanh(W@x)*v", W="m n", x="n", v="m")
    laws = {"W": normal(0.2, 0.5), "v": normal(1.0, 0.3)}
    x = [1.0, -0.5]
    mean = pb.expect(e, laws).value(x=x, m=3)
    raw, central = (
        pb.expect(e, laws, order=2, central=each).value(x=x, m=3) for each in (False, True)
    )
    np.testing.assert_allclose(raw - np.outer(mean, mean), central, atol=1e-12)


def test_every_form_of_a_law_is_one_law():
    e = pb.expr("tanh(W@x)*(W@x)", W="m n", x="n")
    mean, s, x = np.arange(6.0).reshape(2, 3) / 5, 0.4, [1.0, 2.0, -1.0]
    forms = [
        normal(mean, s),
        normal(mean, np.full((2, 3), s)),
        normal(mean, rows=s**2 * np.eye(2)),
        normal(mean, columns=s**2 * np.eye(3)),
        normal(mean, cov=s**2 * np.eye(6).reshape(2, 3, 2, 3)),
        normal("M m n", "s"),
    ]
    given = [{}, {}, {}, {}, {}, {"M": mean, "s": s}]
    values = [
        pb.expect(e, {"W": law}).value(x=x, **arrays)
        for law, arrays in zip(forms, given, strict=True)
    ]
    for value in values[1:]:
        np.testing.assert_allclose(value, values[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "axes", "laws", "formula"),
    [
        ("W@A@W.T", {"W": "m n", "A": "n n"}, {"W": normal("mu", "sigma")},
         "E[W A Wᵀ] = σ² tr(A) I + μ² (𝟏ᵀ A 𝟏) 𝟏 𝟏ᵀ"),
        ("W@A@W.T", {"W": "m n", "A": "n n"}, {"W": normal("M", rows="U", columns="V")},
         "E[W A Wᵀ] = tr(A V) U + M A Mᵀ"),
        ("trace(W.T@A@W@B)", {"W": "n d", "A": "n n", "B": "d d"}, {"W": normal(0, "sigma")},
         "E[tr(Wᵀ A W B)] = σ² tr(A) tr(B)"),
        ("sum((X@W-Y)**2)", {"X": "n d", "W": "d c", "Y": "n c"}, {"W": normal("M d c", "sigma")},
         "E[‖X W − Y‖²] = c σ² ‖X‖² + ‖X M − Y‖²"),
        ("outer(x, x)", {"x": "n"}, {"x": normal("m", cov="Sigma")}, "E[x xᵀ] = m mᵀ + Σ"),
        ("x.T@A@x", {"x": "n", "A": "n n"}, {"x": normal("m", cov="Sigma")},
         "E[xᵀ A x] = mᵀ A m + tr(A Σ)"),
        ("outer(A@x+a, B@x+b)", {"A": "m n", "B": "k n", "x": "n", "a": "m", "b": "k"},
         {"x": normal("m", cov="Sigma")},
         "E[(A x + a) (B x + b)ᵀ] = (A m + a) (B m + b)ᵀ + A Σ Bᵀ"),
        ("W.T@relu(W@x)", {"W": "m n", "x": "n"}, {"W": normal(0, "sigma")},
         "E[Wᵀ relu(W x)] = m σ² E[f′] x"),
        ("exp(x@y)", {"x": "n", "y": "n"}, {"x": normal(0, 1)}, "E[exp(xᵀ y)] = exp(½ ‖y‖²)"),
    ],
)  # fmt: skip
def test_formulas_stand_as_in_a_book(text, axes, laws, formula):
    assert pb.expect(pb.expr(text, **axes), laws).formula == formula


def test_the_variance_of_a_quadratic_form_and_of_a_linear_networks_delta():
    e = pb.expr("x.T@A@x", x="n", A="n n sym")
    law = {"x": normal("m", cov="Sigma")}
    assert pb.expect(e, law, order=2, central=True).formula == (
        "Var(xᵀ A x) = 4 mᵀ A Σ A m + 2 tr(A Σ A Σ)"
    )
    e = pb.expr("W2.T@(W2@a-y)", W2="k h", a="h", y="k")
    found = pb.expect(e, {"W2": normal(0, "s")}, order=2, central=True, name="delta")
    assert found.formula == "Cov(δ) = k s⁴ ‖a‖² I + k s⁴ a aᵀ + s² ‖y‖² I"


def test_the_posed_question_is_derived_line_by_line():
    """The published formula, from the expression on; z may depend on one another."""
    e = pb.expr(QUESTION.text, **QUESTION.axes)
    laws = QUESTION.laws | {"z": normal("m", cov="C")}
    found = pb.expect(e, laws, name="delta")
    lines = [line.text() for line in found.derivation.lines]
    expected = [
        "δ = (1 − tanh(z)²) ⊙ (Wᵀ (W tanh(z) − y))",
        "f(t) = tanh(t)",
        "E[δⱼ] = Σₖₗ E[f′ⱼ Wₖⱼ Wₖₗ fₗ] − Σₖ E[f′ⱼ yₖ Wₖⱼ]",
        "E[δⱼ] = Σₖₗ E[Wₖⱼ Wₖₗ] E[f′ⱼ fₗ] − E[f′ⱼ] Σₖ E[yₖ] E[Wₖⱼ]",
        "E[Wⱼₖ Wⱼₗ] = σ_w² 𝟏[k = l] + μ_w²",
        "E[δⱼ] = M σ_w² E[f′ⱼ fⱼ] + μ_w Σₖ (μ_w Σₗ E[f′ⱼ fₗ] − E[f′ⱼ] E[yₖ])",
    ]
    assert [line for line in lines if line in expected] == expected
    assert all(step.reason for step in found.steps)
    assert found.method == "quadrature"
    assert r"\mathbb{E}[f'_{j} f_{j}]" in found.latex() or r"\mathbb{E}[f'_j f_j]" in found.latex()


def test_what_has_no_closed_form_says_so():
    found = pb.expect(pb.expr("logsumexp(w*x)", w="n", x="n"), {"w": normal(0, 1)})
    assert found.method == "simulation"
    assert "has no closed form: it is simulated" in " ".join(found.text().split())
    assert pb.expect(pb.expr("x@x", x="n"), {"x": normal(0, 1)}).method == "closed form"


def test_sizes_come_by_name_or_by_an_array_of_the_shape():
    found = pb.expect(pb.expr("W.T@W", W="m n"), {"W": normal(0, 2)})
    np.testing.assert_allclose(found.value(m=3, n=2), 12 * np.eye(2))
    np.testing.assert_allclose(found.value(W=np.zeros((3, 2))), 12 * np.eye(2))


SQUARES = pb.expr("sum(x**2)", x="n")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: pb.expect(SQUARES, {"y": normal(0, 1)}), errors.UnknownNameError, "known: x"),
        (lambda: normal(0, -1), errors.ConfigError, "std is -1"),
        (lambda: normal(0, [1, -1]), errors.ConfigError, "expected numbers from 0"),
        (lambda: normal(0, 1, cov="S"), errors.ConfigError, "give one of them"),
        (lambda: normal(0, cov=[[1, 2], [3, 4]]), errors.DataError, "not symmetric"),
        (lambda: normal(0, cov=[[1, 2], [2, 1]]), errors.DataError, "eigenvalue is -1"),
        (lambda: normal(0, cov=[1, 2]), errors.ShapeError, "a covariance is square"),
        (lambda: normal(float("nan")), errors.ConfigError, "mean is nan"),
        (lambda: pb.expect(SQUARES, {"x": normal(0, 1)}, order=3), errors.ConfigError,
         "order is 3"),
        (lambda: pb.expect(SQUARES, {}), errors.ConfigError, "needs a law"),
        (lambda: pb.expect(SQUARES, {"x": 1}), errors.ConfigError, "expected a normal law"),
        (lambda: pb.expect("x", {"x": normal(0, 1)}), errors.ConfigError, "an expression"),
        (lambda: pb.expect(SQUARES, {"x": normal([[1.0]], 1)}), errors.ShapeError, "mean of x"),
        (lambda: pb.expect(SQUARES, {"x": normal("x", 1)}), errors.ConfigError, "random itself"),
        (lambda: pb.expect(SQUARES, {"x": normal("m q", 1)}), errors.ConfigError, "axis 'q'"),
        (lambda: pb.expect(SQUARES, {"x": normal(0, rows="U")}), errors.ConfigError, "a matrix"),
        (lambda: pb.expect(SQUARES, {"x": normal(0, 1)}).value(), errors.ShapeError, "as n=3"),
        (lambda: pb.expect(SQUARES, {"x": normal(0, "s")}).value(s=-1, n=2), errors.DataError,
         "standard deviation of x"),
        (lambda: pb.expect(SQUARES, {"x": normal(0, 1)}).value(q=2), errors.UnknownNameError,
         "'q'"),
        (lambda: pb.expect(SQUARES, {"x": normal(0, 1)}).simulate(draws=1, n=2),
         errors.ConfigError, "draws"),
        (lambda: pb.expect(pb.expr("1/x", x=""), {"x": normal(0, 1)}),
         errors.NotApplicableError, "1/x has no mean"),
        (lambda: pb.expect(pb.expr("log(x)", x=""), {"x": normal(0, 1)}),
         errors.NotApplicableError, "not defined for those below 0"),
        (lambda: pb.expect(pb.expr("inv(X)", X="n n"), {"X": normal(0, 1)}),
         errors.NotApplicableError, "has no mean"),
        (lambda: pb.expect(pb.expr("w*step(w@x)*tanh(w@y)", w="n", x="n", y="n"),
                           {"w": normal(0, 1)}),
         errors.NotApplicableError, "jumps"),
        (lambda: pb.expect(pb.expr("exp(x**2)", x=""), {"x": normal(0, 1)}).value(),
         errors.NonFiniteError, "grows too fast"),
        (lambda: pb.expect(pb.expr("X+X.T", X="n n sym"), {"X": normal(0, 1)}),
         errors.ConfigError, "declared symmetric"),
        (lambda: pb.expect(pb.expr("(x.T@A@x)**5", x="n", A="n n"), {"x": normal(0, 1)}),
         errors.NotApplicableError, "the limit of what is paired off"),
    ],
)  # fmt: skip
def test_errors_name_the_thing_and_the_fix(call, error, words):
    with pytest.raises(error, match="(?s).*" + words.replace("(", r"\(")):
        call()


def test_the_law_of_a_covariance_that_came_by_name_is_checked():
    found = pb.expect(SQUARES, {"x": normal("m", cov="S")})
    np.testing.assert_allclose(found.value(m=m, S=S), m @ m + np.trace(S))
    with pytest.raises(errors.DataError, match="S is a covariance and not symmetric"):
        found.value(m=[0, 0], S=[[1, 2], [3, 4]])
