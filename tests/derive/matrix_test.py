"""Matrix notation follows from axes alone; where it ends, indices begin."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from printed import lines

from pullback.derive import EquationList
from pullback.derive.formula.elementwise import number
from pullback.derive.formula.text import Text
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
    Parameter,
    Rename,
    Scalar,
    identity,
    simplify,
    symbol,
)
from pullback.ir.build import mean_over, subtract

N, I, J, K = Axis("batch"), Axis("i", 2), Axis("j", 3), Axis("k", 4)
X0, X1 = symbol(0), symbol(1)
A, B, C = Parameter("A", (I, J)), Parameter("B", (J, K)), Parameter("C", (K, I))
d = Parameter("d", (J,))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Contract((A, B), (I, K)), "A B"),
        (Contract((A, B), (K, I)), "Bᵀ Aᵀ"),
        (Contract((A, d), (I,)), "A d"),
        (Contract((B, d), (K,)), "Bᵀ d"),
        (Contract((A, d, B), (I, K)), "A diag(d) B"),
        (Contract((A, d), (I, J)), "A diag(d)"),
        (Contract((B, d), (J, K)), "diag(d) B"),
        (Contract((d, d), ()), "‖d‖²"),
        (Contract((A, A), ()), "‖A‖²"),
        (Contract((A,), (I,)), "A 𝟏"),
        (Contract((A,), (J,)), "Aᵀ 𝟏"),
        (Contract((A,), ()), "𝟏ᵀ A 𝟏"),
        (Contract((A,), (J, I)), "Aᵀ"),
        (Contract((d, Constant(2.0, (I,))), (I, J)), "2 𝟏 dᵀ"),
        (Contract((A, Constant(1.0, (K,))), (I, J)), "4 A"),
        (Contract((A, B, C), ()), "𝟏ᵀ (B ⊙ (Aᵀ Cᵀ)) 𝟏"),
        (Add((A, Contract((d, Constant(1.0, (I,))), (I, J)))), "A + 𝟏 dᵀ"),
        (Map(Scalar.of(X0 / X1), (A, d)), "A diag(1/d)"),
        (Map(Scalar.of(sp.Max(X0, X1)), (A, d)), "max(A, 𝟏 dᵀ)"),
        (LogSumExp(A, J), "logsumexp(A)"),
        (LogSumExp(A, I), "logsumexp(Aᵀ)"),
        (Map(Scalar.of(sp.exp(X0 - X1)), (A, LogSumExp(A, I))), "softmax(Aᵀ)ᵀ"),
        (Max(A, J), "max(A)"),
        (identity(I, Axis("i2", 2)), "I"),
        (Rename(A, ((J, Axis("j2", 3)),)), "A"),
        (Constant(0.0, (I, J)), "0"),
        (
            Map(Scalar.of(sp.Piecewise((X0, X0 > 1), (sp.sqrt(X0), True))), (A,)),
            "{A if A > 1 else √A}",
        ),
    ],
)
def test_axes_alone_choose_products_and_transposes(node, expected):
    (line,) = EquationList.of([Named("v", node, "value")])
    assert Text()(line.right) == expected


def test_three_axes_are_written_with_indices():
    T, u, v = Parameter("T", (I, J, K)), Input("u", (N, J)), Input("v", (N, K))
    z = Named("z.0", Contract((T, u, v), (N, I)), "z")
    assert lines((z,)) == ["z₁[n,i] = Σⱼₖ T[i,j,k] u[n,j] v[n,k]"]
    line = EquationList.of([z])["z.0"]
    assert line.latex() == r"(z_1)_{ni} = \sum_{jk} T_{ijk} u_{nj} v_{nk}"
    soft = Map(Scalar.of(sp.exp(X0 - X1)), (T, LogSumExp(T, K)))
    assert lines((Named("s", soft, "value"),)) == ["s[i,j,k] = softmaxₖ(T[i,j,k])"]


def test_a_sum_over_samples_inside_a_sample_is_shown():
    z = Named("z.0", Contract((Input("x", (N, J)), A), (N, I)), "z")
    centred = Named("a.1", subtract(z, mean_over(z, (N,))), "a")
    loss = Named("loss", Map(Scalar.of(sp.sqrt(X0)), (Contract((centred, centred), ()),)), "loss")
    assert lines(simplify(loss)) == [
        "z₁ = A x",
        "h₁ = z₁ − (1/N) Σₙ z₁",
        "L = √(Σₙ ‖h₁‖²)",
    ]
    assert lines(simplify(loss), "rows")[1] == "H₁ = Z₁ − (1/N) 𝟏 𝟏ᵀ Z₁"


def test_samples_against_samples_keep_both_axes():
    other = Axis("other")
    x = Input("x", (N, J))
    gram = Contract((x, Rename(x, ((N, other),))), (N, other))
    assert lines((Named("G", gram, "value"),)) == ["G[n,i] = Σⱼ x[i,j] x[n,j]"]
    assert lines((Named("G", gram, "value"),), "rows") == ["G = X Xᵀ"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3.0, "3"),
        (0.5, "½"),
        (2 / 3, "⅔"),
        (5 / 7, "5/7"),
        (0.01, "0.01"),
        (0.125, "1/8"),
        (-1.5, "−3/2"),
        (2**0.5, "√2"),
        ((2 * np.pi) ** -0.5, "1/√(2π)"),
        (2 / np.pi**0.5, "2/√π"),
        (2 * np.pi, "2π"),
        (1.0507009873554805, "1.0507"),
        (1e-5, "10⁻⁵"),
    ],
)
def test_numbers_are_written_as_people_write_them(value, expected):
    assert Text()(number(value)) == expected
