"""Did training make the network worse, or leave it stuck? What was seen, the cause, the fix."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from pullback import ir
from pullback.errors import PullbackError, PullbackWarning
from pullback.net.network import Network, Parameters
from pullback.net.program import Array
from pullback.train.compiled_scores import compiled_scores
from pullback.train.history import Divergence, FitResult
from pullback.train.metrics import scores
from pullback.train.optim import FullBatch, Optimizer
from pullback.train.optim.schedule import rates_at
from pullback.train.samples import Samples

LOOKED_AT = 256  # samples, evenly spread: a table may be sorted by its classes
RISE = 1.0  # of the loss, as a share of what it was, that is no noise of the batches
TINY = 1e-6  # a loss that is 0 but for rounding
NEAR = 0.02  # above the share of the commonest class, and still no better than guessing
FLAT = 0.01  # of the steepest slope of its activation: a unit is saturated, or dead
ALWAYS = 0.9  # of the samples at which it is
STUCK = 0.5  # of a layer's units
LARGE, LARGE_VALUES = 10.0, 100.0  # root mean square of a column; training expects about 1
_USUAL = np.linspace(-4.0, 4.0, 81)  # where activations have their steepest slopes
_USUAL_RATE = 0.1


@contextmanager
def untold() -> Iterator[None]:
    """Without the warning, for whoever shows what the result says."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Training diverged", PullbackWarning)
        yield


