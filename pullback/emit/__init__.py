"""Programs as source text: lowering to steps, arrays to write to, and one file a target."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.emit.epoch.source import epoch
    from pullback.emit.lower import lower

lazy(
    __name__,
    {
        "epoch": "pullback.emit.epoch.source",
        "lower": "pullback.emit.lower",
    },
)

__all__ = ["epoch", "lower"]
