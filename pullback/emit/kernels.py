"""The steps for which there are kernels: convolutions and pools, whose windows are never made."""

from __future__ import annotations

from dataclasses import dataclass

from pullback.emit.correlation import ConvolvedForm
from pullback.emit.pools import PoolForm
from pullback.emit.values import ProgramStep, Value


@dataclass(frozen=True)
class Convolved(ProgramStep):
    """Two of a convolution's three arrays, of which the result is the third.

    A ``bias`` is added to each output of a convolution itself.
    """

    left: Value
    right: Value
    form: ConvolvedForm
    bias: Value | None = None

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.left, self.right, *([] if self.bias is None else [self.bias]))


@dataclass(frozen=True)
class MaxPoolStep(ProgramStep):
    """The largest entries of windows."""

    arg: Value
    form: PoolForm

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class MaxPoolBackStep(ProgramStep):
    """The cotangent of ``arg``, whose windows were pooled, from the one of the result."""

    arg: Value
    delta: Value
    form: PoolForm

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg, self.delta)


@dataclass(frozen=True)
class SumPoolStep(ProgramStep):
    """The sums of windows; or each cotangent of one given to all that it sums."""

    arg: Value
    form: PoolForm
    back: bool

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)
