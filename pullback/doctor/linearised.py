"""The loss near the start as independent modes: how curved each is, and how much of it is there.

Lanczos' method on the Gauss-Newton matrix G = Jᵀ H J, begun at the gradient g, gives the λ that g
is made of and its part in each (Golub and Meurant, Matrices, Moments and Quadrature, §6.2).
Gradient descent with rate η takes the part of a mode down by 1 − ηλ a step: the time constant is
1/(ηλ) steps, and beyond ηλ = 2 it grows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.doctor.lesson import Array
from pullback.doctor.setup import TrainingSetup
from pullback.doctor.training import quiet
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_ROUNDS = 12
_SAMPLES = 64
_SECONDS = 0.7  # of processor time; fewer rounds are fewer modes, from the largest on
_NEVER = 1e9  # steps
_TINY = 1e-7  # of the largest λ: below it is rounding


@dataclass(frozen=True)
class Modes:
    """λ (modes), the largest first, and the loss that each can lose (modes)."""

    curvature: Array
    loss: Array

    @property
    def largest(self) -> float:
        """λ_max: descent with a rate beyond 2/λ_max runs away."""
        return float(self.curvature[0])

    def left(self, rate: float, steps: float) -> float:
        """The share of the loss to lose that is still there after some steps of descent."""
        kept = np.abs(1 - np.minimum(rate * self.curvature, 1.0)) ** (2 * steps)
        return float((kept * self.loss).sum() / self.loss.sum())

    def needed(self, rate: float, left: float) -> float:
        """The steps after which no more than a share of it is left."""
        steps = 1.0
        while self.left(rate, steps) > left and steps < _NEVER:
            steps *= 1.25
        return steps


def modes(setup: TrainingSetup) -> Modes | None:
    """Those of a set-up on its first samples.

    None where there is no slope to read them from, or the loss takes more than one tensor.
    """
    rows = slice(0, _SAMPLES)
    try:
        with quiet():
            z = setup.call(setup.rows(rows))
            if not isinstance(z, torch.Tensor):
                return None
            ps = [p for p in setup.updates.parameters if p.requires_grad]
            return _lanczos(z, setup.loss(z, setup.Y[rows]), ps)
    except RuntimeError:  # not every function has a second derivative
        return None


def _lanczos(z: Any, loss: Any, ps: list[Any]) -> Modes | None:
    slope = torch.autograd.grad(loss, z, create_graph=True)[0]
    u = torch.zeros_like(z, requires_grad=True)
    back = _joined(torch.autograd.grad(z, ps, u, create_graph=True, allow_unused=True), ps)
    start = _joined(torch.autograd.grad(z, ps, slope, retain_graph=True, allow_unused=True), ps)

    def product(v: Any) -> Any:
        """G v: J v by the transpose of the transpose, H by the loss's own slope, Jᵀ."""
        ahead = torch.autograd.grad(back, u, v, retain_graph=True)[0]
        curved = torch.autograd.grad(slope, z, ahead, retain_graph=True, allow_unused=True)[0]
        if curved is None:
            return torch.zeros_like(v)
        grads = torch.autograd.grad(z, ps, curved, retain_graph=True, allow_unused=True)
        return _joined(grads, ps).detach()

    size = float(start.detach().norm())
    if not size or not np.isfinite(size):
        return None
    basis, diagonal, beside = [start.detach() / size], [], []
    end = time.process_time() + _SECONDS
    for _ in range(min(_ROUNDS, len(start))):
        if basis[1:] and time.process_time() > end:
            break
        w = product(basis[-1])
        diagonal.append(float(w @ basis[-1]))
        for q in basis:  # whole again: rounding would let the first ones back in
            w = w - (w @ q) * q
        beside.append(float(w.norm()))
        if not np.isfinite(beside[-1]) or beside[-1] <= _TINY * max(map(abs, diagonal)):
            break
        basis.append(w / beside[-1])
    n = len(diagonal)
    whole = np.diag(diagonal) + np.diag(beside[: n - 1], 1) + np.diag(beside[: n - 1], -1)
    if not np.isfinite(whole).all():
        return None
    values, vectors = np.linalg.eigh(whole)
    order = np.argsort(-values)
    values, parts = values[order], (size * vectors[0, order]) ** 2
    kept = values > max(_TINY * values[0], 1e-30)
    if not kept.any():
        return None
    return Modes(values[kept], parts[kept] / (2 * values[kept]))


def _joined(slopes: Any, ps: list[Any]) -> Any:
    """The slopes of all parameters as one vector."""
    pairs = zip(slopes, ps, strict=True)
    return torch.cat([(torch.zeros_like(p) if s is None else s).reshape(-1) for s, p in pairs])
