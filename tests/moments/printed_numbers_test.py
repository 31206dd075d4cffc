"""Numbers in print that the other tests of laws leave out; where each of the others is tested.

| numbers | test |
|---|---|
| zero padding .456, .141, ((3H − 2)/3H)²; stride 4, 9, 25; depthwise; pools .9375, .2447 | window |
| dropout 1.25, embedding 12.8, tokens and transformers beside draws | form_limits |
| 1.2, 1.1667, 1.0345; π/(π − 1); batches of 4 to 64; pre-norm 25, post-norm 1 | norm_limits |
| T ΣA² 1.275 to 29.2, values .0183 to .0466, paths 1.757, profile 1.706 to .0016 | attention_law |
| GRU, LSTM 2.07e-5 to 1.21e-15, .37 a turn, tanh .02495, C(2T, T)/4ᵀ, powers 2.49 | two_time |
| weights drawn anew at each turn: 4.26e-6 to 2.1e-9 | here |
| depth of pre- and post-norm, Fixup, T-Fixup, DeepNorm, rank collapse, 1/l | published |
| a gate of three factors | form_limits |
| dropout of attention's weights, the mask of a band: measured | sequence_flow |
| an equilibrium block, 8 turns of 128 units | narrow |

Not shown, since nothing here answers it:

- Hultman numbers, of powers of complex matrices: weights are real, and so are the powers here.
- √ln d of Xiong et al. 2020: it bounds the largest of d numbers; the laws here are of mean squares.
- The critical gain of gates over the spread of their biases (Fioratti et al. 2026): its formula was
  not at hand to compare with; without biases it is in published_numbers_test.
- That networks of 10,000 layers train (Xiao et al. 2018): a result of training.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forms import PIXELS, carried, convolutions, images, second, theory_of
from networks import inputs
from scipy.stats import norm
from torch import nn
from two_time_test import gains, gated

import pullback as pb
from pullback.ir import Axis, Input, Scan, walk
from pullback.moments.law.lookup import row_gradient
from pullback.moments.law.pooling import largest
from pullback.moments.law.two_time.process import OverTime
from pullback.moments.law.two_time.recursion import TwoTime
from pullback.moments.law.units import Placed
from pullback.nn import Scope
from pullback.nn.gates import CellWeights, Turn, looped

TORCH = pb.init.torch_default()


def behind(theory, name, to=0):
    """E δ² at a layer, where it is 1 at every unit of an equation."""
    flow = theory.flow
    node = next(each for each in flow.passed if each.name == name)
    law = flow.passed[node].units.law
    start = Placed(law.kept, 0 * law.mean, np.ones_like(law.second))
    return flow.average(flow.behind(node, start)[theory.setting.layers[to].equation].second)


def test_a_kernel_that_the_stride_divides_leaves_no_pattern():
    blocks = [pb.Conv2d(3, 16, 1), pb.ReLU(), pb.Conv2d(16, 16, 2, stride=2)]
    found = carried(theory_of(blocks, images(), PIXELS))
    np.testing.assert_allclose(found, 0.25, rtol=1e-6)  # k²/s² · ½ · 2/k²


def test_zero_padding_ends_at_the_largest_eigenvalue_of_its_operator():
    """((1 + 2 cos(π/(H + 1)))/3)² a layer: .921 at H = 8, .840 by the taps' fraction."""
    theory = theory_of(convolutions(16, 16, padding=1), images(), PIXELS)
    growth = carried(theory).mean() / carried(theory, first=1).mean()
    assert growth == pytest.approx(((1 + 2 * np.cos(np.pi / 9)) / 3) ** 2, rel=2e-3)
    assert round(growth, 2) == 0.92


def test_the_largest_of_four_behind_relu():
    """E a²/q is 1.5438, so that He and a 2 × 2 pool grow values by 3.09 a layer."""
    _, square, *_ = largest(pb.ReLU().function, 4, 0.0, 1.0, 0.0)
    negative = np.linspace(-9, 0, 90_001)  # the square of the largest of four is 1 + √3/π
    rest = np.trapezoid(negative**2 * 4 * norm.cdf(negative) ** 3 * norm.pdf(negative), negative)
    assert square == pytest.approx(1 + np.sqrt(3) / np.pi - rest, rel=1e-6)
    assert abs(square - 1.5440) < 4 * 0.0020
    white = np.eye(64).reshape(1, 64, 8, 8)
    blocks = [pb.Conv2d(64, 64, 1), pb.ReLU(), pb.MaxPool2d(2), pb.Conv2d(64, 64, 1)]
    theory = theory_of(blocks, white, "channels=64 height=8 width=8")
    assert second(theory, "z.3").mean() / second(theory, "z.0").mean() == pytest.approx(
        3.09, abs=5e-3
    )


