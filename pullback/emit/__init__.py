"""Programs as source text: lowering to steps, arrays to write to, and one file a target."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.emit.epoch.compiled import training_code
    from pullback.emit.forward.compiled import forward_code, forward_program, score_code
    from pullback.emit.lower import lower
    from pullback.emit.target import inplace, jax, within
    from pullback.emit.target.language import Task

lazy(
    __name__,
    {
        "Task": "pullback.emit.target.language",
        "forward_code": "pullback.emit.forward.compiled",
        "forward_program": "pullback.emit.forward.compiled",
        "inplace": "pullback.emit.target",
        "jax": "pullback.emit.target",
        "lower": "pullback.emit.lower",
        "score_code": "pullback.emit.forward.compiled",
        "training_code": "pullback.emit.epoch.compiled",
        "within": "pullback.emit.target",
    },
)

__all__ = [
    "Task",
    "forward_code",
    "forward_program",
    "inplace",
    "jax",
    "lower",
    "score_code",
    "training_code",
    "within",
]
