"""A gradient check: what a ``torch.autograd.Function`` of the caller's own says of its slope.

The slopes of torch's own functions are tested by others, so only networks with one are checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pullback.doctor.draws import seeded
from pullback.doctor.observe import Observations
from pullback.doctor.setup import TrainingSetup, each, named, parameters, parts
from pullback.doctor.suspicion import CERTAIN, Suspicion
from pullback.doctor.tape import FAULTS
from pullback.doctor.training import quiet
from pullback.doctor.trials import ENOUGH
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_FEW = 16  # samples
_STEP = 1e-5
_SMOOTH = 1e-3  # the slopes on both sides differ by less
_WRONG = 0.02  # of the slope
_DIRECTIONS = 3


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Autograd against differences in float64, where a training with own functions fails."""
    if seen.loss is None or seen.course.share >= ENOUGH or seen.tape.named("detach"):
        return
    setup = small(seen.setup)
    try:
        with quiet():
            own = own_functions(setup)
            wrong = next(mismatches(setup), None) if own else None
    except FAULTS:  # not every function takes float64
        return
    if wrong is None:
        return
    name, said, is_ = wrong
    functions = ", ".join(dict.fromkeys(own.values()))
    yield Suspicion(
        "wrong gradient",
        tuple(dict.fromkeys(own)),
        f"the gradient is wrong: along {name} autograd says a slope of {said:.4g}, and differences "
        f"in float64 {is_:.4g}; the backward of {functions} is not the derivative of its forward",
        "correct its backward, if it is not meant so, or leave it to autograd",
        f"torch.autograd.gradcheck({functions.partition(',')[0]}.apply, x.double())",
        weight=CERTAIN,
    )


def small(setup: TrainingSetup) -> TrainingSetup:
    """A copy in float64 with a few of the samples."""

    def few(x: Any) -> Any:
        return x[:_FEW].double() if x.dtype.is_floating_point else x[:_FEW]

    copy = setup.clone()
    copy.module.double()
    for p in parameters(copy.module):
        p.data = p.data.double()
        p.grad = None
    return replace(copy, X=each(copy.X, few), Y=few(copy.Y))


def value(setup: TrainingSetup) -> Any:
    """The loss, with the same draws each time."""
    seeded(setup.seed)
    return setup.loss(setup.call(setup.X), setup.Y)


def own_functions(setup: TrainingSetup) -> dict[str, str]:
    """The names of Functions that are none of torch's, by the innermost part that calls them."""
    found: dict[str, str] = {}
    met: set[Any] = set()

    def note(path: str, given: Any, out: Any) -> None:
        if isinstance(out, torch.Tensor):
            before = {node for x in given if isinstance(x, torch.Tensor) for node in nodes(x)}
            for node in nodes(out) - before - met:
                met.add(node)
                found[path or "model"] = node._forward_cls.__name__

    hooks = [
        part.register_forward_hook(lambda _, given, out, path=path: note(path, given, out))
        for path, part in parts(setup.module)
    ]
    try:
        note("loss", (), value(setup))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def nodes(x: Any) -> set[Any]:
    """Nodes of own Functions in the graph of a tensor."""
    found, open_ = set(), [x.grad_fn]
    seen = set()
    while open_:
        node = open_.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        kind = getattr(node, "_forward_cls", None)
        if kind is not None and not kind.__module__.startswith("torch."):
            found.add(node)
        open_ += [before for before, _ in node.next_functions]
    return found


def mismatches(setup: TrainingSetup) -> Iterator[tuple[str, float, float]]:
    """Parameters along which both slopes differ: the name, autograd's slope, and that measured.

    Only where the loss has one slope, the same to both sides, and one that is not 0: a function in
    steps has its slope made up on purpose.
    """
    held = {name: p for name, p in named(setup.module).items() if p.requires_grad}
    here = value(setup)
    slopes = torch.autograd.grad(here, list(held.values()), allow_unused=True)
    draws = torch.Generator().manual_seed(setup.seed)
    for (name, p), slope in zip(held.items(), slopes, strict=True):
        if slope is None:
            continue
        for _ in range(_DIRECTIONS):
            v = torch.randn(p.shape, generator=draws, dtype=p.dtype)
            v /= v.norm()
            said = float((slope * v).sum())
            ahead, behind = (moved(setup, p, v, sign * _STEP) for sign in (1, -1))
            up, down = (ahead - float(here)) / _STEP, (float(here) - behind) / _STEP
            is_ = (up + down) / 2
            noise = 1e-9 * (1 + abs(float(here))) / _STEP  # of the differences
            smooth = abs(up - down) <= _SMOOTH * abs(is_)
            if abs(is_) > noise and smooth and abs(is_ - said) > _WRONG * max(abs(is_), abs(said)):
                yield name, said, is_


def moved(setup: TrainingSetup, p: Any, v: Any, step: float) -> float:
    """The loss where a parameter is moved along a direction."""
    start = p.data
    p.data = start + step * v
    found = float(value(setup).detach())
    p.data = start
    return found
