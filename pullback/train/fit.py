"""Training: the update rule, batch after batch, until the epochs are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pullback.errors import ConfigError, DataError, NonFiniteError, require, warn, whole
from pullback.interop.subject import takes_module
from pullback.interrupt import Interrupt
from pullback.net.checks import checked_parameters, checked_weights
from pullback.net.limit import bytes_of
from pullback.net.network import Network
from pullback.train.choose_engine import AUTO, ENGINES, chosen_engine, started
from pullback.train.divergence import Beginning
from pullback.train.epochs import Course
from pullback.train.full_batch import Descent
from pullback.train.history import Callback, FitResult, History, OptimizerState, Watched
from pullback.train.jax.placement import Hardware
from pullback.train.member import Member, Saved
from pullback.train.optim import SGD, FullBatch, Optimizer
from pullback.train.origin import Origin, facts_of, origin_of, versions
from pullback.train.progress import Progress
from pullback.train.resume import Checkpoints
from pullback.train.samples import Samples, Source
from pullback.train.state import Expected
from pullback.train.stopping import EarlyStopping, Watch
from pullback.train.stream import Batches, streamed
from pullback.train.training import Training
from pullback.train.watch import DeltaWatch
from pullback.train.weights import ClassWeight, combined_weights

__all__ = ["Callback", "FitResult", "History", "fit"]


class AtMost(int):
    """A batch size that is not the caller's own: all samples where there are fewer."""


