"""An outline, which needs no SymPy, says what the network says when it is built."""

import subprocess
import sys
from dataclasses import replace

import pytest
from general_networks import GENERAL, IN_TRAINING

from pullback.net.build import outlined
from pullback.net.inputs import declared_inputs

KINDS = """
import sys
import pullback as pb
for training in (True, False):
    for model, x in (
        (pb.Sequential(pb.Conv2d(1, 4, 3), pb.BatchNorm2d(4), pb.GroupNorm(2, 4), pb.ReLU(),
                       pb.AvgPool2d(2, padding=1), pb.AdaptiveAvgPool2d(1)),
         "channels=1 height=8 width=8"),
        (pb.Sequential(pb.GRU(3, 4), pb.LSTM(4, 4), pb.RNN(4, 4), pb.LayerNorm(4), pb.RMSNorm(4)),
         "time=5 features=3"),
        (pb.Sequential(pb.TransformerEncoderLayer(4, 2, 8), pb.Linear(4, 6), pb.GLU(),
                       pb.Softmax(-1)), "tokens=3 features=4"),
        (pb.Embedding(5, 4, padding_idx=0), "tokens=3:index"),
    ):
        net = pb.Network(model, pb.MSELoss(), x=x, training=training)
        assert net.signature() and net.specs and net.init()
print("sympy" in sys.modules)
"""


def test_networks_of_every_kind_are_outlined_without_sympy():
    told = subprocess.run([sys.executable, "-c", KINDS], capture_output=True, text=True)
    assert told.stdout.split() == ["False"], told.stderr


def facts(net, ours):
    """What an outline says; an update is known by its name."""
    inputs = declared_inputs(net.declared)
    found = outlined(net.model, inputs, ours, net.training)
    declared = found.declared
    updates = {name: str(each.label) for name, each in declared.updates.items()}
    specs = [replace(spec, start=None) for spec in found.specs]
    return (
        found.inputs,
        specs,
        found.axes,
        updates,
        declared.noise,
        declared.several,
        declared.two_modes,
    )


@pytest.mark.parametrize("case", [*GENERAL, *IN_TRAINING], ids=repr)
def test_an_outline_says_what_the_network_is(case):
    assert facts(case.net, ours=True) == facts(case.net, ours=False)
    assert not any(leaf.outlined for leaf in (*case.net.xs.values(), *case.net.leaves))
    assert not case.net.output.outlined
