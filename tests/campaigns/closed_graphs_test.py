"""Random graphs over (tokens, features): their closed form is the backward pass, or a reason."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
from blocks_by_hand import Maxout, Scale, Softmax
from general_networks import Attention, Gated
from matrix_networks import told
from zoo import close

import pullback as pb
from pullback.calculus import cotangents
from pullback.ir import Input
from pullback.ir.evaluate import evaluate
from pullback.nn import Block

SEED = 41
FEATURES, TOKENS = 4, 2


def block(rng: np.random.Generator, depth: int, several: bool, lines: bool) -> Block:
    """A block from FEATURES to FEATURES; of pieces of lines only, or with attention for tokens."""
    n = FEATURES
    makes = [
        lambda: pb.Linear(n, n, bias=bool(rng.integers(2))),
        lambda: pb.Linear(n, n),
        pb.ReLU,
        lambda: pb.LeakyReLU(0.3),
        lambda: pb.Activation("2*x - 1"),
    ]
    if not lines:
        makes += [
            pb.Tanh,
            lambda: pb.LayerNorm(n),
            lambda: Gated(n),
            lambda: Scale(n),
            lambda: Softmax(n),
            lambda: pb.Sequential(Maxout(n), pb.Linear(5, n)),
            *([Attention, Attention] if several else []),
        ]
    if depth and rng.random() < 0.4:
        inner = [block(rng, depth - 1, several, lines) for _ in range(rng.integers(1, 4))]
        return pb.Residual(pb.Sequential(*inner), float(rng.choice([1.0, 0.5, -0.7, 0.0])))
    made: Block = makes[rng.integers(len(makes))]()
    return made


def campaign(count: int, seed: int = SEED) -> Counter[str]:
    """How many networks of which method; asserts that every δ is the interpreter's."""
    found: Counter[str] = Counter()
    for at in range(count):
        rng = np.random.default_rng([seed, at])
        several, lines = bool(rng.integers(2)), at % 3 == 0
        blocks = [block(rng, 2, several, lines) for _ in range(rng.integers(2, 6))]
        model = pb.Sequential(*blocks)
        axes = f"tokens={TOKENS} features={FEATURES}" if several else f"features={FEATURES}"
        net = pb.Network(model, loss=pb.SquaredError(), x=axes)
        params = {s.name: rng.normal(size=s.shape) / np.sqrt(s.n_in) for s in net.specs}
        x = rng.normal(size=[axis.size for axis in net.x.axes[1:]])
        form, reason = told(partial(pb.closed_form, net, params, x))
        if reason:
            assert "no Linear block" in reason, f"{model!r}: {reason}"
            found["refused"] += 1
            continue
        found[form.method] += 1
        assert form.text()
        if not hasattr(form, "chain"):
            assert form.error < 1e-10, repr(model)
            continue
        chain, delta = form.chain, rng.normal(size=(2, form.outputs))
        seeded = Input("seed", (*net.x.axes[:1], *chain.axes))
        values = {
            **params,
            "x": np.broadcast_to(x, (2, *x.shape)),
            "seed": delta.reshape(2, *(axis.size for axis in chain.axes)),
        }
        nodes = [place.node for place in chain.places]
        expected = cotangents(chain.top, nodes, seeded)
        for layer, node in enumerate(nodes):
            value = evaluate(expected[node], values).reshape(2, -1)
            close(form.evaluate(delta, layer), value, tight=1e-9)
    print(", ".join(f"{n} {method}" for method, n in sorted(found.items())))
    return found


def test_every_closed_form_is_the_backward_pass(size):
    found = campaign(size(25, 2000))
    assert found["product"] > found["refused"]
    assert found["region"]
