"""Programs as source text: lowering to steps, arrays to write to, and one file a target."""

from pullback.emit.lower import lower

__all__ = ["lower"]
