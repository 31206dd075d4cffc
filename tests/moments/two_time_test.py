"""The two-time recursion: recurrence with tied weights, for torch's cells and for one's own."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from recurrent_by_draws import CELLS, Own, linear

import pullback as pb
from pullback.errors import NotApplicableError
from pullback.ir import walk
from pullback.ir.build import mean_over, subtract
from pullback.ir.scan import Scan
from pullback.moments.law.two_time.powers import diagonal_path, mean_of_powers
from pullback.moments.law.two_time.process import Gaussian, OverTime, noise
from pullback.moments.law.two_time.recursion import TwoTime, measured


def loops(block, turns, features):
    """The loops of a block on so many turns, inner ones first, and its input."""
    net = pb.Network(block, pb.MSELoss(), x=f"time={turns} features={features}")
    found = [node for node in walk(net.built_graph.roots.values()) if isinstance(node, Scan)]
    return found, net.x


def gains(weight, bias=0.0, forget=0.0):
    """σ² · n of every weight; the second gate has one bias of mean ``forget``."""

    def entries(parameter, index):
        if "bias" in parameter.name:
            size = parameter.axes[0].size // 4 or 1
            is_forget = forget and "hh" in parameter.name and index[0].start == size
            return (forget if is_forget else 0.0), bias
        return 0.0, weight / parameter.axes[1].size

    return entries


@cache
def gated(kind, turns, forget=0.0):
    """torch's default gains, 1/3, x of variance 1; only the last h is read."""
    (loop,), x = loops(getattr(pb, kind)(256, 256), turns, 256)
    found = TwoTime(loop, turns, {x: OverTime.alike(turns, 1.0)}, gains(1 / 3, forget=forget))
    rest = [OverTime.none(turns)] * (len(loop.starts) - 1)
    return found, found.backward((OverTime.last(turns), *rest))


# simulated by autograd: n = 256, 60 draws, no biases but the forget gate's
SIMULATED = [
    ("GRU", 10, 0.0, 2.070e-5, 0.035e-5),
    ("GRU", 30, 0.0, 5.43e-14, 0.17e-14),
    ("LSTM", 10, 0.0, 7.05e-7, 0.15e-7),
    ("LSTM", 30, 0.0, 1.21e-15, 0.05e-15),
    ("LSTM", 30, 1.0, 3.34e-8, 0.09e-8),
]


@pytest.mark.parametrize(("kind", "turns", "forget", "simulated", "error"), SIMULATED)
def test_what_gated_cells_leave_of_a_cotangent(kind, turns, forget, simulated, error):
    found = gated(kind, turns, forget)[1].before[0]
    assert abs(found - simulated) < 4 * error


def test_what_is_left_in_a_memory_with_an_open_forget_gate():
    assert abs(gated("LSTM", 30, 1.0)[1].before[1] - 2.74e-7) < 4 * 0.06e-7


def test_states_of_gated_cells():
    for kind, simulated, error in (("GRU", 0.0801, 0.0007), ("LSTM", 0.0189, 0.0002)):
        assert abs(gated(kind, 30)[0].states[0].square[-1] - simulated) < 4 * error


@pytest.mark.parametrize(("kind", "forget", "rate"), [("GRU", 0, 0.370), ("LSTM", 0, 0.362)])
def test_the_rate_of_a_turn(kind, forget, rate):
    squares = gated(kind, 30, forget)[1].states[0].square
    assert (squares[2] / squares[12]) ** 0.1 == pytest.approx(rate, rel=0.02)


PLAIN = [  # σ_w², turns, the product of χ, simulated: E of the ratio, or of its logarithm
    (1.5, 20, 0.02495, 0.0251, 0.0006),
    (1.5, 50, np.exp(-10.50), -10.54, 0.06),
    (1 / 3, 20, np.exp(-27.28), -27.27, 0.02),
]


