"""What a compiled epoch takes: enough to call it without the equations that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

NAME = "pullback_epoch"
# ``samples`` is how many an epoch has, ``further`` how far on in the order the next epoch begins
NUMBERS = (
    "worker", "workers", "samples", "batch_size", "steps", "first_step", "score", "further",
)  # fmt: skip
# the arrays that every epoch takes, before the optimiser's and the data
WHOLE_NUMBERS = ("meeting", "hits", "order", "spent")
FIRST = (*WHOLE_NUMBERS, "rates", "losses", "sums", "work", "weights", "gradient")
Variant = Literal["training", "profile", "products"]
# what a worker does: fetch its samples, multiply matrices, treat entries one by one, change the
# weights, wait for the others
KINDS = ("gather", "products", "elementwise", "update", "meetings")
LINE = 16  # numbers that a worker has in ``spent``: a line of the cache and more
CHUNK = 4096  # weights of which one partial sum is taken
EVEN = 12  # a multiple of so many strips is shared evenly by 2, 3, 4, 6 or 12 workers


@dataclass(frozen=True)
class Epoch:
    """What the function takes: the optimiser's ``slots``, the inputs in ``data``, room to work in.

    Inputs in ``whole`` hold whole numbers; of those in ``indices`` each is below a number.
    Parameters in ``held`` are no weights. The room is ``each`` numbers for a sample of the batch,
    and ``besides`` numbers. Or a worker has room for ``strip`` samples only, which it takes through
    the whole step before the next ones; ``partial`` numbers are what each strip sums up.
    """

    slots: tuple[str, ...]
    data: tuple[str, ...]
    whole: tuple[str, ...]
    indices: Mapping[str, int]
    held: tuple[str, ...]
    each: int
    besides: int
    strip: int = 0
    partial: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Epoch:
        """The record of ``to_dict``; raises KeyError, TypeError or ValueError for anything else."""
        lists = ("slots", "data", "whole", "held")
        slots, inputs, whole, held = (tuple(map(str, data[key])) for key in lists)
        indices = {str(key): int(value) for key, value in data["indices"].items()}
        numbers = (int(data[key]) for key in ("each", "besides", "strip", "partial"))
        return cls(slots, inputs, whole, indices, held, *numbers)

    def room(self, batch_size: int, workers: int) -> int:
        """How many numbers so many workers need, for batches of so many samples."""
        if not self.strip:
            return padded(batch_size) * self.each + self.besides
        strips = -(-batch_size // (EVEN * self.strip)) * EVEN
        return workers * self.strip * self.each + self.besides + strips * self.partial


def padded(batch_size: int) -> int:
    """Samples for which there is room: arrays of samples begin where lines of the cache do."""
    return -(-batch_size // 16) * 16
