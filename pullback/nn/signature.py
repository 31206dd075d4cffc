"""A text that tells networks and optimisers apart, for what is kept about them elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from numbers import Integral, Real

_OURS = ("pullback.nn.", "pullback.train.optim.", "pullback.bench.networks.")


def signature_of(thing: object) -> str | None:
    """A text that is the same for equal blocks, losses or optimisers only.

    None where a class is not one of ours: what it does may change without a change of its name.

    >>> from pullback.nn import LeakyReLU
    >>> signature_of(LeakyReLU(0.5))
    'pullback.nn.activation.LeakyReLU(0x1.0000000000000p-1)'
    """
    match thing:
        case None | bool() | str():
            return repr(thing)
        case Integral():
            return repr(int(thing))
        case Real():
            return float(thing).hex()
        case tuple():
            return _joined(thing)
    kind = type(thing)
    if not kind.__module__.startswith(_OURS):
        return None
    named = [each.name for each in fields(thing)] if is_dataclass(thing) else list(vars(thing))
    inside = _joined(getattr(thing, name) for name in named)
    return None if inside is None else f"{kind.__module__}.{kind.__qualname__}{inside}"


def _joined(things: Iterable[object]) -> str | None:
    parts = [signature_of(each) for each in things]
    known = [part for part in parts if part is not None]
    return f"({', '.join(known)})" if len(known) == len(parts) else None
