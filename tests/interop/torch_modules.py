"""Modules as people write them in torch, with the loss that they train on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoo import close

import pullback as pb

WIDTH, OUTPUTS, BATCH = 4, 3, 7


class Forward(nn.Module):
    """Three Linear layers, and any way to use them."""

    def __init__(self, forward: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, 5), nn.Linear(5, 5)
        self.act = nn.Tanh()
        self.head = nn.Linear(5, OUTPUTS)
        self.how = forward

    def forward(self, x: Any) -> Any:
        return self.how(self, x)


class Skip(nn.Module):
    """x + scale · body(x)."""

    def __init__(self, body: nn.Module, scale: float = 1.0) -> None:
        super().__init__()
        self.body, self.scale = body, scale

    def forward(self, x: Any) -> Any:
        return x + self.scale * self.body(x)


class OwnLinear(nn.Linear):
    """A Linear with a forward of its own."""

    def forward(self, x: Any) -> Any:
        return F.linear(x, self.weight, self.bias)


class Listed(nn.Module):
    """Layers in a ModuleList, and a loop over them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(3)])

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = torch.sigmoid(layer(x)) - x
        return x


class Asserting(nn.Module):
    """Python that looks at shapes: torch.fx gives up, torch.export does not."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(WIDTH, 5), nn.Linear(5, OUTPUTS, bias=False)

    def forward(self, x: Any) -> Any:
        assert x.shape[1] == WIDTH
        h = F.leaky_relu(self.fc(torch.flatten(x, 1)), 0.3)
        if h.shape[1] > 2:
            h = h + 0.5 * F.gelu(h) - F.dropout(h, 0.5, self.training).tanh()
        return self.head(F.elu(h, 0.7) * torch.clamp(h, min=-1, max=0.5))


def between(activation: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 6), activation, nn.Linear(6, OUTPUTS))


def using(forward: Callable[[Any, Any], Any]) -> Callable[[], nn.Module]:
    return lambda: Forward(forward)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    f"{make().__class__.__name__} {at}": make
    for at, make in enumerate(
        (
            nn.Identity, nn.ReLU, nn.Sigmoid, nn.Tanh, nn.SELU, nn.SiLU, nn.GELU, nn.Softplus,
            nn.ELU, nn.LeakyReLU, nn.Mish, nn.LogSigmoid, nn.Softsign, nn.Tanhshrink, nn.ReLU6,
            nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.CELU,
            lambda: nn.LeakyReLU(0.2), lambda: nn.ELU(0.4), lambda: nn.CELU(1.7),
            lambda: nn.GELU(approximate="tanh"), lambda: nn.Softplus(beta=2.5),
            lambda: nn.Hardtanh(-0.3, 0.8), lambda: nn.ReLU(inplace=True),
        )
    )
}  # fmt: skip

FORMS: dict[str, Callable[[], nn.Module]] = {
    "nested sequential": lambda: nn.Sequential(
        nn.Sequential(nn.Linear(WIDTH, 5), nn.Tanh()), nn.Sequential(nn.Linear(5, OUTPUTS))
    ),
    "names": lambda: nn.Sequential(
        OrderedDict(first=nn.Linear(WIDTH, 5), act=nn.SiLU(), last=nn.Linear(5, OUTPUTS))
    ),
    "flatten, dropout, identity": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(WIDTH, 5), nn.ReLU(), nn.Dropout(0.5), nn.Identity(),
        nn.Linear(5, OUTPUTS),
    ),
    "no bias": lambda: nn.Sequential(
        nn.Linear(WIDTH, 5, bias=False), nn.Tanh(), nn.Linear(5, OUTPUTS, bias=False)
    ),
    "skips": lambda: nn.Sequential(
        nn.Linear(WIDTH, 5),
        Skip(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 5)), 0.3),
        Skip(nn.Sequential(Skip(nn.Linear(5, 5)), nn.GELU(), nn.Linear(5, 5)), -0.7),
        nn.Linear(5, OUTPUTS),
    ),
    "own linear": lambda: nn.Sequential(OwnLinear(WIDTH, 5), nn.Tanh(), OwnLinear(5, OUTPUTS)),
    "own linear alone": lambda: OwnLinear(WIDTH, OUTPUTS),
    "listed": Listed,
    "asserting": Asserting,
    "functions": using(lambda m, x: m.head(F.gelu(m.fc2(F.relu(m.fc1(x)))))),
    "methods": using(lambda m, x: m.head(m.fc2(m.fc1(x).relu()).sigmoid().tanh())),
    "torch's": using(lambda m, x: m.head(torch.erf(m.fc2(torch.sin(m.fc1(x)))))),
    "one activation module twice": using(lambda m, x: m.head(m.act(m.fc2(m.act(m.fc1(x)))))),
    "F.linear": using(
        lambda m, x: F.linear(torch.tanh(F.linear(x, m.fc1.weight, m.fc1.bias)), m.head.weight)
    ),
    "matrix products": using(
        lambda m, x: torch.addmm(
            m.head.bias, torch.cos(x @ m.fc1.weight.T + m.fc1.bias), m.head.weight.t()
        )
    ),
    "view": using(lambda m, x: m.head(torch.tanh(m.fc1(x.view(x.size(0), -1)).reshape(-1, 5)))),
    "shape": using(lambda m, x: m.head(m.fc1(x.reshape(x.shape[0], -1)).square())),
    "add with alpha": using(
        lambda m, x: m.head(torch.add(h := m.fc1(x), m.fc2(torch.tanh(h)), alpha=0.5))
    ),
    "difference": using(lambda m, x: m.head((h := torch.tanh(m.fc1(x))) - 2 * m.fc2(h))),
    "mean of both": using(lambda m, x: m.head(((h := m.fc1(x)) + m.fc2(h).relu()) / 2)),
    "convex": using(lambda m, x: m.head(0.9 * (h := m.fc1(x)) + 0.1 * m.fc2(h))),
    "gate": using(lambda m, x: m.head((h := m.fc1(x)) * torch.sigmoid(1.702 * h))),
    "scaled tanh": using(lambda m, x: m.head(1.7159 * torch.tanh(m.fc1(x) * 2 / 3) + 0.1)),
    "powers": using(lambda m, x: m.head(torch.sqrt(1 + m.fc1(x) ** 2).log())),
    "where": using(lambda m, x: m.head(torch.where((h := m.fc1(x)) > 0, h, h.exp() - 1))),
    "extremes": using(
        lambda m, x: m.head(torch.maximum(h := m.fc1(x), 0.1 * h).clamp(max=2.0).abs())
    ),
    "in place, nothing read twice": using(lambda m, x: m.head(F.relu(m.fc1(x), inplace=True))),
    "dead code": using(lambda m, x: (m.fc2(m.fc1(x)).cumsum(1), m.head(torch.tanh(m.fc1(x))))[1]),
}  # fmt: skip

ALL: dict[str, Callable[[], nn.Module]] = {
    **{name: (lambda make=make: between(make())) for name, make in ACTIVATIONS.items()},
    **FORMS,
}


def made(name: str, seed: int = 0) -> nn.Module:
    """A module of the collection, in float64 and in eval mode, with weights of order 1."""
    torch.manual_seed(seed)
    module = ALL[name]().double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.7)
    return module


def data(seed: int = 0) -> tuple[Any, Any]:
    """X (batch, features) and class numbers."""
    rng = torch.Generator().manual_seed(seed)
    X = torch.randn(BATCH, WIDTH, generator=rng, dtype=torch.float64)
    return X, torch.randint(0, OUTPUTS, (BATCH,), generator=rng)


def check_same(module: nn.Module, X: Any, **options: Any) -> Any:
    """The network of a module gives its value and its gradients; what it is."""
    net, params = pb.from_torch(module, nn.MSELoss(), example=X, **options)
    args = () if isinstance(X, dict) else X if isinstance(X, tuple) else (X,)
    output = module(*args, **(X if isinstance(X, dict) else {}))
    single = isinstance(X, torch.Tensor)
    names = dict(zip(net.xs, args, strict=True)) if isinstance(X, tuple) else X
    given = X.numpy() if single else {name: each.numpy() for name, each in names.items()}
    if single and len(net.x.axes) == 2:
        given = given.reshape(len(given), -1)
    close(net.predict(params, given), output.detach().numpy())
    value, grads = net.value_and_grad(params, given, np.ones(output.shape))
    loss = F.mse_loss(output, torch.ones_like(output))
    assert value == pytest.approx(loss.item(), rel=1e-12)
    trained = dict(module.named_parameters())
    used = [name for name in grads if name in trained]
    theirs = torch.autograd.grad(loss, [trained[name] for name in used], allow_unused=True)
    for name, grad in zip(used, theirs, strict=True):
        close(
            grads[name], np.zeros_like(grads[name]) if grad is None else grad.numpy(), tight=1e-11
        )
    return net