@pytest.mark.parametrize(("gain", "turns", "printed", "simulated", "error"), PLAIN)
def test_a_plain_recurrence_is_as_if_drawn_anew(gain, turns, printed, simulated, error):
    """No diagonal path: δ of z shrinks by the χ of each turn (Schoenholz et al. 2017)."""
    (loop,), x = loops(pb.RNN(256, 256), turns, 256)

    def entries(parameter, index):
        square = {"weight_ih_l0": 0.2, "weight_hh_l0": gain}.get(parameter.name, 0.0)
        return 0.0, square / 256

    found = TwoTime(loop, turns, {x: OverTime.alike(turns, 1.0)}, entries)
    delta = found.backward((OverTime.last(turns),)).drives[0].square
    z = np.linspace(-12, 12, 4001)
    weight = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    q, product = 0.0, 1.0
    for turn in range(turns):
        at = np.sqrt(gain * q + 0.2) * z
        product *= gain * (weight @ np.cosh(at) ** -4.0) if turn < turns - 1 else 1.0
        q = weight @ np.tanh(at) ** 2
    ratio = delta[0] / delta[-1]
    assert product == pytest.approx(printed, rel=6e-3)
    assert ratio == pytest.approx(product, rel=0.02)
    assert found.states[0].square[-1] == pytest.approx(q, rel=0.01)
    assert abs((ratio if simulated > 0 else np.log(ratio)) - simulated) < 4 * error


def test_what_is_linear_is_exact():
    cell = Own(linear, {"W": 1.0}, turns=10)
    found = cell.law(x=0.0)
    assert found.backward((OverTime.last(10),)).before[0] == pytest.approx(0.1761970520, rel=1e-9)
    assert found.states[0].square[-1] == pytest.approx(0.3 * 0.1761970520, rel=1e-9)
    assert diagonal_path(10, 0.5, 0.5) == pytest.approx(0.1761970520, rel=1e-9)
    drawn_anew = (0.5**2 + 0.5**2) ** 10
    assert drawn_anew == pytest.approx(0.00098, abs=5e-6)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_of_ones_own(name):
    cell = Own(*CELLS[name])
    found = cell.law()
    mean, error = cell.drawn(60, seed=1)
    ours = found.states[0].square[-1], found.backward((OverTime.last(cell.turns),)).before[0]
    assert (np.abs(mean - ours) < 4 * error + 0.01 * mean).all()


POLYNOMIALS = {  # E tr(Wᵏ Wᵏᵀ) / n^(k + 1) for real normal entries: all pairings counted
    1: [1],
    2: [1, 0, 2],
    3: [1, 0, 10, 4],
    4: [1, 0, 28, 28, 48],
    5: [1, 0, 62, 110, 468, 304],
}


@pytest.mark.parametrize("k", POLYNOMIALS)
def test_powers_of_one_matrix(k):
    for n in (1, 2, 7, 64):
        exact = sum(c / n**power for power, c in enumerate(POLYNOMIALS[k]))
        assert mean_of_powers(k, k, n) == pytest.approx(exact, rel=1e-12)
    assert mean_of_powers(k, k + 1, 7) == 0


def test_powers_beyond_the_root_of_the_width_explode():
    assert mean_of_powers(4, 4, 16) == pytest.approx(1.114, abs=4 * 0.005)
    assert abs(mean_of_powers(16, 16, 64) - 2.49) < 4 * 0.13
    with pytest.raises(NotApplicableError, match="up to power 20"):
        mean_of_powers(21, 21, 64)


def test_a_diagonal_path_at_finite_width():
    rng, n = np.random.default_rng(0), 16
    eye = np.eye(n)
    found = [
        np.sum(np.linalg.matrix_power((eye + rng.normal(0, n**-0.5, (n, n))) / 2, 4) ** 2) / n
        for _ in range(3000)
    ]
    law = diagonal_path(4, 0.5, 0.5, n)
    assert abs(np.mean(found) - law) < 4 * np.std(found) / np.sqrt(len(found))
    assert law > 1.1 * diagonal_path(4, 0.5, 0.5)
    assert diagonal_path(4, 0.5, 0.5, 10**9) == pytest.approx(diagonal_path(4, 0.5, 0.5))


