"""Lengths that an expression needs: what is gone from a formula or a slope still holds."""

import numpy as np
import pytest
from emitted import run

import pullback as pb
from pullback.errors import ShapeError

TIED = pb.expr("sum(x + rename(y, m='n'))", x="n", y="m")
CHAINED = pb.expr("sum(rename(x, n='k')*rename(y, m='k'))", x="n", y="m")
WRONG = {"x": np.ones(3), "y": np.ones(2)}


@pytest.mark.parametrize("e", [TIED, CHAINED])
def test_axes_that_are_one_are_of_one_length_in_every_slope(e):
    for way in (e, e.function("x"), e.gradient("x"), e.derivative("x", 2), e.gradient("y")):
        with pytest.raises(ShapeError, match="the expression needs them equal"):
            way(**WRONG)
    assert pb.derive(e, "x", order=2).proof.ok


@pytest.mark.parametrize("target", ["numpy", "numba", "jax", "torch"])
def test_emitted_code_refuses_other_lengths(target):
    torch = pytest.importorskip("torch")
    given = [torch.tensor(each) if target == "torch" else each for each in WRONG.values()]
    with pytest.raises(ValueError, match="axes m and n are not of one length"):
        run(pb.derive(TIED, "x").code(target))["value_and_grad"](*given)


def test_loops_read_nothing_beyond_the_end_of_an_array():
    code = pb.derive(pb.expr("sum(x + y)", x="n", y="n"), "x").code("numba")
    with pytest.raises(ValueError, match=r"y is not of shape \(n\)"):
        run(code)["value_and_grad"](*WRONG.values())


def test_a_slope_that_is_0_has_the_axes_of_what_is_gone():
    second = pb.expr("kron(x, u)", x="n", u="m").derivative("u", 2)
    assert second(x=np.ones(3), u=np.ones(2)).tolist() == np.zeros((6, 2, 2)).tolist()
