"""What gradients have in common is named once, in a line before them."""

import re

import numpy as np
import pytest
from formula_law_test import Computation

import pullback as pb

N = "n n"
REGRESSION = {"X": "n d", "w": "d", "y": "n"}
CASES = [
    ("norm2(C@A - B@C)**2", {"C": N, "A": N, "B": N}, ["C"],
     ["let R = C A − B C", "∂L/∂C = 2 (R Aᵀ − Bᵀ R)"]),
    ("sum((X@w - y)**2)", REGRESSION, ["X", "w", "y"],
     ["let r = X w − y", "∂L/∂X = 2 r wᵀ", "∂L/∂w = 2 Xᵀ r", "∂L/∂y = −2 r"]),
    ("(X@w - y)/norm(X@w - y)", REGRESSION, ["w"],
     ["let r = X w − y", "∂f/∂w = (‖r‖² X − r rᵀ X)/‖r‖³"]),
    ("norm2(R@Q - B@R)**2", {"R": N, "Q": N, "B": N}, ["R"],
     ["let P = R Q − B R", "∂L/∂R = 2 (P Qᵀ − Bᵀ P)"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "axes", "wrt", "expected"), CASES)
def test_a_residual_is_named_and_the_lines_keep_their_values(text, axes, wrt, expected):
    e = pb.expr(text, **axes)
    d = pb.derive(e, wrt)
    lines = [line for step in d.steps[2:] for line in step.lines]
    assert [line.text() for line in lines] == expected
    rng = np.random.default_rng(3)
    values = {name: rng.normal(size=[3] * len(over.split())) for name, over in axes.items()}
    known = {k: v[:, None] if v.ndim == 1 else v for k, v in values.items()} | {"I": np.eye(3)}
    letter = expected[0].split()[1]
    known[letter] = Computation(known, samples=3).value(lines[0].right)
    for name, line in zip(wrt, lines[1:], strict=True):
        slope = e.derivative(name)(**values)
        found = Computation(known, samples=3).value(line.right).reshape(slope.shape)
        np.testing.assert_allclose(found, slope, rtol=1e-10, atol=1e-12)


def test_one_that_is_read_once_or_is_short_has_no_name():
    for text, axes in [
        ("sum((X@w - y)**2)", REGRESSION),
        ("(x - a)/norm(x - a)", {"x": "n", "a": "n"}),
        ("tr(inv(A + X.T@W@X)@(X.T@V@X))", {"A": N, "X": N, "W": N, "V": N}),
    ]:
        d = pb.derive(pb.expr(text, **axes), "x" if "x" in axes else "w" if "w" in axes else "X")
        assert len(d.steps) == 3
        assert "let " not in d.text()


def test_it_is_in_every_output():
    d = pb.derive(pb.expr("norm2(C@A - B@C)**2", C=N, A=N, B=N), "C")
    assert r"\text{let } R &= C A - B C" in d.latex()
    assert re.search(r"<mtext>let.*?</mtext>.*?<mi>R</mi>", d.html())
    assert [line.number for line in d.lines] == [1, 2, 3, 4]
    assert "# (4)" in d.code("numpy")
    assert d.proof.ok
