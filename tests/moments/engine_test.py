"""The passes that Monte Carlo draws with are those of the network itself."""

import pytest
from zoo import FLOAT64, close

import pullback as pb
from pullback.moments.law.setting import Setting

PLAIN = [case for case in FLOAT64 if case.l2 == 0]


@pytest.mark.parametrize("case", PLAIN, ids=repr)
def test_z_and_delta_are_the_networks(case):
    """δ of a sample, inside skips too, is that of the trace before the batch is averaged."""
    params, (X, Y) = case.params(), case.data()
    setting = Setting.of(case.net, X, Y, pb.init.he())
    batch = {name: value[None] for name, value in setting.batch.items()}
    found = setting.ensemble(setting.ensemble.given(params), batch)
    trace = case.net.trace(params, X, Y)
    share = len(X) if case.net.criterion.reduction == "mean" else 1
    for layer in setting.layers:
        close(found.z[layer.index][0], trace.z[layer.name])
        if layer.name in trace.delta:  # δ of a bare output may dissolve in the gradient
            close(found.delta[layer.index][0], share * trace.delta[layer.name], tight=1e-11)
    assert set(trace.delta) & {layer.name for layer in setting.layers}