def test_defaults_of_torch():
    """A ReLU convolution has χ = 1/6; tokens of unit variance give logits of variance ¼."""
    theory = theory_of(
        convolutions(3, 32, padding=1, padding_mode="circular"), images(), PIXELS, scheme=TORCH
    )
    np.testing.assert_allclose(carried(theory, first=1), 1 / 6, rtol=1e-6)
    torch.manual_seed(0)
    attend = nn.MultiheadAttention(256, 4, batch_first=True)
    x = torch.randn(16, 32, 256)
    q, k = (x @ attend.in_proj_weight[at : at + 256].T for at in (0, 256))
    heads = [each.reshape(16, 32, 4, 64).transpose(1, 2) for each in (q, k)]
    logits = heads[0] @ heads[1].transpose(-1, -2) / 8
    assert float(logits.detach().var()) == pytest.approx(0.25, rel=0.05)


def test_gains_of_a_norm_count_by_their_square():
    gained = pb.init.normal(std=1.0)
    blocks = [pb.Linear(4, 16), pb.LayerNorm(16, eps=0), pb.Linear(16, 16)]
    theory = theory_of(blocks, inputs(3, 4), "features=4", scheme=gained)
    plain = behind(theory, "z.2")
    module = nn.Sequential(nn.Linear(4, 16), nn.LayerNorm(16, eps=0), nn.Linear(16, 16)).double()
    with torch.no_grad():
        module[1].weight.fill_(3.0)
        for at in (0, 2):
            nn.init.normal_(module[at].weight, std=module[at].in_features ** -0.5)
            nn.init.zeros_(module[at].bias)
    f = pb.forecast(
        module, inputs(3, 4), np.zeros((3, 16)), methods=("independence",), progress=False
    )
    found = behind(f.theory, "z.2")
    weights = [
        float((module[at].weight.detach() ** 2).mean()) * module[at].in_features for at in (0, 2)
    ]
    assert found == pytest.approx(9 * plain * weights[1] / weights[0], rel=0.02)


@pytest.mark.parametrize(("groups", "n"), [(4, 8), (1, 32)])
def test_group_norm_counts_the_units_of_a_group(groups, n):
    blocks = [pb.Linear(4, 32), pb.GroupNorm(groups, 32, eps=0), pb.Linear(32, 32)]
    theory = theory_of(blocks, inputs(3, 4), "features=4", scheme=pb.init.normal(std=1.0))
    flow, (first, *_, last) = theory.flow, theory.setting.layers
    error = flow.behind(last.equation, Placed((), np.zeros(3), np.ones(3)))[first.equation].second
    each = flow.passed[first.equation].units.law.second
    np.testing.assert_allclose(error * each, (n - 2) / (n - 3), rtol=1e-6)


def test_layer_norm_in_front_of_relu_loses_its_half_only_once():
    """12 layers of 1024: ½ in all, since the input has a mean square of 1 and not of 2."""
    n, depth = 1024, 12
    X = inputs(3, 8)
    X /= np.sqrt((X**2).mean(axis=1, keepdims=True))
    blocks = [pb.Linear(8, n), pb.LayerNorm(n, eps=0), pb.ReLU()]
    for _ in range(depth - 1):
        blocks += [pb.Linear(n, n), pb.LayerNorm(n, eps=0), pb.ReLU()]
    theory = theory_of([*blocks, pb.Linear(n, n)], X, "features=8", np.zeros((3, n)))
    assert behind(theory, f"z.{3 * depth}") == pytest.approx(0.501, rel=0.02)


def test_a_forget_gate_with_a_bias_of_one_keeps_more_a_turn():
    assert gated("LSTM", 30, 1.0)[1].before[0] ** (1 / 30) == pytest.approx(0.56, abs=0.01)


