"""The networks of the zoo in torch: modules that people write, so that names can be compared."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from zoo import OWN, Case

import pullback as pb

DTYPES = {np.float32: torch.float32, np.float64: torch.float64}


class Pointwise(nn.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


class Residual(nn.Module):
    """x + scale · block(x)."""

    def __init__(self, block: nn.Module, scale: float) -> None:
        super().__init__()
        self.block, self.scale = block, scale

    def forward(self, x: Any) -> Any:
        return x + self.scale * self.block(x)


def hard_sigmoid(x: Any) -> Any:
    """torch's own has 1/6 in float32 only."""
    return F.relu6(x + 3) / 6


SAME = {
    pb.Identity: nn.Identity,
    pb.Sigmoid: nn.Sigmoid,
    pb.Tanh: nn.Tanh,
    pb.ReLU: nn.ReLU,
    pb.SELU: nn.SELU,
    pb.GELU: nn.GELU,
    pb.SiLU: nn.SiLU,
    pb.Softplus: nn.Softplus,
    pb.Sin: lambda: Pointwise(torch.sin),
    pb.Erf: lambda: Pointwise(torch.erf),
    pb.Mish: nn.Mish,
    pb.LogSigmoid: nn.LogSigmoid,
    pb.Softsign: nn.Softsign,
    pb.ReLU6: nn.ReLU6,
    pb.Hardsigmoid: lambda: Pointwise(hard_sigmoid),
    pb.Hardswish: nn.Hardswish,
}


def module(block: Any) -> nn.Module:
    """The torch module of a block."""
    match block:
        case pb.Linear():
            return nn.Linear(block.in_features, block.out_features, bias=block.bias)
        case pb.Sequential():
            return nn.Sequential(*map(module, block.blocks))
        case pb.Residual():
            return Residual(module(block.block), block.scale)
        case pb.LeakyReLU():
            return nn.LeakyReLU(block.slope)
        case pb.ELU():
            return nn.ELU(block.alpha)
        case pb.Hardtanh():
            return nn.Hardtanh(block.min_val, block.max_val)
        case pb.Activation():
            return Pointwise(lambda x: OWN[block.formula](torch, x))
    return SAME[type(block)]()


@singledispatch
def criterion(loss: Any, z: Any, y: Any) -> Any:
    """The loss of a batch from output and target."""
    raise TypeError(loss)


@criterion.register
def _(loss: pb.SquaredError, z: Any, y: Any) -> Any:
    return _over_batch(loss, F.mse_loss(z, y, reduction="none").sum(1) / 2)


@criterion.register
def _(loss: pb.MSELoss, z: Any, y: Any) -> Any:
    return F.mse_loss(z, y.reshape(z.shape), reduction=loss.reduction)


@criterion.register
def _(loss: pb.CrossEntropy, z: Any, y: Any) -> Any:
    return F.cross_entropy(z, y, reduction=loss.reduction)


@criterion.register
def _(loss: pb.BinaryCrossEntropy, z: Any, y: Any) -> Any:
    each = F.binary_cross_entropy_with_logits if loss.from_logits else F.binary_cross_entropy
    return _over_batch(loss, each(z, y, reduction="none").sum(1))


@criterion.register
def _(loss: pb.LogisticLoss, z: Any, y: Any) -> Any:
    return _over_batch(loss, F.soft_margin_loss(z, y, reduction="none").sum(1))


def _over_batch(loss: Any, each: Any) -> Any:
    return each.mean() if loss.reduction == "mean" else each.sum()


def twin(case: Case) -> nn.Module:
    """The torch module of a case, with the case's parameters."""
    net = module(case.model).to(DTYPES[case.dtype])
    net.load_state_dict({name: torch.tensor(value) for name, value in case.params().items()})
    return net


def value_and_grad(case: Case) -> tuple[float, dict[str, Any]]:
    """The loss and its gradients by torch's autograd."""
    net, (X, Y) = twin(case), case.data()
    target = torch.tensor(Y if Y.ndim == 1 and Y.dtype.kind == "i" else Y.astype(case.dtype))
    total = criterion(case.loss, net(torch.tensor(X)), target)
    for name, weight in net.named_parameters():
        if name.endswith("weight"):
            total = total + case.l2 / 2 * (weight**2).sum()
    total.backward()
    return total.item(), {name: p.grad.numpy() for name, p in net.named_parameters()}


def predict(case: Case) -> Any:
    """The output (batch, outputs)."""
    with torch.no_grad():
        return twin(case)(torch.tensor(case.data()[0])).numpy()