def torch_module(kind, n, **options):
    module = getattr(torch.nn, kind)(n, n, batch_first=True, **options).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=n**-0.5)  # gains of 1, biases too
    return module


def by_torch(kind, n, turns, draws, where, **options):
    """E of the output's squares and of δ of x, at every turn, over draws; with errors."""
    torch.manual_seed(0)
    found = []
    for _ in range(draws):
        module = torch_module(kind, n, **options)
        x = torch.randn(8, turns, n, dtype=torch.float64, requires_grad=True)
        h = module(x)[0]
        seed = torch.randn_like(h)
        if where == "last":
            seed[:, :-1] = 0
        (delta,) = torch.autograd.grad(h, x, seed)
        found.append([(v**2).mean(dim=(0, 2)).detach().numpy() for v in (h, delta)])
    return np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(draws)


def of_torch(turns, n):
    """The law of normal weights and biases of variance 1/n."""
    return {"turns": turns, "entries": lambda parameter, index: (0.0, 1 / n)}


@pytest.mark.parametrize("where", ["last", "all"])
def test_layers_upon_layers(where):
    """The states of one layer are what the next reads, and its errors what they inject."""
    n, turns = 64, 6
    (lower, upper), x = loops(pb.GRU(n, n, num_layers=2), turns, n)
    h = next(each for each in walk(upper.reads) if getattr(each, "arg", None) is lower)
    one = TwoTime(lower, given={x: OverTime.alike(turns, 1.0)}, **of_torch(turns, n))
    two = TwoTime(upper, given={h: one.states[0]}, seed=1, **of_torch(turns, n))
    read = OverTime.last(turns) if where == "last" else OverTime.alike(turns, 1.0)
    below = one.backward((two.backward((read,)).outside[h],))
    (values, deltas), (error, of_delta) = by_torch("GRU", n, turns, 60, where, num_layers=2)
    assert (np.abs(two.states[0].square - values) < 4 * error + 0.02 * values).all()
    found = below.outside[x].square
    assert (np.abs(found - deltas) < 4 * of_delta + 0.03 * deltas).all()


def test_both_directions():
    n, turns = 64, 5
    (loops_found, x) = loops(pb.LSTM(n, n, bidirectional=True), turns, n)
    injected = OverTime.alike(turns, 1.0), OverTime.none(turns)
    total = OverTime.none(turns)
    for seed, loop in enumerate(loops_found):
        way = TwoTime(loop, given={x: OverTime.alike(turns, 1.0)}, seed=seed, **of_torch(turns, n))
        total = total.plus(way.backward(injected).outside[x])
    (_, deltas), (_, error) = by_torch("LSTM", n, turns, 60, "all", bidirectional=True)
    assert (np.abs(total.square - deltas) < 4 * error + 0.03 * deltas).all()


def test_a_loop_backward_is_one_forward_seen_in_a_mirror():
    loops_found, x = loops(pb.GRU(8, 8, bidirectional=True), 4, 8)
    given = {x: OverTime.alike(4, 1.0, 0.5)}
    there, back = sorted(loops_found, key=lambda each: each.backward)
    one, two = (TwoTime(each, given=given, **of_torch(4, 8)) for each in (there, back))
    assert one.states[0].square == pytest.approx(two.states[0].square[::-1], rel=0.03)
    a = one.backward((OverTime.last(4),)).outside[x].square
    b = two.backward((OverTime.last(4).reversed(),)).outside[x].square
    assert a == pytest.approx(b[::-1], rel=0.03)


def test_independent_losses_at_every_turn_add_up():
    found = gated("GRU", 10)[0]
    at_each = [
        OverTime(np.zeros(10), np.diag(np.arange(10.0) == turn).astype(float)) for turn in range(10)
    ]
    alone = sum(found.backward((each,)).before[0] for each in at_each)
    assert found.backward((OverTime.alike(10, 1.0),)).before[0] == pytest.approx(alone, rel=0.02)
    alike = found.backward((OverTime.alike(10, 1.0, 1.0),)).before[0]  # one cotangent at all turns
    assert alike > 1.5 * alone


