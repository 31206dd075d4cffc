"""How many workers run the next steps: all, or one where that is faster."""

from __future__ import annotations

import math

TRIAL = 0.01  # seconds of steps after which a pace is believed
WARM_UP = 0.002  # before these, while threads wake up and what they work on comes to them
# Seconds of steps until the other count is tried again, twice as many each time it loses: at first,
# when a program has just begun and a trial says little, after a trial that it won, and at last
FIRST, SOON, LATE = 0.06, 0.5, 4.0
_CLEARLY = 1.1  # times as slow
_ALONE = 0.9  # of the time one worker computes where nobody else wants its processor


class WorkerCount:
    """Chooses between ``most`` workers and ``least`` by how long their steps take.

    Several workers lose where a step is so short that to wait for one another takes most of it, or
    where what they hand over has far to go. So the count that is not in use is tried for some
    milliseconds: now and then, each time it loses twice as late, and at once where it was clearly
    faster when it was last seen. On a busy machine all work: together they are given more of the
    processors. To steps that are longer than a trial all stay, too, who hardly wait in them.

    >>> count = WorkerCount(2)
    >>> count.now, count.limit
    (2, 1)
    >>> count.took(steps=1, seconds=0.003, used=0.003)  # they warmed up
    >>> count.took(steps=100, seconds=0.010, used=0.010)
    >>> count.now, count.limit  # one is tried, for as many steps as two do in 2 ms
    (1, 20)
    >>> count.took(steps=20, seconds=0.0022, used=0.0022)
    >>> count.took(steps=100, seconds=0.010, used=0.010)
    >>> count.now, count.limit  # it was no slower
    (1, None)
    """

    def __init__(self, most: int, least: int = 1) -> None:
        self.most = self.now = most
        self._least = least
        self._paces = dict[int, float]()  # seconds a step, of each count when it was last seen
        self._trying, self._warm = False, False
        self._rest, self._left = FIRST, 0.0
        self._steps, self._seconds, self._used, self._guess = 0, 0.0, 0.0, 0.0

    @property
    def limit(self) -> int | None:
        """How many steps to run until ``took`` is told; None is any number."""
        if self.most == self._least or (self.now in self._paces and not self._trying):
            return None
        pace = self._seconds / self._steps if self._steps else self._guess
        return max(1, round((self._goal - self._seconds) / pace)) if pace else 1

    @property
    def _goal(self) -> float:
        return TRIAL if self._warm else WARM_UP

    def took(self, steps: int, seconds: float, used: float) -> None:
        """Take note of how long some steps took, with as many workers as there are now.

        ``used`` are the seconds of a processor that the calling thread had, which is one of them.
        """
        self._steps, self._seconds = self._steps + steps, self._seconds + seconds
        self._used += used
        if self.most == self._least or self._seconds < self._goal:
            return
        self._guess = self._seconds / self._steps
        was_warm, self._warm = self._warm, True
        if was_warm:
            self._judge(self._guess, self._used < _ALONE * self._seconds)
        self._steps, self._seconds, self._used = 0, 0.0, 0.0

    def _judge(self, pace: float, waited: bool) -> None:
        """Stay with this count of workers, or try the other one."""
        there = self._paces.get(self._other, math.inf)
        self._paces[self.now] = pace
        self._left -= self._seconds
        few = self.now == self._least
        robbed = few and waited  # its pace says nothing about the next one
        if robbed:
            del self._paces[self.now]
        if self._trying or robbed:
            lost, self._trying = pace > there or robbed, False
            self._left = self._rest = min(2 * self._rest, LATE) if lost else SOON
            if lost:
                self._change()
        elif (self._left <= 0 or pace > _CLEARLY * there) and (few or pace <= TRIAL):
            self._trying = True
            self._change()

    def _change(self) -> None:
        self.now, self._warm = self._other, False

    @property
    def _other(self) -> int:
        return self._least if self.now == self.most else self.most
