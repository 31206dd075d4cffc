"""The width: whether the layers have the units for what is to be learnt."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pullback.doctor.observe import Observations
from pullback.doctor.setup import TrainingSetup, parts
from pullback.doctor.surgery import module_at, put
from pullback.doctor.suspicion import POSSIBLE, Suspicion
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Hidden layers of more units, where all of them are plain linear layers."""
    setup = seen.setup
    if seen.loss is None:
        return
    linear = [(path, part) for path, part in parts(setup.module) if type(part).__name__ == "Linear"]
    called = [layer.path for layer in seen.layers]
    if len(linear) < 2 or [path for path, _ in linear] != called or not _chained(linear):
        return
    widths = [part.out_features for _, part in linear[:-1]]
    wide = [max(4 * n, 16) for n in widths]
    count = sum(p.numel() for p in setup.updates.parameters)
    what = (
        f"too few units: hidden layers of {', '.join(map(str, widths))} and {count} parameters "
        f"for {len(setup)} samples end at {max(seen.course.share, 0):.0%} of what can be learnt"
    )
    small = POSSIBLE + (0.04 if min(widths) < 8 else -0.2)
    yield Suspicion(
        "too small",
        tuple(path for path, _ in linear),
        what,
        f"hidden layers of {', '.join(map(str, wide))}",
        f"nn.Linear(…, {wide[0]})",
        lambda found: widened(found, called, wide),
        small,
    )


def _chained(linear: list[tuple[str, Any]]) -> bool:
    outs = [part.out_features for _, part in linear[:-1]]
    return outs == [part.in_features for _, part in linear[1:]]


def widened(setup: TrainingSetup, paths: list[str], widths: list[int]) -> TrainingSetup:
    """The same chain of linear layers with other hidden widths, drawn anew."""
    torch.manual_seed(setup.seed)
    first, last = module_at(setup.module, paths[0]), module_at(setup.module, paths[-1])
    sizes = [first.in_features, *widths, last.out_features]
    for path, (n_in, n_out) in zip(paths, pairwise(sizes), strict=True):
        old = module_at(setup.module, path)
        new = torch.nn.Linear(n_in, n_out, bias=old.bias is not None).to(old.weight.dtype)
        setup = put(setup, path, new)
    return setup
