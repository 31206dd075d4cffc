"""A suspicion: what may be wrong, where, what was seen, and the change that would show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pullback.doctor.setup import TrainingSetup
from pullback.doctor.tape import TorchCall

Change = Callable[[TrainingSetup], TrainingSetup]

CERTAIN = 3.0  # it contradicts itself, whatever else is wrong
SCALE = 2.5
MEASURED = 2.0  # a number is far out
POSSIBLE = 1.0  # one of the things that training may need


@dataclass(frozen=True)
class Suspicion:
    """One possible cause; ``change`` is tried on a copy, and is the fix that is offered.

    ``places`` are paths of modules, or what else a training has (``data.X``, ``optimizer``, …), the
    first one above all. ``weight`` says how much speaks for it before anything is tried. Of several
    with one ``key`` the best is kept. ``code`` is a line to paste.
    """

    key: str
    places: tuple[str, ...]
    what: str
    fix: str
    code: str = ""
    change: Change | None = None
    weight: float = POSSIBLE
    call: TorchCall | None = None  # in somebody's forward, where it is about one
