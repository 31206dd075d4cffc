"""What papers say of deep residual, normalised, attending and gated networks, by law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from forms import second, theory_of
from networks import inputs, z_score
from recurrent_by_draws import CELLS, Own

import pullback as pb
from pullback.ir import Contract
from pullback.moments.law.two_time.powers import diagonal_path
from pullback.moments.law.two_time.process import OverTime
from pullback.moments.law.units import Placed
from pullback.nn import Block

N = 256  # units, of which no weight is drawn
EACH_NORM = (N - 2) / (N - 3)  # E 1/σ² of Gaussian units of variance 1
UNIT = inputs(3, 8)
UNIT /= np.sqrt((UNIT**2).mean(axis=1, keepdims=True))


def built(blocks, scheme=None, n=N):
    blocks = [pb.Linear(8, n, bias=False), *blocks]
    return theory_of(blocks, UNIT, "features=8", np.zeros((3, n)), scheme or pb.init.lecun())


def errors(theory):
    """E δ² of every equation by name, where it is 1 at the last one."""
    flow = theory.flow
    start = Placed((), np.zeros(3), np.ones(3))
    found = flow.behind(list(flow.passed)[-1], start)
    return {node.name: float(flow.average(error.second)) for node, error in found.items()}


def read(theory, name):
    return float(second(theory, name))


def branch(*blocks, scale=1.0):
    return pb.Residual(pb.Sequential(*blocks), scale=scale)


def wide():
    return pb.Linear(N, N, bias=False)


def feed(norm_first, depth):
    """A feed-forward part around each skip, with its norm; E ‖∂L/∂W‖² of the last weight."""
    blocks = []
    for _ in range(depth):
        inner = wide(), pb.ReLU(), wide()
        norm = pb.LayerNorm(N, eps=0)
        blocks += [branch(norm, *inner)] if norm_first else [branch(*inner), norm]
    theory = built([*blocks, *([pb.LayerNorm(N, eps=0)] if norm_first else [])])
    last = f"{depth if norm_first else 2 * depth - 1}.block"
    found = errors(theory)
    at, of = (3, 2) if norm_first else (2, 1)
    return found[f"z.{last}.{at}"] * read(theory, f"a.{last}.{of}")


@pytest.mark.parametrize("depth", [4, 16])
def test_the_last_gradient_shrinks_with_the_depth_of_pre_norm_and_not_of_post_norm(depth):
    """Xiong et al. 2020, theorem 1: √(1/L) of pre-norm, whose stream has 1 + L/2; post-norm 3/2.

    Their √ln d bounds the largest of d numbers, and no moment has it.
    """
    assert feed(True, depth) == pytest.approx(EACH_NORM / (1 + depth / 2) / 2, rel=1e-6)
    assert feed(False, depth) == pytest.approx(EACH_NORM / 1.5 / 2, rel=1e-6)


@pytest.mark.parametrize("norm_first", [True, False], ids=["pre-norm", "post-norm"])
def test_the_same_of_transformers(norm_first):
    """With attention in them: E δ² · E (what is under the last norm)² is 1 at any depth."""
    for depth in (2, 4):
        blocks = [
            pb.TransformerEncoderLayer(N, 2, N, 0.0, layer_norm_eps=0, norm_first=norm_first)
            for _ in range(depth)
        ]
        X = np.random.default_rng(5).normal(size=(3, 4, 16))
        last = [pb.LayerNorm(N, eps=0)] if norm_first else []
        theory = theory_of(
            [pb.Linear(16, N), *blocks, *last],
            X,
            "tokens=4 features=16",
            scheme=pb.init.lecun(),
        )
        flow = theory.flow
        end = list(flow.passed)[-1]
        law = flow.passed[end].units.law
        start = Placed(law.kept, 0 * law.mean, np.ones_like(law.second))
        found = {node.name: error for node, error in flow.behind(end, start).items()}
        error = flow.average(found[f"z.{depth}.linear2"].second).mean()
        stream = second(theory, f"a.{depth}.fed").mean()
        assert error * stream == pytest.approx(1.0, rel=0.02)
        assert (stream > 1 + depth / 2) if norm_first else (1 < stream < 2)


@dataclass(frozen=True)
class Zero(Block):
    """A layer that starts at 0."""

    def build(self, x, at):
        out = at.axis("units", x.axes[-1].size)
        weight = at.parameter("weight", (out, x.axes[-1]), 0.0)
        return at.z(Contract((x, weight), (*x.axes[:-1], out)))


@pytest.mark.parametrize("layers", [2, 3, 4])
@pytest.mark.parametrize("depth", [4, 16])
def test_branches_that_end_in_zero_learn_as_much_at_any_depth(layers, depth):
    """Fixup (Zhang et al. 2019): m layers, the last of them 0, the others by L^(−1/(2m − 2))."""
    scale = depth ** (-1 / (2 * layers - 2))
    inner = [each for _ in range(layers - 1) for each in (wide(), pb.ReLU())]
    theory = built([branch(*inner, Zero()) for _ in range(depth)], pb.init.he(gain=scale))
    found = errors(theory)
    at = 2 * layers - 2
    moved = sum(
        found[f"z.{k}.block.{at}"] * read(theory, f"a.{k}.block.{at - 1}")
        for k in range(1, depth + 1)
    )
    assert moved == pytest.approx(read(theory, "z.0"), rel=1e-6)
    assert read(theory, f"a.{depth}") == pytest.approx(read(theory, "z.0"), rel=1e-9)


@pytest.mark.parametrize("depth", [6, 24])
def test_a_transformer_without_norms_stays_of_one_size(depth):
    """T-Fixup (Huang et al. 2020): values, outputs and what goes in by .67 N^(−1/4).

    Values then grow by (1 + .67⁴/N)^N < e^.2015, and all gradients together are 2 · .67⁴ of that.
    """
    scale = 0.67 * depth**-0.25
    theory = built([branch(wide(), wide()) for _ in range(depth)], pb.init.lecun(gain=scale))
    grown = read(theory, f"a.{depth}") / read(theory, "z.0")
    assert grown == pytest.approx((1 + 0.67**4 / depth) ** depth, rel=1e-6)
    assert grown < np.exp(0.2016)
    found, moved, stream = errors(theory), 0.0, "z.0"
    for k in range(1, depth + 1):
        moved += found[f"z.{k}.block.0"] * read(theory, stream)
        moved += found[f"z.{k}.block.1"] * read(theory, f"z.{k}.block.0")
        stream = f"a.{k}"
    assert moved == pytest.approx(2 * 0.67**4 * (1 + 0.67**4 / depth) ** (depth - 1), rel=1e-6)


@pytest.mark.parametrize("depth", [3, 12])
@pytest.mark.parametrize("scaled", [True, False])
def test_weighted_skips_under_norms_move_as_much_at_any_depth(depth, scaled):
    """DeepNorm (Wang et al. 2022): Σ 2β²/α² is 1 over 2N parts, for (2N)^¼ and (8N)^(−¼)."""
    alpha, beta = ((2 * depth) ** 0.25, (8 * depth) ** -0.25) if scaled else (1.0, 1.0)
    blocks = [pb.LayerNorm(N, eps=0)]
    for _ in range(2 * depth):
        blocks += [branch(wide(), wide(), scale=1 / alpha), pb.LayerNorm(N, eps=0)]
    theory = built(blocks, pb.init.lecun(gain=beta))
    found = errors(theory)
    moved = sum(
        found[f"z.{k}.block.0"] + found[f"z.{k}.block.1"] * read(theory, f"z.{k}.block.0")
        for k in range(2, 4 * depth + 1, 2)
    )
    each = 2 * beta**2 / (alpha**2 + beta**4)
    norms = sum(EACH_NORM**k for k in range(1, 2 * depth + 1))
    assert moved == pytest.approx(each * norms, rel=1e-6)
    assert moved == pytest.approx(1.0, rel=0.07) if scaled else moved > depth


def test_a_block_behind_batch_norm_adds_one_part_in_l():
    """De and Smith 2020: the stream is l after l blocks, and the next branch 1."""
    depth = 8
    blocks = [branch(pb.BatchNorm1d(32, eps=0), pb.ReLU(), pb.Linear(32, 32)) for _ in range(depth)]
    X = inputs(64, 8)
    X /= np.sqrt((X**2).mean())
    theory = theory_of([pb.Linear(8, 32), *blocks], X, "features=8", scheme=pb.init.he())
    first = read(theory, "z.0")  # 2 by He, of inputs of 1
    for k in range(1, depth + 1):
        added = read(theory, f"z.{k}.block.2")
        assert added == pytest.approx(1.0, rel=1e-6)
        assert read(theory, f"a.{k}") == pytest.approx(first + k, rel=1e-6)


@pytest.mark.parametrize(("kind", "critical"), [("minimal gated unit", 2.0), ("JANET", 1.0)])
def test_gates_without_biases_are_critical_at_one_gain(kind, critical):
    """Near h = 0 the gates are ½: h ← h/2 + (g/2g_c) W h, which is critical at g = g_c.

    The question is that of Fioratti et al. 2026, who ask it over the spread of biases too.
    """

    def law(gain, turns):
        step, gains = CELLS[kind]
        cell = Own(step, {**gains, "Uc": gain**2}, turns=turns)
        found = cell.law(x=0.0, start=1e-12)
        return found.backward((OverTime.last(turns),)).before[0]

    for gain in (0.8 * critical, critical, 1.5 * critical):
        shared = diagonal_path(8, 0.5, gain / critical / 2)
        assert law(gain, 8) == pytest.approx(shared, rel=1e-5)
    rate = lambda gain: diagonal_path(200, 0.5, gain / 2) / diagonal_path(199, 0.5, gain / 2)  # noqa: E731
    assert rate(0.95) < 1 < rate(1.05)


def alike_tokens(share, tokens=16, features=128):
    """Tokens of which only a share differs, drawn; and others, of which any two differ as much."""
    parts = np.random.default_rng(0).normal(size=(4, tokens + 1, features))
    even = np.linalg.qr(parts.transpose(0, 2, 1))[0].transpose(0, 2, 1) * np.sqrt(features)
    return tuple(
        np.sqrt(share) * each[:, 1:] + np.sqrt(1 - share) * each[:, :1] for each in (parts, even)
    )


def attending(X, layers):
    """Heads of attention without skips; the part that differs between tokens behind each."""
    blocks = [pb.MultiheadAttention(X.shape[2], 1, bias=False) for _ in range(layers)]
    x = f"tokens={X.shape[1]} features={X.shape[2]}"
    theory = theory_of(blocks, X, x, scheme=pb.init.lecun())
    assert not theory.flow.without  # nothing is measured
    apart = ~np.eye(X.shape[1], dtype=bool)
    laws = {node.name: passed.units.law for node, passed in theory.flow.passed.items()}
    return theory, [
        (theory.flow.average(laws[f"z.{k}.out_proj"].second).mean(),
         theory.flow.average(laws[f"z.{k}.out_proj"].pairs[0])[apart].mean())
        for k in range(layers)
    ]  # fmt: skip


def test_attention_without_skips_loses_its_rank_doubly_exponentially():
    """Dong et al. 2021: what differs between tokens is cubed by each layer.

    Squared it is (1 − 1/T)/T + 1/d of the cube: queries, keys and values differ that little.
    """
    layer = 15 / 16 / 16 + 1 / 128
    for share in (0.1, 0.01):
        _, ((square, both),) = attending(alike_tokens(share)[1], 1)
        assert square - both == pytest.approx(layer * share**3, rel=0.05)
    _, ((square, both), (next_square, next_both)) = attending(alike_tokens(0.5)[1], 2)
    assert next_square - next_both == pytest.approx(layer * (square - both) ** 3, rel=0.05)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_what_differs_between_tokens_that_are_alike_is_that_of_networks_drawn(share):
    X, _ = alike_tokens(share)
    theory, ((square, both),) = attending(X, 1)
    net, scheme, drawn = theory.setting.net, theory.setting.scheme, []
    for seed in range(40):
        z = net.trace(net.init(seed, scheme), X, np.zeros(X.shape)).z["0.out_proj"]
        drawn.append(((z - z.mean(axis=1, keepdims=True)) ** 2).mean() * 16 / 15)
    assert abs(z_score(square - both, np.array(drawn))) < 4