@dataclass(frozen=True)
class Beginning:
    """A training as it began: the network, its first parameters and some of its samples.

    ``samples`` is None where they are not in memory; the loss of the first step then stands for
    that of the start. ``scored`` gives the scores of a network's parameters on samples.
    """

    net: Network
    params: Parameters
    samples: Samples | None
    optimizer: Optimizer | FullBatch
    scored: Callable[[Network, Parameters, Samples], dict[str, float]] = scores

    @classmethod
    def of(
        cls,
        net: Network,
        params: Parameters,
        samples: object,
        optimizer: Optimizer | FullBatch,
        engine: str,
    ) -> Beginning:
        """That of a training on some source of samples by an engine."""
        part = None
        if isinstance(samples, Samples):
            part = samples[:: -(-len(samples) // LOOKED_AT)]
        compiled = engine == "compiled" and not isinstance(optimizer, FullBatch)
        scored = compiled_scores if compiled else scores
        return cls(net.eval(), params, part, optimizer, scored)

    def divergence(self, result: FitResult, first_loss: float | None) -> Divergence | None:
        """What went wrong by the end, if anything did; ``first_loss`` is that of the first step."""
        losses = result.history.get("loss", ())
        if not losses or first_loss is None:
            return None
        risen = (losses[-1] - first_loss) / max(abs(first_loss), TINY)
        if self.samples is None:
            return self._because(_rise(first_loss, losses[-1])) if risen > RISE else None
        accuracy = result.history.get("accuracy")
        # what always answers the same has at least the entropy of the classes as its loss
        share, entropy = _guessing(self.samples.target) if accuracy else (0.0, 0.0)
        lucky = accuracy is not None and accuracy[-1] <= share + NEAR and losses[-1] > 0.9 * entropy
        # what is looked at more closely has to be computed
        worse = self._worse(result.params) if risen > RISE / 2 else None
        return worse or (self._stuck(result.params) if lucky else None)

    def not_finite(self, seen: str) -> Divergence:
        """The divergence of a training in which a number became infinite, or none at all."""
        return self._because(seen)

    def _scores(self, params: Parameters) -> dict[str, float]:
        assert self.samples is not None
        return self.scored(self.net, params, self.samples)

    def _worse(self, params: Parameters) -> Divergence | None:
        assert self.samples is not None
        before, after = (self._scores(p)["loss"] for p in (self.params, params))
        if not after - before > RISE * max(abs(before), TINY):
            return None
        # weights that were good already may well get worse and still be better than none
        untrained = self._scores(self.net.init(0, dtype=self.samples.dtype))
        worse = after - untrained["loss"] > RISE * abs(untrained["loss"])
        return self._because(_rise(before, after)) if worse else None

    def _stuck(self, params: Parameters) -> Divergence | None:
        assert self.samples is not None
        # the last epoch's accuracy is a mean over weights that moved
        now = self._scores(params)["accuracy"]
        if now > _guessing(self.samples.target)[0] + NEAR:
            return None
        layer, share = self._saturated(params)
        if share < STUCK:
            return None
        return self._because(
            f"the accuracy is that of guessing, and {share:.0%} of the units of {layer} are "
            "saturated: hardly any gradient passes them"
        )

    def _saturated(self, params: Parameters) -> tuple[str, float]:
        """The layer of which most units are flat at nearly every sample, and their share."""
        assert self.samples is not None
        activations = [
            (equation.label.place, form.function, form.arg.label)
            for equation, form in ir.flow(self.net.graph).items()
            if isinstance(form, ir.Pointwise) and isinstance(form.arg, ir.Named)
        ]
        found = ("", 0.0)
        if not activations:
            return found
        try:
            with np.errstate(all="ignore"):
                trace = self.net.trace(params, self.samples.data, self.samples.target)
        except PullbackError:
            return found
        for place, function, read in activations:
            z, slope = trace.value(read), function.partial(0)
            if z is None:
                continue
            with np.errstate(all="ignore"):
                steepest = np.max(np.abs(slope(_USUAL)))
                flat = np.abs(slope(z)) < FLAT * steepest
            share = float(np.mean(np.mean(np.broadcast_to(flat, z.shape), axis=0) >= ALWAYS))
            if share > found[1]:
                found = (f"layer {place!r}", share)
        return found

    def _because(self, seen: str) -> Divergence:
        """With the cause: data that are not scaled, weights drawn too large, or the rate."""
        if self.samples is not None:
            for name, array, most in self._read():
                size = _largest_column(array)
                if size > most:
                    fix = (
                        f"{name} has a column of size {size:,.4g} (root mean square): scale each "
                        "column to mean 0 and deviation 1"
                    )
                    return Divergence(seen, "scaling", fix)
            layer, share = self._saturated(self.params)
            if share >= STUCK:
                fix = (
                    f"{share:.0%} of the units of {layer} were saturated before the first step: "
                    "draw weights of another size, as net.init(seed, pb.init.glorot()) does"
                )
                return Divergence(seen, "initialisation", fix)
        return Divergence(seen, "learning rate", self._slower())

    def _read(self) -> Iterator[tuple[str, Array, float]]:
        """What training reads, as people call it, and how large it may be: X, and values of Y."""
        assert self.samples is not None
        for name, array in self.samples.data.items():
            yield ("X" if name == "x" else name), array, LARGE
        if self.net.criterion.target == "values":
            yield "Y", self.samples.target, LARGE_VALUES

    def _slower(self) -> str:
        if isinstance(self.optimizer, FullBatch):
            return "start from other weights, or train with pb.optim.Adam()"
        rate = float(rates_at(self.optimizer.learning_rate, np.arange(1, 1001)).max())
        clip = "" if self.optimizer.clip_norm is not None else ", or clip_norm=1"
        return f"the learning rate is {rate:.3g}: try {min(rate / 10, _USUAL_RATE):.3g}{clip}"


def _rise(before: float, after: float) -> str:
    return f"the loss rose from {before:.3g} to {after:.3g}"


def _largest_column(array: Array) -> float:
    """The largest root mean square of a column (batch, …); 0 of whole numbers, as of tokens."""
    if array.dtype.kind != "f" or not array.size:
        return 0.0
    largest = float(np.max(np.abs(array)))  # whose square may be no number
    if largest == 0:
        return 0.0
    squares = np.square(array.astype(np.float64) / largest).mean(axis=0)
    return largest * float(np.sqrt(np.max(squares)))


def _guessing(target: Array) -> tuple[float, float]:
    """The share of the commonest class and the entropy; 0 where a sample may be of several."""
    flat = target.reshape(-1, target.shape[-1]) > 0
    if flat.shape[-1] == 1:
        flat = np.hstack([flat, ~flat])
    shares = flat.mean(axis=0)
    if not np.isclose(shares.sum(), 1.0):
        return 0.0, 0.0
    return float(shares.max()), float(-np.sum(shares * np.log(np.maximum(shares, TINY))))
