"""Parameters that are not trained: left out of the optimiser, without a gradient, decayed away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from pullback.doctor.observe import Observations
from pullback.doctor.setup import TrainingSetup, hidden, parameters, parts, placed
from pullback.doctor.suspicion import CERTAIN, MEASURED, Suspicion
from pullback.doctor.tape import TorchCall
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_DECAY = 0.3  # of the gradient
_NORMS = ("Norm", "Norm1d", "Norm2d", "Norm3d")


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about which parameters move."""
    if seen.output is None:
        return
    yield from _left_out(seen)
    yield from _decayed(seen)
    yield from _norms_decayed(seen)


def _left_out(seen: Observations) -> Iterator[Suspicion]:
    setup = seen.setup
    names = {id(p): name for _, name, p in placed(setup.module)}
    layers = {name: path or name for path, name, _ in placed(setup.module)}
    held = {id(p) for p in setup.updates.parameters}
    idle, plain, cut = [], [], []
    overlooked = {
        id(p): holder
        for path, part in parts(setup.module)
        for holder, _, inner in hidden(part, path)
        for p in parameters(inner)
    }
    for p in parameters(setup.module):
        if id(p) in overlooked and id(p) not in held:
            plain.append(overlooked[id(p)])
        elif id(p) not in held or not p.requires_grad:
            idle.append(names[id(p)])
        elif id(p) not in seen.reached:
            cut.append(names[id(p)])
    total = len(names)
    given = {id(x) for call in seen.tape.calls for x in call.given}
    used = any(id(p) in given for p in parameters(setup.module) if names[id(p)] in cut)
    if plain:
        lists = _each_once(plain)
        yield Suspicion(
            "not trained",
            lists,
            f"{len(plain)} of {total} parameters are in a plain list or dict of the "
            "module, which the optimiser does not hold: they are never updated",
            "nn.ModuleList in place of the list",
            f"self.{lists[0]} = nn.ModuleList([…])",
            _all,
            CERTAIN,
        )
    if idle:
        none = len(idle) + len(plain) == total
        why = (
            "none of the module's parameters is"
            if none
            else f"{len(idle)} of {total} parameters are not"
        )
        yield Suspicion(
            "not trained",
            _each_once(layers[name] for name in idle),
            f"{why} held by the optimiser with a gradient: {_some(idle)} stay frozen",
            "give the optimiser all of them",
            "module.requires_grad_(True); torch.optim.…(module.parameters(), …)",
            _all,
            CERTAIN if none else MEASURED + 0.4,
        )
    if cut and seen.loss is not None:
        at = _cutting(seen)
        by = "" if at is None else f", by {at.name} in {seen.place(at)}"
        yield Suspicion(
            "no gradient",
            _each_once(layers[name] for name in cut),
            f"{len(cut)} of {total} parameters get no gradient ({_some(cut)}): "
            + (f"the graph is detached behind them{by}" if used else "nothing uses them"),
            "let the gradient through" if used else "leave them out, or use them in forward",
            f"# no detach(), .data, no_grad() or NumPy in {seen.place(at)}" if used else "",
            weight=CERTAIN if used else 0.0,
        )


def _cutting(seen: Observations) -> TorchCall | None:
    """The first call that is given something with a gradient, and makes numbers without one."""
    for call in seen.tape.calls:
        moving = any(isinstance(x, torch.Tensor) and x.requires_grad for x in call.given)
        if moving and call.out.is_floating_point() and not call.out.requires_grad:
            return call
    return None


def _each_once(places: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(places))


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _all(setup: TrainingSetup) -> TrainingSetup:
    every = parameters(setup.module)
    for p in every:
        p.requires_grad_(True)
    held = {id(p) for p in setup.updates.parameters}
    new = [*setup.updates.parameters, *(p for p in every if id(p) not in held)]
    return replace(setup, updates=setup.updates.holding(new))


def _decayed(seen: Observations) -> Iterator[Suspicion]:
    setup = seen.setup
    decay = setup.updates.decay
    if not decay:
        return
    sizes = [
        (float(p.detach().norm()), float(p.grad.norm()))
        for p in setup.updates.parameters
        if p.grad is not None
    ]
    weights = sum(w * w for w, _ in sizes) ** 0.5
    slopes = sum(g * g for _, g in sizes) ** 0.5
    pull = decay * weights / slopes if slopes else float("inf")
    coupled = "AdamW" not in setup.updates.name
    adaptive = setup.updates.adaptive and coupled
    what = (
        f"weight decay {decay:g} pulls {pull:.2g} times as hard on the weights as the loss does"
        + (
            f"; {setup.updates.name} scales it with the gradient, AdamW would not"
            if adaptive
            else ""
        )
    )
    weight = MEASURED + 0.5 if pull > _DECAY else 0.9
    yield Suspicion(
        "weight decay",
        ("optimizer",),
        what,
        "less of it, or none",
        "weight_decay=0",
        lambda found: replace(found, updates=found.updates.with_options(weight_decay=0.0)),
        weight,
    )


def _norms_decayed(seen: Observations) -> Iterator[Suspicion]:
    """Scales and shifts of norms under a decay: a remark, for it seldom matters."""
    decayed = {
        id(p)
        for held, options in seen.setup.updates.groups
        if float(options.get("weight_decay") or 0.0) > 0
        for p in held
    }
    norms = [
        path
        for path, part in parts(seen.setup.module)
        if type(part).__name__.endswith(_NORMS)
        and any(id(p) in decayed for p in part._parameters.values())
    ]
    if norms:
        yield Suspicion(
            "decayed norms",
            tuple(norms),
            f"weight decay pulls the scales and shifts of {len(norms)} "
            f"norm{'s' * (len(norms) > 1)} to 0, where most leave it out",
            "two groups of parameters, with decay for matrices alone",
            "matrices = [p for p in module.parameters() if p.dim() > 1]; "
            "rest = [p for p in module.parameters() if p.dim() < 2]; "
            f"torch.optim.{seen.setup.updates.name}([{{'params': matrices}}, "
            "{'params': rest, 'weight_decay': 0}], …)",
            weight=0.0,
        )
