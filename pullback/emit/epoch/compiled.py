"""From a network's and an optimiser's equations to code."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from pullback.emit.epoch.code import EpochCode
from pullback.emit.epoch.record import Variant
from pullback.emit.epoch.strips import StripCode
from pullback.emit.epoch.training import TrainingStep
from pullback.emit.nest.kernel import prepare_kernels
from pullback.ir import Input, Node, Parameter
from pullback.machine.object.processor import vector_bytes


def training_code(
    roots: Mapping[str, Node],
    update: Mapping[str, Node],
    leaves: Sequence[Input | Parameter],
    dtype: str,
    variant: Variant = "training",
    states: Mapping[str, str] = MappingProxyType({}),
    noise: Collection[str] = (),
    strips: bool = False,
) -> EpochCode:
    """The steps of a network's training and of an optimiser's update as one function in LLVM.

    ``roots`` are the loss, the output and a gradient for each parameter, ``update`` the optimiser's
    equations; ``leaves`` has the inputs, and the parameters in the order in which they lie in the
    vector of all weights; ``states`` says which root is the next value of a parameter that is a
    state, and ``noise`` which inputs are drawn: a row for each place in the order. The variant
    "profile" adds up in ``spent`` (workers, kinds) how many ticks of the processor's clock each
    kind of work takes; "products" multiplies the matrices and does nothing else. In ``strips``
    some samples are taken through the whole step before the next ones, which wants samples that do
    not wait for one another. Raises NotApplicableError for what cannot be compiled.
    """
    lanes = vector_bytes() // (4 if dtype == "float32" else 8)
    training = TrainingStep.of(roots, update, leaves, states, lanes, strips)
    prepare_kernels(training.units, dtype)
    code = StripCode if strips else EpochCode
    return code(training, dtype, variant, noise)
