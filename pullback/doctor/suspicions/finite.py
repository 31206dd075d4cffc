"""NaN and infinities: in the data, in the weights, or at the first call that makes one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pullback.doctor.observe import Observations
from pullback.doctor.setup import TrainingSetup, inputs, parameters, placed
from pullback.doctor.suspicion import CERTAIN, Suspicion
from pullback.doctor.tape import TorchCall, error, not_finite
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

# what keeps a function where it and its slope are finite
GUARDS = {
    "sqrt": "torch.sqrt(x + 1e-8)",
    "rsqrt": "torch.rsqrt(x + 1e-8)",
    "log": "torch.log(x.clamp(min=1e-8))",
    "div": "a / (b + 1e-8)",
    "exp": "torch.exp(x.clamp(max=20))",
    "pow": "x.clamp(min=1e-8) ** p",
    "norm": "torch.sqrt(x.square().sum(-1) + 1e-8)",
    "std": "torch.sqrt(x.var(-1) + 1e-8)",
}


_FINITE = (
    "keep = X.flatten(1).isfinite().all(1) & Y.reshape(len(Y), -1).isfinite().all(1); "
    "X, Y = X[keep], Y[keep]"
)


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """What is not finite before the first step."""
    held = [*(("data.X", x) for x in inputs(seen.setup.X)), ("data.Y", seen.setup.Y)]
    weights = [(path, name, p.detach()) for path, name, p in placed(seen.setup.module)]
    every = (*((name, name, x) for name, x in held), *weights)
    bad = [(where, name, count) for where, name, x in every if (count := not_finite(x))]
    for where, name, count in bad:
        data = where in ("data.X", "data.Y")
        yield Suspicion(
            "not finite",
            (where,),
            f"{name} holds {count:,} numbers that are NaN or infinite",
            "drop these samples" if data else "draw these weights anew",
            _FINITE if data else f"module.get_submodule({where!r}).reset_parameters()",
            _only_finite if data and any(_finite_rows(seen.setup)) else None,
            weight=CERTAIN + 2,
        )
    if bad:
        return
    if (call := seen.tape.first_not_finite) is not None:
        yield Suspicion(
            "not finite",
            (seen.place(call),),
            f"{call.name} is the first call that makes NaN or infinity: {not_finite(call.out):,} "
            f"of {call.out.numel():,} numbers, of finite ones",
            f"keep what {call.name} is given in its range",
            GUARDS.get(call.name, f"torch.{call.name}(x.clamp(…))"),
            weight=CERTAIN + 2,
            call=call,
        )
    elif (call := _backward(seen)) is not None:
        yield Suspicion(
            "not finite",
            (seen.place(call),),
            f"the gradient is NaN or infinite behind {call.name}: the error that comes to it is "
            f"finite, and what it passes back has {not_finite(call.given[0].grad):,} such numbers "
            f"of {call.given[0].numel():,}",
            f"keep what {call.name} is given away from where its slope is infinite",
            GUARDS.get(call.name, f"torch.{call.name}(x.clamp(…))"),
            weight=CERTAIN + 2,
            call=call,
        )


def _backward(seen: Observations) -> TorchCall | None:
    """The call, from the loss on, that turns a finite error into one that is not.

    Only where it comes to a parameter: behind a ReLU that is off it does not.
    """
    if not any(p.grad is not None and not_finite(p.grad) for p in parameters(seen.setup.module)):
        return None
    for call in reversed(seen.tape.calls):
        came = error(call.out)
        if came is None or not_finite(came) or not call.given:
            continue
        if (passed := error(call.given[0])) is not None and not_finite(passed):
            return call
    return None


def _finite_rows(setup: TrainingSetup) -> Any:
    """Which samples have finite inputs and targets."""
    found = torch.isfinite(setup.Y.reshape(len(setup), -1)).all(1)
    for x in inputs(setup.X):
        found &= torch.isfinite(x.reshape(len(x), -1)).all(1)
    return found


def _only_finite(setup: TrainingSetup) -> TrainingSetup:
    return setup.some(torch.nonzero(_finite_rows(setup))[:, 0])
