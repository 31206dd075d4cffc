"""Random modules, sound or broken in known ways: what the forecast says, torch confirms."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

import pullback as pb

ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SELU, nn.GELU, nn.LeakyReLU, nn.ELU, nn.Softplus)
BREAKS = (
    "none", "none", "none", "bias", "zero layer", "constant layer", "constant", "scaled", "mean",
    "copies", "zero read-out", "sign",
)  # fmt: skip
DATA = ("normal", "normal", "normal", "heavy", "offset", "large", "small", "positive")
LOW, HIGH = 0.1, 10.0


def linears(module: nn.Module) -> list[Any]:
    return [part for part in module if isinstance(part, nn.Linear)]  # type: ignore[attr-defined]


def broken(module: nn.Module, how: str, rng: np.random.Generator) -> None:
    layers = linears(module)
    at = int(rng.integers(len(layers)))
    with torch.no_grad():
        if how == "bias":
            layers[at].bias.fill_(float(rng.choice([-100.0, -10.0, 50.0, 1000.0])))
        elif how == "zero layer":
            layers[at].weight.zero_()
        elif how == "constant layer":
            layers[at].weight.fill_(0.2)
        elif how == "constant":
            for parameter in module.parameters():
                parameter.fill_(0.1)
        elif how == "scaled":
            factor = float(rng.choice([1e-30, 1e-4, 30.0, 1e6]))
            for layer in layers:
                layer.weight.mul_(factor)
        elif how == "mean":
            layers[at].weight.add_(float(rng.choice([-2.0, 2.0])))
        elif how == "copies" and len(layers) > 1:
            layers[0].weight.copy_(layers[0].weight[:1].expand_as(layers[0].weight))
            layers[0].bias.fill_(0.1)
            layers[1].weight.copy_(layers[1].weight[:, :1].expand_as(layers[1].weight))
        elif how == "zero read-out":
            layers[-1].weight.zero_()
        elif how == "sign":
            layers[at].weight.abs_().neg_()


def features(kind: str, samples: int, width: int, rng: np.random.Generator) -> Any:
    x = rng.normal(size=(samples, width))
    if kind == "heavy":
        x = rng.standard_t(1.5, size=x.shape)
    scale = {"large": 1e6, "small": 1e-5}.get(kind, 1.0)
    return np.abs(x) if kind == "positive" else scale * x + 1e4 * (kind == "offset")


def case(rng: np.random.Generator) -> tuple[nn.Module, Any, Any, str]:
    """A module in float64, X, Y and what is wrong with them."""
    depth, width = int(rng.integers(1, 9)), int(rng.choice([1, 2, 3, 5, 8, 16, 32]))
    n_in, n_out = int(rng.integers(1, 8)), int(rng.integers(1, 6))
    activation = ACTIVATIONS[rng.integers(len(ACTIVATIONS))]
    torch.manual_seed(int(rng.integers(2**31)))
    widths = [n_in, *[width] * depth, n_out]
    parts = []
    for a, b in pairwise(widths):
        parts += [nn.Linear(a, b), activation()]
    module = nn.Sequential(*parts[:-1]).double()
    if rng.random() < 0.4:
        for layer in linears(module):
            nn.init.kaiming_normal_(layer.weight)
    how, kind = str(rng.choice(BREAKS)), str(rng.choice(DATA))
    broken(module, how, rng)
    samples = int(rng.integers(1, 60))
    X = features(kind, samples, n_in, rng)
    classes = n_out > 1 and rng.random() < 0.5
    Y = np.arange(samples) % n_out if classes else rng.normal(size=(samples, n_out))
    return module, X, Y, f"{widths} {activation.__name__} {how} {kind} {samples}"


def by_torch(module: nn.Module, X: Any, Y: Any) -> tuple[list[float], list[float]]:
    """RMS ‖δ‖ of a sample at each Linear, and the norm of each weight's gradient, by autograd."""
    h, kept = torch.as_tensor(X), []
    for part in module:  # type: ignore[attr-defined]
        h = part(h)
        if isinstance(part, nn.Linear):
            h.retain_grad()
            kept.append(h)
    y = torch.as_tensor(Y)
    loss: Any = nn.CrossEntropyLoss if y.ndim == 1 else nn.MSELoss
    module.zero_grad()
    loss()(h, y).backward()
    norms = [float(z.grad.square().sum(1).mean().sqrt()) for z in kept]
    return norms, [float(layer.weight.grad.norm()) for layer in linears(module)]


def run(count: int, seed: int) -> dict[str, int]:
    """So many modules; raises AssertionError at the first that torch contradicts."""
    rng = np.random.default_rng(seed)
    tally = dict.fromkeys(("healthy", "sick", "refused", "offered", "inside", "worse"), 0)
    for number in range(count):
        module, X, Y, name = case(rng)
        name = f"{number}: {name}"
        try:
            found = pb.forecast(module, X, Y, methods="coupled", progress=False)
        except pb.errors.PullbackError:
            tally["refused"] += 1
            continue
        norms, gradients = by_torch(module, X, Y)
        printed = f"{found.text()} {found._repr_html_()}"
        json.dumps(found.to_dict(), allow_nan=False)
        assert not {"nan", "inf"} & set(printed.replace("×", " ").replace(",", " ").split()), name
        with np.errstate(all="ignore"):
            ratio = np.array(norms) / norms[-1]
        if 1e-12 < ratio[0] < 1e12:  # else it is 0, or too near to it for the order of a sum
            assert abs(found.ratio / ratio[0] - 1) < 1e-6, (name, found.ratio, ratio[0])
        if found.verdict != "healthy":
            tally["sick"] += 1
            mend(found, module, X, Y, name, tally)
            continue
        tally["healthy"] += 1
        assert all(gradients), (name, gradients)
        assert all(LOW * 0.999 <= each <= HIGH * 1.001 for each in ratio), (name, ratio)
        pb.assert_gradients_ok(module, X, Y)
    # 95 % of networks lie inside, and each module is one
    least = 0.95 * tally["offered"] - 3 * np.sqrt(0.0475 * tally["offered"]) - 1
    assert tally["inside"] >= least, tally
    assert tally["worse"] <= 0.05 * tally["offered"] + 1, tally
    print(f"forecast, seed {seed}: {count} modules, {tally}")
    return tally


def mend(found: Any, module: nn.Module, X: Any, Y: Any, name: str, tally: dict[str, int]) -> None:
    """Apply the advice, and compare with what it promised."""
    advice = found.advice
    before = [p.clone() for p in module.parameters()]
    assert advice.apply_(module, seed=int(tally["sick"])) is module
    if not advice.offered:
        assert all(map(torch.equal, before, module.parameters())), name
        assert "Use init" not in advice.sentence, name
        return
    norms, _ = by_torch(module, X, Y)
    after = norms[0] / norms[-1] if norms[-1] else 0.0
    low, high = advice.interval
    assert low <= advice.after <= high, (name, advice)
    tally["offered"] += 1
    tally["inside"] += low <= after <= high
    was = abs(np.log(found.ratio)) if 0 < found.ratio < np.inf else np.inf
    now = abs(np.log(after)) if 0 < after < np.inf else np.inf
    tally["worse"] += int(found.verdict in ("vanishing", "exploding") and now > was)


def test_torch_confirms_what_the_forecast_says(size):
    tally = run(size(25, 500), seed=1)
    assert tally["healthy"] > 0
    assert tally["offered"] > 0
