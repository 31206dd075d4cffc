"""One of several processes that train together: its part of a batch, and what all agree on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ConfigError
from pullback.net.program import Array

Saved = tuple[dict[str, Array], dict[str, Any]]  # arrays and facts of a checkpoint


@dataclass(frozen=True)
class Member:
    """One of several processes that train together; alone it has everything.

    A batch is cut into as many parts in a row as there are processes, and they differ in length by
    one at most: whatever their number, a batch has as many samples.

    >>> [Member(process, 3).of(8) for process in range(3)]
    [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
    """

    process: int = 0
    processes: int = 1

    @property
    def others(self) -> list[Member]:
        """All of them in order, this one too."""
        return [Member(process, self.processes) for process in range(self.processes)]

    def of(self, size: int) -> slice:
        """The part of so many samples that is this process's."""
        return slice(
            size * self.process // self.processes, size * (self.process + 1) // self.processes
        )

    def run_of(self, count: int, size: int) -> slice:
        """Samples in a row, of so many, that are this process's where it reads no others.

        They are as many as its parts of all batches of a size.
        """
        whole, rest = self.of(size), self.of(count % size)
        batches = count // size
        return slice(batches * whole.start + rest.start, batches * whole.stop + rest.stop)

    def spread(self, own: Array, count: int, size: int) -> Array:
        """An order of all samples in batches of a size that has this process's own in its parts.

        The places of the others hold −1, for this process never looks there.
        """
        order, at = np.full(count, -1), 0
        for start in range(0, count, size):
            batch = order[start : start + size]
            part = batch[self.of(len(batch))]
            part[:] = own[at : at + len(part)]
            at += len(part)
        return order

    def mixed(self, random: np.random.Generator | None, count: int, size: int) -> Array:
        """Such an order of what each process has read itself, mixed where there is a generator.

        All processes draw the same numbers.
        """
        runs = [each.run_of(count, size) for each in self.others]
        lengths = [run.stop - run.start for run in runs]
        orders = [np.arange(n) if random is None else random.permutation(n) for n in lengths]
        return self.spread(orders[self.process], count, size)

    def largest(self, *numbers: int) -> list[int]:
        """The largest of what the processes say, number by number."""
        return list(numbers)

    def gathered(self, text: str) -> list[str]:
        """What each process says, in their order."""
        return [text]

    def from_first(self, read: Callable[[], Saved | None]) -> Saved | None:
        """What the first process reads; only that one does."""
        return read()

    def agree(self, facts: Mapping[str, str]) -> None:
        """Raises ConfigError, naming who and what, unless all processes say the same."""
        said = [json.loads(each) for each in self.gathered(json.dumps(dict(facts)))]
        for process, theirs in enumerate(said):
            differ = [name for name in facts if theirs.get(name) != said[0].get(name)]
            if differ:
                name, *others = differ
                also = f" (also different: {', '.join(others)})" if others else ""
                raise ConfigError(
                    f"process {process} trains something else than process 0: its {name} is "
                    f"{theirs.get(name)}, and there it is {said[0].get(name)}{also}; run the same "
                    "script with the same options, data and versions on each"
                )
