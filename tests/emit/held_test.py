"""A loop brings the factors that no turn changes into order before it, once."""

import numpy as np
import pytest

import pullback as pb
from pullback import emit
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.engine import NumpyEngine
from pullback.train.optim import equations

HIDDEN = 35  # more than one strip, and part of another, in both precisions


def network(cell, turns):
    model = pb.Sequential(cell(3, HIDDEN, output="last"), pb.Linear(HIDDEN, 2))
    return pb.Network(model, pb.CrossEntropy(), x=f"time={turns} features=3")


def lines(net):
    rule = equations(pb.optim.SGD(0.1))
    given = net.training_roots, rule, net.leaves, "float32", "training"
    return emit.training_code(*given, net.update_keys, net.noise).lines


@pytest.mark.parametrize("cell", [pb.RNN, pb.GRU, pb.LSTM])
def test_weights_are_copied_once_before_each_loop(cell):
    """For h times the weights, and for δ times their transpose."""
    found = lines(network(cell, 4))
    first = next(at for at, line in enumerate(found) if line.startswith("for time, one after"))
    back = next(at for at, line in enumerate(found) if line.startswith("for time, from the last"))
    copies = [line.count("weight_hh_l0 for") for line in found]
    assert sum(copies) == sum(copies[:back]) == 2
    assert sum(copies[:first]) >= 1


def test_a_loop_of_one_turn_needs_no_copy():
    assert not any(line.startswith("for strips") for line in lines(network(pb.GRU, 1)))


@pytest.mark.parametrize("cell", [pb.RNN, pb.LSTM])
def test_it_learns_what_numpy_learns_with_any_number_of_threads(cell):
    net, rule = network(cell, 3), pb.optim.SGD(0.1, momentum=0.9)
    rng = np.random.default_rng(0)
    _, data = net.batch(net.init(0), rng.normal(size=(21, 3, 3)), rng.integers(0, 2, 21))
    engines = [NumpyEngine(net, net.init(0), rule)]
    engines += [CompiledEngine(net, net.init(0), rule, workers) for workers in (1, 2, 3)]
    for each in engines:
        each.run(data, np.arange(21), 21, np.full(1, 0.1))
    exact, *found = (each.vector for each in engines)
    np.testing.assert_allclose(found[0], exact, atol=1e-12)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
