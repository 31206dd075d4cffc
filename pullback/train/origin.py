"""What a training is of: everything that has a say in its bits, each as a short text by name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pullback.net.network import Network
from pullback.net.program import Array
from pullback.train.optim import FullBatch, Optimizer, equations
from pullback.train.samples import Samples, Source, digest_of

Origin = Mapping[str, str]


def facts_of(
    net: Network,
    optimizer: Optimizer | FullBatch,
    source: Source,
    validation: Samples | None,
    start: Mapping[str, Array],
    **options: Any,
) -> Origin:
    """All of it but the data."""
    return {
        "network": f"{net!r} with {', '.join(f'{s.name} {s.shape}' for s in net.specs)}",
        "l2": repr(net.l2),
        "optimizer": described(optimizer),
        "formula": _formula(net, optimizer),
        **{name: str(value) for name, value in options.items()},
        "dtype": source.dtype.name,
        "start": digest_of(*start.values()),
        "validation": "none" if validation is None else validation.digest(),
        "sample_weight": source.weights(),
    }


def origin_of(facts: Origin, source: Source) -> Callable[[], Origin]:
    """A function that tells it: a stream of batches knows its data when they have passed."""
    return lambda: {**facts, "data": source.digest()}


def versions() -> dict[str, str]:
    """The versions of what computes, by name."""
    from importlib.metadata import PackageNotFoundError, version  # it takes as long as a small fit

    found = {}
    for library in ("pullback", "jax", "numpy"):
        with suppress(PackageNotFoundError):
            found[f"version of {library}"] = version(library)
    return found


def described(value: object) -> str:
    """What an object is, the same in every run: its repr without addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _formula(net: Network, optimizer: Optimizer | FullBatch) -> str:
    """A digest of what is computed: a repr need not tell what a class of the user's does."""
    rule = described(optimizer) if isinstance(optimizer, FullBatch) else optimizer.signature()
    told = [net.signature(), rule]
    if None in told:
        updates = {} if isinstance(optimizer, FullBatch) else equations(optimizer)
        states = net.updates.values()
        told = [node.digest for node in (net.output, net.total, *states, *updates.values())]
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()