@takes_module("X", "Y")
def fit(
    net: Network,
    X: Any,
    Y: Any = None,
    params: Mapping[str, Any] | None = None,
    optimizer: Optimizer | FullBatch = SGD(0.1, momentum=0.9),  # noqa: B008  frozen
    epochs: int = 20,
    batch_size: int | None = AtMost(32),
    shuffle: bool = True,
    validation: tuple[Any, ...] | None = None,
    seed: int = 0,
    checkpoint: str | Path | Checkpoints | None = None,
    progress: bool = True,
    *,
    resume: bool = False,
    sample_weight: Any = None,
    class_weight: ClassWeight = None,
    early_stopping: EarlyStopping | int | None = None,
    callback: Callback | Sequence[Callback] | None = None,
    engine: str = "auto",
    devices: Any = None,
    split_weights: bool = False,
    precision: str | None = None,
    watch: bool = False,
    optimizer_state: OptimizerState | None = None,
    loss: Any = None,
    memory: int | str | None = None,
) -> FitResult:
    """Train a network on X (batch, …) and Y (batch, …, outputs); training runs in X's dtype.

    Of several inputs X is a dict of arrays by name, or a tuple in their order; where all hold whole
    numbers, training runs in the dtype of ``params``. Frozen parameters stay what they are, and are
    in every result. Accuracy is the share of samples, or of all their tokens. Of data larger than
    memory X is a ``np.memmap``, a ``pyarrow.dataset.Dataset`` (Y then names its target columns), or
    an iterable of batches (x, y), each one step, or a function that makes an iterator of them (Y is
    then None); shuffling mixes parts of 32 MiB.
    Start from ``params``, or from ``net.init(seed)``. ``batch_size=None`` is full batch, and of
    fewer than 32 samples each batch has all if none is given;
    ``pb.optim.LBFGS`` and ``ConjugateGradient`` always are. ``sample_weight`` (batch,) and
    ``class_weight`` (by label, or "balanced") make the loss a weighted mean; samples of weight 0
    are left out. ``early_stopping`` is a record, or the patience of one.
    ``checkpoint`` names a safetensors file that is written after each epoch (``pb.Checkpoints``
    says how often, and how many are kept); with ``resume`` training goes on from it, bit for bit,
    or begins where there is none; one training at a time holds it.
    ``callback(epoch, params, history)``, or each of several, is called after each epoch; one that
    raises StopIteration ends training. Ctrl-C ends it between two steps and returns what has been
    learnt. Equal seeds give equal bits. ``engine="compiled"``
    compiles whole epochs, once on this machine for each kind of network; "numpy" runs them one
    call a batch; "auto" compiles where the network is one for it, else NumPy runs, with a line that
    says why; it resumes with the engine it had.
    "jax" runs on the first device that jax finds, or on ``devices`` of them (a number, a list, a
    mesh), each with a part of every batch: the steps are the same, to rounding. ``split_weights``
    cuts the weights and the optimiser's memory up over the devices; under ``precision="bfloat16"``
    products read that and add in float32, as all else is.
    ``fit(module, X, Y, loss=…)`` starts from a torch module's own weights and leaves it as it is:
    ``module.load_state_dict({k: torch.as_tensor(v) for k, v in result.params.items()})`` takes them
    back. Without a loss, class numbers mean CrossEntropy and other targets MSELoss; so a warning
    says.
    Training that makes the network worse, or leaves it stuck at chance, is warned of, and the
    result's ``diverged`` says what was seen, the cause and the fix.
    With ``watch`` the result's ``watched`` holds RMS δ, dead units and update/weight by layer.
    With ``memory``, bytes or a text as "200 MB", no step has more at a time for its batch,
    activations and gradients: what does not fit is computed again, bit for bit the same
    (``pb.plan_memory`` tells what that costs). The compiled engine keeps everything; where that
    does not fit "auto" takes NumPy. Parameters, data, the optimiser's memory and validation do not
    count.
    ``optimizer_state`` of an earlier result, with its ``params``, goes on as one longer training.
    Raises ConfigError for options that make no sense, the errors of ``value_and_grad`` for data,
    DataError for a checkpoint that is damaged, StorageError for one that cannot be written, whose
    ``params`` are what has been learnt; a loss or a weight that is not finite raises
    NonFiniteError, whose ``params`` and ``result`` are those before that epoch.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Linear(1, 1), loss=pb.SquaredError())
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> result = fit(net, X, 3 * X + 1, epochs=200, batch_size=None, progress=False)
    >>> {name: value.round(3).tolist() for name, value in result.params.items()}
    {'weight': [[3.0]], 'bias': [1.0]}
    """
    _check_optimizer(optimizer, resume, optimizer_state)
    hardware = Hardware(devices, split_weights, precision)
    epochs, seed = whole("epochs", epochs), whole("seed", seed, least=0)
    most = None if memory is None else bytes_of("memory", memory)
    if most is not None and isinstance(optimizer, FullBatch):
        raise ConfigError(f"{optimizer!r} knows no limit of memory; take one such as Adam()")
    _check_trained(net)
    if np.asarray(Y).dtype.kind in "iuf":  # else they are names of columns, or there are none
        net = net.for_targets(np.asarray(Y))
    runs_on_jax = engine == "jax" or (engine == AUTO and hardware != Hardware())
    member = hardware.placement.member if runs_on_jax else Member()
    source = streamed(net, X, Y, batch_size, params, member)
    if source is None:
        samples = Samples.of(net, X, Y, params)
        weight = combined_weights(net, samples.target, sample_weight, class_weight)
        source = samples.weighted(weight)
    weighted = sample_weight is not None or class_weight is not None
    _check_source(source, epochs, weighted)
    held_out = _held_out(net, validation, source, params)
    size = _batch_size(batch_size, source.count, optimizer)
    if isinstance(source, Samples):
        source = source.without_idle()
    start = checked_parameters(net, params if params is not None else net.init(seed), source.dtype)
    start = {name: np.array(value) for name, value in start.items()}
    rule = _stopping(early_stopping)
    patience = None if rule is None else Watch(rule, _columns(net, held_out))
    callbacks, watcher = _callbacks(callback), None
    if watch:
        if not isinstance(source, Samples):
            raise ConfigError("watch needs all samples in memory")
        watcher = DeltaWatch(net, source, start)
        callbacks = [watcher, *callbacks]
    checkpoints = _checkpoints(checkpoint, resume)
    if member.process > 0:  # the first process writes and reads them
        checkpoints, progress = None, False
    with ExitStack() as stack:
        if checkpoints is not None:
            stack.enter_context(checkpoints.held())
        if engine == AUTO and resume and checkpoints is not None:
            engine = checkpoints.engine() or AUTO
        automatic = engine == AUTO
        engine = chosen_engine(engine, hardware)
        if engine == "jax":
            _check_hardware(hardware, optimizer, size)
        trained, runner = net.weighted if weighted else net, None
        bar = stack.enter_context(Progress(epochs, source.count, enabled=progress))
        if not isinstance(optimizer, FullBatch):
            engine, runner = started(
                engine, automatic, trained, start, optimizer, seed, hardware,
                source.count if size is None else size, bar, most,
            )  # fmt: skip
        if checkpoints is not None and isinstance(source, Batches):
            source.note()
        origin: Callable[[], Origin] = dict
        if checkpoints is not None or member.processes > 1:
            facts = facts_of(
                net, optimizer, source, held_out, start,
                engine=engine, threads=ENGINES[engine].threads(net, size), batch_size=size,
                shuffle=bool(shuffle), seed=seed, early_stopping=rule,
            )  # fmt: skip
            agreed = {**facts, **versions(), "epochs": str(epochs), "resume": str(resume)}
            member.agree({**agreed, "samples": str(source.count)})
            origin = origin_of(facts, source)
        saved = None
        if (
            resume
            and isinstance(optimizer, Optimizer)
            and (found := member.from_first(lambda: _read(checkpoints, origin)))
        ):
            expected = Expected(
                {name: value.shape for name, value in start.items()}, net.trained,
                optimizer.slots, source.dtype, _columns(net, held_out),
                callable(optimizer.learning_rate), source.steps(size), bool(shuffle),
                rule is not None and rule.restore_best,
            )  # fmt: skip
            saved = expected.state(_newest(checkpoints), *found)
        interrupt = stack.enter_context(Interrupt())
        course = Course(net.eval(), epochs, held_out, patience, callbacks, checkpoints, origin, bar)
        beginning = Beginning.of(net, start, source, optimizer, engine)
        if isinstance(optimizer, FullBatch):
            descent = Descent(trained, _in_memory(source, optimizer), start, optimizer)
            descent.run(course, interrupt)
            learnt = replace(course.result(descent.params), watched=_record(watcher))
            return _judged(learnt, beginning, course)
        assert runner is not None
        random = np.random.default_rng(seed) if shuffle else None
        training = Training(trained, source, runner, optimizer, size, random, seed, member)
        if optimizer_state is not None:
            training.recall(optimizer_state)
        if saved is not None:
            course.restore(saved)
            training.restore(saved)
        try:
            training.run(course, interrupt, bar)
        except NonFiniteError as fault:
            raise _failed(fault, beginning, course, _record(watcher)) from None
        learnt = replace(
            course.result(runner.params),
            watched=_record(watcher),
            optimizer_state=training.optimizer_state,
        )
        return _judged(learnt, beginning, course)


