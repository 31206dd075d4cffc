"""Training by SciPy's full-batch methods: each iteration is an epoch."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from pullback.errors import ConfigError, NonFiniteError
from pullback.interrupt import Interrupt
from pullback.net.modes import check_several
from pullback.net.network import Network, Parameters
from pullback.net.program import Array
from pullback.net.vector import ravel
from pullback.train.epochs import Course, copied
from pullback.train.metrics import scores
from pullback.train.optim import FullBatch
from pullback.train.samples import Samples


class Descent:
    """One full-batch method on all samples; it computes in float64, whatever the data have."""

    def __init__(
        self, net: Network, samples: Samples, start: Parameters, optimizer: FullBatch
    ) -> None:
        self._net, self._optimizer = net, optimizer
        self._samples = samples.astype(np.float64)
        self._dtype = samples.dtype
        self._start = {name: value.astype(np.float64) for name, value in start.items()}
        self._vector, self._unravel = ravel({name: self._start[name] for name in net.trained})
        self._started = time.perf_counter()
        if net.noise:
            raise ConfigError(
                f"{optimizer!r} takes no noise, which changes the loss between its looks, and this "
                f"network has {next(iter(net.noise))}; take one such as Adam(), or train net.eval()"
            )
        check_several(net, self._samples.arrays)

    @property
    def params(self) -> Parameters:
        """The parameters as they are, in the data's precision."""
        held = self._held(self._vector)
        return {name: value.astype(self._dtype) for name, value in held.items()}

    def _held(self, vector: Array) -> Parameters:
        """The parameters for a vector of the trained ones."""
        return {**self._start, **self._unravel(vector)}

    def run(self, course: Course, interrupt: Interrupt) -> None:
        """Iterate until the gradient vanishes, the course is over, or Ctrl-C."""

        def value_and_slope(vector: Array) -> tuple[float, Array]:
            slope = np.empty_like(vector)
            held, grads = self._held(vector), self._unravel(slope)
            values = self._net.value_and_grad_program(held, self._samples.arrays, grads)
            return float(values["loss"]), slope

        def after_each(step: Any) -> None:
            self._iteration_done(np.array(step.x), course)
            course.interrupted = interrupt.asked
            if not course.going:
                raise StopIteration

        with np.errstate(all="ignore"):
            self._check(value_and_slope(self._vector)[0])
            found = self._optimizer.minimise(
                value_and_slope, self._vector, course.epochs, after_each
            )
        if course.done == 0:  # the gradient vanishes where it starts: an epoch without a step
            self._iteration_done(self._vector, course)
        if course.going:
            message = found.message if isinstance(found.message, str) else found.message.decode()
            course.stopped = f"SciPy's {self._optimizer.method}: {message.strip().lower()}"

    def _iteration_done(self, vector: Array, course: Course) -> None:
        before = scores(self._net, self._held(self._vector), self._samples)
        self._vector = vector
        self._start |= self._net.updated(self._held(vector), self._samples.data)
        now = time.perf_counter()
        seconds, self._started = now - self._started, now
        params = self.params
        validated = course.validated(lambda net, samples: scores(net, params, samples))
        course.epoch_done({**before, "seconds": seconds, **validated}, params, {})

    def _check(self, loss: float) -> None:
        if not np.isfinite(loss):
            held = self._held(self._vector)
            where = self._net.first_not_finite(held, self._samples.arrays)
            fault = NonFiniteError(f"before the first iteration: {where}")
            fault.params = copied(self.params)
            raise fault
