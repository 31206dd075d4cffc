"""What an initialiser is called."""

from __future__ import annotations

from pullback.interop.measured import Measured
from pullback.nn import init
from pullback.nn.init import Scheme
from pullback.report.words.numbers import brief

_NAMED = ("glorot", "he", "lecun", "orthogonal", "torch_default")


def called(scheme: Scheme | None) -> str:
    """The call that makes a scheme; without one it is glorot's.

    >>> called(init.he()), called(init.normal(std=0.5))
    ('init.he()', 'Normal(std=0.5)')
    """
    given = init.glorot() if scheme is None else scheme
    if isinstance(given, Measured):
        return "measured in the module's weights"
    known = (name for name in _NAMED if getattr(init, name)() == given)
    name = next(known, None)
    return brief(given) if name is None else f"init.{name}()"