def _check_hardware(hardware: Hardware, optimizer: object, size: int | None) -> None:
    if isinstance(optimizer, FullBatch):
        raise ConfigError(f"{optimizer!r} is SciPy's and runs on NumPy; take one such as Adam()")
    if size is not None and size < hardware.placement.size:
        raise ConfigError(
            f"batch_size is {size}, but there are {hardware.placement.size} devices; expected at "
            "least a sample for each"
        )


def _check_trained(net: Network) -> None:
    if not net.trained:
        frozen = f": all {len(net.specs)} are frozen" if net.specs else ""
        raise DataError(f"there are no parameters to train{frozen}")


def _record(watcher: DeltaWatch | None) -> Watched | None:
    return None if watcher is None else watcher.record


def _judged(learnt: FitResult, beginning: Beginning, course: Course) -> FitResult:
    """The result, with what went wrong, if anything did; then a warning says so, too."""
    diverged = beginning.divergence(learnt, course.first_loss)
    if diverged is not None:
        warn(diverged.sentence)
    return replace(learnt, diverged=diverged)


def _failed(
    fault: NonFiniteError, beginning: Beginning, course: Course, watched: Watched | None
) -> NonFiniteError:
    """The same error with the cause and the fix, and with the result of the epochs before."""
    diverged = beginning.not_finite(str(fault))
    told = NonFiniteError(f"{diverged.seen}; {diverged.fix}")
    told.params = fault.params
    told.result = FitResult(told.params, course.history, watched=watched, diverged=diverged)
    return told


