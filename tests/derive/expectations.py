"""Expectations with what is published of them: the Matrix Cookbook's section 8, and textbooks."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import integrate
from scipy.stats import norm

import pullback as pb
from pullback import normal

RNG = np.random.default_rng(8)
A, B, C = (RNG.standard_normal((3, 3)) for _ in range(3))
ROOT = RNG.standard_normal((3, 3)) / 2
S = ROOT @ ROOT.T
m, a, b, c = (RNG.standard_normal(3) for _ in range(4))
U, V = S[:2, :2] + np.eye(2) / 2, S[1:, 1:] + np.eye(2) / 4
M, D, E = (RNG.standard_normal((2, 2)) for _ in range(3))
X, Y = RNG.standard_normal((3, 2)), RNG.standard_normal((3, 2))
I2, I3 = np.eye(2), np.eye(3)
GIVEN = dict(A=A, B=B, C=C, D=D, E=E, S=S, m=m, a=a, b=b, c=c, U=U, V=V, M=M, X=X, Y=Y,
             mu=0.3, s=0.7, t=0.4)  # fmt: skip
FULL = {"x": normal("m", cov="S")}
SECOND = np.outer(m, m) + S


def gaussian(f, mean=0.0, std=1.0):
    """E f(z) by SciPy."""
    return integrate.quad(lambda x: f(mean + std * x) * norm.pdf(x), -12, 12, epsabs=1e-13)[0]


@dataclass(frozen=True)
class Row:
    """An expression, its laws, and the number that is published or worked out by hand."""

    text: str
    axes: dict[str, str]
    laws: dict[str, Any]
    published: Any
    source: str
    options: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def expectation(self):
        return pb.expect(pb.expr(self.text, **self.axes), self.laws, **self.options)

    @property
    def arrays(self):
        names = (leaf.name for leaf in self.expectation.leaves)
        return {name: GIVEN[name] for name in names if name not in self.more} | self.more


def vector(text, published, source, axes=None, **options):
    square = dict.fromkeys("ABC", "n n") | dict.fromkeys("abcx", "n")
    used = {name: over for name, over in square.items() if name in text} | (axes or {})
    return Row(text, used, FULL, published, source, options)


def _quartic():
    """E[x xᵀ A x xᵀ], Matrix Cookbook (382)."""
    bilinear = float(m @ A @ m)
    return (
        SECOND @ (A + A.T) @ SECOND
        + bilinear * (S - np.outer(m, m))
        + np.trace(A @ S) * SECOND
    )  # fmt: skip


COOKBOOK = "Matrix Cookbook 8.2"
POLYNOMIAL = [
    vector("outer(x, x)", SECOND, COOKBOOK),
    vector("x.T@A@x", np.trace(A @ S) + m @ A @ m, COOKBOOK),
    vector(
        "outer(A@x+a, B@x+b)", A @ S @ B.T + np.outer(A @ m + a, B @ m + b), COOKBOOK
    ),
    vector("(A@x+a)@(B@x+b)", np.trace(A @ S @ B.T) + (A @ m + a) @ (B @ m + b), COOKBOOK),
    vector("(x-a)@A@(x-a)", (m - a) @ A @ (m - a) + np.trace(A @ S), COOKBOOK),
    vector(
        "(A@x+a)*((B@x+b)@(C@x+c))",
        A @ S @ B.T @ (C @ m + c)
        + A @ S @ C.T @ (B @ m + b)
        + (np.trace(B @ S @ C.T) + (B @ m + b) @ (C @ m + c)) * (A @ m + a),
        COOKBOOK,
    ),
    vector("outer(x, x)@A@outer(x, x)", _quartic(), COOKBOOK),
    vector(
        "(x.T@A@x)*(x.T@B@x)",
        np.trace(A @ S @ (B + B.T) @ S)
        + m @ (A + A.T) @ S @ (B + B.T) @ m
        + (np.trace(A @ S) + m @ A @ m) * (np.trace(B @ S) + m @ B @ m),
        COOKBOOK,
    ),
    vector(
        "x.T@A@x",
        np.trace(A @ S @ (A + A.T) @ S) + m @ (A + A.T) @ S @ (A + A.T) @ m,
        COOKBOOK,
        order=2,
        central=True,
    ),
    vector("A@x+a", A @ S @ A.T, COOKBOOK, order=2, central=True),
    Row(
        "W@D@W.T", {"W": "m n", "D": "n n"}, {"W": normal("M", rows="U", columns="V")},
        np.trace(D @ V) * U + M @ D @ M.T, "Gupta and Nagar, Matrix Variate Distributions, 2.3.5",
    ),
    Row(
        "W@D@W.T", {"W": "m n", "D": "n n"}, {"W": normal("mu", "s")},
        0.7**2 * np.trace(D) * I2 + 0.09 * D.sum() * np.ones((2, 2)), "the same, U and V = σ² I",
        more={"m": 2},
    ),
    Row(
        "trace(W.T@D@W@E)", {"W": "m n", "D": "m m", "E": "n n"},
        {"W": normal("M", rows="U", columns="V")},
        np.trace(D @ U) * np.trace(E @ V) + np.trace(M.T @ D @ M @ E), "Gupta and Nagar, 2.3.5",
    ),
    Row(
        "sum((X@W-Y)**2)", {"X": "n d", "W": "d c", "Y": "n c"}, {"W": normal("M d c", "s")},
        ((X @ M - Y) ** 2).sum() + 2 * 0.49 * (X**2).sum(), "ridge regression's expected loss",
    ),
    # a linear network's δ: E‖δ₁‖² by v = (E tr A², E (tr A)²) with A = W₂ᵀ W₂, plus ‖y‖² h t²
    Row(
        "sum((V.T@(V@(W@x)-y))**2)", {"W": "h n", "V": "k h", "x": "n", "y": "k"},
        {"W": normal(0, "s"), "V": normal(0, "t")},
        0.49 * 5.0 * 0.4**4 * (3 * 2 * (3 + 2 + 1)) + 2.0 * 3 * 0.4**2,
        "E tr (VᵀV)² = t⁴ k h (k + h + 1)",
        more={"x": [1.0, 2.0], "y": [1.0, -1.0], "h": 3},
    ),
]  # fmt: skip

TANH, SLOPE = gaussian(np.tanh, 0.0, 0.7), gaussian(lambda z: np.cosh(z) ** -2, 0.0, 0.7)
BOTH = gaussian(lambda z: np.cosh(z) ** -2 * np.tanh(z), 0.3, 0.7)
SHIFTED = gaussian(np.tanh, 0.3, 0.7), gaussian(lambda z: np.cosh(z) ** -2, 0.3, 0.7)
LENGTH = np.sqrt(5.0)  # of x = (1, 2)
QUESTION = Row(
    "(1-tanh(z)**2)*(W.T@(W@tanh(z)-y))",
    {"W": "M H", "z": "H", "y": "M"},
    {"W": normal("mu_w", "sigma_w"), "z": normal("mu", "s"), "y": normal([0.5, -0.2], 0.3)},
    np.full(
        4,
        2 * 0.6**2 * BOTH
        + 0.2 * sum(0.2 * (BOTH + 3 * SHIFTED[1] * SHIFTED[0]) - SHIFTED[1] * y
                    for y in (0.5, -0.2)),
    ),
    "the posed question, M = 2, H = 4",
    {"name": "delta"},
    {"H": 4},
)  # fmt: skip
GIVEN |= {"mu_w": 0.2, "sigma_w": 0.6}

W_X = {"W": "m n", "x": "n"}
FUNCTIONS = [
    QUESTION,
    Row("tanh(W@x)", W_X, {"W": normal(0, "s")}, [0.0, 0.0], "odd", more={"x": [1, 2], "m": 2}),
    Row(
        "W.T@tanh(W@x)", W_X, {"W": normal(0, "s")},
        2 * 0.49 * gaussian(lambda z: np.cosh(z) ** -2, 0.0, 0.7 * LENGTH) * np.array([1.0, 2.0]),
        "Stein's lemma", more={"x": [1, 2], "m": 2},
    ),
    Row(
        "sum(erf(W@x)**2)", W_X, {"W": normal(0, "s")},
        2 * (2 / np.pi) * np.arcsin(2 * 2.45 / (1 + 2 * 2.45)),
        "Williams 1997", more={"x": [1, 2], "m": 2},
    ),
    Row(
        "outer(erf(z), erf(z))", {"z": "n"}, {"z": normal(0, cov="S")},
        2 / np.pi * np.arcsin(2 * S / np.sqrt(np.outer(1 + 2 * np.diag(S), 1 + 2 * np.diag(S)))),
        "Williams 1997",
    ),
    Row(
        "relu(u)*relu(t*u+v)", {"u": "", "v": "", "t": ""}, {"u": normal(0, 1), "v": normal(0, 1)},
        (lambda s, r: s * (np.sqrt(1 - r * r) + (np.pi - np.arccos(r)) * r) / (2 * np.pi))(
            np.hypot(1, 0.4), 0.4 / np.hypot(1, 0.4)),
        "Cho and Saul 2009",
    ),
    Row("sum(exp(a*x))", {"a": "n", "x": "n"}, FULL,
        np.exp(a * m + a**2 * np.diag(S) / 2).sum(), "lognormal"),
    Row("x*exp((a@x)/4)", {"a": "n", "x": "n"}, FULL,
        (m + S @ a / 4) * np.exp(a @ m / 4 + a @ S @ a / 32), "lognormal, tilted"),
    Row("x**2*sin(x)", {"x": ""}, {"x": normal("mu", "s")},
        gaussian(lambda z: z * z * np.sin(z), 0.3, 0.7), "SciPy's quadrature"),
    Row("mean(log(1+exp(-X@w)))", {"X": "n d", "w": "d"}, {"w": normal(0, "s")},
        np.mean([gaussian(lambda z: np.logaddexp(0, -z), 0, 0.7 * np.linalg.norm(row))
                 for row in X]), "SciPy's quadrature"),
    Row("tanh(x+y)*tanh(x-y)*x", {"x": "", "y": ""}, dict.fromkeys("xy", normal(0.1, 0.3)),
        None, "x + y and x − y are independent"),
    Row("sum(where(x>0, x, 0.1*x)*x)", {"x": "n"}, {"x": normal("mu", "s")},
        2 * gaussian(lambda z: np.where(z > 0, 1, 0.1) * z * z, 0.3, 0.7), "a leaky ReLU",
        more={"n": 2}),
    Row("max(x)", {"x": "n"}, {"x": normal("mu", "s")}, None, "no closed form", more={"n": 3}),
    Row("tanh(W@x)", W_X, {"W": normal(0, "s")},
        gaussian(lambda z: np.tanh(z) ** 2, 0, 0.7 * LENGTH) * I2, "independent units",
        {"order": 2, "central": True}, {"x": [1, 2], "m": 2}),
]  # fmt: skip
ROWS = [*POLYNOMIAL, *FUNCTIONS]
