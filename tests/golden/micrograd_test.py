"""karpathy/micrograd (MIT, commit c911406e): its README's example and its sanity check."""

import numpy as np
import pytest

import pullback as pb


def readme() -> str:
    """The README's expression: its assignments, each put into the next."""
    a, b = "a", "b"
    c, d = f"({a} + {b})", f"({a}*{b} + {b}**3)"
    c = f"({c} + {c} + 1)"
    c = f"({c} + 1 + {c} + (-{a}))"
    d = f"({d} + {d}*2 + relu({b} + {a}))"
    d = f"({d} + 3*{d} + relu({b} - {a}))"
    f = f"(({c} - {d})**2)"
    return f"{f}/2.0 + 10.0/{f}"


def test_readme():
    value, grads = pb.expr(readme(), a="", b="").function(wrt=["a", "b"])(a=-4.0, b=2.0)
    assert value == pytest.approx(24.7041, abs=5.1e-5)
    assert grads["a"] == pytest.approx(138.8338, abs=5.1e-5)
    assert grads["b"] == pytest.approx(645.5773, abs=5.1e-5)
    # the same in double precision, by another program
    assert value == pytest.approx(24.70408163265306, rel=1e-14)
    assert grads["a"] == pytest.approx(138.83381924198252, rel=1e-14)
    assert grads["b"] == pytest.approx(645.5772594752186, rel=1e-14)


def test_sanity_check():
    """Exactly, as its own test demands: y = −20 and dy/dx = 46 at x = −4."""
    z = "(2*x + 2 + x)"
    q, h = f"(relu({z}) + {z}*x)", f"relu({z}*{z})"
    value, grads = pb.expr(f"{h} + {q} + {q}*x", x="").function(wrt="x")(x=np.float64(-4))
    assert value == -20.0
    assert grads["x"] == 46.0