def _check_optimizer(optimizer: object, resume: bool, state: object) -> None:
    if state is not None:
        require("optimizer_state", state, OptimizerState, "that of an earlier result of fit")
    if isinstance(optimizer, FullBatch):
        if state is not None:
            raise ConfigError(f"{optimizer!r} takes no optimizer_state: SciPy keeps it to itself")
        if resume:
            raise ConfigError(
                f"{optimizer!r} cannot be resumed: SciPy keeps its memory to itself; "
                "start again from the parameters of the checkpoint"
            )
        return
    require("optimizer", optimizer, Optimizer, "one such as pb.optim.SGD(0.1)")


def _in_memory(source: Source, optimizer: FullBatch) -> Samples:
    if not isinstance(source, Samples):
        raise ConfigError(f"{optimizer!r} needs all samples in memory; take one such as Adam()")
    return source


def _check_source(source: Source, epochs: int, weighted: bool) -> None:
    if isinstance(source, Samples):
        return
    if weighted:
        raise ConfigError("sample_weight and class_weight need all samples in memory")
    if epochs > 1 and isinstance(source, Batches) and source.once:
        raise ConfigError(
            f"epochs is {epochs}, but X is an iterator, which comes once; "
            "expected a function that makes one, or epochs=1"
        )


def _held_out(net: Network, validation: Any, source: Source, params: object) -> Samples | None:
    if validation is None:
        return None
    if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
        raise ConfigError("validation is not a pair; expected (X, Y), or (X, Y, sample_weight)")
    x, y, *weight = validation
    samples = Samples.of(net, x, y, params).astype(source.dtype)
    if not weight or weight[0] is None:
        return samples
    return samples.weighted(checked_weights(weight[0], len(samples), samples.dtype))


def _batch_size(batch_size: int | None, samples: int | None, optimizer: object) -> int | None:
    if batch_size is None or samples is None or isinstance(optimizer, FullBatch):
        return samples
    if isinstance(batch_size, AtMost):
        return min(int(batch_size), samples)
    if whole("batch_size", batch_size, also=", or None") > samples:
        raise ConfigError(
            f"batch_size is {batch_size}, but there are {samples} samples; None takes them all"
        )
    return int(batch_size)


def _stopping(early_stopping: EarlyStopping | int | None) -> EarlyStopping | None:
    if early_stopping is None or isinstance(early_stopping, EarlyStopping):
        return early_stopping
    return EarlyStopping(whole("early_stopping", early_stopping, also=", or EarlyStopping(…)"))


def _columns(net: Network, held_out: Samples | None) -> list[str]:
    """The columns of the history that early stopping can watch."""
    names = ["loss", "accuracy"] if net.criterion.is_scored else ["loss"]
    return names + ([f"validation_{name}" for name in names] if held_out else [])


def _checkpoints(checkpoint: str | Path | Checkpoints | None, resume: bool) -> Checkpoints | None:
    if checkpoint is None:
        if resume:
            raise ConfigError("resume needs a checkpoint: fit(…, checkpoint='net.safetensors')")
        return None
    return checkpoint if isinstance(checkpoint, Checkpoints) else Checkpoints(checkpoint)


def _newest(checkpoints: Checkpoints | None) -> str | Path:
    return "the checkpoint of process 0" if checkpoints is None else checkpoints.newest


def _read(checkpoints: Checkpoints | None, origin: Callable[[], Origin]) -> Saved | None:
    """What the newest checkpoint holds, if one has been written."""
    if checkpoints is None or not checkpoints.exist():
        return None
    return checkpoints.read(origin())


def _callbacks(callback: Callback | Sequence[Callback] | None) -> Sequence[Callback]:
    several = callback if isinstance(callback, Sequence) else [callback] if callback else []
    for each in several:
        if not callable(each):
            raise ConfigError(
                f"callback is {each!r}; expected a function of epoch, params, history"
            )
    return several
