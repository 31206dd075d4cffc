"""Random networks beside torch: values, gradients, both conversions, and a step of each engine."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import pullback as pb

TIGHT = 1e-10
ACTIVATIONS = (
    nn.ReLU, lambda: nn.ReLU(inplace=True), nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.SELU, nn.ELU,
    nn.Identity, lambda: nn.ELU(0.3), lambda: nn.LeakyReLU(0.2), nn.Mish, nn.Softsign,
    nn.Tanhshrink, nn.ReLU6, nn.Hardtanh, nn.LogSigmoid, lambda: nn.LeakyReLU(0.1, inplace=True),
)  # fmt: skip
LOSSES = (
    nn.MSELoss(), nn.MSELoss(reduction="sum"), nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(reduction="sum"), nn.BCEWithLogitsLoss(),
)  # fmt: skip


class Skip(nn.Module):
    """x + scale · body(x)."""

    def __init__(self, body: nn.Module, scale: float) -> None:
        super().__init__()
        self.body, self.scale = body, scale

    def forward(self, x: Any) -> Any:
        return x + self.scale * self.body(x)


def made(rng: np.random.Generator) -> nn.Module:
    """A module of random depth, widths, activations, biases and skips."""

    def activation() -> nn.Module:
        return ACTIVATIONS[rng.integers(len(ACTIVATIONS))]()

    width = int(rng.integers(1, 7))
    parts: list[nn.Module] = []
    if rng.random() < 0.1:
        parts.append(activation())
    for _ in range(rng.integers(1, 6)):
        if parts and rng.random() < 0.3:
            # an activation that works in place would write over x
            body = [nn.Linear(width, width), activation(), nn.Linear(width, width)]
            parts.append(Skip(nn.Sequential(*body), round(float(rng.normal()), 2) or 1.0))
        else:
            after = int(rng.integers(1, 7))
            parts += [nn.Linear(width, after, bias=bool(rng.random() < 0.8)), activation()]
            width = after
    parts.append(nn.Linear(width, int(rng.integers(1, 5))))
    module = nn.Sequential(*parts).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(0, 0.8, tuple(parameter.shape))))
    return module


def target(rng: np.random.Generator, loss: nn.Module, shape: tuple[int, int]) -> Any:
    if isinstance(loss, nn.CrossEntropyLoss):
        return torch.from_numpy(rng.integers(0, shape[1], shape[0]))
    if isinstance(loss, nn.BCEWithLogitsLoss):
        return torch.from_numpy(rng.integers(0, 2, shape).astype(float))
    return torch.from_numpy(rng.normal(size=shape))


def near(found: Any, expected: Any, tight: float = TIGHT) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    size = max(np.abs(expected).max(initial=0.0), 1e-3)
    assert np.abs(found - expected).max(initial=0.0) <= tight * size


def networks(count: int, seed: int) -> str:
    """Run that many networks; one closing line of counts."""
    counts: collections.Counter[str] = collections.Counter()
    for at in range(count):
        rng = np.random.default_rng([seed, at])
        module, loss = made(rng), LOSSES[rng.integers(len(LOSSES))]
        X = torch.from_numpy(rng.normal(size=(int(rng.integers(1, 9)), _n_in(module))))
        output = module(X.clone())
        Y = target(rng, loss, tuple(output.shape))
        value = loss(output, Y)
        value.backward()
        net, params = pb.from_torch(module, loss, example=X)
        found, grads = net.value_and_grad(params, X, Y)
        near(found, value.item())
        for name, parameter in module.named_parameters():
            near(grads[name], parameter.grad)
        back, held = pb.from_torch(pb.to_torch(net, params), loss, example=X)
        again, others = back.value_and_grad(held, X, Y)
        near(again, found)
        for name, grad in grads.items():
            near(others[name], grad)
        counts["networks"] += 1
        counts["gradients"] += len(grads)
        if at % 20 == 0:  # to compile takes a second
            one, other = (
                pb.fit(net, X, Y, params, epochs=1, batch_size=None, engine=engine, progress=False)
                for engine in ("numpy", "compiled")
            )
            for name in params:
                near(one.params[name], other.params[name], 1e-12)
            counts["compiled"] += 1
    return ", ".join(f"{number} {name}" for name, number in counts.items()) + ": all equal"


def _n_in(module: nn.Module) -> int:
    return next(part.in_features for part in module.modules() if isinstance(part, nn.Linear))


def test_random_networks_are_torchs(size):
    count = size(40, 3000)
    closing = networks(count, seed=0)
    print(closing)
    assert closing.startswith(f"{count} networks")


def test_the_campaign_sees_a_wrong_gradient(monkeypatch):
    """One that is off by a millionth, in one of torch's functions."""
    tanh = F.tanh
    monkeypatch.setattr(nn.Tanh, "forward", lambda self, x: tanh(x) * (1 + 1e-5))
    try:
        networks(40, seed=0)
    except (AssertionError, pb.errors.ConversionError):
        return
    raise AssertionError("nothing was found")
