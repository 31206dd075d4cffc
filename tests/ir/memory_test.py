"""What is built and dropped again is forgotten: 10,000 activations leave no more than 1,000 do."""

import gc

import pytest

import pullback as pb
from pullback.ir.normal import stable
from pullback.ir.scalar import function as scalar
from pullback.ir.scalar.function import Scalar


def test_a_function_that_nobody_holds_is_gone():
    gc.collect()
    before = len(Scalar._known)
    held = [pb.Activation(f"tanh({k + 2}*x) + x").function for k in range(50)]
    slopes = [function.partial(0) for function in held]
    assert len(Scalar._known) >= before + 100
    assert pb.Activation("tanh(2*x) + x").function is held[0]
    assert held[0].partial(0) is slopes[0]
    del held, slopes
    gc.collect()
    assert len(Scalar._known) <= before


@pytest.mark.parametrize(
    "remembered",
    [scalar._derivative, scalar._derivative_from_output, stable.stabilise, stable.textbook,
     stable.length],
)  # fmt: skip
def test_what_is_remembered_is_bounded(remembered):
    assert remembered.cache_info().maxsize <= 1024
