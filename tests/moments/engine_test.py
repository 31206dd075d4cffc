"""The passes that Monte Carlo draws with are those of the network itself."""

import numpy as np
import pytest
from zoo import FLOAT64, close

from pullback.moments.law.output import Output
from pullback.moments.sampling.draws import Engine, given
from pullback.moments.structure import Pointwise, read
from pullback.net.checks import checked_data

PLAIN = [
    case for case in FLOAT64 if case.l2 == 0 and not isinstance(read(case.model).ops[0], Pointwise)
]


@pytest.mark.parametrize("case", PLAIN, ids=repr)
def test_z_and_delta_are_the_networks(case):
    """δ of a sample, inside skips too, is that of the trace before the batch is averaged."""
    params, (X, Y) = case.params(), case.data()
    structure = read(case.model)
    engine = Engine(structure, Output(case.net.criterion, structure.tail, structure.outputs))
    x, target = checked_data(case.net, X, Y)
    found = engine(given(structure, params), x[None], target[None])
    trace = case.net.trace(params, X, Y)
    share = len(x) if case.net.criterion.reduction == "mean" else 1
    for affine in structure.affines:
        close(found.z[affine.index][0], trace.z[affine.name])
        if affine.name in trace.delta:  # δ of a bare output may dissolve in the gradient
            close(found.delta[affine.index][0], share * trace.delta[affine.name], tight=1e-11)
    assert set(trace.delta) & {affine.name for affine in structure.affines}
    assert np.isfinite(found.loss).all()
