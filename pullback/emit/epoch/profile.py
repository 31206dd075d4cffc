"""Where a step's time goes: the same lines with a clock between them, or their products alone.

The lines of an epoch stand in blocks, in the order in which they run. A line that begins a block of
loops decides for the lines inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Variant = Literal["training", "profile", "products"]
# what a worker does: fetch its samples, multiply matrices, treat entries one by one, change the
# weights, wait for the others
KINDS = ("gather", "products", "elementwise", "update", "meetings")
_CALLS = {"matmul": "products", "gemm": "products", "meet": "meetings"}
_TIMED = ("forward", "judge", "numbers", "gradients", "meet")
Blocks = Mapping[str, list[str]]


def timed(blocks: Blocks) -> dict[str, list[str]]:
    """The blocks with a look at the clock wherever one kind of work ends."""
    found, kind = dict(blocks), "gather"
    found["shares"] = [*blocks["shares"], "since = cycles()"]
    for name in _TIMED:
        found[name] = []
        for line in blocks[name]:
            following = kind if line.startswith(" ") else _kind(line)
            if following != kind:
                found[name].append(_lap(kind))
                kind = following
            found[name].append(line)
    found["meet"].append(_lap(kind))
    return found


def products_alone(blocks: Blocks) -> dict[str, list[str]]:
    """The matrix products and the numbers that they take: the least that a step can cost."""
    found = {**blocks, "gather": ["pass"], "judge": [], "meet": []}
    for name in ("forward", "gradients"):
        found[name] = [line for line in blocks[name] if _kind(line) == "products"]
    return found


def _kind(line: str) -> str:
    """What a line does that is not inside a loop.

    >>> _kind("matmul(x, W0.T, A0)"), _kind("t += update_0(0, 4, gradient)"), _kind("a = b")
    ('products', 'update', 'elementwise')
    """
    called = line.partition("(")[0].split(" ")[-1]
    return "update" if called.startswith("update") else _CALLS.get(called, "elementwise")


def _lap(kind: str) -> str:
    return f"since = lap(spent, worker, {KINDS.index(kind)}, since)"
