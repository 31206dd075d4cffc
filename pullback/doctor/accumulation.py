"""Whether a training step of the caller's clears the gradients that it finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.doctor.draws import seeded
from pullback.doctor.setup import TrainingSetup, each, parameters, parts
from pullback.doctor.tape import FAULTS, said
from pullback.errors import ConfigError, shown
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

Step = Callable[[Any, Any, Any, Any], Any]
_APART = 1e-3  # of the gradient: rounding is less


def adds_up(setup: TrainingSetup, step: Step) -> bool:
    """Does a step add its gradient to what was left of the one before?

    ``step(module, optimizer, x, y)`` is run three times on a copy, from the same weights and seed:
    twice without a gradient to find, so that it is known to repeat, then with one. A step that does
    not always call the optimiser collects gradients on purpose.
    Raises ConfigError for what is no such function, fails, or trains something else.
    """
    if not callable(step):
        raise ConfigError(
            f"step is {shown(step)}; expected a function step(module, optimizer, x, y)"
        )
    copy = setup.clone()
    if not copy.updates.parameters:
        return False
    optimizer = copy.updates.made()
    updates: list[bool] = []
    optimizer.register_step_post_hook(lambda *_: updates.append(True))
    held = parameters(copy.module)
    buffers = [b for _, part in parts(copy.module) for b in part._buffers.values() if b is not None]
    start = [x.detach().clone() for x in (*held, *buffers)]

    def gradient(found: list[Any]) -> Any:
        with torch.no_grad():
            for x, value in zip((*held, *buffers), start, strict=True):
                x.copy_(value)
        for p, slope in zip(held, found, strict=True):
            p.grad = slope
        x = each(copy.rows(slice(0, copy.batch)), lambda x: x.clone())
        seeded(copy.seed)
        copy.module.train()
        try:
            step(copy.module, optimizer, x, copy.Y[: copy.batch].clone())
        except FAULTS as fault:
            raise ConfigError(f"step fails: torch says {said(fault)!r}") from fault
        flat = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in held]
        return torch.cat([g.double() for g in flat])

    nothing: list[Any] = [None] * len(held)
    first, again = gradient(nothing), gradient(nothing)
    if not updates and not first.any():
        raise ConfigError(
            "step does nothing with the module and optimizer that it is given; expected a function "
            "step(module, optimizer, x, y) that uses its arguments, and no names from outside"
        )
    size = float(first.norm())
    left = size / max(len(first), 1) ** 0.5 or 1.0
    third = gradient([torch.full_like(p, left) for p in held])
    repeats = float((again - first).norm()) <= _APART * size
    return repeats and len(updates) == 3 and float((third - first).norm()) > _APART * size
