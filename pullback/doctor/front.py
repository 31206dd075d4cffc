"""``doctor``: why does my network not learn?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from pullback.doctor import suspicions
from pullback.doctor.accumulation import Step, adds_up
from pullback.doctor.finding import Diagnosis
from pullback.doctor.given import Asked, given
from pullback.doctor.observe import observe
from pullback.doctor.progress import trying
from pullback.doctor.report import Case, report
from pullback.doctor.source import Written
from pullback.doctor.suspicion import CERTAIN
from pullback.doctor.training import one_thread
from pullback.doctor.trials import ENOUGH, Trials, held_out
from pullback.errors import positive, whole
from pullback.interop.extras import Late
from pullback.interop.torch.copies import undisturbed
from pullback.interrupt import Interrupt

torch: Any = Late("torch", "torch")

SECONDS = 6.0  # of processor time
_SOONER = 0.6  # of the steps: a fix of what learns anyway has to be that much faster
_BETTER = 0.05  # of a share


def doctor(
    module_or_net: Any,
    X: Any,
    Y: Any,
    loss: Any = None,
    optimizer: Any = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    *,
    seconds: float = SECONDS,
    seed: int = 0,
    progress: bool = True,
    step: Step | None = None,
) -> Diagnosis:
    """Why a network does not learn: findings in order of weight, each with a fix that was tried.

    ``module_or_net`` is a torch module with the weights that it has, or a Network; X (batch, …)
    and Y (batch, …) are arrays or tensors as training takes them, ``loss`` and ``optimizer`` those
    of the training, with its ``batch_size`` and ``epochs``. A copy is trained as given, from
    ``seed``; where it does not learn, again with one thing changed, and a fix is offered with the
    score that a training with it reached. Where it learns, there are no findings but what makes it
    learn much faster. Nothing of the caller's is changed. ``seconds`` of processor time are spent
    on training at most; Ctrl-C ends it with what is known so far. ``step(module, optimizer, x, y)``
    may be the code of one step of yours: it is run on a copy, to see whether it clears the
    gradients; where it does not, the trainings do not either.
    Needs torch. Raises ConfigError, ShapeError or DataError for a module without parameters, for
    what is no loss or optimiser of torch's, or no step, and for data that do not pair up.

    >>> import torch
    >>> from torch import nn
    >>> seed = torch.manual_seed(0)
    >>> X = torch.randn(200, 4)
    >>> Y = (X[:, 0] > X[:, 1]).long()
    >>> module = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2), nn.Softmax(dim=1))
    >>> sgd = torch.optim.SGD(module.parameters(), lr=0.05)
    >>> d = doctor(module, X, Y, nn.CrossEntropyLoss(), sgd, batch_size=20, epochs=4)
    >>> d.findings[0].where, d.findings[0].fix
    ('3', 'leave the Softmax out')
    """
    return diagnose(
        module_or_net, X, Y, loss, optimizer, batch_size, epochs,
        seconds=seconds, seed=seed, progress=progress, step=step,
        written=Written.by_caller(module=module_or_net, X=X, Y=Y, loss=loss, optimizer=optimizer),
    )  # fmt: skip


def diagnose(
    module_or_net: Any,
    X: Any,
    Y: Any,
    loss: Any,
    optimizer: Any,
    batch_size: int | None,
    epochs: int | None,
    *,
    seconds: float,
    seed: int,
    progress: bool,
    written: Written,
    step: Step | None = None,
) -> Diagnosis:
    """``doctor``, told which files its values are from and what they are called there."""
    seed, seconds = whole("seed", seed, least=0), positive("seconds", seconds)
    with undisturbed(torch):
        asked = given(module_or_net, X, Y, loss, optimizer, batch_size, epochs, seed)
        if step is not None:
            found = replace(asked.setup, accumulates=adds_up(asked.setup, step))
            asked = replace(asked, setup=found)
        with ExitStack() as stack:
            left = stack.enter_context(gradients_kept(module_or_net))
            stack.enter_context(one_thread())
            tell = stack.enter_context(trying(progress))
            interrupt = stack.enter_context(Interrupt())
            case = examined(asked, seconds, tell, interrupt)
            case.outside = left()
            return report(case, written)


@contextmanager
def gradients_kept(module: Any) -> Iterator[Callable[[], bool]]:
    """The caller's gradients are put aside, and put back after.

    Gives a function that says whether there are new ones: then the loss has the module from
    elsewhere than its output, and what it does with it is not done with a copy.
    """
    held = [*module.parameters()] if isinstance(module, torch.nn.Module) else []
    before = [p.grad for p in held]
    for p in held:
        p.grad = None
    try:
        yield lambda: any(p.grad is not None for p in held)
    finally:
        for p, grad in zip(held, before, strict=True):
            p.grad = grad


def examined(asked: Asked, seconds: float, tell: Any, interrupt: Interrupt) -> Case:
    """Observe, train as given, suspect, and try."""
    seen = observe(asked.setup)
    trials = Trials(asked.setup, seen, seconds, tell, interrupt)
    trials.as_given()
    found = sorted(suspicions.all_of(seen), key=lambda each: -each.weight)
    learnt = seen.course.share >= ENOUGH and not seen.fault and trials.again(found)
    case = Case(asked, seen, trials, found, learnt=learnt)
    case.blocked = [
        each
        for each in found
        if each.change is None and each.weight >= (CERTAIN + 1 if learnt else CERTAIN)
    ]
    silent = next((each for each in found if each.key == "no signal"), None)
    if silent is not None and not case.blocked:
        found.remove(silent)
        case.unseen = held_out(trials.given, trials.over)
        if seen.reference.chance is not None and case.unseen <= seen.reference.chance:
            case.blocked.append(silent)
    if case.blocked or interrupt.asked:
        return case
    if learnt:
        trials.search([each for each in found if each.weight >= CERTAIN])
        trials.accepted = [
            each
            for each in trials.accepted
            if each.share >= ENOUGH
            and (
                each.course.steps <= _SOONER * (seen.course.learnt_at or seen.course.steps)
                or each.share > seen.course.share + _BETTER
            )
        ]
    else:
        trials.search(found)
    return case
