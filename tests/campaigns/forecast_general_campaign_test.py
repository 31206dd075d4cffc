"""Random networks of gates, norms, skips, attention and shared weights: forecast, or refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from general_networks import Attention, Autoencoder, Frozen, Gated

import pullback as pb
from pullback.errors import PullbackError

METHODS = ("independence", "coupled", "monte_carlo")
SCHEMES = (
    pb.init.he(), pb.init.torch_default(), pb.init.orthogonal(), pb.init.normal(std=20.0),
    pb.init.normal(std=1e-6, bias_std=1e-3), pb.init.constant(0.3, bias_std=0.1),
)  # fmt: skip
LOSSES = (pb.SquaredError(), pb.MSELoss(), pb.CrossEntropy(), pb.MSELoss(reduction="sum"))


def part(rng: np.random.Generator, width: int, tokens: bool) -> Any:
    """A block on so many features that keeps them."""
    inner = pb.Sequential(pb.Linear(width, width), pb.Tanh(), pb.Linear(width, width))
    parts = [
        pb.ReLU(), pb.Tanh(), pb.GELU(), pb.Activation("x**2/2"), pb.Linear(width, width),
        Gated(width), pb.LayerNorm(width), Frozen(width), pb.Residual(inner, 0.5),
        pb.Residual(pb.Tanh()), pb.Residual(Gated(width)),
        *([Attention()] if tokens else [Autoencoder(3)]),
    ]  # fmt: skip
    return parts[rng.integers(len(parts))]


def case(rng: np.random.Generator) -> tuple[pb.Network, Any, Any]:
    """A network with data; raises PullbackError where the parts do not make one."""
    width, tokens = int(rng.integers(1, 7)), bool(rng.random() < 0.4)
    blocks = [part(rng, width, tokens) for _ in range(rng.integers(1, 6))]
    loss = LOSSES[rng.integers(len(LOSSES))]
    x = f"tokens=3 features={width}" if tokens else f"features={width}"
    net = pb.Network(pb.Sequential(*blocks, pb.Linear(width, 2)), loss=loss, x=x)
    samples = int(rng.integers(1, 30))
    shape = (samples, 3) if tokens else (samples,)
    scale = float(rng.choice([1.0, 1.0, 1e-3, 1e4]))
    X = scale * rng.normal(size=(*shape, width))
    classes = isinstance(loss, pb.CrossEntropy)
    return net, X, rng.integers(0, 2, shape) if classes else rng.normal(size=(*shape, 2))


def run(count: int, seed: int) -> dict[str, int]:
    """So many networks; raises AssertionError at the first whose draws are not its traces."""
    rng = np.random.default_rng(seed)
    tally = dict.fromkeys(("law", "measured", "refused", "healthy"), 0)
    for number in range(count):
        scheme = SCHEMES[rng.integers(len(SCHEMES))]
        try:
            net, X, Y = case(rng)
            f = pb.forecast(net, X, Y, scheme, METHODS, draws=8, progress=False)
        except PullbackError:
            tally["refused"] += 1
            continue
        tally["law" if f.setting.laws else "measured"] += 1
        tally["healthy"] += f.verdict == "healthy"
        json.dumps(f.to_dict(), allow_nan=False)
        told = f"{f.text()} {f._repr_html_()}".replace("×", " ").replace(",", " ").split()
        assert not {"nan", "inf"} & set(told), (number, net)
        with np.errstate(all="ignore"):
            compare(f, net, X, Y, rng, number)
    print(f"forecast of any network, seed {seed}: {count} networks, {tally}")
    return tally


def compare(f: Any, net: Any, X: Any, Y: Any, rng: np.random.Generator, number: int) -> None:
    """One draw of the ensemble with the network's own trace."""
    setting = f.setting
    params = setting.ensemble.draw(f.scheme, 1, rng)
    found = setting.ensemble(params, {n: v[None] for n, v in setting.batch.items()})
    one = {n: v if n in setting.ensemble.fixed else v[0] for n, v in params.items()}
    trace = net.trace(one, X, Y)
    share = len(X) if net.criterion.reduction == "mean" else 1
    largest = share * max(np.abs(delta).max() for delta in trace.delta.values())
    for layer in setting.layers:
        pairs = [(found.z[layer.index][0], trace.z[layer.name])]
        if layer.name in trace.delta:
            pairs.append((found.delta[layer.index][0], share * trace.delta[layer.name]))
        for ours, theirs in pairs:
            size = np.abs(theirs).max() or 1.0
            if np.isfinite(size + largest):  # where δ cancels to nothing only rounding is left
                most = 1e-8 * size + 1e-11 * largest
                assert np.abs(ours - theirs).max() <= most, (number, net, layer.name)


def test_draws_are_the_networks_traces(size):
    tally = run(size(12, 600), seed=2)
    assert tally["law"] > 0
    assert tally["measured"] > 0
