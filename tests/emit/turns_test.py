"""What is of single turns of a loop is done in these turns, and learns what NumPy learns."""

import numpy as np
import pytest

import pullback as pb
from pullback import emit
from pullback.ir import Constant, fn, symbol
from pullback.ir.build import add, multiply, scalar_map
from pullback.ir.layout import taken
from pullback.ir.scan import scan
from pullback.nn import Block
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.engine import NumpyEngine
from pullback.train.optim import equations

TIME, UNITS = 4, 19  # more than a vector of float64, and part of another


def reversed_units(h, at):
    units = h.axes[-1]
    other = at.axis("turned", UNITS)
    return taken(taken(h, units, other, UNITS - 1, -1), other, units)


class Mirror(Block):
    """h_t = tanh(x_t + w ⊙ h_{t−1}, the units of h_{t−1} in the opposite order)."""

    def build(self, x, at):
        batch, time, units = x.axes
        scale = at.parameter("scale", (units,), 0.7)

        def step(states, now):
            return (scalar_map(fn("tanh")(symbol(0) + symbol(1) * symbol(2)), *now, *states),)

        def turned(states, now):
            return step((reversed_units(states[0], at),), now)

        return at.a(scan(time, (Constant(0.0, (batch, units)),), (x, scale), turned, lead=1)[0])


class Behind(Block):
    """Twice what a loop leaves, its units in the opposite order, times what it leaves."""

    def build(self, x, at):
        return at.a(multiply(reversed_units(x, at), add(x, x)))


def network(*blocks):
    model = pb.Sequential(*blocks)
    return pb.Network(model, pb.MSELoss(), x=f"time={TIME} features={UNITS}")


def written(net):
    rule = equations(pb.optim.SGD(0.1))
    given = net.training_roots, rule, net.leaves, "float64", "training"
    return emit.training_code(*given, net.update_keys, net.noise)


def test_gates_are_opened_where_they_are_summed_and_slopes_taken_there():
    code = written(network(pb.GRU(UNITS, UNITS, output="last"), pb.Linear(UNITS, 1)))
    outside = [line for line in code.lines if line.startswith("for ") and "\n" not in line]
    assert not [line for line in outside if "time" in line.split(":")[0]], "entry by entry"
    training = code.training
    kept = [name for name in training.memory.room if name.startswith(("z0_", "a0_", "delta0_"))]
    along = {n for n in kept if any(a.name == "time" for a in training.layout.arrays[n])}
    # of a gate its function and its slope are wanted later, but not what it is a function of
    assert along == {"z0_hidden", "a0_h", "a0_z", "a0_r", "a0_n", "delta0_hidden", "delta0_input"}


NETWORKS = {
    "a state read in another order": (Mirror(),),
    "what a loop leaves read in another order": (pb.RNN(UNITS, UNITS), Behind()),
    "one loop behind the other": (pb.LSTM(UNITS, 5), pb.GRU(5, UNITS), pb.Tanh()),
    "both ways": (pb.GRU(UNITS, 7, bidirectional=True), pb.Linear(14, UNITS)),
}


@pytest.mark.parametrize("blocks", NETWORKS.values(), ids=NETWORKS)
def test_it_learns_what_numpy_learns_with_any_number_of_threads(blocks):
    net, rule = network(*blocks), pb.optim.SGD(0.1, momentum=0.9)
    rng = np.random.default_rng(0)
    start = {name: value + 0.1 for name, value in net.init(0).items()}
    X, Y = rng.normal(size=(2, 21, TIME, UNITS))
    _, data = net.batch(start, X, Y)
    engines = [NumpyEngine(net, start, rule)]
    engines += [CompiledEngine(net, start, rule, workers) for workers in (1, 3)]
    for each in engines:
        each.run(data, np.arange(21), 11, np.full(2, 0.1))
    exact, found, other = (each.vector for each in engines)
    np.testing.assert_allclose(found, exact, atol=1e-12)
    np.testing.assert_array_equal(other, found)
    assert not np.allclose(exact, NumpyEngine(net, start, rule).vector), "nothing was learnt"