def test_an_input_that_never_changes():
    (loop,), x = loops(pb.GRU(8, 8), 5, 8)
    found = TwoTime(loop, given={x: OverTime.alike(5, 1.0, 1.0)}, **of_torch(5, 8))
    assert np.isfinite(found.states[0].product).all()
    moving = TwoTime(loop, given={x: OverTime.alike(5, 1.0)}, **of_torch(5, 8))
    assert found.states[0].product[-1, -2] > moving.states[0].product[-1, -2]


def test_a_module_as_it_is_has_an_open_forget_gate():
    """Biases are read gate by gate."""
    n = 64
    torch.manual_seed(0)
    module = torch.nn.LSTM(n, n, batch_first=True).double()
    module.bias_hh_l0.data[n : 2 * n] = 3.0
    (loop,), x = loops(pb.LSTM(n, n), 6, n)
    params = {name: p.detach().numpy() for name, p in module.named_parameters()}
    found = TwoTime(loop, 6, {x: OverTime.alike(6, 1.0)}, measured(params))
    (gate,) = (k for k, each in enumerate(found.cell.drives) if each.names == ("z.f",))
    assert found.drives[gate].mean == pytest.approx(3.0, abs=0.05)
    errors = found.backward((OverTime.none(6), OverTime.last(6)))
    assert errors.before[1] > 0.5  # a memory


def test_weights_with_a_mean():
    """A mean of weights adds n μ E a to every unit."""
    cell = Own(*CELLS["JANET"])
    inner = {"Uc": 3.0, "Wc": 0.0, "Uf": 0.0, "Wf": 0.0}

    def entries(parameter, index):
        return inner[parameter.name] / cell.n, cell.gains[parameter.name] / cell.n

    given = {
        cell.x: OverTime.alike(cell.turns, 1.0),
        cell.h0: OverTime(np.ones(1), np.full((1, 1), 1.3)),
    }
    found = TwoTime(cell.loop, cell.turns, given, entries)
    assert found.states[0].mean[-1] > 0.5
    errors = found.backward((OverTime(np.ones(cell.turns), np.ones((cell.turns, cell.turns))),))
    assert errors.drives[0].mean[0] != 0
    assert found.states[0].covariance[-1, -1] == pytest.approx(
        found.states[0].square[-1] - found.states[0].mean[-1] ** 2
    )


def test_what_is_no_function_of_single_units_is_refused():
    def normed(at, h, x):
        return subtract(at.wide("W", h), mean_over(h, (at.units,)))

    with pytest.raises(NotApplicableError, match="not a function of single units"):
        Own(normed, {"W": 1.0}).law()
    cell = Own(*CELLS["JANET"])
    with pytest.raises(NotApplicableError, match="single units"):
        TwoTime(cell.loop, cell.turns, {}, cell.entries)  # x is not known
    with pytest.raises(NotApplicableError, match="at most 1024"):
        TwoTime(cell.loop, 2000, {}, cell.entries)


def test_the_assumption_says_where_it_breaks():
    found, errors = gated("GRU", 30)
    assert "breaks from about 16 turns" in found.assumption
    assert errors.assumption == found.assumption
    (loop,), x = loops(pb.GRU(256, 256), 4, 256)
    short = TwoTime(loop, given={x: OverTime.alike(4, 1.0)}, **of_torch(4, 256))
    assert "breaks" not in short.assumption


def test_a_process_has_the_covariances_that_it_is_drawn_for():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 3))  # of rank 3: the last two turns are no news
    covariance = root @ root.T
    process = Gaussian(noise(rng, 5, 400))
    values = np.array([process.draw(covariance[t, : t + 1], 2.0) for t in range(5)])
    assert values.mean(axis=1) == pytest.approx(2.0)
    assert (values - 2) @ (values - 2).T / 800 == pytest.approx(covariance, abs=1e-9)
