"""NaN and infinities: in the data, in the weights, or at the first call that makes one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pullback.doctor.observe import Observations
from pullback.doctor.setup import inputs, placed
from pullback.doctor.suspicion import CERTAIN, Suspicion
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_FIX = "look at how it is made; drop or replace these"


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """What is not finite before the first step."""
    held = [*(("data.X", x) for x in inputs(seen.setup.X)), ("data.Y", seen.setup.Y)]
    weights = [(path, name, p.detach()) for path, name, p in placed(seen.setup.module)]
    every = (*((name, name, x) for name, x in held), *weights)
    bad = [(where, name, count) for where, name, x in every if (count := not_finite(x))]
    for where, name, count in bad:
        yield Suspicion(
            "not finite",
            where,
            f"{name} holds {count:,} numbers that are NaN or infinite",
            _FIX,
            weight=CERTAIN + 2,
        )
    if bad:
        return
    for call in seen.tape.calls:
        if call.out.is_floating_point() and (count := not_finite(call.out.detach())):
            yield Suspicion(
                "not finite",
                seen.place(call),
                f"{call.name} is the first call that makes NaN or infinity: {count:,} of "
                f"{call.out.numel():,} numbers, of finite ones",
                f"keep what {call.name} is given in its range",
                weight=CERTAIN + 2,
            )
            return


def not_finite(x: Any) -> int:
    """How many numbers are NaN or infinite."""
    return int((~torch.isfinite(x)).sum()) if x.is_floating_point() else 0
