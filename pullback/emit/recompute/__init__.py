"""Under a memory limit: which values are kept until they are read again, which computed again."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.emit.recompute.planner import Arrangement, Planner
    from pullback.emit.recompute.program import ProgramWork
    from pullback.emit.recompute.weigh import StepCosts

lazy(
    __name__,
    {
        "Arrangement": "pullback.emit.recompute.planner",
        "Planner": "pullback.emit.recompute.planner",
        "ProgramWork": "pullback.emit.recompute.program",
        "StepCosts": "pullback.emit.recompute.weigh",
    },
)

__all__ = ["Arrangement", "Planner", "ProgramWork", "StepCosts"]
