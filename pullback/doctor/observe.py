"""What is seen of a set-up before anything is changed: one pass each way, and the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pullback.doctor.draws import drawn, seeded
from pullback.doctor.lesson import Array
from pullback.doctor.linearised import Modes, modes
from pullback.doctor.outputs import loss_name
from pullback.doctor.reference import Reference, featured, reference
from pullback.doctor.setup import TrainingSetup, each, inputs, parameters, parts
from pullback.doctor.tape import FAULTS, Recording, TorchCall, error, record, said
from pullback.doctor.training import TrainingRun, quiet
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

SAMPLES = 256
UNEVEN = 4.0  # the largest class over the smallest


@dataclass(frozen=True)
class SeenLayer:
    """A layer with weights as one pass saw it: RMS ‖δ‖ and RMS z over the samples."""

    call: TorchCall
    path: str
    units: int
    z: float
    delta: float


@dataclass
class Observations:
    """All that suspicions are read from. The set-up is a copy, in training mode."""

    setup: TrainingSetup
    tape: Recording
    output: Any
    loss: Any  # of the samples looked at, or None
    fault: str  # of torch, in the pass or in the loss
    draws: bool  # does the forward pass take random numbers?
    course: TrainingRun = None  # type: ignore[assignment]  # the training as given

    @cached_property
    def name(self) -> str:
        """The loss by the name of torch's function."""
        return loss_name(self.setup.loss)

    @cached_property
    def columns(self) -> Array:
        """All inputs, (samples, numbers)."""
        each_ = [x.detach().cpu().numpy().reshape(len(x), -1) for x in inputs(self.setup.X)]
        return np.concatenate(each_, axis=1)

    @cached_property
    def reference(self) -> Reference:
        truth = self.setup.task.truth
        known = np.isfinite(truth.reshape(len(truth), -1)).all(axis=1)
        task = replace(self.setup.task, truth=truth[known])
        return reference(self.columns[known], task, self.setup.seed)

    @cached_property
    def majority_hides(self) -> bool:
        """Is there a signal in as many samples of each class, and none in all?"""
        task, counts = self.setup.task, self.setup.task.counts
        if self.reference.signal is not False or counts is None:
            return False
        if counts.max() < UNEVEN * counts.min():
            return False
        rows = [np.flatnonzero(task.truth == c)[: counts.min()] for c in range(task.classes)]
        at = np.concatenate(rows)
        even = replace(task, truth=task.truth[at])
        return bool(reference(self.columns[at], even, self.setup.seed).signal)

    @cached_property
    def attainable(self) -> float:
        """The score that training has to come near: that of the reference, within the rank."""
        best, task = self.reference.attainable, self.setup.task
        widths = [layer.units for layer in self.layers[:-1]]
        if task.kind == "values" and widths and min(widths) < task.truth.shape[1]:
            best = min(best, rank_limit(task.truth, min(widths)))
        return max(best, task.trivial + 1e-3)

    @cached_property
    def layers(self) -> tuple[SeenLayer, ...]:
        """Every layer with weights that the pass went through, input side first."""
        found = []
        for call in self.tape.affine:
            z = call.out.detach()
            slope = error(call.out)
            size = float(slope.square().sum().sqrt()) if slope is not None else 0.0
            units = z.shape[1] if call.name.startswith("conv") else z.shape[-1]
            found.append(SeenLayer(call, call.path, int(units), rms(z), size))
        return tuple(found)

    @cached_property
    def carried(self) -> float:
        """‖δ‖ at the first layer over that at the last."""
        sizes = [layer.delta for layer in self.layers]
        if len(sizes) < 2:
            return 1.0
        return sizes[0] / sizes[-1] if sizes[-1] > 0 else 0.0

    @cached_property
    def reached(self) -> frozenset[int]:
        """The ids of the parameters that have a gradient."""
        return frozenset(id(p) for p in parameters(self.setup.module) if p.grad is not None)

    @cached_property
    def features(self) -> Array:
        """The inputs as the reference has them."""
        x = inputs(self.setup.X)[0].detach().cpu().numpy()
        return featured(x.reshape(len(x), -1))

    @cached_property
    def modes(self) -> Modes | None:
        """The linearised problem at the start."""
        return modes(self.setup) if self.loss is not None else None

    def place(self, call: TorchCall | None) -> str:
        """Where a call stands, as a path: the whole module is "model"."""
        return (call.path if call is not None else "") or "model"


def observe(setup: TrainingSetup) -> Observations:
    """One forward and one backward pass of a copy, on at most 256 samples."""
    seen = setup.clone()
    seeded(setup.seed)
    order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(setup.seed))
    rows = order[:SAMPLES]
    for p in parameters(seen.module):
        p.grad = None
    seen = replace(seen, X=each(seen.X, lambda x: x[order]), Y=seen.Y[order])
    seen = replace(seen, task=replace(seen.task, truth=seen.task.truth[order.numpy()]))
    seen.module.train()
    with quiet():
        before = drawn()
        tape = record(seen, seen.rows(slice(0, len(rows))))
        draws = drawn() != before
        if tape.fault:
            return Observations(seen, tape, None, None, tape.fault, draws)
        try:
            loss = seen.loss(tape.given, seen.Y[: len(rows)])
            if loss.requires_grad:
                loss.backward()
            return Observations(seen, tape, tape.out.detach(), loss.detach(), "", draws)
        except FAULTS as fault:
            return Observations(seen, tape, tape.out.detach(), None, said(fault), draws)


def rms(z: Any) -> float:
    return float(z.double().square().mean().sqrt())


def rank_limit(truth: Array, rank: int) -> float:
    """R² of the best approximation of the targets by so many numbers a sample."""
    values = np.linalg.svd(truth - truth.mean(axis=0), compute_uv=False) ** 2
    return float(values[:rank].sum() / max(values.sum(), 1e-300))


def part_kinds(setup: TrainingSetup, *kinds: str) -> list[tuple[str, Any]]:
    """Parts whose class is called one of these."""
    return [(path, part) for path, part in parts(setup.module) if type(part).__name__ in kinds]
