"""``MemoryPlan``: what is kept and what is computed again, as a record to print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pullback.emit.recompute.planner import Arrangement, Planner
from pullback.net.limit import as_bytes
from pullback.notebook import headline, paragraph, table

_SHARES = (1.0, 0.9, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2)  # of what everything takes
_HEAD = ("limit", "peak", "extra work", "runs again")
_SHOWN = 12  # names in a line


@dataclass(frozen=True)
class Rung:
    """One limit of a ladder, in bytes: the peak of its plan, and what that costs.

    ``extra`` is the work that is done again, as a part of that of the forward pass, in seconds of
    a nominal core; ``again`` are the operations that run again, counted as often as they do.
    """

    limit: int
    peak: int
    extra: float
    again: int


@dataclass(frozen=True, repr=False)
class MemoryPlan:
    """How a step of training keeps below a limit: which values it keeps, which it makes again.

    What counts is all that a step makes: the ``batch`` with its targets and its noise, activations
    and cotangents, the ``gradients`` and other results, and what operations work in. Beside that
    there are the ``parameters``, the data, and what an optimiser remembers (Adam: twice the
    parameters).
    """

    title: str
    limit: int
    batch: int
    gradients: int
    parameters: int
    planner: Planner
    found: Arrangement
    rungs: tuple[Rung, ...]

    @property
    def peak(self) -> int:
        """The most bytes at a time; a run has no more."""
        return self.found.peak

    @property
    def full(self) -> int:
        """The bytes if everything is kept."""
        return self.planner.full.peak

    @property
    def least(self) -> int:
        """The fewest bytes that a plan has been found for."""
        return self.planner.least.peak

    @property
    def fits(self) -> bool:
        """Is everything kept?"""
        return not self.recomputed and self.extra == 0

    @property
    def extra(self) -> float:
        """The work that is done again, as a part of that of the forward pass."""
        return self.found.order.extra

    @property
    def proven(self) -> bool:
        """Is it known that no order costs less that has the cotangents in this one's?"""
        return self.found.proven

    @cached_property
    def recomputed(self) -> dict[str, int]:
        """The equations that are computed again by their names, each with how often."""
        runs = Counter(self.found.order.runs)
        again = ((name, runs[at] - 1) for at, name in self._names)
        return {name: count for name, count in again if count}

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """The equations of the forward pass that stay until the backward pass has read them."""
        jobs = self.planner.work.computation.jobs
        read = {value for job in jobs if job.once for value in job.read}
        forward = ((at, name) for at, name in self._names if not jobs[at].once)
        kept = (name for at, name in forward if read.intersection(jobs[at].made))
        return tuple(name for name in kept if name not in self.recomputed)

    @cached_property
    def _names(self) -> list[tuple[int, str]]:
        """Each job that makes an equation, with its name."""
        work = self.planner.work
        called = work.program.equations
        return [
            (at, called[out.name])
            for at, group in enumerate(work.groups)
            for out in group.outs
            if out.name in called
        ]

    def table(self) -> str:
        """Peak and extra work for a ladder of limits.

        >>> import pullback as pb
        >>> net = pb.Network(pb.Sequential(pb.Linear(8, 32), pb.Tanh(), pb.Linear(32, 1)),
        ...                  loss=pb.MSELoss())
        >>> print(pb.plan_memory(net, (1000, 8)).table().splitlines()[0])
            limit      peak  extra work  runs again
        """
        rows = [_HEAD, *map(_cells, self.rungs)]
        widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
        widths = [max(width, 9) for width in widths]
        lines = ("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(lines)

    def text(self) -> str:
        """All of it in words, with the ladder."""
        return "\n".join([self.title, *(f"{k:12}{v}" for k, v in self._facts), "", self.table()])

    @property
    def verdict(self) -> str:
        """What matters, in a sentence."""
        if self.fits:
            return (
                f"everything fits: keeping all takes {as_bytes(self.full)} of "
                f"{as_bytes(self.limit)}; nothing is computed again"
            )
        return (
            f"{as_bytes(self.peak)} of {as_bytes(self.limit)}, for {self.extra:.0%} more work than "
            f"the forward pass has; keeping all would take {as_bytes(self.full)}"
        )

    @property
    def _facts(self) -> list[tuple[str, str]]:
        again = [f"{n} ({k}×)" if k > 1 else n for n, k in self.recomputed.items()]
        facts = [("plan", self.verdict), ("least", f"{as_bytes(self.least)} is the least")]
        if not self.fits:
            facts += [("kept", _listed(self.kept)), ("again", _listed(again))]
        counted = f"batch {as_bytes(self.batch)}, gradients {as_bytes(self.gradients)}"
        rest = as_bytes(self.peak - self.batch - self.gradients)
        facts.append(("counted", f"{counted}, values and room to work in {rest}"))
        beside = f"parameters {as_bytes(self.parameters)}, data, what the optimiser remembers"
        return [*facts, ("not counted", beside)]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "limit": self.limit,
            "peak": self.peak,
            "full": self.full,
            "least": self.least,
            "extra_work": self.extra,
            "proven": self.proven,
            "kept": list(self.kept),
            "recomputed": dict(self.recomputed),
            "batch": self.batch,
            "gradients": self.gradients,
            "parameters": self.parameters,
            "ladder": [vars(rung) for rung in self.rungs],
        }

    def __repr__(self) -> str:
        return f"MemoryPlan({self.verdict})"

    def _repr_html_(self) -> str:
        facts = table(["", ""], self._facts[1:])
        return (
            headline(self.verdict)
            + paragraph(self.title)
            + facts
            + table(_HEAD, map(_cells, self.rungs))
        )


def limits_of(planner: Planner, limit: int) -> list[int]:
    """A ladder of limits from everything to the least, with the one that is asked for."""
    full, least = planner.full.peak, planner.least.peak
    steps = {int(share * full) for share in _SHARES} | {least, limit}
    return sorted((each for each in steps if least <= each <= max(full, limit)), reverse=True)


def rung(limit: int, found: Arrangement) -> Rung:
    """A plan as one of a ladder."""
    again = len(found.order.runs) - len(set(found.order.runs))
    return Rung(limit, found.peak, found.order.extra, again)


def _cells(each: Rung) -> tuple[str, ...]:
    return (as_bytes(each.limit), as_bytes(each.peak), f"{each.extra:.1%}", str(each.again))


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN]) or "nothing"
    return f"{shown} and {rest} more" if rest > 0 else shown
