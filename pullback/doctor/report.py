"""From suspicions and trials to findings and a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback.doctor.finding import Diagnosis, Finding
from pullback.doctor.given import Asked
from pullback.doctor.observe import Observations
from pullback.doctor.setup import TrainingSetup, each
from pullback.doctor.source import Written
from pullback.doctor.surgery import module_at, of_torch
from pullback.doctor.suspicion import CERTAIN, MEASURED, Suspicion
from pullback.doctor.training import TrainingRun, quiet
from pullback.doctor.trials import ENOUGH, Trials
from pullback.interop.extras import Late
from pullback.moments import forecast

torch: Any = Late("torch", "torch")

_ANALYTIC = ("independence", "coupled")
_SAMPLES = 16
_MOST_CALLS = 30
_NO_FORECAST = "no forecast of so many layers in passing: pb.forecast(module, X, Y, loss=…)"
_UNPROVED = 2  # suspicions that are named though no trial bore them out


@dataclass
class Case:
    """All that is known at the end: what was given and seen, suspected and tried."""

    asked: Asked
    seen: Observations
    trials: Trials
    suspicions: list[Suspicion]
    learnt: bool
    blocked: list[Suspicion] = field(default_factory=list)  # no change of ours can fix these
    unseen: float | None = None
    outside: bool = False  # does the loss use the module itself?


def report(case: Case, written: Written) -> Diagnosis:
    """The diagnosis of a case; ``written`` says where its parts come from."""
    findings = list(_findings(case, written))
    setup, course = case.asked.setup, case.seen.course
    accepted = case.trials.accepted
    last = accepted[-1].course.score if accepted else None
    return Diagnosis(
        verdict=_verdict(case, findings),
        findings=tuple(findings),
        measure=setup.task.measure,
        score=course.score,
        loss=_finite(course.loss),
        fixed=last,
        attainable=case.seen.attainable,
        trials=len(case.trials.done),
        notes=tuple(_notes(case)),
        learns=case.learnt,
        repaired=Repair(setup, case.trials.changes),
    )


def _findings(case: Case, written: Written) -> Iterator[Finding]:
    """Those that nothing can be tried for, those that a trial bore out, and remarks."""
    for suspicion in case.blocked:
        yield _finding(case, written, suspicion, "error")
    accepted = sorted(case.trials.accepted, key=lambda trial: -trial.suspicion.weight)
    for trial in accepted:
        severity = "warning" if case.learnt else "error"
        yield _finding(case, written, trial.suspicion, severity, trial.course)
    named = {id(each_.suspicion) for each_ in accepted} | {id(each_) for each_ in case.blocked}
    rest = [each_ for each_ in case.suspicions if id(each_) not in named]
    if not case.learnt and not named:
        strong = [each_ for each_ in rest if each_.weight >= MEASURED][:_UNPROVED]
        for suspicion in strong:
            yield _finding(case, written, suspicion, "warning")
        rest = [each_ for each_ in rest if each_ not in strong]
    for suspicion in rest:  # remarks, and what contradicts itself where it learns all the same
        if suspicion.weight == 0 or (case.learnt and suspicion.weight >= CERTAIN):
            yield _finding(case, written, suspicion, "note")


def _finding(
    case: Case,
    written: Written,
    suspicion: Suspicion,
    severity: str,
    course: TrainingRun | None = None,
) -> Finding:
    return Finding(
        severity,
        ", ".join(suspicion.places),
        suspicion.what,
        suspicion.fix,
        suspicion.code,
        _source(case, written, suspicion),
        None if course is None else _finite(course.score),
        None if course is None else _finite(course.loss),
    )


def _source(case: Case, written: Written, suspicion: Suspicion) -> str:
    """The line of a call in the code of a forward; else where the part or the value is made."""
    module, call = case.asked.setup.module, suspicion.call
    if call is not None and not of_torch(module_at(module, call.path)):
        return call.line
    return written.line(module, suspicion.places[0])


def _finite(score: float) -> float | None:
    return score if np.isfinite(score) else None


def _verdict(case: Case, findings: list[Finding]) -> str:
    """One sentence."""
    course, task, seen = case.seen.course, case.asked.setup.task, case.seen
    loud = [each_ for each_ in findings if each_.severity != "note"]
    score = f"{task.measure} {course.score:.3g}" if np.isfinite(course.score) else "not finite"
    if case.trials.interrupt.asked:
        return f"Interrupted: {score} after {course.steps} steps; what follows is known so far."
    if case.learnt:
        if not loud:
            return f"It learns: {score} after {course.steps} steps; there is nothing to fix."
        return f"It learns ({score}), but {loud[0].what}."
    if course.fault:
        start = f"It cannot be trained: torch says {course.fault!r}"
    else:
        start = (
            f"It does not learn ({score} after {course.steps} steps, {task.trivial:.3g} is one "
            f"answer to all, {seen.attainable:.3g} can be reached)"
        )
    if not loud:
        return f"{start}; none of {len(case.trials.done)} changes that were tried helps."
    fixed = case.trials.accepted[-1].course.score if case.trials.accepted else None
    end = ""
    if fixed is not None and np.isfinite(fixed):
        partly = "" if case.trials.share >= ENOUGH else " only"
        end = f"; with the fix{'es' * (len(loud) > 1)} {task.measure} is{partly} {fixed:.3g}"
    return f"{start}: {loud[0].what}{end}."


def _notes(case: Case) -> Iterator[str]:
    yield from case.asked.notes
    if not isinstance(case.seen.tape.given, torch.Tensor) and case.seen.tape.out is not None:
        yield "the module gives several tensors: the first is taken as its prediction"
    if case.outside:
        yield (
            "the loss uses the module's own parameters, not only its output: in every training "
            "that part stays as it is now"
        )
    if case.seen.draws:
        yield (
            "the module draws random numbers as it runs: every training has seed "
            f"{case.asked.setup.seed}"
        )
    if case.trials.given.limit is not None:
        yield (
            f"time for {case.trials.given.limit} of {case.asked.setup.steps} steps; every trial "
            "had as many (give seconds=)"
        )
    if case.trials.skipped:
        yield f"{case.trials.skipped} changes were not tried: time was up (give seconds=)"
    if not case.learnt and not case.trials.interrupt.asked:
        small = len(case.seen.tape.calls) <= _MOST_CALLS
        yield _forecast(case.seen.setup) if small else _NO_FORECAST


def _forecast(setup: TrainingSetup) -> str:
    """What the forecast says of the module with the weights that it has, where it can be read."""
    copy = setup.clone()
    copy.module.eval()
    try:
        X, Y = each(setup.X, lambda x: x[:_SAMPLES]), setup.Y[:_SAMPLES]
        with quiet():
            found = forecast(copy.module, X, Y, methods=_ANALYTIC, progress=False, loss=setup.loss)
    except Exception as fault:  # it is beside the point of an answer that is there already
        reason = str(fault).partition("\n")[0]
        return f"measured only, call by call; no forecast: {reason}"
    return f"forecast: {found.sentence}"


@dataclass(frozen=True)
class Repaired:
    """A training that was repaired: the module, and all that it is trained with."""

    module: Any
    loss: Any
    optimizer: Any
    X: Any
    Y: Any
    batch_size: int
    epochs: int


@dataclass(frozen=True)
class Repair:
    """The fixes of a diagnosis, to be applied to the module that it is of."""

    setup: TrainingSetup
    changes: tuple[Suspicion, ...]

    def __call__(self, module: Any) -> Repaired:
        setup = self.setup.on(module)
        for suspicion in self.changes:
            assert suspicion.change is not None
            setup = suspicion.change(setup)
        return Repaired(
            setup.module,
            setup.loss,
            setup.updates.made(),
            setup.X,
            setup.Y,
            setup.batch,
            setup.epochs,
        )