UNTIED = [  # of the last h: h, memory; what is left if every turn had weights of its own
    ("GRU", 10, 0.0, 4.26e-6),
    ("GRU", 30, 0.0, 7.8e-17),
    ("LSTM", 10, 0.0, 1.8e-7),
    ("LSTM", 30, 0.0, 2.0e-18),
    ("LSTM", 30, 1.0, 2.5e-10, 2.1e-9),
]


@pytest.mark.parametrize("row", UNTIED, ids=str)
def test_weights_that_were_drawn_anew_would_lose_far_more(row):
    """Loops of one turn each, one behind the other."""
    kind, turns, forget, *untied = row
    loop, x, starts = one_turn(kind, 256)
    states, passed = [0.0] * len(starts), []
    for _ in range(turns):
        given = {x: OverTime.alike(1, 1.0)}
        given |= {n: OverTime.alike(1, v) for n, v in zip(starts, states, strict=True)}
        passed.append(TwoTime(loop, 1, given, gains(1 / 3, forget=forget)))
        states = [each.square[-1] for each in passed[-1].states]
    error = (1.0, *[0.0] * (len(starts) - 1))
    for turn in reversed(passed):
        error = turn.backward(tuple(OverTime.last(1, each) for each in error)).before
    assert error[: len(untied)] == pytest.approx(untied, rel=0.03)
    assert gated(kind, turns, forget)[1].before[0] > 3 * error[0]


def one_turn(kind, n):
    """A cell of torch's as a loop of one turn, what it reads and what it starts from."""
    cell, at, batch = getattr(pb, kind)(n, n).cell, Scope("cell"), Axis("batch")
    turn = Turn(at, at.axis("hidden", n), at.axis("gates", cell.gates * n), "")
    biases = [(at.parameter(f"bias_{each}", (turn.stacked,), "bias"),) for each in ("ih", "hh")]
    weights = CellWeights(
        at.parameter("weight_ih", (turn.stacked, Axis("features", n))),
        at.parameter("weight_hh", (turn.stacked, turn.units)),
        *biases,
    )
    starts = tuple(Input(f"start{k}", (batch, turn.units)) for k in range(cell.states))
    time = Axis("time", 1)
    x = Input("x", (batch, time, weights.of_x.axes[1]))
    h, *_ = looped(cell, turn, weights, x, time, starts)
    return next(node for node in walk([h]) if isinstance(node, Scan)), x, starts


def test_the_gradient_of_a_row_that_is_looked_up():
    """Simulated: 12.80(4), and 60.6(1.1) where errors correlate by .3."""
    assert abs(row_gradient(64, 5, 1.0) - 12.80) < 4 * 0.04
    assert abs(row_gradient(64, 5, 1.0, 0.3) - 60.6) < 4 * 1.1


@pytest.mark.parametrize("depth", [4, 12])
def test_branches_scaled_by_the_root_of_twice_the_depth(depth):
    """GPT-2: 2L branches of variance 1/2L grow the stream by (1 + 1/2L)²ᴸ, below e."""
    n = 512
    branch = lambda: pb.Residual(  # noqa: E731
        pb.Sequential(pb.Linear(n, n)), scale=(2 * depth) ** -0.5
    )
    blocks = [pb.Linear(8, n), *(branch() for _ in range(2 * depth)), pb.LayerNorm(n)]
    theory = theory_of(blocks, inputs(3, 8), "features=8", np.zeros((3, n)), pb.init.lecun())
    grown = second(theory, f"a.{2 * depth}") / second(theory, "z.0")
    assert grown == pytest.approx((1 + 1 / (2 * depth)) ** (2 * depth), rel=1e-6)


def test_fans_of_depthwise_kernels():
    """torch counts 9 · C outputs of a depthwise kernel; they are 9."""
    C = 16
    blocks = [pb.Conv2d(3, C, 1), pb.ReLU(),
              pb.Conv2d(C, C, 3, padding=1, padding_mode="circular", groups=C)]  # fmt: skip
    theory = theory_of(blocks, images(), PIXELS, scheme=pb.init.normal(std=1.0, fan_in=False))
    np.testing.assert_allclose(carried(theory), 9 * 0.5, rtol=1e-6)
    assert nn.init._calculate_fan_in_and_fan_out(torch.zeros(C, 1, 3, 3)) == (9, 9 * C)
